"""What the records of a chunk are known by, as numbers: the keys of `core.draws`."""

from collections.abc import Mapping

import tensorflow as tf

from tfx_resampling.core.identity import Identity
from tfx_resampling.decision import graph_draws
from tfx_resampling.decision.labels import rows_of
from tfx_resampling.records import graph_errors
from tfx_resampling.records.fields import Parsing, fingerprints
from tfx_resampling.records.reader import Chunk


class Keys:
    """Makes a key of each record of a chunk.

    Attributes:
      parsing: what a `Chunk` must have for it.
    """

    def __init__(self, identity: Identity, dtypes: Mapping[str, tf.DType]):
        """Makes the keys of an identity.

        Args:
          identity: what a record is known by.
          dtypes: key feature -> tf.string (if left out), tf.int64 or tf.float32.
        """
        self._identity = identity
        self.parsing = Parsing(
            {
                name: tf.io.RaggedFeature(
                    dtypes.get(name, tf.string), row_splits_dtype=tf.int64
                )
                for name in identity.key_features
            },
            content=identity == Identity("content"),
        )

    def of(self, chunk: Chunk) -> tf.Tensor:
        """Returns uint64 [n]: the same for records of the same identity."""
        names = self._identity.key_features
        if names:
            return graph_draws.combined_keys([self._column(chunk, n) for n in names])
        if self._identity.kind == "position":
            return graph_draws.position_keys(chunk.name, chunk.numbers)
        if self._identity.kind == "bytes":
            return fingerprints(chunk.serialized)
        return chunk.content

    def _column(self, chunk: Chunk, name: str) -> tf.Tensor:
        """Returns uint64 [n], the value of a key feature; one for a missing value."""
        values = chunk.parsed[name]
        lengths = values.row_lengths()
        # One feature by itself tells nothing of records that do not have it.
        is_only = len(self._identity.key_features) == 1
        check = graph_errors.require(
            tf.reduce_all(tf.equal(lengths, 1) if is_only else lengths <= 1),
            lambda: [
                f"key feature {name} must have {'' if is_only else 'at most '}one ",
                *("value in every record of ", chunk.name, "."),
            ],
        )
        with tf.control_dependencies([check]):
            flat = tf.identity(values.flat_values)
        if is_only:
            return _as_keys(flat)
        # Mixed: 0 is a value and not a missing one.
        mixed = graph_draws.mix(_as_keys(flat) + tf.constant(1, tf.uint64))
        rows = rows_of(values.row_splits, tf.size(mixed, tf.int64))
        return tf.math.unsorted_segment_sum(mixed, rows, values.nrows())


def _as_keys(values: tf.Tensor) -> tf.Tensor:
    if values.dtype == tf.string:
        return fingerprints(values)
    if values.dtype == tf.float32:
        return tf.cast(tf.bitcast(values, tf.uint32), tf.uint64)
    return tf.bitcast(values, tf.uint64)
