"""Files of records -> sorted runs of samples."""

import collections
import dataclasses
import hashlib
from typing import List, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow as tf

from tfx_resampling.beam import runs
from tfx_resampling.beam.job import CLASSES, Job
from tfx_resampling.beam.records import FileDoFn
from tfx_resampling.core import draws, factor_classes
from tfx_resampling.data import files as files_lib

# Bytes of records that a worker sorts at once. More of them make fewer runs, which are
# all opened for each shard.
_RUN_BYTES = 128 << 20

# As in `records`: no type hints for Beam.


class CountFactors(FileDoFn):
    """File name -> (name, {factor: bytes of its records})."""

    def __init__(self, job: Job):
        super().__init__(job.plan, job.options, dropped=True, counts=False)

    def process(self, name):
        counted = {}
        for found in self.scanned(name):
            sizes = np.fromiter(map(len, found.serialized), np.int64)
            factors, rows = np.unique(found.factors, return_inverse=True)
            num_bytes = np.bincount(rows, sizes).astype(np.int64)
            for factor, more in zip(factors.tolist(), num_bytes.tolist()):
                counted[factor] = counted.get(factor, 0) + more
        yield name, counted


class ClassifyFactors(beam.DoFn):
    """All of these -> the names again; writes the classes of factors."""

    def __init__(self, job: Job):
        self._job = job

    def process(self, counted):
        total = {}
        for _, factors in counted:
            for factor, num_bytes in factors.items():
                total[factor] = total.get(factor, 0) + num_bytes
        if not total:
            raise ValueError(f"no records to write to {self._job.output_dir!r}.")
        made = factor_classes.make(
            np.array(list(total)), np.array(list(total.values()), np.int64)
        )
        self._job.write(CLASSES, dataclasses.asdict(made))
        for name, _ in counted:
            yield name


class Sorted(NamedTuple):
    """A file whose samples are sorted.

    Attributes:
      runs: the runs.
      counts: as `Layout.counts`.
      is_gzip: whether the file is compressed.
    """

    runs: List[runs.Run]
    counts: dict
    is_gzip: bool


class SortFile(FileDoFn):
    """File name -> `Sorted`."""

    def __init__(self, job: Job):
        is_whole = job.options.mode == "stratify"
        super().__init__(job.plan, job.options, dropped=is_whole)
        self._job = job

    def process(self, name):
        job = self._job
        tf.io.gfile.makedirs(job.scratch)
        number = hashlib.sha256(name.encode()).hexdigest()[:16]
        classes = job.classes() if job.options.mode == "stratify" else None
        num_buckets = classes.num_cells if classes else job.num_buckets
        counts = collections.Counter()
        written, pending, size = [], [], 0

        def flush():
            path = job.path(f"run-{number}-{len(written):05}.tfrecord")
            columns = [np.concatenate(column) for column in zip(*pending)]
            written.append(runs.write_run(path, *columns, num_buckets))
            pending.clear()

        for found in self.scanned(name):
            counts.update(found.counts)
            if classes is None:
                rows, orders = _spread(found)
                buckets = factor_classes.in_ranges(orders, num_buckets)
            else:
                rows, orders = slice(None), _mixed(found.hashes)
                buckets = classes.cells(found.factors, found.hashes)
            pending.append((found.serialized[rows], buckets, orders))
            size += sum(map(len, pending[-1][0]))
            if size >= _RUN_BYTES:
                flush()
                size = 0
        if size:
            flush()
        is_gzip = files_lib.compression_types([name], "auto") == ["GZIP"]
        yield Sorted(written, dict(counts), is_gzip)


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """Returns uint64 [n], an order of the records that knows nothing of their bets."""
    return draws.mix(hashes + np.uint64(draws.GOLDEN))


def _spread(found) -> tuple:
    """Returns the row of every copy, int64 [m], and its place, uint64 [m].

    The c copies of a record lie 2**64 / c from each other on the circle of places, the
    farthest there is.
    """
    rows = np.repeat(np.arange(len(found.copies)), found.copies)
    first = np.cumsum(found.copies) - found.copies
    index = (np.arange(len(rows)) - first[rows]).astype(np.uint64)
    steps = np.uint64(2**64 - 1) // np.maximum(found.copies, 1).astype(np.uint64)
    return rows, _mixed(found.hashes)[rows] + index * steps[rows]
