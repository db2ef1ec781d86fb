"""An external merge sort: records are put in order by files, not by the runner.

As in Knuth, The Art of Computer Programming, vol. 3, 5.4. Every worker sorts as many
records as fit into its memory and writes them as a run; whoever writes a shard takes
its part of every run. Of many runs a pass makes fewer before that, so that no step
opens more than some hundreds of files. Only names of files travel through Beam, so that
memory stays the same for any number of records, on any runner.
"""

import collections
import dataclasses
import hashlib
import json
import os
import uuid
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow as tf

from tfx_resampling.beam.read import FileDoFn
from tfx_resampling.beam.resample_options import ResampleOptions
from tfx_resampling.core import draws
from tfx_resampling.core.plan import Plan
from tfx_resampling.decision.rule import num_found
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.reader import FRAMING_BYTES
from tfx_resampling.shards.classes import FactorClasses, in_ranges, make

# What is not finished is in directories of these names beside the output. In them are:
PARTIAL = ".partial-"
CLASSES = "classes.json"
SHARDS = "shards.json"
SHARDS_DIR = "shards"
# Buckets where the number of shards follows the bytes, which are not known before.
_MOST_SHARDS = 1_024
# Bytes of records that a worker sorts at once. More of them make fewer runs.
_RUN_BYTES = 128 << 20
# Runs of which each shard takes its part. Of more of them, a pass makes fewer before.
# Its groups have as many, so that one pass is enough for 512 * 512 runs, 35 TB.
_MOST_RUNS = 512
_WORD = 8  # Bytes of a number in an index.
# Records that are put together before they are written or compressed.
_WRITTEN_AT_ONCE = 1_000

# Steps have no type hints, which Beam would read: it takes a NumPy array for a list.


def write_whole(path: str, write) -> None:
    """Has `write` write a file under another name, and then gives it its own.

    Two that write the same file at the same time do not disturb each other.
    """
    temporary = f"{path}.{uuid.uuid4().hex}"
    try:
        write(temporary)
        tf.io.gfile.rename(temporary, path, overwrite=True)
    except BaseException:
        if tf.io.gfile.exists(temporary):
            tf.io.gfile.remove(temporary)
        raise


def write_contents(path: str, contents: bytes) -> None:
    """Writes bytes to a file as `write_whole` does."""

    def write(temporary):
        with tf.io.gfile.GFile(temporary, "wb") as file:
            file.write(contents)

    write_whole(path, write)


class Job(NamedTuple):
    """A run of `WriteResampled`, known to all of its steps.

    Attributes:
      plan: the plan.
      options: the options.
      output_dir: where the shards go in the end.
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
        write_contents(self.path(name), json.dumps(value).encode())

    def read(self, name: str):
        """Reads what an earlier step wrote."""
        with tf.io.gfile.GFile(self.path(name), "rb") as file:
            return json.loads(file.read())

    def classes(self) -> FactorClasses:
        """Reads the classes of factors; only for "stratify"."""
        return FactorClasses(**self.read(CLASSES))


class Run(NamedTuple):
    """A run that was written.

    Attributes:
      path: its file, uncompressed TFRecords, sorted by (bucket, order).
      num_bytes: its size.
    """

    path: str
    num_bytes: int


def write_run(
    path: str,
    serialized: np.ndarray,
    buckets: np.ndarray,
    orders: np.ndarray,
    num_buckets: int,
) -> Run:
    """Sorts records and writes them, with an index beside them.

    Args:
      path: the file; an earlier one of that name is replaced, by the same contents.
      serialized: object [n] of bytes, the records.
      buckets: int64 [n], the bucket that each goes to, below `num_buckets`.
      orders: uint64 [n], by which the records of a bucket are sorted.
      num_buckets: number of buckets.
    """
    rows = np.lexsort((orders, buckets))
    sizes = np.fromiter(map(len, serialized), np.int64, len(serialized))[rows]

    def write_records(temporary):
        with tf.io.TFRecordWriter(temporary) as writer:
            for row in rows.tolist():
                writer.write(serialized[row])

    write_whole(path, write_records)
    sizes += FRAMING_BYTES
    _write_index(path, buckets[rows], orders[rows], sizes, num_buckets)
    return Run(path, int(sizes.sum()))


def _write_index(path, buckets, orders, sizes, num_buckets) -> None:
    """Writes the index of a run, of its records in order.

    It has the rows, and the bytes, at which buckets begin; the orders; the sizes.
    """
    first_rows = np.searchsorted(buckets, np.arange(num_buckets + 1))
    first_bytes = np.append(0, np.cumsum(sizes))[first_rows]
    index = (first_rows, first_bytes, orders.view(np.int64), sizes)
    contents = b"".join(part.astype("<i8").tobytes() for part in index)
    write_contents(_index_path(path), contents)


def read_buckets(
    paths: Sequence[str], num_buckets: int, first: int, after: int
) -> tuple[list[memoryview], int]:
    """Returns the records of some buckets in order, as framed TFRecords, and how many.

    Args:
      paths: the runs, in an order that does not depend on who wrote them when: it
        settles between records of one order.
      num_buckets: number of buckets of the runs.
      first: the first bucket.
      after: the bucket after the last.
    """
    _, orders, pieces = _read_parts(paths, num_buckets, first, after)
    rows = np.argsort(orders, kind="stable")
    return [pieces[row] for row in rows.tolist()], len(pieces)


def merge_runs(
    path: str, paths: Sequence[str], num_buckets: int, first: int, after: int
) -> None:
    """Writes some buckets of several runs as one run.

    Args:
      path: the file; an earlier one of that name is replaced, by the same contents.
      paths: the runs, as of `read_buckets`.
      num_buckets: number of buckets of the runs.
      first: the first bucket.
      after: the bucket after the last.
    """
    buckets, orders, pieces = _read_parts(paths, num_buckets, first, after)
    rows = np.lexsort((orders, buckets))
    sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))[rows]
    write_whole(path, lambda path: write_pieces(path, [pieces[row] for row in rows]))
    _write_index(path, buckets[rows], orders[rows], sizes, num_buckets)


def write_pieces(path: str, pieces: Sequence[memoryview], is_gzip=False) -> None:
    """Writes framed records to a file."""
    # The header of gzip, without a time: the same bytes on every run. Images do not
    # get smaller by a higher level, only slower.
    compressor = zlib.compressobj(level=1, wbits=31) if is_gzip else None
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(b"")  # Else there is no file of no records.
        for start in range(0, len(pieces), _WRITTEN_AT_ONCE):
            contents = b"".join(pieces[start : start + _WRITTEN_AT_ONCE])
            file.write(compressor.compress(contents) if compressor else contents)
        if compressor:
            file.write(compressor.flush())


def _read_parts(paths, num_buckets, first, after) -> tuple:
    """Returns the buckets, int64 [n], orders, uint64 [n], and framed records of runs.

    They are in the order of the runs, and of the records in each. One file is open at a
    time.
    """
    buckets, orders, pieces = [], [], []
    for path in paths:
        with tf.io.gfile.GFile(_index_path(path), "rb") as index:

            def numbers(position, count, index=index):
                index.seek(position * _WORD)
                return np.frombuffer(index.read(count * _WORD), "<i8")

            rows = numbers(first, after - first + 1)
            low, high = rows[0], rows[-1]
            if low == high:
                continue
            starts = num_buckets + 1
            (begin,), (end,) = (numbers(starts + b, 1) for b in (first, after))
            (total,) = numbers(num_buckets, 1)
            buckets.append(np.repeat(np.arange(first, after), np.diff(rows)))
            orders.append(numbers(2 * starts + low, high - low).view(np.uint64))
            sizes = numbers(2 * starts + total + low, high - low)
        with tf.io.gfile.GFile(path, "rb") as file:
            file.seek(int(begin))
            contents = memoryview(file.read(int(end - begin)))
        ends = np.cumsum(sizes).tolist()
        pieces += [contents[a:b] for a, b in zip([0, *ends], ends)]
    if not pieces:
        return np.array([], np.int64), np.array([], np.uint64), []
    return np.concatenate(buckets), np.concatenate(orders), pieces


class Merging(NamedTuple):
    """How a pass merges runs: in groups of them, and of each group parts of its shards.

    A merged run has the records of one group and one part, about as many as a worker
    sorts at once. The groups are of neighbours in the order of the runs, which settles
    between records of one order: merged, they come out as without a pass.

    Attributes:
      runs: the runs, in order.
      groups: number of groups.
      parts: number of parts.
      num_shards: number of shards.
    """

    runs: Sequence[str]
    groups: int
    parts: int
    num_shards: int

    @classmethod
    def of(cls, runs: Sequence[str], num_bytes: int, num_shards: int) -> "Merging":
        """Returns the pass for runs of so many bytes; of few runs, one without groups.

        Args:
          runs: the runs, in order.
          num_bytes: size of all of them.
          num_shards: number of shards that are to be made of them.
        """
        if len(runs) <= _MOST_RUNS:
            return cls(runs, 0, 0, num_shards)
        groups = -(-len(runs) // _MOST_RUNS)
        parts = min(num_shards, -(-num_bytes // (groups * _RUN_BYTES)))
        return cls(runs, groups, parts, num_shards)

    @property
    def tasks(self) -> list[tuple[int, int]]:
        """The (group, part) of each merged run."""
        return [(g, p) for g in range(self.groups) for p in range(self.parts)]

    def group(self, number: int) -> Sequence[str]:
        """Returns the runs of a group."""
        return _share(self.runs, number, self.groups)

    def shards(self, part: int) -> Sequence[int]:
        """Returns the numbers of the shards of a part."""
        return _share(range(self.num_shards), part, self.parts)

    def part(self, shard: int) -> int:
        """Returns the part that a shard is in."""
        return ((shard + 1) * self.parts - 1) // self.num_shards


def _share(values: Sequence, number: int, of: int) -> Sequence:
    """Returns one of `of` nearly equal parts of a sequence, without gaps."""
    size = len(values)
    return values[number * size // of : (number + 1) * size // of]


def _index_path(path: str) -> str:
    return os.path.splitext(path)[0] + ".index"


class CountFactors(FileDoFn):
    """`Part` -> (the same, {factor: bytes of its records})."""

    def __init__(self, job: Job):
        super().__init__(job.plan, job.options, dropped=True, counts=False)

    def process(self, part):
        """Adds up the bytes of a part's records by their factors."""
        counted = {}
        for found in self.scanned(part):
            sizes = np.fromiter(map(len, found.serialized), np.int64)
            factors, rows = np.unique(found.factors, return_inverse=True)
            num_bytes = np.bincount(rows, sizes).astype(np.int64)
            for factor, more in zip(factors.tolist(), num_bytes.tolist()):
                counted[factor] = counted.get(factor, 0) + more
        yield part, counted


class JobDoFn(beam.DoFn):
    """Base of the steps that read no records."""

    def __init__(self, job: Job):
        self._job = job


class ClassifyFactors(JobDoFn):
    """What `CountFactors` made of all parts -> these again; writes the classes."""

    def process(self, counted):
        """Makes the classes of all factors."""
        total = {}
        for _, factors in counted:
            for factor, num_bytes in factors.items():
                total[factor] = total.get(factor, 0) + num_bytes
        if not total:
            raise ValueError(f"no records to write to {self._job.output_dir!r}.")
        made = make(np.array(list(total)), np.array(list(total.values()), np.int64))
        self._job.write(CLASSES, dataclasses.asdict(made))
        for part, _ in counted:
            yield part


class Sorted(NamedTuple):
    """A part of a file, whose samples are sorted.

    Attributes:
      runs: the runs.
      buckets: a bit for each bucket, 1 where there are records of it; only for
        "stratify". All parts' are in the memory of one worker at once.
      counts: as `Manifest.counts`.
      is_gzip: whether the file is compressed.
      name: the file's name.
      found: int64 [units + 3], `Decision.found` of its records.
    """

    runs: list[Run]
    buckets: bytes
    counts: dict
    is_gzip: bool
    name: str
    found: np.ndarray


class SortFile(FileDoFn):
    """`Part` -> `Sorted`."""

    def __init__(self, job: Job):
        super().__init__(job.plan, job.options, job.options.mode == "stratify")
        self._job = job

    def process(self, part):
        """Writes the records or copies of a part as sorted runs."""
        job = self._job
        tf.io.gfile.makedirs(job.scratch)
        # Sorted by name, the runs of a file are in the order of its records, however
        # many parts it has.
        number = hashlib.sha256(part.name.encode()).hexdigest()[:16]
        number = f"{number}-{part.offset:015}"
        classes = job.classes() if job.options.mode == "stratify" else None
        num_buckets = classes.num_cells if classes else job.num_buckets
        counts, in_part = collections.Counter(), np.zeros(num_found(job.plan), np.int64)
        written, pending, size = [], [], 0
        present = np.zeros(num_buckets if classes else 0, bool)

        def flush():
            path = job.path(f"run-{number}-{len(written):05}.tfrecord")
            records, buckets, orders = map(np.concatenate, zip(*pending))
            written.append(write_run(path, records, buckets, orders, num_buckets))
            pending.clear()

        for found in self.scanned(part):
            counts.update(found.counts)
            in_part += found.found
            if classes is None:
                rows, orders = _spread(found)
                buckets = in_ranges(orders, num_buckets)
            else:
                rows, orders = slice(None), _mixed(found.hashes)
                buckets = classes.cells(found.factors, found.hashes)
                present[buckets] = True
            pending.append((found.serialized[rows], buckets, orders))
            size += sum(map(len, pending[-1][0]))
            if size >= _RUN_BYTES:
                flush()
                size = 0
        if size:
            flush()
        is_gzip = RecordFiles((part.name,)).compressions == ["GZIP"]
        bits = np.packbits(present).tobytes()
        yield Sorted(written, bits, dict(counts), is_gzip, part.name, in_part)


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """Returns uint64 [n], an order of the records independent of their uniforms."""
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
