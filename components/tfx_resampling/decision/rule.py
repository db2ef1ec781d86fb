"""The plan's decision rule in graph ops: what becomes of the records of a chunk.

Guarantee: how many copies a record has in an epoch is a function of the plan, the
record and the epoch alone.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfx_resampling.core.draws import quantize
from tfx_resampling.core.plan import Plan
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.decision import graph_draws
from tfx_resampling.decision.group_lookup import GroupLookup
from tfx_resampling.decision.keys import Keys
from tfx_resampling.decision.labels import (
    Labels,
    Vocabulary,
    check_known,
    feature_spec,
    labels_of,
)
from tfx_resampling.records import graph_errors
from tfx_resampling.records.fields import Parsing
from tfx_resampling.records.reader import Chunk


class Decision(NamedTuple):
    """What becomes of the records of a chunk.

    Attributes:
      hashes: uint64 [n], `draws.seeded_hash` of each.
      factors: float64 [n], final repeat factors.
      copies: int64 [n], >= 0.
      found: int64 [units + 3], counts of what was read, before anything is decided: of
        each label or group, of unknown ones, of records without a label, of records.
    """

    hashes: tf.Tensor
    factors: tf.Tensor
    copies: tf.Tensor
    found: tf.Tensor


def num_found(plan: Plan) -> int:
    """Returns the size of `Decision.found`."""
    return len(plan.groups) + 3


class DecisionRule:
    """Decides on chunks of records: their uniforms, repeat factors and copies.

    A record's copies in epoch e are floor(u + P_{e+1}) - floor(u + P_e): u is its
    uniform, from a hash of the plan's seed and the record's key, and P_e are the copies
    that its repeat factor and the schedule make due before epoch e (`core.draws`). The
    factor is that of its group, or its labels' factors combined.

    Attributes:
      parsing: what decides of each record, for `records.Reader`.
    """

    def __init__(self, plan: Plan, key_dtypes: Mapping[str, tf.DType] | None = None):
        """Makes the rule of a plan.

        Args:
          plan: the plan.
          key_dtypes: key feature -> tf.string, tf.int64 or tf.float32.
        """
        self._plan = plan
        self._unknown_is_error = plan.unknown_labels == "error"
        factors = [*plan.factors, plan.unknown_factor]
        self._factors = np.array(factors, np.float64)
        self._unlabeled = float(quantize(np.array(plan.unlabeled_factor)))
        if plan.grouping is None:
            self._vocabulary = Vocabulary(plan.groups, plan.label_dtype)
            self._units = feature_spec(plan.label_key, plan.label_dtype)
        else:
            self._groups = GroupLookup(plan.grouping)
            self._units = self._groups.features
        self._schedule = Schedule.parse(plan.schedule)
        self._keys = Keys(plan.known_by, key_dtypes or {})
        # A key may be the label feature itself.
        self.parsing = Parsing(
            {**self._keys.parsing.features, **self._units}, self._keys.parsing.content
        )

    @property
    def seed(self) -> int:
        """The plan's seed."""
        return self._plan.seed

    def decide(self, chunk: Chunk, epochs: int = 1) -> Decision:
        """Returns what becomes of the records of a chunk.

        Args:
          chunk: the records.
          epochs: how many epochs, from the chunk's on; their copies add up.
        """
        factors, known, found = self._by_unit(chunk.parsed, chunk.name)
        keys = self._keys.of(chunk)
        with tf.control_dependencies([known]):
            hashes = graph_draws.seeded_hash(self._plan.seed, keys)
        before, after = (
            self.cumulative_factors(factors, epoch)
            for epoch in (chunk.epoch, chunk.epoch + epochs)
        )
        copies = graph_draws.copies(graph_draws.uniforms(hashes), before, after)
        return Decision(hashes, factors, copies, found)

    def factors(self, serialized: tf.Tensor) -> tf.Tensor:
        """Returns float64 [n], the final repeat factors of serialized records [n]."""
        parsed = Parsing(self._units).parse(serialized).ragged()
        factors, known, _ = self._by_unit(parsed, tf.constant("the batch"))
        with tf.control_dependencies([known]):
            return tf.identity(factors)

    @property
    def num_units(self) -> int:
        """Number of labels, or groups, that the plan knows."""
        return len(self._plan.groups)

    def units(self, chunk: Chunk) -> Labels:
        """Returns the labels of the records of a chunk, or their groups.

        Unknown ones are `num_units`.
        """
        if self._plan.grouping is None:
            values = chunk.parsed[self._plan.label_key]
            return labels_of(values, self._vocabulary)
        ids = self._groups.lookup(chunk.parsed, chunk.name)
        num_rows = tf.size(ids, tf.int64)
        return Labels(ids, tf.range(num_rows), num_rows, ids)

    def cumulative_factors(self, factors: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        """Returns float64 [n], the copies due before an epoch (int64 scalar)."""
        weight = graph_draws.cumulative_weight(self._schedule, epoch)
        return graph_draws.cumulative_factors(factors, weight, epoch)

    def _by_unit(self, parsed, name: tf.Tensor):
        by_unit = self._by_label if self._plan.grouping is None else self._by_group
        return by_unit(parsed, name)

    def _by_label(self, parsed, name: tf.Tensor):
        """The graph twin of `core.factors.record_factors`: float64 [n], and a check.

        The third is `Decision.found`.
        """
        values = parsed[self._plan.label_key]
        labels = labels_of(values, self._vocabulary)
        known = tf.no_op()
        if self._unknown_is_error:
            where = [f"label feature {self._plan.label_key} of ", name]
            known = check_known(values, labels, self._vocabulary, where)
        rows, num_rows = labels.rows, labels.num_rows
        reduce = {
            "product": tf.math.unsorted_segment_prod,
            "max": tf.math.unsorted_segment_max,
            "min": tf.math.unsorted_segment_min,
            "mean": tf.math.unsorted_segment_mean,
        }[self._plan.combine]
        combined = reduce(tf.gather(self._factors, labels.ids), rows, num_rows)
        # A product that overflows before it meets a 0 is 0.
        combined = tf.where(tf.math.is_nan(combined), tf.zeros_like(combined), combined)
        ones = tf.ones_like(rows, tf.int32)
        is_labeled = tf.math.unsorted_segment_sum(ones, rows, num_rows) > 0
        factors = tf.where(is_labeled, self._bounded(combined), self._unlabeled)
        num_unlabeled = num_rows - tf.math.count_nonzero(is_labeled)
        return factors, known, self._found(labels.ids, num_unlabeled, num_rows)

    def _by_group(self, parsed, name: tf.Tensor):
        """As `_by_label`: repeat factors of the records' groups, and a check."""
        ids = self._groups.lookup(parsed, name)
        known = tf.no_op()
        if self._unknown_is_error:

            def message():
                row = tf.where(tf.equal(ids, self._groups.size))[0, 0]
                return [
                    *("a record of ", name, " is in the group "),
                    *(self._groups.describe(parsed, row), ", which the plan does not "),
                    "know. Make the plan from this data, or with unknown_labels set ",
                    "to a factor.",
                ]

            known = graph_errors.require(
                tf.reduce_all(ids < self._groups.size), message
            )
        factors = self._bounded(tf.gather(self._factors, ids))
        return factors, known, self._found(ids, 0, tf.size(ids, tf.int64))

    def _found(self, ids: tf.Tensor, num_unlabeled, num_rows: tf.Tensor) -> tf.Tensor:
        counts = tf.math.unsorted_segment_sum(
            tf.ones_like(ids), ids, self.num_units + 1
        )
        return tf.concat([counts, tf.stack([num_unlabeled, num_rows])], axis=0)

    def _bounded(self, factors: tf.Tensor) -> tf.Tensor:
        low, high = self._plan.min_factor, self._plan.max_factor
        return graph_draws.quantize(tf.clip_by_value(factors, low, high))
