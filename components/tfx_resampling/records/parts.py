"""Parts of a TFRecord file: consecutive records, which one of several workers reads."""

import functools
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfx_resampling.records.ends import FRAMING_BYTES

# TensorFlow reads as many bytes at once. Records that are larger are passed over.
_BLOCK_BYTES = 1 << 19
# Before the data of a record: its length and the checksum of that.
_HEAD = np.dtype([("length", "<u8"), ("checksum", "<u4")])


class Part(NamedTuple):
    """Consecutive records of a file; by default all of them.

    Attributes:
      name: the file.
      offset: bytes before the first record; 0 unless the file is uncompressed.
      first: number of the first record within the file.
      num_records: how many there are; -1: all that are left.
    """

    name: str
    offset: int = 0
    first: int = 0
    num_records: int = -1

    def __str__(self) -> str:
        return f"{self.name} from byte {self.offset} on" if self.offset else self.name


def split(name: str, most_bytes: int) -> Iterator[Part]:
    """Yields parts of an uncompressed file, with every record in exactly one.

    One pass reads the lengths of the records, and not what they hold. The last part has
    no end, and goes on where a length cannot be read: whoever reads it finds what is
    corrupt or cut as if the file were in one part.

    Args:
      name: the file.
      most_bytes: the file is cut into so many parts that they are no larger, but for
        the last record of each.
    """
    size = tf.io.gfile.stat(name).length
    part_bytes = size / max(1, -(-size // most_bytes))
    part, number = Part(name), 0
    for offsets in _offsets(name, size):
        while True:
            row = int(np.searchsorted(offsets, part.offset + part_bytes))
            if row == len(offsets):
                break
            first = number + row
            yield part._replace(num_records=first - part.first)
            part = Part(name, int(offsets[row]), first)
        number += len(offsets)
    yield part


def _offsets(name: str, size: int) -> Iterator[np.ndarray]:
    """Yields int64 [n], the bytes at which records begin, as far as they can be read.

    For the records that begin in one block, and then for those in the next; `size` is
    that of the file.
    """
    length_at = struct.Struct("<Q").unpack_from
    offset = 0
    with tf.io.gfile.GFile(name, "rb") as file:
        while offset < size:  # A length may point behind the end.
            file.seek(offset)
            block = file.read(_BLOCK_BYTES)
            starts, start = [], 0
            while start + _HEAD.itemsize <= len(block):
                starts.append(start)
                start += FRAMING_BYTES + length_at(block, start)[0]
            if not starts:
                return
            heads = b"".join(block[at : at + _HEAD.itemsize] for at in starts)
            heads = np.frombuffer(heads, _HEAD)
            is_wrong = heads["checksum"] != _checksums(heads["length"])
            end = int(is_wrong.argmax()) if is_wrong.any() else len(starts)
            yield np.array(starts[:end], np.int64) + offset
            if end < len(starts):
                return
            offset += start


def _checksums(lengths: np.ndarray) -> np.ndarray:
    """Returns uint32 [n], the checksums of lengths, uint64 [n], in TFRecord files.

    CRC-32C (Castagnoli) of their 8 bytes, rotated by 15 bits, plus a constant:
    tensorflow/core/lib/hash/crc32c.h.
    """
    table, crcs = _table(), np.full(len(lengths), 0xFFFFFFFF, np.uint32)
    for byte in np.ascontiguousarray(lengths, "<u8").view(np.uint8).reshape(-1, 8).T:
        crcs = table[(crcs ^ byte) & 0xFF] ^ (crcs >> 8)
    crcs = ~crcs
    return ((crcs >> 15) | (crcs << 17)) + np.uint32(0xA282EAD8)


@functools.cache
def _table() -> np.ndarray:
    """Returns uint32 [256], the CRC-32C of each byte, reflected as usual."""
    crcs = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crcs = (crcs >> 1) ^ np.where(crcs & 1, np.uint32(0x82F63B78), np.uint32(0))
    return crcs
