"""Counts that ride along with samples: in a column of their own, in the first row.

Why: how many records were scanned, dropped and skipped is known where they are read,
and wanted where batches are trained on. tf.data has no side channel from one to the
other. A variable that a stage adds to could not be saved with the position of the
iterator, would not come back from a tf.data service, and would run ahead of training by
all that is buffered. So the counts go through the pipeline as rows of numbers, of which
only sums mean something: to cut blocks anew keeps the sums, and a batch has the counts
of what was read for it.
"""

from typing import Any

import tensorflow as tf

# What is counted, in records and in images.
NAMES = ("scanned", "dropped", "skipped_records", "skipped_images")


def in_first_row(num_rows: tf.Tensor, **counts: tf.Tensor) -> tf.Tensor:
    """Returns int64 [num_rows, counts]: the given ones in row 0, all others 0.

    Args:
      num_rows: integer scalar.
      **counts: some of `NAMES`, int64 scalars.
    """
    zero = tf.constant(0, tf.int64)
    row = tf.stack([counts.get(name, zero) for name in NAMES])
    return _as_first(row, num_rows)


def carried(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns elements whose counts are in rows that they have.

    An element without rows hands its counts on to the next one.

    Args:
      dataset: of named tuples with "origins" [n, ...] and "counts", int64 [m, counts],
        which are to be added up whatever m is.
    """

    def step(pending, element):
        pending += tf.reduce_sum(element.counts, axis=0)
        size = tf.shape(element.origins)[0]
        placed = _as_first(pending, size)
        left = tf.where(size > 0, tf.zeros_like(pending), pending)
        return left, element._replace(counts=placed)

    return dataset.scan(tf.zeros([len(NAMES)], tf.int64), step)


def _as_first(row: tf.Tensor, num_rows: Any) -> tf.Tensor:
    # There may be no row at all.
    is_first = tf.one_hot([0], tf.cast(num_rows, tf.int32), dtype=tf.int64, axis=0)
    return is_first * row
