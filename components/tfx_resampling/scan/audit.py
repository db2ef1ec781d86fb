"""What a plan really does to records, compared with what it predicts."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfx_resampling.core.plan import Plan
from tfx_resampling.core.sharing import Collector
from tfx_resampling.decision.agreement import check_first_labels
from tfx_resampling.decision.rule import DecisionRule, num_found
from tfx_resampling.options import InputOptions
from tfx_resampling.records.files import FilePattern, RecordFiles, check_positions
from tfx_resampling.records.parts import Part
from tfx_resampling.records.reader import Chunk
from tfx_resampling.scan.decide import Scanner, check_agreement
from tfx_resampling.shards.manifest import read_manifests, records_written

# Probability that any count is outside of its bound although the plan is kept.
_FALSE_ALARM = 1e-3


@dataclasses.dataclass(frozen=True)
class Realised:
    """Counts of each label (or group), and in the last place of all records.

    Attributes:
      natural: int64 [labels + 1], occurrences in the records.
      emitted: int64 [labels + 1], occurrences in the samples of the epochs.
      predicted: float64 [labels + 1], those that the plan predicts.
      bounds: float64 [labels + 1], how far these two may be apart, `bound`.
      num_corrupt: records that were left out.
      num_distinct: number of identities of the records.
      inflation: float64 [labels + 1], by how much larger the variance of a count is
        since records share identities (`core.sharing`).
    """

    natural: np.ndarray
    emitted: np.ndarray
    predicted: np.ndarray
    bounds: np.ndarray
    num_corrupt: int
    num_distinct: int
    inflation: np.ndarray

    @property
    def is_outside(self) -> np.ndarray:
        """Bool [labels + 1], whether a count is off by more than its bound."""
        return np.abs(self.emitted - self.predicted) > self.bounds

    @property
    def is_of_duplicates(self) -> np.ndarray:
        """Bool [labels + 1], those outside that records of one identity explain."""
        wider = self.bounds * np.sqrt(self.inflation)
        return self.is_outside & (np.abs(self.emitted - self.predicted) <= wider)


def bound(variances: np.ndarray) -> np.ndarray:
    """Returns how far sums of independent numbers may be from their expectation.

    Bernstein's inequality: P(|S - E S| >= t) <= 2 exp(-t^2 / (2 (V + t / 3))) for a sum
    S of variance V of numbers that are within 1 of their means. t is such that all of
    the sums are within it with a probability of 0.999. Records that share an identity
    are not independent: `Realised.inflation`.

    Args:
      variances: float64 [n], V of each sum.
    """
    log = math.log(2 * len(variances) / _FALSE_ALARM)
    sure = log / 3 + np.sqrt((log / 3) ** 2 + 2 * log * variances)
    # What no chance is in is exact, but for the sums of floating-point numbers.
    return np.where(variances > 1e-9, sure, 1e-3)


def check_plan(
    file_pattern: FilePattern,
    plan: Plan,
    options: InputOptions | None = None,
    progress: Callable[[int], None] | None = None,
) -> Realised:
    """Decides on every record as `input_fn` does, and counts; nothing is decoded.

    Args:
      file_pattern: one or several patterns of TFRecord files of tf.train.Example.
      plan: the plan.
      options: `start_epoch`, `epochs` (None: one), `compression`, `on_corrupt`.
      progress: is told the number of records whenever some more have been read.

    Raises:
      ValueError, tf.errors.InvalidArgumentError: as `scan.Scanner.scan`.
    """
    options = options or InputOptions()
    size = len(plan.groups) + 1
    totals, num_corrupt = np.zeros([3, size]), 0
    num_epochs = options.epochs or 1
    count = functools.partial(_counted, epochs=num_epochs)
    scanner = Scanner(plan, options)
    skip = options.on_corrupt == "skip"
    files = RecordFiles.open(file_pattern, options.compression, skip)
    check_positions(files.names, plan.known_by)
    check_first_labels(files, plan)
    found = np.zeros(num_found(plan), np.int64)
    collector = Collector()
    written = records_written(files.names, read_manifests(files.names))
    for name, records in zip(files.names, written):
        num_read = 0
        for counted in scanner.scan(Part(name), count):
            num_read += int(counted.num_read) + int(counted.num_corrupt)
            totals += counted.sums
            found += counted.found
            collector.add(*counted.occurrences(size - 1))
            num_corrupt += int(counted.num_corrupt)
            if progress is not None:
                progress(int(counted.num_read))
        if num_read < records and not skip:
            raise ValueError(
                f"corrupt or truncated TFRecord file {name}: it has {num_read:,} of "
                f"its {records:,} records. Write it again."
            )
    check_agreement(plan, files, found)
    first = options.start_epoch
    predicted = [
        [*plan.predicted_at(epoch), plan.predicted_records_at(epoch)]
        for epoch in range(first, first + num_epochs)
    ]
    natural, emitted, variances = totals
    sharing, inflation = collector.sharing(), np.ones(size)
    for unit, (records, squares) in sharing.sums().items():
        inflation[unit] = squares / records
    return Realised(
        natural=natural.astype(np.int64),
        emitted=emitted.astype(np.int64),
        predicted=np.sum(predicted, axis=0),
        bounds=bound(variances),
        num_corrupt=num_corrupt,
        num_distinct=sharing.num_distinct,
        inflation=inflation,
    )


class _Counted(NamedTuple):
    """Sums over the records of a chunk; tensors in the graph, NumPy outside of it.

    Attributes:
      sums: float64 [3, labels + 1], of records, copies and their variance.
      num_read: int64 scalar, records that were looked at.
      num_corrupt: int64 scalar, records that were left out.
      found: int64 [labels + 3], `Decision.found`.
      hashes: uint64 [n], of the records' identities.
      rows: int64 [occurrences], the record of each label.
      units: int64 [occurrences], the label; the number of labels if unknown.
    """

    sums: Any
    num_read: Any
    num_corrupt: Any
    found: Any
    hashes: Any
    rows: Any
    units: Any

    def occurrences(self, num_units: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns hash and label of each occurrence; of each record, `num_units`."""
        known = self.units < num_units
        every = np.full(len(self.hashes), num_units)
        return (
            np.concatenate([self.hashes[self.rows[known]], self.hashes]),
            np.concatenate([self.units[known], every]),
        )


def _counted(chunk: Chunk, rule: DecisionRule, epochs: int) -> _Counted:
    """Counts what becomes of labels, in the graph that decides."""
    hashes, factors, copies, found = rule.decide(chunk, epochs)
    before, after = (
        rule.cumulative_factors(factors, epoch)
        for epoch in (chunk.epoch, chunk.epoch + epochs)
    )
    fraction = (after - before) - tf.floor(after - before)
    variance = fraction * (1 - fraction)
    columns = tf.stack(
        [tf.ones_like(variance), tf.cast(copies, tf.float64), variance], axis=1
    )
    units = rule.units(chunk)
    sums = tf.math.unsorted_segment_sum(
        tf.gather(columns, units.rows), units.ids, rule.num_units + 1
    )
    # The last row is of what the plan does not know: all records take its place.
    whole = tf.reduce_sum(columns, axis=0, keepdims=True)
    sums = tf.concat([sums[:-1], whole], axis=0)
    num_read = tf.size(copies, tf.int64)
    return _Counted(
        tf.transpose(sums),
        num_read,
        chunk.skipped,
        found,
        hashes,
        units.rows,
        units.ids,
    )
