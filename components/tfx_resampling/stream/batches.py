"""Samples of epochs -> batches of images, or of features, and labels."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfx_resampling.core.plan import Plan
from tfx_resampling.images import decode
from tfx_resampling.images.augmentation import Augmentation
from tfx_resampling.options import ImageOptions, InputOptions, parallel_calls
from tfx_resampling.records import graph_errors
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.reader import plain_python
from tfx_resampling.stream import row_counts
from tfx_resampling.stream.blocks import Samples
from tfx_resampling.stream.epochs import Epochs
from tfx_resampling.stream.parsing import (
    LabelEncoder,
    Parse,
    RecordParser,
    record_name,
    record_names,
)
from tfx_resampling.stream.weights import LossWeights


class Batch(NamedTuple):
    """Samples whose records are parsed.

    Attributes:
      x: name -> [n, ...], the features of `input_fn`; "image" may yet be encoded.
      y: [n, ...], labels as `LabelEncoder` has them.
      origins: int64 [n, 3], as in `Samples`.
      counts: int64 [m, counts], `row_counts`, to be added up.
      weights: float32 [n, 1], `LossWeights`; [n, 0] where there are none.
    """

    x: dict[str, tf.Tensor]
    y: tf.Tensor
    origins: tf.Tensor
    counts: tf.Tensor
    weights: tf.Tensor


class Batches:
    """Parses samples and decodes their images, a batch at a time."""

    def __init__(
        self,
        files: RecordFiles,
        plan: Plan,
        batch_size: int,
        drop_remainder: bool,
        image: ImageOptions | None,
        keep: Sequence[str],
        parse: Parse | None,
        labels: str,
        weights: str | Plan | None,
        options: InputOptions,
        counts: bool,
    ):
        """Makes a batcher.

        Args:
          files: the files.
          plan: as for `input_fn`, like the following ones.
          batch_size: samples per batch.
          drop_remainder: whether to drop the smaller last batch of an epoch.
          image: how images are decoded, if they are.
          keep: features to hand on.
          parse: what makes features of records, instead of image and keep.
          labels: what y is.
          weights: what the loss is to be of; None for the samples as they are.
          options: `on_corrupt`, `deterministic`, `num_parallel_calls`.
          counts: whether to hand counts on.

        Raises:
          ValueError: the records do not have the image or a feature that is asked for.
        """
        self._names = tf.constant(files.names)
        self._encoder = LabelEncoder(plan, labels, files.names)
        self._weights = None
        if weights is not None:
            self._weights = LossWeights(plan, weights)
        self._parser = None
        if parse is not None:
            self._parser = RecordParser(parse, labels, self._encoder, files, counts)
        self._batch_size, self._drop_remainder = batch_size, drop_remainder
        self._image = image
        self._keep = tuple(keep)
        # Ragged, so that it is ours to say which record does not have one value.
        self._spec: dict[str, Any] = {
            name: _ragged(files.features.dtype("keep", name)) for name in keep
        }
        if image is not None:
            files.features.dtype("ImageOptions(key=...)", image.key)
            self._spec[image.key] = _ragged(tf.string)
        # Last: the label feature may be among those to keep.
        self._spec |= self._encoder.spec
        self._counts = counts
        self._skip = options.on_corrupt == "skip"
        self._deterministic = options.deterministic
        self._parallel = parallel_calls(options)
        self._autograph = tf.__internal__.autograph.control_status_ctx()

    @plain_python
    def to_batches(self, epochs: Epochs) -> tf.data.Dataset:
        """Returns batches of the samples of all epochs, none of two of them.

        With `counts` they are (batch, counts), int64 [6 + classes]: the epoch, how many
        samples, the `row_counts` since the batch before, and how many with each label.
        """
        image = self._image
        if self._parser is not None:
            return self._parsed(epochs, self._parser)
        if image is None:
            batches = epochs.each(self._rebatch)
            return self._map(batches, lambda rows: self._finish(self._parse(rows)))
        if self._skip:  # Batches are of what is left.
            batches = epochs.each(
                lambda samples: self._left(self._decoded(self._rebatch(samples), image))
            )
        else:  # Between epochs images stay encoded, which takes less memory.
            batches = self._decoded(epochs.each(self._rebatch), image)
        return self._map(batches, self._finish)

    def _parsed(self, epochs: Epochs, parser: RecordParser) -> tf.data.Dataset:
        """Returns batches of what is not an image."""
        if self._skip:  # Batches are of what is left.
            batches = epochs.each(
                lambda samples: self._left(self._usable(self._rebatch(samples), parser))
            )
        else:
            batches = epochs.each(self._rebatch)
        if self._skip or not parser.is_function:
            return self._map(
                batches,
                lambda samples: self._element(samples, parser),
            )
        named = self._each(batches, parser.elements)
        return self._map(
            named, lambda samples, element: self._counted(samples, *element)
        )

    def _element(self, samples: Samples, parser: RecordParser) -> Any:
        element, label_counts = parser.element(samples)
        element = self._weighted(element, self._weights_of(samples))
        return self._counted(samples, element, label_counts)

    def _usable(
        self, batches: tf.data.Dataset, parser: RecordParser
    ) -> tf.data.Dataset:
        return self._map(self._each(batches, parser.usable), self._without_unusable)

    def _without_unusable(self, samples: Samples, which: tf.Tensor) -> Samples:
        """Leaves out records that cannot be parsed."""
        size = tf.shape(samples.origins, tf.int64)[0]
        num_missing = size - tf.size(which, tf.int64)
        reported = graph_errors.report_unless(
            tf.equal(num_missing, 0),
            lambda: [
                record_name(samples.origins[_first_missing(which)], self._names),
                *(" cannot be parsed as parse has it. Skipped ", num_missing, "."),
            ],
        )
        with tf.control_dependencies([reported]):
            which = tf.identity(which)
        more = row_counts.in_first_row(tf.constant(1), skipped_records=num_missing)
        return Samples(
            serialized=tf.gather(samples.serialized, which),
            seeds=tf.gather(samples.seeds, which),
            origins=tf.gather(samples.origins, which),
            counts=tf.concat([samples.counts, more], axis=0),
        )

    def _rebatch(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.rebatch(self._batch_size, self._drop_remainder)

    def _left(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the images of an epoch that did decode, in batches again."""
        # Of a batch without images not even their size is known.
        some = row_counts.carried(batches).filter(
            lambda batch: tf.size(batch.origins) > 0
        )
        return self._rebatch(some)

    def _decoded(
        self, batches: tf.data.Dataset, image: ImageOptions
    ) -> tf.data.Dataset:
        # Labels are parsed for a batch at once; its images are decoded by all cores
        # together, so that it is early. The next batch is begun before it is done.
        decoded = self._each(
            self._map(batches, self._parse), lambda batch: self._decode(batch, image)
        )
        return self._map(decoded, lambda *row: self._judge(row[0], row[1], image))

    def _each(self, batches: tf.data.Dataset, make) -> tf.data.Dataset:
        """Returns (batch, element) of the data set of one element that `make` makes."""
        return batches.interleave(
            lambda batch: tf.data.Dataset.zip(
                (tf.data.Dataset.from_tensors(batch), make(batch))
            ),
            cycle_length=1,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def _map(self, dataset, function) -> tf.data.Dataset:
        return dataset.map(
            function,
            num_parallel_calls=self._parallel,
            deterministic=self._deterministic,
        )

    def _parse(self, samples: Samples) -> Batch:
        names: Any = None
        if len(self._spec) > len(self._encoder.spec):
            # Of features that nobody looked at before, errors are TensorFlow's own.
            names = record_names(samples.origins, self._names)
        parsed: dict[str, Any] = tf.io.parse_example(
            samples.serialized, self._spec, names
        )
        values = parsed[self._encoder.key]
        x = {name: self._single(name, parsed[name], samples) for name in self._keep}
        x["seed"] = samples.seeds
        if self._image is None:
            x["record"] = samples.serialized
        else:
            key = self._image.key
            x["image"] = self._single(key, parsed[key], samples)
        y = self._encoder.encode(values, samples.origins)
        weights = self._weights_of(samples)
        return Batch(x, y, samples.origins, samples.counts, weights)

    def _weights_of(self, samples: Samples) -> tf.Tensor:
        """Returns float32 [n, 1] or [n, 0], as in `Batch`."""
        if self._weights is None:
            return tf.cast(samples.origins[:, :0], tf.float32)
        of_rows = self._weights.of(samples.serialized, samples.origins[:, 0])
        return of_rows[:, tf.newaxis]

    def _single(
        self, name: str, values: tf.RaggedTensor, samples: Samples
    ) -> tf.Tensor:
        """Returns [n], the only value of a feature in each record; or an error."""
        lengths = values.row_lengths()

        def message():
            row = tf.argmax(tf.not_equal(lengths, 1))
            hint = "Leave it out of keep, or write the record again."
            if self._image is not None and name == self._image.key:
                hint = "Write the record again."
            elif name == self._encoder.key:
                hint = "Leave it out of keep: y has the labels."
            return [
                *(record_name(samples.origins[row], self._names), " has "),
                *(lengths[row], f" values of {name}, of which every record must have "),
                f"one. {hint}",
            ]

        check = graph_errors.require(tf.reduce_all(tf.equal(lengths, 1)), message)
        with tf.control_dependencies([check]):
            return tf.reshape(values.flat_values, [values.nrows()])

    def _decode(self, batch: Batch, image: ImageOptions) -> tf.data.Dataset:
        """Returns a data set of one element: the images of a batch that decode.

        They are (int64 [m], which of the batch; pixels [m, height, width, channels]).
        """
        which = tf.range(tf.shape(batch.origins, tf.int64)[0])
        encoded = (which, batch.x["image"], batch.x["seed"])
        augment = image.augment
        # Without augmentation `_judge` scales them, as a batch: fewer bytes until then.
        decoded = decode.decode_pixels if augment is None else decode.decode_image
        window = None
        if isinstance(augment, Augmentation) and augment.crop and image.size:
            # Only what is in the window need be decoded.
            window, augment = augment.window, dataclasses.replace(augment, crop=None)

        def decode_one(i, encoded, seed):
            part = None
            if window is not None:
                part = functools.partial(window, seed=seed)
            return i, decoded(encoded, image, part), seed

        # Not to decode is an error that no op can catch, but that ignore_errors leaves
        # out, and a missing number gives away.
        pixels = tf.data.Dataset.from_tensor_slices(encoded).map(
            decode_one, num_parallel_calls=self._parallel, deterministic=True
        )
        pixels = pixels.ignore_errors()
        if isinstance(augment, Augmentation):
            if image.scale is not None:
                augment = functools.partial(augment, largest=255 * image.scale)
        elif augment is not None:
            # A user's may have conditions that AutoGraph is to convert.
            augment = tf.__internal__.autograph.tf_convert(augment, self._autograph)
        if augment is None:
            pixels = pixels.map(lambda i, one, seed: (i, one))
        else:  # Its errors are not to be taken for those of an image.
            pixels = pixels.map(
                lambda i, one, seed: (i, augment(one, seed)),
                num_parallel_calls=self._parallel,
                deterministic=True,
            )
        spec: Any = pixels.element_spec
        spec = spec[1]
        if not spec.shape.is_fully_defined():
            pixels = self._of_one_size(pixels, spec.shape.rank, batch, image)
        none = tf.zeros([0, *(side or 0 for side in spec.shape)], spec.dtype)
        return pixels.batch(self._batch_size).concatenate(
            tf.data.Dataset.from_tensors((which[:0], none))
        )

    def _of_one_size(
        self,
        pixels: tf.data.Dataset,
        rank: int | None,
        batch: Batch,
        image: ImageOptions,
    ) -> tf.data.Dataset:
        """Returns the images of a batch, and raises at one of another shape."""
        if rank is None:  # Of a user's function.
            return pixels

        def words(shape):
            return tf.strings.reduce_join(tf.strings.as_string(shape), separator=" x ")

        def compare(first, element):
            i, one = element
            shape = tf.shape(one)
            first = tf.where(first < 0, shape, first)
            check = graph_errors.require(
                tf.reduce_all(tf.equal(shape, first)),
                lambda: [
                    *(f"{image.key} of ", record_name(batch.origins[i], self._names)),
                    *(" is ", words(shape), ", but others of its batch are "),
                    *(words(first), " (height x width x channels). Set size in "),
                    "ImageOptions, or batch_size to 1.",
                ],
            )
            with tf.control_dependencies([check]):
                return first, (i, tf.identity(one))

        return pixels.scan(tf.fill([rank], -1), compare)

    def _judge(self, batch: Batch, decoded, image: ImageOptions) -> Batch:
        """Raises where an image does not decode, or leaves it out."""
        x, y, origins, counts, weights = batch
        which, pixels = decoded
        size = tf.shape(origins, tf.int64)[0]
        num_missing = size - tf.size(which, tf.int64)

        def message():
            row = _first_missing(which)
            hint = "Replace it, or set on_corrupt to skip."
            return [
                *(f"{image.key} of ", record_name(origins[row], self._names)),
                *(" does not decode: it is ", decode.describe(x["image"][row]), ". "),
                *(["Skipped ", num_missing, "."] if self._skip else [hint]),
            ]

        check = graph_errors.report_unless if self._skip else graph_errors.require
        with tf.control_dependencies([check(tf.equal(num_missing, 0), message)]):
            pixels = tf.identity(pixels)
        if image.augment is None:
            pixels = decode.scaled(pixels, image.scale)
        if not self._skip:
            size = self._batch_size if self._drop_remainder else None
            pixels = tf.ensure_shape(pixels, [size, *pixels.shape[1:]])
            return batch._replace(x={**x, "image": pixels})
        more = row_counts.in_first_row(tf.constant(1), skipped_images=num_missing)
        counts = tf.concat([counts, more], axis=0)
        x, y, origins, weights = tf.nest.map_structure(
            lambda column: tf.gather(column, which), (x, y, origins, weights)
        )
        return Batch({**x, "image": pixels}, y, origins, counts, weights)

    def _finish(self, batch: Batch):
        x = batch.x
        if self._image is not None and not self._keep:
            x = x["image"]
        label_counts = self._encoder.count(batch.y) if self._counts else None
        element = self._weighted((x, batch.y), batch.weights)
        return self._counted(batch, element, label_counts)

    def _weighted(self, element: Any, weights: tf.Tensor) -> Any:
        """Returns an element with its `Batch.weights`, if they are wanted."""
        return element if self._weights is None else (*element, weights[:, 0])

    def _counted(self, rows: Batch | Samples, element: Any, label_counts) -> Any:
        """Returns an element with what is counted of it, if that is wanted."""
        if not self._counts:
            return element
        latest = tf.reduce_max(rows.origins[:, 0])
        size = tf.shape(rows.origins, tf.int64)[0]
        counts = tf.reduce_sum(rows.counts, axis=0)
        return element, tf.concat([[latest, size], counts, label_counts], axis=0)


def _ragged(dtype: tf.DType) -> tf.io.RaggedFeature:
    return tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int64)


def _first_missing(which: tf.Tensor) -> tf.Tensor:
    """Returns the first row that is not in `which`, int64 [m], ascending."""
    there = tf.equal(which, tf.range(tf.size(which, tf.int64)))
    return tf.reduce_sum(tf.cast(there, tf.int64))
