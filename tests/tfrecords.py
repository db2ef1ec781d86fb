"""TFRecord files made in code, and reading data sets without waiting for ever."""

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from tfx_resampling.decision.rule import DecisionRule
from tfx_resampling.options import InputOptions
from tfx_resampling.records.reader import Chunk
from tfx_resampling.stream.input_fn import input_fn

# A data set that hangs fails its test instead of stopping the run. In seconds; what is
# read in these tests takes a few.
_TIME_LIMIT = 120

NO_BYTES = tf.train.Feature(bytes_list=tf.train.BytesList())
NO_INTEGERS = tf.train.Feature(int64_list=tf.train.Int64List())
NO_KIND = tf.train.Feature()


def example(features: dict[str, Any]) -> bytes:
    """Returns a serialized tf.train.Example.

    Args:
      features: name -> value or list of values, bytes, int or float; a tf.train.Feature
        as it is; None leaves the feature out.
    """
    made = {name: _feature(v) for name, v in features.items() if v is not None}
    made = tf.train.Example(features=tf.train.Features(feature=made))
    # Otherwise equal examples have their features in any order, and other bytes.
    return made.SerializeToString(deterministic=True)


def _feature(value: Any) -> tf.train.Feature:
    if isinstance(value, tf.train.Feature):
        return value
    values = value if isinstance(value, list) else [value]
    if values and isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    if values and isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def labeled(labels: Iterable[str]) -> list[bytes]:
    """Returns a record of "image/id" and "label" for each string of letters."""
    return [
        example({"image/id": i, "label": [letter.encode() for letter in letters]})
        for i, letters in enumerate(labels)
    ]


def write(path, records: Iterable[bytes], compression: str = "") -> str:
    """Writes a TFRecord file and returns its name."""
    options = tf.io.TFRecordOptions(compression_type=compression)
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def spread(
    folder, records: list[bytes], files: int, compression: str = ""
) -> list[str]:
    """Writes records over several files and returns their names."""
    suffix = ".gz" if compression else ""
    return [
        write(folder / f"part-{i}.tfrecord{suffix}", records[i::files], compression)
        for i in range(files)
    ]


def read(dataset: tf.data.Dataset) -> list:
    """Returns the elements of a data set as NumPy values, or raises its error."""
    outcome = []

    def run():
        try:
            outcome.append((list(dataset.as_numpy_iterator()), None))
        except Exception as error:  # Handed to the test below.
            outcome.append((None, error))

    # A daemon, for the interpreter to be able to end.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_TIME_LIMIT)
    assert outcome, f"reading did not end within {_TIME_LIMIT} seconds"
    elements, error = outcome[0]
    if error is not None:
        raise error
    return elements


def decide(records, plan, **key_dtypes):
    """Returns (hashes, copies) of serialized records of "part-0", decided eagerly."""
    rule = DecisionRule(plan, key_dtypes)
    parsed = rule.parsing.parse(tf.constant(records, tf.string))
    zero = tf.constant(0, tf.int64)
    chunk = Chunk(
        epoch=zero,
        file=zero,
        name=tf.constant("part-0"),
        numbers=tf.range(len(records), dtype=tf.int64),
        serialized=tf.constant(records, tf.string),
        parsed=parsed.ragged(),
        content=parsed.content,
        skipped=zero,
    )
    decided = rule.decide(chunk)
    return decided.hashes.numpy(), decided.copies.numpy()


def emitted(files, plan, **options) -> np.ndarray:
    """Returns int64 [samples], "image/id" of what `input_fn` emits, in order."""
    of_epochs = emitted_in_epochs(files, plan, **options)
    return np.concatenate([*of_epochs, np.array([], np.int64)])


def emitted_in_epochs(files, plan, **options) -> list[np.ndarray]:
    """Returns `emitted` of each epoch that emits anything."""
    epochs = input_fn(
        files,
        plan,
        batch_size=1_000_000,  # No batch is of two epochs.
        image=None,
        keep=("image/id",),
        # Else the batch of one epoch may come before that of the one before.
        options=InputOptions(**{"epochs": 1, "deterministic": True, **options}),
    )
    return [x["image/id"] for x, _ in read(epochs)]


def batches(files, plan, input_context=None, **options) -> list:
    """Returns [(ids, seeds)] of each batch of 64, as lists; of two epochs."""
    dataset = input_fn(
        files,
        plan,
        batch_size=64,
        image=None,
        keep=("image/id",),
        options=InputOptions(**{"epochs": 2, **options}),
        input_context=input_context,
    )
    return [(x["image/id"].tolist(), x["seed"].tolist()) for x, _ in read(dataset)]


def samples(found) -> Counter:
    """Returns how often each (id, *seed) is in some `batches`."""
    return Counter(
        (number, *seed) for ids, seeds in found for number, seed in zip(ids, seeds)
    )
