"""Stratified shards: which of them an epoch reads, and how they are mixed."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from tfx_resampling.core.plan import Plan
from tfx_resampling.decision import graph_draws
from tfx_resampling.options import InputOptions
from tfx_resampling.shards.manifest import (
    Manifest,
    check_natural,
    rule_digest,
)

# Of a file that no manifest knows.
_UNKNOWN_RECORDS = 10_000
_COLUMNS = {
    "always": bool,
    "low": np.float64,
    "high": np.float64,
    "first": np.int64,
    "last": np.int64,
    "records": np.int64,
    "stream": np.int64,
}


class Streams(NamedTuple):
    """What an epoch reads: streams of files, to be read side by side.

    Attributes:
      files: int64 [k], indices of files, one stream after another.
      starts: int64 [s], where each stream begins in `files`.
      lengths: int64 [s], its number of files.
      sizes: int64 [s], how many of its records are read in one step, such that all
        streams end together.
    """

    files: tf.Tensor
    starts: tf.Tensor
    lengths: tf.Tensor
    sizes: tf.Tensor


class Selection:
    """Which files of stratified directories an epoch has to read.

    Guarantee: every record that has copies in the epoch is in a file that is needed.

    A file of a class has records of like factor, which are mostly those of the same
    labels. Each class is therefore a stream, and all streams are read at the same
    rate of their lengths, so that what comes out is mixed as the epoch is.
    """

    def __init__(
        self,
        files: Sequence[str],
        manifests: dict[str, Manifest],
        digest: str,
        options: InputOptions,
    ):
        """Makes a selection.

        Args:
          files: all files, of stratified directories and others.
          manifests: directory -> its manifest.
          digest: `rule_digest` of the plan that the files are read with; those
            of a directory that was laid out by another rule are all needed.
          options: `shuffle_records` and `cycle_length`.
        """
        columns: dict[str, list] = {name: [] for name in _COLUMNS}
        shards = {
            os.path.join(directory, name): (manifest, i)
            for directory, manifest in manifests.items()
            for i, name in enumerate(manifest.names)
        }
        # (directory, class) -> number of its stream.
        numbers: dict[tuple, int] = {}
        for index, name in enumerate(files):
            if name not in shards:
                key = ("", index % options.cycle_length)
                row = (True, 0.0, 0.0, 0, 0, _UNKNOWN_RECORDS)
            else:
                manifest, i = shards[name]
                key = (os.path.dirname(name), manifest.classes[i])
                row = (
                    manifest.rule != digest,
                    *(manifest.lows[i], manifest.highs[i]),
                    *(manifest.first_uniforms[i], manifest.last_uniforms[i]),
                    manifest.records[i],
                )
            number = numbers.setdefault(key, len(numbers))
            for column, value in zip(columns.values(), (*row, number)):
                column.append(value)
        self._num_streams = len(numbers)
        self._columns = {
            name: np.array(columns[name], dtype) for name, dtype in _COLUMNS.items()
        }
        # Records of all streams in one step: much less than what is shuffled together,
        # but enough of each that calling functions is not all the work.
        self.step = max(options.shuffle_records // 4, 16 * self._num_streams, 1_024)

    def needed(self, rule, epoch: tf.Tensor, file: tf.Tensor | None = None):
        """Returns bool [files] (or of one file, bool []): the graph twin of `needed`.

        Args:
          rule: the `DecisionRule`.
          epoch: int64 scalar.
          file: int64 scalar, index of the only file that is asked for.
        """
        columns = {name: tf.constant(x) for name, x in self._columns.items()}
        if file is not None:
            columns = {name: tf.gather(x, file) for name, x in columns.items()}
        before = rule.cumulative_factors(columns["low"], epoch)
        after = rule.cumulative_factors(columns["high"], epoch + 1)
        first, last = (graph_draws.from_units(columns[x]) for x in ("first", "last"))
        grows = tf.floor(last + after) > tf.floor(first + before)
        return columns["always"] | (grows & (after > before))

    def streams(self, rule, epoch: tf.Tensor, order: tf.Tensor, num_shards: int):
        """Returns the `Streams` of an epoch; those that have nothing to read are out.

        Args:
          rule: the `DecisionRule`.
          epoch: int64 scalar.
          order: int64 [files], the order in which a stream has its files.
          num_shards: of so many records, one is read.
        """
        mine = tf.boolean_mask(order, tf.gather(self.needed(rule, epoch), order))
        numbers = tf.gather(tf.constant(self._columns["stream"]), mine)
        records = tf.gather(tf.constant(self._columns["records"]), mine)
        by_stream = tf.argsort(numbers, stable=True)
        lengths, totals = (
            tf.math.unsorted_segment_sum(x, numbers, self._num_streams)
            for x in (tf.ones_like(numbers), records)
        )
        starts = tf.cumsum(lengths, exclusive=True)
        steps = 1 + tf.reduce_sum(totals) // (num_shards * self.step)
        sizes = 1 + totals // (num_shards * steps)
        full = tf.where(lengths > 0)[:, 0]
        columns = (tf.gather(x, full) for x in (starts, lengths, sizes))
        return Streams(tf.gather(mine, by_stream), *columns)


def select(
    files: Sequence[str],
    manifests: Mapping[str, Manifest],
    plan: Plan,
    options: InputOptions,
) -> Selection | None:
    """Returns which files epochs need; None where none of them is stratified.

    Args:
      files: all files.
      manifests: of their directories, `read_manifests`.
      plan: the plan that they are read with.
      options: see `Selection`.

    Raises:
      ValueError: files that hold resampled samples already while the plan would
        resample them again, or a stratified directory of which not all files are given.
    """
    stratified: dict[str, Manifest] = {}
    given: dict[str, list[str]] = {}
    for name in files:
        check_natural(name, plan)
        given.setdefault(os.path.dirname(name), []).append(os.path.basename(name))
    digest = rule_digest(plan)
    for directory, names in given.items():
        manifest = manifests.get(directory)
        if manifest is None:
            continue
        missing = sorted(set(manifest.names) - set(names))
        if missing:
            raise ValueError(
                f"file_pattern must match all {len(manifest.names)} shards of "
                f"{directory!r}, which were written together; {len(missing)} are "
                f"missing, such as {missing[0]!r}. Were they deleted?"
            )
        if manifest.mode == "materialize":
            continue
        if manifest.rule != digest:
            logging.warning(
                "%r was stratified by another plan, of records known by %s (here: by "
                "%s): every epoch reads all of it. Give the plan that it was laid out "
                "by (not its applied()), or lay it out by this one.",
                directory,
                manifest.identity,
                plan.known_by,
            )
        stratified[directory] = manifest
    return Selection(files, stratified, digest, options) if stratified else None
