"""Times data sets and tells how they compare."""

import contextlib
import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Contender:
    """A pipeline to be measured.

    Attributes:
      name: as printed.
      dataset: finite, of batches: records [batch], or (x, labels [batch, labels]).
      scanned: records that are read in one iteration of `dataset`; 0 if not known.
      goal: ratio that the rate of the first contender should have to this one's, at
        the least; None for no goal.
      by_emitted: whether that ratio is of samples emitted per second and not of
        records scanned per second.
    """

    name: str
    dataset: tf.data.Dataset
    scanned: int
    goal: float | None = None
    by_emitted: bool = False


@dataclasses.dataclass(frozen=True)
class Run:
    """One iteration of a contender's data set.

    Attributes:
      scanned: records read.
      emitted: samples in batches.
      rarest: those of them with the rarest label; None where labels are not parsed.
      seconds: from when the iterator was there to its end.
    """

    scanned: int
    emitted: int
    rarest: int | None
    seconds: float

    @property
    def scan_rate(self) -> float:
        """Records scanned per second."""
        return self.scanned / self.seconds

    @property
    def emit_rate(self) -> float:
        """Samples emitted per second."""
        return self.emitted / self.seconds


def measure(contender: Contender, rarest: int) -> Run:
    """Iterates a contender once; `rarest` is the column of the rarest label."""
    emitted, with_rarest = 0, None
    with quiet_stderr():
        iterator = iter(contender.dataset)
        start = time.perf_counter()
        for batch in iterator:
            if isinstance(batch, tuple):
                labels = batch[1].numpy()
                emitted += len(labels)
                with_rarest = (with_rarest or 0) + int(labels[:, rarest].sum())
            else:
                emitted += batch.shape[0]
        seconds = time.perf_counter() - start
    return Run(contender.scanned, emitted, with_rarest, seconds)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drops what C++ prints: `rejection_resample` tells its rejection rate ten times.

    Errors are not lost: they are Python exceptions as well.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def table(contenders: Sequence[Contender], runs: Sequence[Sequence[Run]]) -> str:
    """Returns a table of medians over rounds; the others are compared to the first.

    Args:
      contenders: the one of interest and its peers.
      runs: [contenders][rounds].
    """
    first = contenders[0].name
    lines = [
        f"{'':20}{'records/s':>10}{'samples/s':>11}{'scanned':>11}{'emitted':>11}"
        f"{'rarest':>8}   {first} / peer (lowest to highest), goal"
    ]
    for contender, own in zip(contenders, runs):
        emitted = statistics.median(run.emitted for run in own)
        line = (
            f"{contender.name:20}"
            f"{statistics.median(run.scan_rate for run in own):10,.0f}"
            f"{statistics.median(run.emit_rate for run in own):11,.0f}"
            f"{contender.scanned:11,}{emitted:11,.0f}{_rarest_share(own):>8}"
        )
        if contender is not contenders[0]:
            line += f"   {_comparison(contender, runs[0], own)}"
        lines.append(line)
    return "\n".join(lines)


def _rarest_share(runs: Sequence[Run]) -> str:
    emitted = sum(run.emitted for run in runs)
    if runs[0].rarest is None or not emitted:
        return ""
    return f"{sum(run.rarest for run in runs) / emitted:.1%}"


def _comparison(contender: Contender, ours: Sequence[Run], peer: Sequence[Run]) -> str:
    ratios: list[float] = []
    for our_run, peer_run in zip(ours, peer):
        if not contender.by_emitted:
            ratios.append(our_run.scan_rate / peer_run.scan_rate)
        elif peer_run.emitted:  # A part of very few records may yield no sample.
            ratios.append(our_run.emit_rate / peer_run.emit_rate)
    if not ratios:
        return "emitted nothing"
    unit = " by samples/s" if contender.by_emitted else ""
    return verdict(ratios, contender.goal, unit)


def verdict(ratios: Sequence[float], goal: float | None, unit: str = "") -> str:
    """Returns the median of ratios, from where to where they are, and of a goal."""
    median = statistics.median(ratios)
    text = f"{median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}){unit}"
    if goal is not None:
        text += f", goal {goal:g} {'met' if median >= goal else 'NOT met'}"
    return text
