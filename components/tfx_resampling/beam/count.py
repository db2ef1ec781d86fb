"""Counts label sets and groups with Beam: one pass, memory of the distinct ones."""

import apache_beam as beam
from apache_beam.metrics import Metrics

from tfx_resampling.beam.read import NAMESPACE, check_read
from tfx_resampling.beam.split import SplitFiles
from tfx_resampling.options import InputOptions
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.scan.count import Counted, CountSpec, count_files

# Nothing here has type hints that Beam would read: it does not know those of a Counter.


class CountLabelSets(beam.PTransform):
    """File names -> one `scan.count.Counted`: records by labels and columns.

    The files are read in the workers, by TensorFlow, which is many times faster than
    Beam's own reader in Python; large ones by several. What travels between workers is
    what was counted in each part. Counters: `records` and `files` in the namespace
    "tfx_resampling".

    Attributes:
      spec: a `CountSpec`, what to count.
    """

    def __init__(self, spec: CountSpec):
        """Makes the transform."""
        super().__init__()
        self.spec = spec

    def expand(self, files):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Counts in each file, and adds up."""
        return (
            files
            | "SplitFiles" >> SplitFiles()
            | "CountFile" >> beam.ParDo(_CountFile(self.spec))
            # Defaults are a side input, which not all runners have.
            | "AddUp" >> beam.CombineGlobally(_AddUp()).without_defaults()
        )


class _CountFile(beam.DoFn):
    def __init__(self, spec: CountSpec):
        self._spec = spec
        self._records = Metrics.counter(NAMESPACE, "records")
        self._files = Metrics.counter(NAMESPACE, "files")

    def process(self, part):
        files = RecordFiles((part.name,), part=part)
        found = count_files(files, self._spec, InputOptions())
        self._files.inc(int(part.first == 0))
        self._records.inc(found.records.total())
        check_read(part, found.records.total())
        yield found


class _AddUp(beam.CombineFn):
    def create_accumulator(self):
        return Counted.merged([])

    def add_input(self, accumulator, found):
        return Counted.merged([accumulator, found])

    def merge_accumulators(self, accumulators):
        return Counted.merged(accumulators)

    def extract_output(self, accumulator):
        return accumulator
