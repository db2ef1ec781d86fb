"""Stratified shards: which of them an epoch reads, and how they are mixed."""

import os
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf
from absl import logging

from tfx_resampling.core import layout as core_layout
from tfx_resampling.core.layout import Layout
from tfx_resampling.core.plan import Plan
from tfx_resampling.data import draws
from tfx_resampling.data.options import InputOptions

# Of a file that no layout knows.
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


def read_layout(directory: str) -> Optional[Layout]:
    """Returns the layout of a directory of shards; None where it has none.

    Raises:
      ValueError: a manifest that is not valid; the message names it.
    """
    path = core_layout.layout_path(directory)
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        contents = file.read()
    try:
        return Layout.from_json(contents.decode())
    except ValueError as error:
        raise ValueError(f"{path!r}: {error}") from None


def check_natural(name: str, plan: Plan) -> None:
    """Raises ValueError if a plan would resample a file of samples once more."""
    is_samples = os.path.basename(name).startswith(core_layout.SAMPLES_PREFIX)
    if is_samples and not plan.is_natural:
        raise ValueError(
            f"{name!r} holds samples that are resampled already; the plan would "
            "resample them again. Read them with plan.applied(), or give the records "
            "they were made of."
        )


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

    A file of a stratum has records of like factor, which are mostly those of the same
    labels. Each stratum is therefore a stream, and all streams are read at the same
    rate of their lengths, so that what comes out is mixed as the epoch is.
    """

    def __init__(
        self,
        files: Sequence[str],
        layouts: Dict[str, Layout],
        rule_digest: str,
        options: InputOptions,
    ):
        """Makes a selection.

        Args:
          files: all files, of stratified directories and others.
          layouts: directory -> layout.
          rule_digest: `core.layout.rule_digest` of what the files are read with; those
            of a directory that was laid out by another rule are all needed.
          options: `shuffle_records` and `cycle_length`.
        """
        columns: Dict[str, list] = {name: [] for name in _COLUMNS}
        shards = {
            os.path.join(directory, name): (layout, i)
            for directory, layout in layouts.items()
            for i, name in enumerate(layout.names)
        }
        # (directory, stratum) -> number of its stream.
        numbers: Dict[Tuple, int] = {}
        for index, name in enumerate(files):
            if name not in shards:
                key = ("", index % options.cycle_length)
                row = (True, 0.0, 0.0, 0, 0, _UNKNOWN_RECORDS)
            else:
                layout, i = shards[name]
                key = (os.path.dirname(name), layout.strata[i])
                row = (
                    layout.rule != rule_digest,
                    *(layout.lows[i], layout.highs[i]),
                    *(layout.first_bets[i], layout.last_bets[i]),
                    layout.records[i],
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

    def needed(self, rule, epoch: tf.Tensor, file: Optional[tf.Tensor] = None):
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
        first, last = (draws.from_units(columns[x]) for x in ("first", "last"))
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
    files: Sequence[str], plan: Plan, options: InputOptions
) -> Optional[Selection]:
    """Returns which files epochs need; None where none of them is stratified.

    Raises:
      ValueError: files that hold resampled samples already while the plan would
        resample them again, or a stratified directory of which not all files are given.
    """
    layouts: Dict[str, Layout] = {}
    given: Dict[str, List[str]] = {}
    for name in files:
        check_natural(name, plan)
        given.setdefault(os.path.dirname(name), []).append(os.path.basename(name))
    digest = core_layout.rule_digest(plan, options.key_feature, options.unknown_labels)
    for directory, names in given.items():
        layout = read_layout(directory)
        if layout is None:
            continue
        missing = sorted(set(layout.names) - set(names))
        if missing:
            raise ValueError(
                f"file_pattern must match all {len(layout.names)} shards of "
                f"{directory!r}, which were written together; {len(missing)} are "
                f"missing, such as {missing[0]!r}. Were they deleted?"
            )
        if layout.mode == "materialize":
            continue
        if layout.rule != digest:
            logging.warning(
                "%r was stratified by another plan, key_feature or unknown_labels: "
                "every epoch reads all of it. Give the plan that it was laid out by "
                "(not its applied()), or lay it out by this one.",
                directory,
            )
        layouts[directory] = layout
    return Selection(files, layouts, digest, options) if layouts else None
