"""The whole input pipeline: TFRecord files and a plan in, training batches out."""

from typing import Optional, Sequence

import tensorflow as tf

from tfx_resampling.core.plan import Plan
from tfx_resampling.data import images, labels, records, resample
from tfx_resampling.data.features import Features
from tfx_resampling.data.options import ImageOptions, InputOptions, check_integer

_DEFAULT_IMAGE = ImageOptions()
_DEFAULT_OPTIONS = InputOptions()


def input_fn(
    file_pattern: records.FilePattern,
    plan: Plan,
    *,
    batch_size: int,
    image: Optional[ImageOptions] = _DEFAULT_IMAGE,
    keep: Sequence[str] = (),
    drop_remainder: bool = False,
    options: InputOptions = _DEFAULT_OPTIONS,
) -> tf.data.Dataset:
    """Returns batches of resampled, decoded, seeded-augmented training samples.

    Guarantee: which samples an epoch has depends on the plan, its seed, the records and
    the epoch only. It is the same on every run and for any number of files, threads and
    buffer sizes. Over E epochs a record is seen floor or ceil of E times its repeat
    factor, so that what undersampling drops in one epoch comes in another.

    Stages: read files interleaved -> parse the labels of a chunk of records -> drop ->
    large shuffle -> replicate -> small shuffle -> decode and augment in parallel ->
    batch -> prefetch.

    Example, with no TFX:

        plan = make_plan(count_labels("train-*.tfrecord", "labels"),
                         PlannerConfig("labels", target="sqrt"))
        batches = input_fn("train-*.tfrecord", plan, batch_size=64,
                           image=ImageOptions(size=(96, 96)))
        model.fit(batches, epochs=10, steps_per_epoch=plan.steps_per_epoch(64))

    The stream goes through the epochs by itself. Give Keras `steps_per_epoch`, as
    above: a data set with `options.epochs` set would start at the same epoch, with the
    same samples, each time that Keras iterates it.

    Args:
      file_pattern: one or several patterns of TFRecord files of tf.train.Example,
        anything that tf.io.gfile reads; plain or gzip.
      plan: the factors. `plan.natural()` gives each record once, e.g. for evaluation.
      batch_size: samples per batch.
      image: how images are decoded; None leaves records serialized.
      keep: features (one value per record) to hand on beside the image.
      drop_remainder: whether to drop the smaller last batch of an epoch.
      options: reading, shuffling, epochs; see `InputOptions`.

    Returns:
      A data set of (x, y). y: float32 [batch, labels], multi-hot in the order of
      `plan.classes`. x: float32 or uint8 [batch, height, width, channels]; or with
      `keep`, a dict of "image", "seed" (int64 [batch, 2], one per sample) and the kept
      features ([batch]). With `image=None` x is a dict in which "record" (string
      [batch], serialized) stands for "image".

    Raises:
      ValueError: no plan, or one that emits nothing, a pattern that matches no file,
        first records without the image or a kept feature or with labels of another
        type, or an invalid option.
      tf.errors.InvalidArgumentError: while iterating: a corrupt or truncated file, or a
        label that is not in the plan; the message names the file and record, or label.
    """
    check_integer("batch_size", batch_size, 1, optional=False)
    if not isinstance(plan, Plan):
        raise ValueError(
            f"plan must be a Plan, got {plan!r}. In a Trainer module load_plan returns "
            "None where the Trainer has neither resample_plan= nor hyperparameters= of "
            "a ResamplePlanner."
        )
    if not max(*plan.factors, plan.unlabeled_factor, plan.min_factor):
        # Without end such a data set would be searched for a first sample for ever.
        raise ValueError("the plan emits nothing: every factor is 0.")
    files = records.match_files(file_pattern)
    compressions = records.compression_types(files, options.compression)
    features = Features(files, compressions)
    features.check_label(plan.label_key, plan.label_dtype)
    key_dtype = tf.string
    if options.key_feature is not None:
        key_dtype = features.dtype("key_feature", options.key_feature)
        if key_dtype == tf.float32:
            raise ValueError(
                f"key_feature {options.key_feature!r} has floats; keys are bytes or "
                "int64."
            )
    spec = labels.feature_spec(plan.label_key, plan.label_dtype)
    kept = {
        name: tf.io.FixedLenFeature([], features.dtype("keep", name)) for name in keep
    }
    if image is not None:
        features.dtype("ImageOptions(key=...)", image.key)
        spec[image.key] = tf.io.FixedLenFeature([], tf.string)
    vocabulary = labels.Vocabulary(plan.classes, plan.label_dtype)
    parallel = options.num_parallel_calls or tf.data.AUTOTUNE

    def parse(serialized, seeds):
        parsed = tf.io.parse_example(serialized, spec)
        values = parsed[plan.label_key]
        hot = labels.multi_hot(labels.labels_of(values, vocabulary), vocabulary.size)
        # Apart from the others: the label feature may be among those to keep.
        x = tf.io.parse_example(serialized, kept) if kept else {}
        x["seed"] = seeds
        if image is None:
            x["record"] = serialized
        else:
            x["image"] = parsed[image.key]
        return x, hot

    def decode(x, hot):
        pixels = images.decode_image(x["image"], image)
        if image.augment is not None:
            pixels = image.augment(pixels, x["seed"])
        return {**x, "image": pixels} if keep else pixels, hot

    def batches(epoch_samples):
        parsed = epoch_samples.batch(
            batch_size, drop_remainder=drop_remainder and image is None
        ).map(parse, num_parallel_calls=parallel, deterministic=options.deterministic)
        if image is None:
            return parsed
        # Labels are parsed for a batch at once, images are decoded one by one: a batch
        # is then decoded by all cores together, and is early.
        decoded = parsed.unbatch().map(
            decode, num_parallel_calls=parallel, deterministic=options.deterministic
        )
        return decoded.batch(batch_size, drop_remainder=drop_remainder)

    return resample.resampled(
        files, compressions, plan, options, batches, key_dtype
    ).prefetch(tf.data.AUTOTUNE)
