"""The group of each record of a chunk, computed in graph."""

import numpy as np
import tensorflow as tf

from tfx_resampling.core.groups import Column, Grouping
from tfx_resampling.decision.labels import Vocabulary, feature_spec, lower_bound
from tfx_resampling.records import graph_errors


def check_single(values: tf.RaggedTensor, name: str, file: tf.Tensor) -> tf.Operation:
    """Returns an op that raises where a record has several values of a column."""
    # An empty chunk has no largest row.
    longest = tf.reduce_max(tf.concat([values.row_lengths(), [0]], axis=0))
    return graph_errors.require(
        longest <= 1,
        lambda: [
            f"column {name} of group_by has more than one value in a record of ",
            *(file, ". Groups take columns with one value per record."),
        ],
    )


def bucket_codes(values: tf.Tensor, boundaries) -> tf.Tensor:
    """Returns int64 [n]: how many boundaries are at or below each value, [n]."""
    edges = tf.constant(boundaries, tf.float64)
    found = tf.searchsorted(edges, tf.cast(values, tf.float64), side="right")
    return tf.cast(found, tf.int64)


class GroupLookup:
    """Looks up the group of records by binary search in constants of the graph."""

    def __init__(self, grouping: Grouping):
        self.size = len(grouping.groups)
        self._groups = grouping
        keys = np.array(grouping.groups, np.int64) @ grouping.radices
        order = np.argsort(keys)
        self._keys, self._ids = keys[order], order.astype(np.int64)
        self._vocabularies = [
            Vocabulary(column.values, column.dtype)
            if column.boundaries is None
            else None
            for column in grouping.columns
        ]
        self.features = {}
        for column in grouping.columns:
            self.features |= feature_spec(column.name, column.dtype)

    def lookup(self, parsed: dict[str, tf.RaggedTensor], file: tf.Tensor) -> tf.Tensor:
        """Returns int64 [n], the index of each record's group; unknown ones: `size`.

        Args:
          parsed: the columns of n records, parsed by `features`.
          file: string scalar, for errors.
        """
        key = tf.constant(0, tf.int64)
        for column, vocabulary, radix in zip(
            self._groups.columns, self._vocabularies, self._groups.radices
        ):
            values = parsed[column.name]
            with tf.control_dependencies([check_single(values, column.name, file)]):
                key += radix * self._codes(values, column, vocabulary)
        slots = tf.minimum(lower_bound(self._keys, key), self.size - 1)
        known = tf.equal(tf.gather(self._keys, slots), key)
        return tf.where(known, tf.gather(self._ids, slots), self.size)

    def _codes(self, values: tf.RaggedTensor, column: Column, vocabulary) -> tf.Tensor:
        if vocabulary is None:
            codes = bucket_codes(values.flat_values, column.boundaries)
        else:
            codes = vocabulary.lookup(values.flat_values)
        # The last place stands for a missing value.
        codes = tf.concat([codes, [column.missing]], axis=0)
        last = tf.size(codes, tf.int64) - 1
        has_value = values.row_lengths() > 0
        return tf.gather(codes, tf.where(has_value, values.row_starts(), last))

    def describe(self, parsed: dict[str, tf.RaggedTensor], row: tf.Tensor) -> tf.Tensor:
        """Returns a string scalar: the values of one record, for errors."""
        parts = []
        for column in self._groups.columns:
            value = parsed[column.name][row]
            if value.dtype == tf.string:
                value = tf.strings.unicode_transcode(value, "UTF-8", "UTF-8")
            else:
                value = tf.strings.as_string(value)
            text = tf.strings.reduce_join(value, separator=" ")
            text = tf.where(tf.size(value) > 0, text, "(missing)")
            parts.append(tf.strings.join([f"{column.name}=", text]))
        return tf.strings.join(parts, separator=", ")
