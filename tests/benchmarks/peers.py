"""What else one would write with tf.data: the peers of the input benchmark.

Arguments are the files of `bench_data`, their compression ("" or "GZIP"), and of those
that only read the samples per batch and how often they read everything, of those that
resample a plan of single labels and how many records they scan.

Those that resample return samples (serialized record, place of its label), of which
`batches` makes batches (serialized record [batch], one-hot label [batch, labels]), as
`input_fn` without images does, with the same large shuffle. They are treated kindly:
they read in the quickest way that was found, they draw from a random number generator
and not by a hash of each record, and they hand on no seeds. With `pixels` batches have
images, decoded as every tutorial does.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf
from tfx_resampling import InputOptions, Plan

from tests.benchmarks import bench_data

# Records of one file in a row. 16, 256 and 1,024 were not clearly quicker on 2 cores;
# with 1, the default, threads meet at every record and reading takes several times as
# long.
_BLOCK = 64
_SHUFFLE = InputOptions().shuffle_records
_AUTOTUNE = tf.data.AUTOTUNE

# A serialized record [] -> its pixels.
Pixels = Callable[[tf.Tensor], tf.Tensor]


def plain_read(
    files: Sequence[str], compression: str, batch: int, passes: int
) -> tf.data.Dataset:
    """All records as they are, read one by one: a bound for all that reads like it."""
    batches = _read(files, compression).batch(batch)
    return batches.repeat(passes).prefetch(_AUTOTUNE)


def chunked_read(
    files: Sequence[str], compression: str, batch: int, passes: int
) -> tf.data.Dataset:
    """All records as they are, put into batches within the interleave: a higher bound.

    Threads meet once per batch. A batch is of one file, so that one would not train
    on these.
    """
    batches = tf.data.Dataset.from_tensor_slices(list(files)).interleave(
        lambda name: tf.data.TFRecordDataset(name, compression).batch(batch),
        cycle_length=len(files),
        num_parallel_calls=_AUTOTUNE,
        deterministic=False,
    )
    return batches.repeat(passes).prefetch(_AUTOTUNE)


def textbook(
    files: Sequence[str], compression: str, plan: Plan, part: int
) -> tf.data.Dataset:
    """Each of `part` records to a data set of its copies, in parallel, and flat_map."""
    draw = _draw(plan)

    def copies_of(record):
        label, copies = draw(record)
        return tf.data.Dataset.from_tensors((record, label)).repeat(copies)

    return (
        _read(files, compression)
        .take(part)
        .map(copies_of, num_parallel_calls=_AUTOTUNE, deterministic=False)
        .flat_map(lambda copies: copies)
    )


def filter_first(
    files: Sequence[str], compression: str, plan: Plan, part: int
) -> tf.data.Dataset:
    """`part` records, drawn in parallel; filter drops, flat_map then replicates."""
    draw = _draw(plan)

    def is_kept(record, label, copies):
        return copies > 0

    def replicate(record, label, copies):
        return tf.data.Dataset.from_tensors((record, label)).repeat(copies)

    return (
        _read(files, compression)
        .take(part)
        .map(
            lambda record: (record, *draw(record)),
            num_parallel_calls=_AUTOTUNE,
            deterministic=False,
        )
        .filter(is_kept)
        .flat_map(replicate)
    )


def rejection(
    files: Sequence[str], compression: str, plan: Plan, part: int
) -> tf.data.Dataset:
    """`part` records through `Dataset.rejection_resample`, which cannot replicate.

    It reaches the same shares with fewer samples: as many as there are when the label
    with the largest factor is left as it is. A second reader mixes records in that were
    not filtered, by its own design.
    """
    label_of = _label(plan)
    return (
        _read(files, compression)
        .take(part)
        .map(
            lambda record: (record, label_of(record)),
            num_parallel_calls=_AUTOTUNE,
            deterministic=False,
        )
        .rejection_resample(
            class_func=lambda record, label: label,
            target_dist=list(plan.target),
            # Known here; with its running estimate it scans half as fast.
            initial_dist=plan.natural_shares.tolist(),
        )
        .map(lambda label, sample: sample)
    )


def sample_from(
    files: Sequence[str], compression: str, plan: Plan, part: int
) -> tf.data.Dataset:
    """`part` samples drawn from a filtered stream per label, in the target's shares.

    Each stream reads everything, again and again, and keeps the records of its label.
    """
    label_of = _label(plan)
    streams = [
        _read(files, compression)
        .map(
            lambda record: (record, label_of(record)),
            num_parallel_calls=_AUTOTUNE,
            deterministic=False,
        )
        .filter(lambda record, label, wanted=wanted: tf.equal(label, wanted))
        .repeat()
        for wanted in range(len(plan.groups))
    ]
    samples = tf.data.Dataset.sample_from_datasets(streams, weights=list(plan.target))
    return samples.take(part)


def _read(files: Sequence[str], compression: str) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(list(files)).interleave(
        lambda name: tf.data.TFRecordDataset(name, compression),
        cycle_length=len(files),
        block_length=_BLOCK,
        num_parallel_calls=_AUTOTUNE,
        deterministic=False,
    )


def tutorial_decode(encoded: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Decodes as tutorials do: `decode_jpeg`, bilinear `tf.image.resize`; 0 to 1."""
    return tf.image.resize(tf.io.decode_jpeg(encoded, 3), size) / 255.0


def tutorial_pixels(key: str, size: tuple[int, int]) -> Pixels:
    """Returns `tutorial_decode` of the images of records."""
    spec = {key: tf.io.FixedLenFeature([], tf.string)}

    def pixels(record):
        encoded = tf.io.parse_single_example(record, spec)[key]
        return tutorial_decode(encoded, size)

    return pixels


def batches(
    samples: tf.data.Dataset, batch: int, plan: Plan, pixels: Pixels | None = None
) -> tf.data.Dataset:
    """Returns shuffled batches of what one of the peers gives, decoded by `pixels`."""

    def one_hot(x, labels):
        return x, tf.one_hot(labels, len(plan.groups))

    samples = samples.shuffle(_SHUFFLE)
    if pixels is not None:
        samples = samples.map(
            lambda record, label: (pixels(record), label),
            num_parallel_calls=_AUTOTUNE,
            deterministic=False,
        )
    return (
        samples.batch(batch)
        .map(one_hot, num_parallel_calls=_AUTOTUNE, deterministic=False)
        .prefetch(_AUTOTUNE)
    )


def _label(plan: Plan) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function: serialized record [] -> int32 [], index of its label."""
    ids = tf.range(len(plan.groups))
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(plan.groups), ids), -1
    )
    spec = {bench_data.LABEL_KEY: tf.io.FixedLenFeature([], tf.string)}

    def label_of(record):
        parsed = tf.io.parse_single_example(record, spec)
        return table.lookup(parsed[bench_data.LABEL_KEY])

    return label_of


def _draw(plan: Plan) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a function: serialized record [] -> (label int32 [], copies int64 [])."""
    label_of = _label(plan)
    factors = tf.constant(plan.factors, tf.float32)

    def draw(record):
        label = label_of(record)
        uniform = tf.random.uniform([])
        return label, tf.cast(tf.floor(factors[label] + uniform), tf.int64)

    return draw
