"""Writes resampled records to a directory of shards, whole or not at all.

File names -> sorted runs (`runs`) -> shards -> one commit. What travels between workers
are names of files and counts. Shards come to their place together, at the end.
"""

import collections
import dataclasses
import hashlib
import json
import os
import uuid
import zlib
from typing import List, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow as tf

from tfx_resampling.beam import runs
from tfx_resampling.beam.options import DEFAULTS, ResampleOptions
from tfx_resampling.beam.records import FileDoFn
from tfx_resampling.core import draws, factor_classes
from tfx_resampling.core.layout import Layout, layout_path, rule_digest
from tfx_resampling.core.plan import Plan
from tfx_resampling.data import files as files_lib
from tfx_resampling.data.layout import read_layout
from tfx_resampling.data.scan import COUNTS

# Bytes of records that a worker sorts at once. More of them make fewer runs, which are
# all opened for each shard.
_RUN_BYTES = 128 << 20
# Buckets where the number of shards follows the bytes, which are not known before.
_MOST_SHARDS = 1_024
# Records that are put together before they are written or compressed.
_WRITTEN_AT_ONCE = 1_000
# What is not finished is in directories of these names beside the output.
PARTIAL = ".partial-"
# Of what is in them.
_CLASSES = "classes.json"
_SHARDS = "shards.json"
_SHARDS_DIR = "shards"

# As in `records`: no type hints for Beam.


class WriteResampled(beam.PTransform):
    """File names -> a directory of shards; one element, the `core.layout.Layout`.

    Guarantee: "materialize" writes the same multiset as `input_fn` emits, in an order
    that depends on the plan and the records only: copies of a record lie as far from
    each other as they can. "stratify" writes every record once. The shards have the
    same bytes on every run, on any runner, with any number of workers. The directory
    comes into being whole, by one renaming (on object stores: file by file, which the
    manifest beside it makes known); a run that fails leaves none.

    The workers read the files, a file at a time, and share the directory's file system
    for runs of sorted records, which take as much room as what is written. Memory per
    worker: two to three times 128 MB, plus three times a shard.
    """

    def __init__(
        self, plan: Plan, output_dir: str, options: ResampleOptions = DEFAULTS
    ):
        """Makes the transform.

        Args:
          plan: the plan.
          output_dir: the directory, which must not be there yet; local or remote.
          options: see `ResampleOptions`.

        Raises:
          ValueError: `output_dir` exists.
        """
        super().__init__()
        output_dir = output_dir.rstrip("/")
        for path in (output_dir, layout_path(output_dir)):
            if tf.io.gfile.exists(path):
                raise ValueError(
                    f"output_dir must not be there yet, but {path!r} exists. Remove "
                    "it, or write to another directory."
                )
        self._job = _Job(
            plan=plan,
            options=options,
            output_dir=output_dir,
            scratch=f"{output_dir}{PARTIAL}{uuid.uuid4().hex[:12]}",
        )

    @property
    def scratch(self) -> str:
        """Directory of what is not finished; removed at the end."""
        return self._job.scratch

    def expand(self, files):
        job = self._job
        if job.options.mode == "stratify":
            files = (
                files
                | "SpreadToCount" >> beam.Reshuffle()
                | "CountFactors" >> beam.ParDo(_CountFactors(job))
                | "GatherFactors" >> _Gather()
                | "ClassifyFactors" >> beam.ParDo(_ClassifyFactors(job))
            )
        return (
            files
            # Else all files would be read where their names were made.
            | "SpreadFiles" >> beam.Reshuffle()
            | "SortFile" >> beam.ParDo(_SortFile(job))
            | "GatherRuns" >> _Gather()
            | "PlanShards" >> beam.ParDo(_PlanShards(job))
            | "SpreadShards" >> beam.Reshuffle()
            | "WriteShard" >> beam.ParDo(_WriteShard(job))
            | "GatherShards" >> _Gather()
            | "Commit" >> beam.ParDo(_Commit(job))
        )


class _Job(NamedTuple):
    """What all steps know.

    Attributes:
      plan: the plan.
      options: the options.
      output_dir: where the shards come to.
      scratch: directory for everything before that.
    """

    plan: Plan
    options: ResampleOptions
    output_dir: str
    scratch: str

    @property
    def num_buckets(self) -> int:
        """Number of buckets of runs; only for "materialize"."""
        return self.options.num_shards or _MOST_SHARDS

    def path(self, name: str) -> str:
        """Returns the path of a file in the scratch directory."""
        return os.path.join(self.scratch, name)

    def write(self, name: str, value: object) -> None:
        """Writes a JSON value for the steps that follow."""
        tf.io.gfile.makedirs(self.scratch)
        contents = json.dumps(value).encode()
        runs.write_whole(self.path(name), lambda path: runs.write(path, contents))

    def read(self, name: str):
        """Reads what an earlier step wrote."""
        with tf.io.gfile.GFile(self.path(name), "rb") as file:
            return json.loads(file.read())

    def classes(self) -> factor_classes.FactorClasses:
        """Reads the classes of factors; only for "stratify"."""
        return factor_classes.FactorClasses(**self.read(_CLASSES))


class _Gather(beam.PTransform):
    """Elements -> one list of them all: of files or shards, never of records."""

    def expand(self, elements):
        return (
            elements
            | "ToOne" >> beam.Map(lambda element: (0, element))
            | "Group" >> beam.GroupByKey()
            | "List" >> beam.Map(lambda group: list(group[1]))
        )


class _CountFactors(FileDoFn):
    """File name -> (name, {factor: [records, bytes]})."""

    def __init__(self, job: _Job):
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


class _ClassifyFactors(beam.DoFn):
    """All of these -> the names again; writes the classes of factors."""

    def __init__(self, job: _Job):
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
        self._job.write(_CLASSES, dataclasses.asdict(made))
        for name, _ in counted:
            yield name


class _Sorted(NamedTuple):
    """A file whose samples are sorted.

    Attributes:
      runs: the runs.
      counts: as `Layout.counts`.
      is_gzip: whether the file is compressed.
    """

    runs: List[runs.Run]
    counts: dict
    is_gzip: bool


class _SortFile(FileDoFn):
    """File name -> `_Sorted`."""

    def __init__(self, job: _Job):
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
        yield _Sorted(written, dict(counts), is_gzip)


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


class _PlanShards(beam.DoFn):
    """All `_Sorted` -> numbers of shards; writes what is to be in them."""

    def __init__(self, job: _Job):
        self._job = job

    def process(self, files):
        job = self._job
        found = [run for file in files for run in file.runs]
        counts = {
            name: sum(file.counts.get(name, 0) for file in files) for name in COUNTS
        }
        if not found:
            raise ValueError(
                f"nothing to write to {job.output_dir!r}: of {counts['read']} records "
                "the plan emits none."
            )
        is_gzip = job.options.compression == "GZIP"
        if job.options.compression == "auto":
            is_gzip = any(file.is_gzip for file in files)
        layout = {}
        if job.options.mode == "stratify":
            classes = job.classes()
            num_buckets = classes.num_cells
            cells = sorted({int(b) for run in found for b in run.buckets})
            bounds = [(cell, cell + 1) for cell in cells]
            columns = zip(*map(classes.describe, cells))
            names = ("strata", "lows", "highs", "first_bets", "last_bets")
            layout = dict(zip(names, map(list, columns)))
        else:
            num_buckets = job.num_buckets
            num_bytes = sum(int(run.num_bytes.sum()) for run in found)
            num_shards = job.options.num_shards or min(
                num_buckets, -(-num_bytes // factor_classes.MAX_SHARD_BYTES)
            )
            edges = [i * num_buckets // num_shards for i in range(num_shards + 1)]
            bounds = list(zip(edges, edges[1:]))
            layout = {
                "start_epoch": job.options.start_epoch,
                "epochs": job.options.epochs,
            }
        shards = dict(
            runs=sorted(run.path for run in found),
            num_buckets=num_buckets,
            bounds=bounds,
            is_gzip=is_gzip,
            counts=counts,
            layout=layout,
        )
        job.write(_SHARDS, shards)
        tf.io.gfile.makedirs(job.path(_SHARDS_DIR))
        yield from range(len(bounds))


class _WriteShard(beam.DoFn):
    """Number of a shard -> (number, name, records)."""

    def __init__(self, job: _Job):
        self._job = job

    def process(self, number):
        shards = self._job.read(_SHARDS)
        first, after = shards["bounds"][number]
        pieces, records = runs.read_buckets(
            shards["runs"], shards["num_buckets"], first, after
        )
        suffix = ".gz" if shards["is_gzip"] else ""
        # As TFX's own components name theirs.
        name = f"data_tfrecord-{number:05}-of-{len(shards['bounds']):05}{suffix}"
        path = self._job.path(os.path.join(_SHARDS_DIR, name))
        runs.write_whole(path, lambda path: _write(path, pieces, shards["is_gzip"]))
        yield number, name, records


def _write(path: str, pieces: List[memoryview], is_gzip: bool) -> None:
    # The header of gzip, without a time: the same bytes on every run. Images do not
    # get smaller by a higher level, only slower.
    compressor = zlib.compressobj(level=1, wbits=31) if is_gzip else None
    with tf.io.gfile.GFile(path, "wb") as file:
        for start in range(0, len(pieces), _WRITTEN_AT_ONCE):
            contents = b"".join(pieces[start : start + _WRITTEN_AT_ONCE])
            file.write(compressor.compress(contents) if compressor else contents)
        if compressor:
            file.write(compressor.flush())


class _Commit(beam.DoFn):
    """All shards -> the `Layout`; puts them into their place."""

    def __init__(self, job: _Job):
        self._job = job

    def process(self, written):
        job = self._job
        if not tf.io.gfile.exists(job.scratch):
            # Done before, by a worker that could not say so.
            yield read_layout(job.output_dir)
            return
        shards = job.read(_SHARDS)
        _, names, records = zip(*sorted(written))
        options = job.options
        layout = Layout(
            mode=options.mode,
            rule=rule_digest(job.plan, options.key_feature, options.unknown_labels),
            counts=shards["counts"],
            names=names,
            records=records,
            **shards["layout"],
        )
        # The manifest first: a directory without all of its shards is then known as
        # such, and one that nobody has renamed yet is not there.
        contents = layout.to_json().encode()
        runs.write_whole(
            layout_path(job.output_dir), lambda path: runs.write(path, contents)
        )
        _move(job.path(_SHARDS_DIR), job.output_dir, names)
        if tf.io.gfile.exists(job.scratch):
            tf.io.gfile.rmtree(job.scratch)
        yield layout


def _move(source: str, target: str, names) -> None:
    """Renames a directory, in one step where the file system can."""
    if "://" not in target:
        if not tf.io.gfile.exists(target):  # Else a step that was done before.
            tf.io.gfile.rename(source, target)
        return
    tf.io.gfile.makedirs(target)
    for name in names:
        origin = os.path.join(source, name)
        if tf.io.gfile.exists(origin):
            tf.io.gfile.rename(origin, os.path.join(target, name), overwrite=True)
