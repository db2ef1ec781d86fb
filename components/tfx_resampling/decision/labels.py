"""Labels of a chunk of serialized records, without touching anything else in them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfx_resampling.records import graph_errors
from tfx_resampling.records.fields import fingerprints


class Labels(NamedTuple):
    """Labels of n records in compressed sparse rows.

    Attributes:
      ids: int64 [values], index into the vocabulary; its size if unknown.
      rows: int64 [values], record of each value, ascending.
      num_rows: int64 scalar, n.
      found: int64 [occurrences], the ids before those that a record has twice went.
    """

    ids: tf.Tensor
    rows: tf.Tensor
    num_rows: tf.Tensor
    found: tf.Tensor


def lower_bound(keys: np.ndarray, values: tf.Tensor) -> tf.Tensor:
    """Returns int64 [n], how many `keys` [k], ascending, are below each of `values`.

    One op and two reshapes, where `tf.searchsorted` makes twenty ops: each takes its
    time before the first batch.
    """
    return tf.reshape(
        tf.raw_ops.LowerBound(
            sorted_inputs=keys[np.newaxis],
            values=tf.reshape(values, [1, -1]),
            out_type=tf.int64,
        ),
        [-1],
    )


def rows_of(splits: tf.Tensor, num_values: tf.Tensor) -> tf.Tensor:
    """Returns int64 [values], the row of each value of a ragged tensor, in few ops.

    Args:
      splits: int64 [rows + 1].
      num_values: int64 scalar.
    """
    return upper_bound(splits, tf.range(num_values, dtype=tf.int64)) - 1


def upper_bound(keys: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Returns int64 [n], how many `keys` [k], ascending, are not above each value."""
    return tf.reshape(
        tf.raw_ops.UpperBound(
            sorted_inputs=tf.reshape(keys, [1, -1]),
            values=tf.reshape(values, [1, -1]),
            out_type=tf.int64,
        ),
        [-1],
    )


class Vocabulary:
    """Looks label values up by binary search in constants of the graph.

    No lookup table: tables are resources, which a serialized tf.data graph (tf.data
    service, snapshots) does not carry. Bytes are found by fingerprint and then
    compared, so that an unknown label is never taken for a known one.
    """

    def __init__(self, values: Sequence[str], dtype: str):
        """Makes a vocabulary of `values`, "bytes" or "int64" by `dtype`."""
        self.size = len(values)
        if dtype == "int64":
            keys = np.array([int(value) for value in values], np.int64)
            names = None
        else:
            names = np.array([value.encode() for value in values], object)
            keys = tf.bitcast(fingerprints(tf.constant(names)), tf.int64).numpy()
            if len(set(keys.tolist())) != len(keys):
                raise ValueError(f"two of {values!r} have the same fingerprint.")
        order = np.argsort(keys)
        self._keys = keys[order]
        self._ids = order.astype(np.int64)
        self._names = None if names is None else names[order]

    def lookup(self, values: tf.Tensor) -> tf.Tensor:
        """Returns int64 ids of `values` [n], string or int64; unknown ones: `size`."""
        if self._names is None:
            keys = values
        else:
            keys = tf.bitcast(fingerprints(values), tf.int64)
        slots = tf.minimum(lower_bound(self._keys, keys), self.size - 1)
        if self._names is None:
            known = tf.equal(tf.gather(self._keys, slots), keys)
        else:
            known = tf.equal(tf.gather(tf.constant(self._names), slots), values)
        return tf.where(known, tf.gather(self._ids, slots), self.size)


def feature_spec(name: str, dtype: str) -> dict[str, tf.io.RaggedFeature]:
    """Returns the parsing spec of a feature, "bytes", "int64" or "float"."""
    kind = {"bytes": tf.string, "int64": tf.int64, "float": tf.float32}[dtype]
    return {name: tf.io.RaggedFeature(kind, row_splits_dtype=tf.int64)}


def labels_of(values: tf.RaggedTensor, vocabulary: Vocabulary) -> Labels:
    """Returns the labels of parsed records, each label once per record.

    Args:
      values: the label feature of n records, string or int64.
      vocabulary: the labels of the plan.
    """
    found = vocabulary.lookup(values.flat_values)
    num_rows = tf.size(values.row_splits, tf.int64) - 1
    in_rows = rows_of(values.row_splits, tf.size(found, tf.int64))
    # Single labels are the common case and need no search for duplicates.
    ids, rows = tf.cond(
        tf.reduce_any(values.row_lengths() > 1),
        lambda: _distinct(found, in_rows, vocabulary.size + 1),
        lambda: (found, in_rows),
    )
    return Labels(ids, rows, num_rows, found)


def _distinct(ids: tf.Tensor, rows: tf.Tensor, num_ids: int):
    pairs, _ = tf.unique(rows * num_ids + ids)
    return pairs % num_ids, pairs // num_ids


def check_known(
    values: tf.RaggedTensor,
    labels: Labels,
    vocabulary: Vocabulary,
    where: Sequence[str | tf.Tensor],
) -> tf.Operation:
    """Returns an op that raises if a label is not in the vocabulary.

    Args:
      values: the label feature, string or int64.
      labels: `labels_of` these values.
      vocabulary: the labels of the plan.
      where: how the message starts: the feature and the file.
    """

    def message():
        unknown = tf.equal(labels.found, vocabulary.size)
        label = tf.gather(values.flat_values, tf.argmax(unknown))
        if label.dtype == tf.string:
            # An error must be text whatever the label is.
            label = tf.strings.unicode_transcode(label, "UTF-8", "UTF-8")
        return [
            *(*where, " has the label '", label, "', which the plan does not know. "),
            "Make the plan from statistics of this data, or with unknown_labels set ",
            "to a factor.",
        ]

    return graph_errors.require(tf.reduce_all(labels.ids < vocabulary.size), message)


def multi_hot(labels: Labels, size: int) -> tf.Tensor:
    """Returns float32 [n, size]: 1 where a record has a label; no unknown ones."""
    # Each byte is written twice at most: of 100,000 labels a batch has 25 MB.
    hot = tf.raw_ops.SparseToDense(
        sparse_indices=tf.stack([labels.rows, labels.ids], axis=1),
        output_shape=tf.stack([labels.num_rows, size + 1]),
        sparse_values=1.0,
        default_value=0.0,
        validate_indices=False,
    )
    return hot[:, :size]
