"""Counts label sets with Beam: one pass, memory of the distinct label sets."""

import collections

import apache_beam as beam
from apache_beam.metrics import Metrics

from tfx_resampling.data import count, records
from tfx_resampling.data.options import InputOptions

_NAMESPACE = "tfx_resampling"

# Beam reads type hints of what it runs, and does not know those of a Counter.


class CountLabelSets(beam.PTransform):
    """File names -> one Counter of label set -> number of records.

    The files are read in the workers, by TensorFlow, which is many times faster than
    Beam's own reader in Python; a file is the unit of work. What travels between
    workers is a Counter per file. Counters: `records` and `files` in the namespace
    "tfx_resampling".

    Attributes:
      label_key: the label feature.
      label_dtype: "bytes" or "int64", its type.
    """

    def __init__(self, label_key: str, label_dtype: str):
        super().__init__()
        self.label_key = label_key
        self.label_dtype = label_dtype

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return (
            files
            # Else all files would be read where their names were made.
            | "SpreadFiles" >> beam.Reshuffle()
            | "CountFile" >> beam.ParDo(_CountFile(self.label_key, self.label_dtype))
            | "AddUp" >> beam.CombineGlobally(_AddCounters())
        )


class _CountFile(beam.DoFn):
    def __init__(self, label_key: str, label_dtype: str):
        self._label_key = label_key
        self._label_dtype = label_dtype
        self._records = Metrics.counter(_NAMESPACE, "records")
        self._files = Metrics.counter(_NAMESPACE, "files")

    def process(self, name):
        found = count.count_label_sets(
            [name],
            records.compression_types([name], "auto"),
            self._label_key,
            self._label_dtype,
            InputOptions(),
        )
        self._files.inc()
        self._records.inc(sum(found.values()))
        yield found


class _AddCounters(beam.CombineFn):
    def create_accumulator(self):
        return collections.Counter()

    def add_input(self, accumulator, found):
        accumulator.update(found)
        return accumulator

    def merge_accumulators(self, accumulators):
        merged = collections.Counter()
        for accumulator in accumulators:
            merged.update(accumulator)
        return merged

    def extract_output(self, accumulator):
        return accumulator
