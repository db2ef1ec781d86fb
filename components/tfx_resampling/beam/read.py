"""Reads and decides records in Beam's workers."""

import functools
import logging
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from tfx_resampling.beam.resample_options import DEFAULTS, ResampleOptions
from tfx_resampling.beam.split import SplitFiles
from tfx_resampling.core.plan import Plan
from tfx_resampling.decision.rule import num_found
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.parts import Part
from tfx_resampling.scan.decide import (
    COUNTS,
    Scanned,
    Scanner,
    check_agreement,
    decided,
)

NAMESPACE = "tfx_resampling"
_LOGGER = logging.getLogger(__name__)

# Nothing here has type hints that Beam would read: it takes a NumPy array for a list.


def check_read(part: Part, num_records: int) -> None:
    """Logs which worker has read a part of a file: the log is the worker's.

    Raises:
      ValueError: it has not the records that were there when the file was split.
    """
    if part.num_records not in (-1, num_records):
        raise ValueError(
            f"{part.name!r} had {part.num_records} records from byte {part.offset} on, "
            f"and {num_records} when they were read. Run it again when nobody writes "
            "to it."
        )
    _LOGGER.info("%s: %d records read", part, num_records)


class FileDoFn(beam.DoFn):
    """Base of what is done with the records of a part, which is Beam's unit of work.

    Counters in the namespace "tfx_resampling": records "read", "dropped" (without a
    copy), "corrupt" (left out) and copies "emitted". A worker's log has a line for each
    part that it has read.
    """

    def __init__(
        self,
        plan: Plan,
        options: ResampleOptions,
        dropped: bool = False,
        counts: bool = True,
    ):
        """Makes the base.

        Args:
          plan: the plan.
          options: the options.
          dropped: whether records without copies are handed out too.
          counts: whether the counters count.
        """
        self._plan = plan
        self._options = options
        self._decided = functools.partial(
            decided, epochs=options.epochs, dropped=dropped
        )
        self._scanner = None
        self._counters = {
            name: Metrics.counter(NAMESPACE, name) for name in COUNTS if counts
        }

    def scanned(self, part) -> Iterator[Scanned]:
        """Yields what is in a part of a file, and counts it."""
        if self._scanner is None:  # Not in `setup`, which not all runners call.
            self._scanner = Scanner(self._plan, self._options.input_options)
        num_read = 0
        for found in self._scanner.scan(part, self._decided):
            num_read += int(found.num_read)
            if self._counters:
                for what, number in found.counts.items():
                    self._counters[what].inc(number)
            yield found
        check_read(part, num_read)

    def __getstate__(self):
        """Returns what travels to a worker: no graphs."""
        return {**self.__dict__, "_scanner": None}


class ReadResampled(beam.PTransform):
    """File names -> the serialized records (bytes) of some epochs, a copy an element.

    Guarantee: the same multiset as `input_fn` emits in these epochs. The files are read
    in the workers, large ones by several. What disagrees with the plan's own data fails
    the pipeline.
    """

    def __init__(self, plan: Plan, options: ResampleOptions = DEFAULTS):
        """Makes the transform.

        Args:
          plan: the plan.
          options: `epochs`, `start_epoch` and `on_corrupt` of it.
        """
        super().__init__()
        self._plan = plan
        self._options = options

    def expand(self, files):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Reads the files and emits copies."""
        emit = beam.ParDo(_EmitCopies(self._plan, self._options))
        read = (
            files
            | "SplitFiles" >> SplitFiles(self._options.on_corrupt)
            | "ReadFile" >> emit.with_outputs(_FOUND, main="copies")
        )
        _ = (
            read[_FOUND]
            | "ToOne" >> beam.Map(lambda found: (0, found))
            | "Group" >> beam.GroupByKey()
            | "Check" >> beam.ParDo(_CheckAgreement(self._plan))
        )
        return read["copies"]


# Output with (name, what was found) of each part of a file.
_FOUND = "found"


class _CheckAgreement(beam.DoFn):
    def __init__(self, plan: Plan):
        self._plan = plan

    def process(self, group):
        names, found = zip(*group[1])
        files = RecordFiles(tuple(sorted(set(names))), skip=True)
        check_agreement(self._plan, files, np.sum(found, axis=0))


class _EmitCopies(FileDoFn):
    def process(self, part):
        in_part = np.zeros(num_found(self._plan), np.int64)
        for found in self.scanned(part):
            in_part += found.found
            for serialized, copies in zip(found.serialized, found.copies.tolist()):
                for _ in range(copies):
                    yield serialized
        yield TaggedOutput(_FOUND, (part.name, in_part))
