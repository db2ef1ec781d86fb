"""Samples -> batches of images and labels."""

from collections.abc import Sequence

import tensorflow as tf

from tfx_resampling.core.plan import Plan
from tfx_resampling.decision import labels
from tfx_resampling.images import decode
from tfx_resampling.options import ImageOptions, InputOptions, parallel_calls
from tfx_resampling.records import graph_errors
from tfx_resampling.records.files import Features
from tfx_resampling.stream import blocks


class Batches:
    """Parses samples and decodes their images, a batch at a time."""

    def __init__(
        self,
        names: Sequence[str],
        plan: Plan,
        features: Features,
        batch_size: int,
        drop_remainder: bool,
        image: ImageOptions | None,
        keep: Sequence[str],
        options: InputOptions,
        counts: bool,
    ):
        """Makes a batcher.

        Args:
          names: the files.
          plan, batch_size, drop_remainder, image, keep, options: as for `input_fn`.
          features: what the records have.
          counts: whether to hand counts on.

        Raises:
          ValueError: the records do not have the image or a feature to keep.
        """
        self._names = tf.constant(list(names))
        self._label_key = plan.label_key
        self._vocabulary = labels.Vocabulary(plan.classes, plan.label_dtype)
        self._batch_size, self._drop_remainder = batch_size, drop_remainder
        self._image = image
        self._spec = labels.feature_spec(plan.label_key, plan.label_dtype)
        self._kept = {
            name: tf.io.FixedLenFeature([], features.dtype("keep", name))
            for name in keep
        }
        if image is not None:
            features.dtype("ImageOptions(key=...)", image.key)
            self._spec[image.key] = tf.io.FixedLenFeature([], tf.string)
        self._counts = counts
        self._skip = options.on_corrupt == "skip"
        self._deterministic = options.deterministic
        self._parallel = parallel_calls(options)

    def of_epoch(self, samples: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the `blocks.Samples` of an epoch in batches, still to be `finish`ed.

        Images stay encoded, unless those that do not decode are to be skipped: the
        batches are then of what is left, and of one epoch all the same.
        """
        batches = self._rebatch(samples)
        if self._image is None or not self._skip:
            return batches

        def count(pending, batch):
            *columns, counts = batch
            pending, counts = blocks.carried(pending, counts, tf.shape(columns[-1])[0])
            return pending, (*columns, counts)

        decoded = self._decoded(batches).scan(tf.zeros([4], tf.int64), count)
        # Of a batch without images not even their size is known.
        some = decoded.filter(lambda *batch: tf.size(batch[-1]) > 0)
        return self._rebatch(some)

    def finish(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Returns (x, y) of the batches of all epochs.

        With `counts` they are ((x, y), counts), int64 [5]: the epoch, how many records
        were scanned, dropped and skipped, and how many images were skipped, since the
        batch before.
        """
        if self._image is None:
            return self._map(batches, lambda rows: self._finish(*self._parse(rows)))
        if not self._skip:
            batches = self._decoded(batches)
        return self._map(batches, self._finish)

    def _rebatch(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.rebatch(self._batch_size, self._drop_remainder)

    def _decoded(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        # Labels are parsed for a batch at once; its images are decoded by all cores
        # together, so that it is early. The next batch is begun before it is done.
        decoded = self._map(batches, self._parse).interleave(
            self._decode,
            cycle_length=1,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        return self._map(decoded, self._judge)

    def _map(self, dataset, function) -> tf.data.Dataset:
        return dataset.map(
            function,
            num_parallel_calls=self._parallel,
            deterministic=self._deterministic,
        )

    def _parse(self, samples: blocks.Samples):
        parsed = tf.io.parse_example(samples.serialized, self._spec)
        found = labels.labels_of(parsed[self._label_key], self._vocabulary)
        # Apart from the others: the label feature may be among those to keep.
        kept = tf.io.parse_example(samples.serialized, self._kept) if self._kept else {}
        x = {**kept, "seed": samples.seeds}
        if self._image is None:
            x["record"] = samples.serialized
        else:
            x["image"] = parsed[self._image.key]
        y = labels.multi_hot(found, self._vocabulary.size)
        # The last count is that of images that do not decode: none so far.
        counts = tf.pad(samples.counts, [[0, 0], [0, 1]])
        return x, y, samples.origins, counts

    def _decode(self, x: dict[str, tf.Tensor], y, origins, counts):
        """Returns a data set of one element: the batch, and its images that decode.

        These are (int64 [m], which of the batch; pixels [m, height, width, channels]).
        """
        image = self._image
        which = tf.range(tf.shape(origins, tf.int64)[0])
        # Not to decode is an error that no op can catch, but that ignore_errors leaves
        # out, and a missing number gives away.
        pixels = tf.data.Dataset.from_tensor_slices((which, x["image"], x["seed"])).map(
            lambda i, encoded, seed: (i, decode.decode_image(encoded, image), seed),
            num_parallel_calls=self._parallel,
            deterministic=True,
        )
        pixels = pixels.ignore_errors()
        if image.augment is None:
            pixels = pixels.map(lambda i, one, seed: (i, one))
        else:  # Its errors are not to be taken for those of an image.
            pixels = pixels.map(
                lambda i, one, seed: (i, image.augment(one, seed)),
                num_parallel_calls=self._parallel,
                deterministic=True,
            )
        spec = pixels.element_spec[1]
        none = tf.zeros([0, *(side or 0 for side in spec.shape)], spec.dtype)
        pixels = pixels.batch(self._batch_size).concatenate(
            tf.data.Dataset.from_tensors((which[:0], none))
        )
        batch = tf.data.Dataset.from_tensors((x, y, origins, counts))
        return tf.data.Dataset.zip((batch, pixels))

    def _judge(self, batch, decoded):
        """Raises where an image does not decode, or leaves it out."""
        x, y, origins, counts = batch
        which, pixels = decoded
        size = tf.shape(origins, tf.int64)[0]
        num_missing = size - tf.size(which, tf.int64)

        def message():
            there = tf.equal(which, tf.range(tf.size(which, tf.int64)))
            row = tf.reduce_sum(tf.cast(there, tf.int64))
            hint = "Replace it, or set on_corrupt to skip."
            return [
                *(f"{self._image.key} of record ", origins[row, 2], " of "),
                *(tf.gather(self._names, origins[row, 1]), " does not decode: it is "),
                *(decode.describe(x["image"][row]), ". "),
                *(["Skipped ", num_missing, "."] if self._skip else [hint]),
            ]

        check = graph_errors.report_unless if self._skip else graph_errors.require
        with tf.control_dependencies([check(tf.equal(num_missing, 0), message)]):
            pixels = tf.identity(pixels)
        if not self._skip:
            size = self._batch_size if self._drop_remainder else None
            pixels = tf.ensure_shape(pixels, [size, *pixels.shape[1:]])
            return {**x, "image": pixels}, y, origins, counts
        more = tf.stack([0, 0, 0, num_missing])
        counts = tf.concat([counts, more[tf.newaxis]], axis=0)
        x, y, origins = tf.nest.map_structure(
            lambda column: tf.gather(column, which), (x, y, origins)
        )
        return {**x, "image": pixels}, y, origins, counts

    def _finish(self, x, y, origins, counts):
        if self._image is not None and not self._kept:
            x = x["image"]
        if not self._counts:
            return x, y
        latest = tf.reduce_max(origins[:, 0])[tf.newaxis]
        return (x, y), tf.concat([latest, tf.reduce_sum(counts, axis=0)], axis=0)
