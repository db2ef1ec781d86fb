"""What the input gave in one epoch of training: as numbers, a log line, and charts."""

import dataclasses
import math
import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from tfx_resampling.core import factors
from tfx_resampling.core.plan import Plan
from tfx_resampling.validate import printable

# Charts of a kind that TensorBoard still shows; the table beside them has every label.
_MAX_CHARTS = 100


class Made(NamedTuple):
    """How a data set was made, as far as it says how many samples there are.

    Attributes:
      batch_size: samples per batch.
      drop_remainder: whether the smaller last batch of an epoch of data is dropped.
      num_shards: of so many workers, which share the records, this is one.
      epochs: epochs of the data, after which it ends; None: it does not.
    """

    batch_size: int
    drop_remainder: bool = False
    num_shards: int = 1
    epochs: int | None = None

    def compared(self, done: "EpochInput", plan: Plan, is_cut: bool) -> "EpochInput":
        """Returns an epoch of training with what was planned, and why it was not met.

        Args:
          done: the epoch.
          plan: the plan.
          is_cut: whether training was to end after a number of batches
            (`steps_per_epoch`) and had them. It is then meant to be one epoch of the
            data; else it is all epochs that the data set has.
        """
        epochs = 1 if is_cut else self.epochs or 1
        first = max(0, done.data_epoch + 1 - epochs)
        records = map(plan.predicted_records_at, range(first, done.data_epoch + 1))
        planned = sum(records) / self.num_shards
        batches = max(1, math.ceil(planned / self.batch_size))
        why = None
        if is_cut and done.batches < batches:
            why = (
                f"steps_per_epoch is below the plan's: {done.batches:,} batches "
                f"instead of {batches:,}"
            )
        elif not is_cut and self.drop_remainder and self.batch_size > 1:
            why = f"drop_remainder leaves out up to {self.batch_size - 1:,} samples"
        if done.emitted >= planned:
            why = None
        return dataclasses.replace(done, planned=planned, left_out=why)


@dataclasses.dataclass(frozen=True, eq=False)
class EpochInput:
    """What the input gave in one epoch of training.

    Attributes:
      epoch: epoch of training, from 0.
      data_epoch: epoch of the data that the last batch is of, from 0.
      batches: batches that training got.
      seconds: duration of training, without validation and backups.
      wait_seconds: how much of it training waited for batches; None where TensorFlow
        does not tell the time, with `tf.config.experimental.enable_op_determinism`.
      scanned: records read.
      dropped: records of those that were dropped.
      emitted: samples that training got.
      skipped_records: corrupt records skipped.
      skipped_images: undecodable images skipped.
      label_counts: int64 [classes], samples with each class.
      planned: samples that the plan predicts; None if nobody knows.
      left_out: why `emitted` is below that, beside what was skipped and by chance.
    """

    epoch: int
    data_epoch: int
    batches: int
    seconds: float
    wait_seconds: float | None
    scanned: int
    dropped: int
    emitted: int
    skipped_records: int
    skipped_images: int
    label_counts: np.ndarray
    planned: float | None = None
    left_out: str | None = None

    @property
    def samples_per_second(self) -> float:
        """Samples emitted per second of training."""
        return self.emitted / self.seconds if self.seconds else 0.0

    @property
    def wait_share(self) -> float | None:
        """Share of the time that training waited for batches, 0 to 1, or None."""
        if self.wait_seconds is None:
            return None
        return self.wait_seconds / self.seconds if self.seconds else 0.0

    @property
    def realised_shares(self) -> np.ndarray:
        """float64 [classes], share of each class in the label occurrences seen."""
        return factors.shares(self.label_counts)

    @property
    def skipped(self) -> list[str]:
        """What was skipped, in words."""
        counted = (
            (self.skipped_records, "corrupt record"),
            (self.skipped_images, "undecodable image"),
        )
        return [f"{n:,} {what}{'s' if n > 1 else ''}" for n, what in counted if n]

    def predicted_shares(self, plan: Plan) -> np.ndarray | None:
        """Returns float64 [classes], what the plan predicts for the data's epoch.

        None where it predicts no classes, but groups.
        """
        if plan.grouping is not None:
            return None
        return factors.shares(plan.predicted_at(self.data_epoch))

    def distance(self, plan: Plan) -> float | None:
        """Returns the total-variation distance of both, 0 to 1.

        None where one of them is missing.
        """
        predicted = self.predicted_shares(plan)
        if predicted is None or not self.label_counts.any():
            return None
        return factors.distance(self.label_counts, predicted)


def log(done: EpochInput, plan: Plan) -> None:
    """Logs a line, with the epoch numbered from 1; what was skipped is also a warning.

    For example "Input of epoch 3: scanned 120,000, dropped 96,011, emitted 24,033
    samples (planned 24,102), 5,210 samples/s, waited 1.3 % of the time, distance to the
    predicted distribution 0.004; skipped 2 corrupt records, 1 undecodable image;
    drop_remainder leaves out up to 63 samples."
    """
    name = f"Input of epoch {done.epoch + 1}:"
    emitted = f"emitted {done.emitted:,} samples"
    if done.planned is not None:
        emitted += f" (planned {done.planned:,.0f})"
    waited, distance = done.wait_share, done.distance(plan)
    share = "an unknown part" if waited is None else f"{100 * waited:.1f} %"
    parts = [
        f"scanned {done.scanned:,}",
        f"dropped {done.dropped:,}",
        emitted,
        f"{done.samples_per_second:,.0f} samples/s",
        f"waited {share} of the time",
    ]
    if distance is not None:
        parts.append(f"distance to the predicted distribution {distance:.3f}")
    skipped = [f"skipped {', '.join(done.skipped)}"] if done.skipped else []
    why = "; ".join(["", *skipped, *([done.left_out] if done.left_out else [])])
    logging.info("%s %s%s.", name, ", ".join(parts), why)
    if skipped:
        logging.warning("%s %s.", name, *skipped)


class Charts:
    """TensorBoard's view of the input; steps are epochs of training, from 0."""

    def __init__(self, plan: Plan, log_dir: str):
        self._plan = plan
        self._writer = tf.summary.create_file_writer(os.path.join(log_dir, "input"))
        self._charted: list[int] | None = None

    def write(self, done: EpochInput) -> None:
        """Writes the scalars, the histograms and the table of an epoch.

        Histograms are over the labels: `input/realised_shares`, and the ratio of each
        to what was planned, `input/realised_over_predicted`, 1 for as planned. Charts
        of single labels leave some out; the histograms have all.
        """
        predicted = done.predicted_shares(self._plan)
        scalars = {
            "scanned": done.scanned,
            "dropped": done.dropped,
            "emitted": done.emitted,
            "samples_per_second": done.samples_per_second,
            "wait_share": done.wait_share,
            "skipped_records": done.skipped_records,
            "skipped_images": done.skipped_images,
            "planned": done.planned,
            "distance_to_predicted": done.distance(self._plan),
        }
        with self._writer.as_default(step=done.epoch):
            for name, value in scalars.items():
                if value is not None:
                    tf.summary.scalar(f"input/{name}", value)
            for i in self._labels(done):
                label = printable(self._plan.classes[i])
                tf.summary.scalar(f"realised_share/{label}", done.realised_shares[i])
                if predicted is not None:
                    tf.summary.scalar(f"predicted_share/{label}", predicted[i])
            shares = done.realised_shares
            tf.summary.histogram("input/realised_shares", shares)
            if predicted is not None and (predicted > 0).any():
                expected = predicted > 0  # The others have no ratio.
                ratios = shares[expected] / predicted[expected]
                tf.summary.histogram("input/realised_over_predicted", ratios)
            tf.summary.text("input/labels", self._table(done, predicted))
        self._writer.flush()

    def _labels(self, done: EpochInput) -> list[int]:
        """Returns the labels with charts, the same in every epoch."""
        if self._charted is not None:
            return self._charted
        known = self._plan.grouping is None  # Else the counts are of groups.
        counts = self._plan.counts if known else done.label_counts
        order = np.argsort(-np.asarray(counts), kind="stable").tolist()
        if len(order) > _MAX_CHARTS:
            half = _MAX_CHARTS // 2
            order = order[:half] + order[-half:]
        self._charted = order
        return order

    def _table(self, done: EpochInput, predicted: np.ndarray | None) -> str:
        columns = [
            map(_as_markdown, self._plan.classes),
            map(str, done.label_counts.tolist()),
            map("{:.4%}".format, done.realised_shares),
        ]
        names = ["label", "samples", "realised"]
        if predicted is not None:
            columns.append(map("{:.4%}".format, predicted))
            names.append("predicted")
        rows = [names, ["---", *["---:"] * (len(names) - 1)], *zip(*columns)]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _as_markdown(label: str) -> str:
    """Returns a label as it is, whatever Markdown or HTML it has in it."""
    return "".join(
        c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in printable(label)
    )
