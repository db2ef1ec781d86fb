"""Sorted runs of records in files: how records are put in order without a runner.

An external merge sort (Knuth, The Art of Computer Programming, vol. 3, 5.4). Every
worker sorts as many records as fit into its memory and writes them as a run; whoever
writes a shard takes its part of every run. Only names of files travel through Beam, so
that memory stays the same for any number of records, on any runner.
"""

import os
import uuid
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np
import tensorflow as tf

from tfx_resampling.data.records import FRAMING_BYTES

_WORD = 8  # Bytes of a number in an index.


class Run(NamedTuple):
    """A run that was written.

    Attributes:
      path: its file, uncompressed TFRecords, sorted by (bucket, order).
      buckets: int64 [k], the buckets that it has records of.
      records: int64 [k], how many of each.
      num_bytes: int64 [k], how many bytes.
    """

    path: str
    buckets: np.ndarray
    records: np.ndarray
    num_bytes: np.ndarray


def write_run(
    path: str,
    serialized: Sequence[bytes],
    buckets: np.ndarray,
    orders: np.ndarray,
    num_buckets: int,
) -> Run:
    """Sorts records and writes them, with an index beside them.

    Args:
      path: the file; an earlier one of that name is replaced, by the same contents.
      serialized: the records.
      buckets: int64 [n], the bucket that each goes to, below `num_buckets`.
      orders: uint64 [n], by which the records of a bucket are sorted.
      num_buckets: number of buckets.
    """
    rows = np.lexsort((orders, buckets))
    sizes = np.fromiter(map(len, serialized), np.int64, len(serialized))[rows]
    sizes += FRAMING_BYTES
    first_rows = np.searchsorted(buckets[rows], np.arange(num_buckets + 1))
    first_bytes = np.append(0, np.cumsum(sizes))[first_rows]

    def write_records(temporary):
        with tf.io.TFRecordWriter(temporary) as writer:
            for row in rows.tolist():
                writer.write(serialized[row])

    write_whole(path, write_records)
    index = (first_rows, first_bytes, orders[rows].view(np.int64), sizes)
    contents = b"".join(part.astype("<i8").tobytes() for part in index)
    write_whole(_index_path(path), lambda temporary: write(temporary, contents))
    counts, num_bytes = np.diff(first_rows), np.diff(first_bytes)
    present = np.flatnonzero(counts)
    return Run(path, present, counts[present], num_bytes[present])


def read_buckets(
    paths: Sequence[str], num_buckets: int, first: int, after: int
) -> Tuple[List[memoryview], int]:
    """Returns the records of some buckets in order, as framed TFRecords, and how many.

    Args:
      paths: the runs, in an order that does not depend on who wrote them when: it
        settles between records of one order.
      num_buckets: number of buckets of the runs.
      first: the first bucket.
      after: the bucket after the last.
    """
    orders, pieces = [], []
    for path in paths:
        with tf.io.gfile.GFile(_index_path(path), "rb") as index:

            def numbers(position, count, index=index):
                index.seek(position * _WORD)
                return np.frombuffer(index.read(count * _WORD), "<i8")

            (low,), (high,) = (numbers(bucket, 1) for bucket in (first, after))
            if low == high:
                continue
            starts = num_buckets + 1
            (begin,), (end,) = (numbers(starts + b, 1) for b in (first, after))
            (total,) = numbers(num_buckets, 1)
            rows = 2 * starts
            orders.append(numbers(rows + low, high - low).view(np.uint64))
            sizes = numbers(rows + total + low, high - low)
        with tf.io.gfile.GFile(path, "rb") as file:
            file.seek(int(begin))
            contents = memoryview(file.read(int(end - begin)))
        ends = np.cumsum(sizes).tolist()
        pieces += [contents[a:b] for a, b in zip([0, *ends], ends)]
    if not pieces:
        return [], 0
    rows = np.argsort(np.concatenate(orders), kind="stable")
    return [pieces[row] for row in rows.tolist()], len(pieces)


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


def write(path: str, contents: bytes) -> None:
    """Writes bytes to a file."""
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(contents)


def _index_path(path: str) -> str:
    return os.path.splitext(path)[0] + ".index"
