"""Counts in the first rows: none is lost, however blocks are cut."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tfx_resampling.stream import row_counts


class Rows(NamedTuple):
    origins: tf.Tensor
    counts: tf.Tensor


def rows(size: int, scanned: int, corrupt: int = 0) -> Rows:
    """Returns `size` rows, with counts in one row at least."""
    counts = row_counts.in_first_row(
        tf.constant(max(size, 1)),
        scanned=tf.constant(scanned, tf.int64),
        skipped_records=tf.constant(corrupt, tf.int64),
    )
    return Rows(tf.zeros([size, 3], tf.int64), counts)


def test_counts_are_in_the_first_row_by_their_names():
    assert row_counts.NAMES[2] == "skipped_records"
    assert rows(3, 7, 2).counts.numpy().tolist() == [[7, 0, 2, 0], [0] * 4, [0] * 4]


def test_what_has_no_row_is_carried_to_the_next_that_has():
    sizes = [2, 0, 0, 3, 1]
    parts = [rows(size, 10 + i, i) for i, size in enumerate(sizes)]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(parts),
        output_signature=Rows(
            tf.TensorSpec([None, 3], tf.int64), tf.TensorSpec([None, 4], tf.int64)
        ),
    )
    found = [part.counts for part in row_counts.carried(dataset).as_numpy_iterator()]
    assert [len(counts) for counts in found] == sizes
    first = [counts[0].tolist() for counts in found if len(counts)]
    assert first == [[10, 0, 0, 0], [11 + 12 + 13, 0, 6, 0], [14, 0, 4, 0]]
    again = row_counts.carried(dataset).map(lambda part: part.counts).rebatch(4)
    assert np.sum([np.sum(c) for c in again.as_numpy_iterator()]) == 60 + 10
