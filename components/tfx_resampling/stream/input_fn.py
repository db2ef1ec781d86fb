"""The whole input pipeline: TFRecord files and a plan in, training batches out."""

import dataclasses
import hashlib
import json
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

import tensorflow as tf

from tfx_resampling.core.plan import Plan
from tfx_resampling.decision.agreement import Agreement, check_first_labels
from tfx_resampling.decision.rule import DecisionRule
from tfx_resampling.options import ImageOptions, InputOptions
from tfx_resampling.records.files import FilePattern, RecordFiles, check_positions
from tfx_resampling.records.one_device import on_one_device
from tfx_resampling.records.reader import WHOLE, Shard, graph_options
from tfx_resampling.shards.manifest import read_manifests, records_written
from tfx_resampling.shards.selection import select
from tfx_resampling.stream.batches import Batches
from tfx_resampling.stream.epochs import Epochs
from tfx_resampling.stream.parsing import Parse
from tfx_resampling.validate import check_integer, shown

if TYPE_CHECKING:  # Else Keras would be loaded with it.
    from tfx_resampling.monitoring.monitor import InputMonitor

# Seconds within which the dispatcher of a service must answer.
_SERVICE_SECONDS = 10
# Batches that are ready before they are asked for.
_PREFETCH = 4

_DEFAULT_IMAGE = ImageOptions()
_DEFAULT_OPTIONS = InputOptions()


def input_fn(
    file_pattern: FilePattern,
    plan: Plan,
    *,
    batch_size: int,
    image: ImageOptions | None = _DEFAULT_IMAGE,
    keep: Sequence[str] = (),
    parse: Parse | None = None,
    labels: str = "multi_hot",
    weights: str | Plan | None = None,
    drop_remainder: bool = False,
    options: InputOptions = _DEFAULT_OPTIONS,
    input_context: tf.distribute.InputContext | None = None,
    monitor: Optional["InputMonitor"] = None,
) -> tf.data.Dataset:
    """Returns batches of resampled, decoded, seeded-augmented training samples.

    Guarantee: which samples an epoch has depends on the plan, its seed, the records and
    the epoch only. It is the same on every run and for any number of files, threads,
    workers and buffer sizes. Over E epochs a record is seen floor or ceil of the sum of
    its repeat factors, so that what undersampling drops in one epoch comes in another.
    With `options.deterministic` the order of samples is the same on every run too.

    Stages: read files interleaved; of each chunk of records parse the labels, decide
    and drop, in the thread that reads it -> put survivors into blocks -> replicate and
    shuffle a block -> batch -> parse -> decode and augment in parallel -> prefetch.
    tf.train.Checkpoint can save the position of an iterator over the data set. The
    optimizations of tf.data are off, and fail where they are switched on again
    (`records.one_device`).

    Images are decoded and augmented by default. For records without any, `parse` says
    what a batch has: a feature spec, for instance of Transform, or a function.

    Example, with no TFX:

        plan = make_plan(count_labels("train-*.tfrecord", "labels"),
                         PlannerConfig("labels", target="sqrt"))
        batches = input_fn("train-*.tfrecord", plan, batch_size=64,
                           image=ImageOptions(size=(96, 96)))
        model.fit(batches, epochs=10, steps_per_epoch=plan.steps_per_epoch(64))

    The stream goes through the epochs by itself. Give Keras `steps_per_epoch`, as
    above: a data set with `options.epochs` set would start at the same epoch, with the
    same samples, each time that Keras iterates it.

    Features that Transform made, and the label as it is:

        transformed = tft.TFTransformOutput(fn_args.transform_output)
        batches = input_fn(fn_args.train_files, plan, batch_size=64, labels="raw",
                           parse=transformed.transformed_feature_spec())

    Several workers, each with a part of the records, that together train on what one
    would: strategy.distribute_datasets_from_function(lambda context: input_fn(...,
    batch_size=context.get_per_replica_batch_size(256), input_context=context)).

    Args:
      file_pattern: one or several patterns of TFRecord files of tf.train.Example,
        anything that tf.io.gfile reads; plain or gzip.
      plan: the factors. `plan.natural()` gives each record once, e.g. for evaluation.
      batch_size: samples per batch.
      image: how images are decoded; None leaves records serialized.
      keep: features (one value per record) to hand on beside the image.
      parse: instead of image and keep, what makes features of records: a feature spec,
        as of `tf.io.parse_example`, with FixedLenFeature (its default_value stands for
        what is missing), VarLenFeature, RaggedFeature...; or a function of serialized
        records (string [batch]) that returns what a batch is to be. It is called in a
        graph, for a batch or a part of it.
      labels: what y is: "multi_hot", "index" (int64 [batch], place in `plan.classes`;
        records of exactly one label) or "raw" (what `parse`, a feature spec, has for
        the label feature). A function makes its own.
      weights: of the loss. "inverse_factor": each sample has 1 / (repeat factor of its
        record), so that the loss is that of the natural data, without bias. A plan: the
        loss is that of the samples which this plan would give. Weights have mean 1 over
        an epoch, as the plans predict it.
      drop_remainder: whether to drop the smaller last batch of an epoch.
      options: reading, shuffling, epochs; see `InputOptions`.
      input_context: which of several workers this is. Each reads files of its own, or
        where there are fewer files than workers, every n-th record of all files.
      monitor: an `InputMonitor`, which reports what training takes and can resume it.

    Returns:
      A data set of (x, y). y: float32 [batch, labels], multi-hot in the order of
      `plan.classes`, or as `labels` has it. x: float32 or uint8 [batch, height, width,
      channels]; or with `keep`, a dict of "image", "seed" (int64 [batch, 2], one per
      sample) and the kept features ([batch]). With `image=None` x is a dict in which
      "record" (string [batch], serialized) stands for "image". With a feature spec x is
      a dict of its features but for the label; with a function an element is what that
      returns. With `weights` it is (x, y, w), w: float32 [batch].

    Raises:
      ValueError: no plan, or one that emits nothing, a pattern that matches no file,
        first records without the image, any label or a feature that is asked for, or
        with labels of another type, or an invalid option.
      tf.errors.InvalidArgumentError: while iterating: a record that cannot be read or
        parsed, an image that does not decode, or a label that is not in the plan; the
        message names the file and record, or file and label. At the end of an epoch:
        records that are not such as the plan was made for (`decision.agreement`).
    """
    check_integer("batch_size", batch_size, 1)
    if not isinstance(plan, Plan):
        raise ValueError(
            f"plan must be a Plan, got {plan!r}. In a Trainer module load_plan returns "
            "None where the Trainer has neither resample_plan= nor hyperparameters= of "
            "a ResamplePlanner."
        )
    if not isinstance(options, InputOptions):
        raise ValueError(f"options must be InputOptions, got {options!r}.")
    if parse is not None:
        if image is _DEFAULT_IMAGE:
            image = None
        if image is not None or keep:
            raise ValueError(
                "image and keep must be left out with parse, which makes all features, "
                f"got {image!r} and {keep!r}."
            )
    elif labels == "raw":
        raise ValueError(
            "labels='raw' takes a feature spec as parse, which says how the label is "
            "parsed; without one labels are 'multi_hot' or 'index'."
        )
    if weights is not None and callable(parse):
        raise ValueError(
            "weights must be left out with a function as parse, whose result is the "
            f"batch, got {weights!r}. Give a feature spec."
        )
    if not isinstance(image, (ImageOptions, type(None))):
        raise ValueError(f"image must be ImageOptions or None, got {image!r}.")
    if image is not None and image.key == plan.label_key:
        raise ValueError(f"image.key must not be the label feature, got {image.key!r}.")
    if isinstance(keep, str):
        raise ValueError(f"keep must be a list of features, got {keep!r}.")
    if taken := sorted({*keep} & {"seed", "record" if image is None else "image"}):
        raise ValueError(
            f"keep must not name {taken}, which x has already. Rename the feature."
        )
    if monitor is not None and monitor.plan != plan:
        raise ValueError(
            "monitor was made for another plan than this data set: InputMonitor(plan)."
        )
    if not max(*plan.factors, plan.unlabeled_factor, plan.min_factor):
        # Without end such a data set would be searched for a first sample for ever.
        raise ValueError("the plan emits nothing: every factor is 0.")
    if options.service is not None:
        _check_service(options.service, monitor)
    skip = options.on_corrupt == "skip"
    files = RecordFiles.open(file_pattern, options.compression, skip)
    features = files.features
    check_first_labels(files, plan)
    features.check_label(plan.label_key, plan.label_dtype)
    if options.chunk_size is None:
        options = dataclasses.replace(options, chunk_size=files.chunk_size)
    check_positions(files.names, plan.known_by)
    rule = DecisionRule(plan, features.key_dtypes(plan.key_features))
    batches = Batches(
        files,
        plan,
        batch_size,
        drop_remainder,
        image,
        keep,
        parse,
        labels,
        weights,
        options,
        counts=monitor is not None,
    )
    manifests = read_manifests(files.names)
    selection = select(files.names, manifests, plan, options)
    # Of a group an epoch may need a single file.
    shard = _shard(input_context, options, by_record=selection is not None)
    # What is read as it is may be of any data.
    agreement = None if plan.is_natural else Agreement(plan, files, shard)
    written = records_written(files.names, manifests)
    epochs = Epochs(files, rule, options, shard, selection, agreement, written)
    dataset = batches.to_batches(epochs)
    if options.service is not None:
        dataset = dataset.apply(
            tf.data.experimental.service.distribute(
                processing_mode=tf.data.experimental.service.ShardingPolicy.DYNAMIC,
                service=options.service,
                job_name=options.service_job,
            )
        )
    dataset = dataset.prefetch(_PREFETCH)
    if options.service is None:
        dataset = on_one_device(dataset)
    settings = graph_options()
    # Of the workers of a service nobody knows how many cores they have.
    settings.autotune.enabled = options.service is not None
    # What one worker reads is settled here, not by rewriting this graph.
    off = tf.data.experimental.AutoShardPolicy.OFF
    settings.experimental_distribute.auto_shard_policy = off
    dataset = dataset.with_options(settings)
    if monitor is None:
        return dataset
    made_with = {
        "files": _digest(files.names),
        "plan": _digest(plan.to_json()),
        "batch_size": str(batch_size),
        "drop_remainder": str(drop_remainder),
        "image": _in_words(image),
        "keep": str(list(keep)),
        "parse": _name_of(parse) if callable(parse) else str(parse),
        "labels": labels,
        "weights": _digest(weights.to_json())
        if isinstance(weights, Plan)
        else str(weights),
        "shard": str(shard),
        # The number of threads changes nothing.
        "options": str(dataclasses.replace(options, num_parallel_calls=None)),
    }
    return monitor.watch(
        dataset,
        made_with,
        # Nobody knows a consumer's share of a service's job.
        batch_size=None if options.service_job else batch_size,
        drop_remainder=drop_remainder,
        num_shards=shard.num_shards,
        epochs=options.epochs,
    )


def _digest(value) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def _in_words(image: ImageOptions | None) -> str:
    """Returns options in words that are the same in every process."""
    if image is None:
        return "None"
    augment = image.augment
    if augment is not None and not dataclasses.is_dataclass(augment):
        augment = _name_of(augment)
    fields = {**vars(image), "augment": augment}
    return ", ".join(f"{name}={shown(value)}" for name, value in fields.items())


def _name_of(function) -> str:
    # A function has its address in its text.
    return getattr(function, "__qualname__", type(function).__qualname__)


def _check_service(address: str, monitor: Optional["InputMonitor"]) -> None:
    if monitor is not None and monitor.backup_dir is not None:
        raise ValueError(
            f"backup_dir must be left out with service={address!r}: the workers hold "
            "the position, which nothing can save."
        )
    host, _, port = address.rpartition("//")[2].rpartition(":")
    try:  # TensorFlow would wait for an hour.
        socket.create_connection((host, int(port)), _SERVICE_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"service must be the address of a dispatcher that runs, got {address!r}: "
            f"{error}."
        ) from None


def _shard(
    context: tf.distribute.InputContext | None,
    options: InputOptions,
    by_record: bool,
) -> Shard:
    if context is None or context.num_input_pipelines == 1:
        return WHOLE
    if options.service is None:
        return Shard(context.num_input_pipelines, context.input_pipeline_id, by_record)
    if options.service_job is None:
        raise ValueError(
            "service_job must be given with service and several workers: without it "
            "each of them is sent every sample."
        )
    return WHOLE
