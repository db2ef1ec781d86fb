"""Records for the input benchmark: random bytes and one long-tailed label."""

import os
import shutil
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tfx_resampling import Plan, PlannerConfig, count_labels, make_plan

LABEL_KEY = "labels"
LABELS = tuple(f"class-{i}" for i in range(10))
NUM_FILES = 8

# Each label has 0.6 of the records of the one before: from 40 % down to 0.4 %.
_SHARES = 0.6 ** np.arange(len(LABELS))
_SHARES /= _SHARES.sum()


def build(
    directory: str,
    records: int,
    record_bytes: int,
    gzip: bool,
    contents: Sequence[bytes] = (),
) -> list[str]:
    """Writes TFRecords of tf.train.Example and returns the names of the files, sorted.

    Features: `image/encoded` (`contents` in turn, or random bytes), `image/id`
    (distinct) and `labels` (one of `LABELS`). Same arguments, same records. They go to
    a folder of `directory` with the arguments in its name, which is reused as it is
    where it is there already.

    Args:
      directory: where that folder is made; created where it is missing.
      records: number of records over all files.
      record_bytes: length of one serialized record, within a few bytes.
      gzip: whether the files are gzip.
      contents: images; without them random bytes, which no compression shortens.
    """
    kind = "gzip" if gzip else "plain"
    folder = os.path.join(directory, f"bench-{records}x{record_bytes}-{kind}")
    suffix = ".tfrecord.gz" if gzip else ".tfrecord"
    names = [f"part-{i:05d}-of-{NUM_FILES:05d}{suffix}" for i in range(NUM_FILES)]
    if not os.path.isdir(folder):
        # Renamed when it is whole: what a broken-off run leaves is not taken for good.
        unfinished = folder + ".unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        os.makedirs(unfinished)
        rng = np.random.default_rng(0)
        labels = rng.choice(len(LABELS), size=records, p=_SHARES).tolist()
        for shard, name in enumerate(names):
            numbers = range(shard, records, NUM_FILES)
            path = os.path.join(unfinished, name)
            _write(path, numbers, labels, record_bytes, gzip, rng, contents)
        os.rename(unfinished, folder)
    return [os.path.join(folder, name) for name in names]


def uniform_plan(files: Sequence[str], size: float) -> Plan:
    """Returns the plan of a uniform target, `size` samples per record of `files`."""
    config = PlannerConfig(LABEL_KEY, target="uniform", size=size)
    return make_plan(count_labels(files, LABEL_KEY), config)


def _write(
    path: str,
    numbers: Sequence[int],
    labels: Sequence[int],
    record_bytes: int,
    gzip: bool,
    rng: np.random.Generator,
    contents: Sequence[bytes],
) -> None:
    # Level 1: the bytes are random, and no effort makes them fewer.
    options = tf.io.TFRecordOptions("GZIP", compression_level=1) if gzip else None
    around_pixels = len(_example(b"", 0, LABELS[0]))
    with tf.io.TFRecordWriter(path, options) as writer:
        for number in numbers:
            if contents:
                pixels = contents[number % len(contents)]
            else:
                pixels = rng.bytes(max(1, record_bytes - around_pixels))
            writer.write(_example(pixels, number, LABELS[labels[number]]))


def _example(pixels: bytes, number: int, label: str) -> bytes:
    values = {
        "image/encoded": pixels,
        "image/id": f"image-{number:09d}".encode(),
        LABEL_KEY: label.encode(),
    }
    feature = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in values.items()
    }
    features = tf.train.Features(feature=feature)
    # Otherwise each process writes the features in an order of its own.
    return tf.train.Example(features=features).SerializeToString(deterministic=True)
