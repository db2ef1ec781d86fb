"""Whether a file ends where its writer ended it.

A TFRecord file does not say how many records it has, and TensorFlow takes a file for a
whole one that ends between two records or within the bytes that begin one. What tells:

- of a plain file its size, if it ends within those bytes;
- of a gzip file its last bytes, which are the length of what was compressed (RFC 1952),
  wherever it was cut; only between two of its members it cannot be told;
- of any file the number of its records, if somebody has written that down.
"""

import functools
import gzip
import os
import zlib
from collections.abc import Sequence

import tensorflow as tf

from tfx_resampling.records import graph_errors

# Bytes of a TFRecord beside its data: length, and the checksums of both.
FRAMING_BYTES = 16
# Of them, what comes before the data.
_HEAD_BYTES = 12
_IN_HEAD = "the file ends within the 12 bytes that begin it."
_IN_GZIP = "what gzip has compressed goes on, but the file ends."
# Bytes of a file that does not say how many it has.
_UNKNOWN = -1
# Of gzip's count of bytes.
_MODULUS = 1 << 32
# The shortest gzip file: of nothing.
_LEAST_GZIP = 18
_READ_BYTES = 1 << 20
# Files of several members that are known to be whole.
_REMEMBERED = 100_000


class Ends:
    """What is known of the ends of files before they are read.

    The argument `bytes_read` is how many bytes the records of a file have, framing
    included, uncompressed; negative if that is not known. All arguments are scalars.
    """

    def __init__(
        self,
        names: Sequence[str],
        compressions: Sequence[str | None],
        num_records: Sequence[int],
    ):
        """Looks at the files.

        Args:
          names: the files.
          compressions: of each "", "GZIP" or "ZLIB"; None: it is not looked at.
          num_records: how many records each has; negative if that is not known.
        """
        lengths = [_length(*file) for file in zip(names, compressions)]
        self._is_known = max(*lengths, *num_records, _UNKNOWN) > _UNKNOWN
        self._lengths = tf.constant(lengths, tf.int64)
        self._is_gzip = tf.constant([kind == "GZIP" for kind in compressions])
        self._num_records = tf.constant(num_records, tf.int64)

    def may_be_cut(self, file, records_read, bytes_read) -> tf.Tensor:
        """Returns bool: whether a file that was read to its end may be cut.

        Args:
          file: int64, index of the file.
          records_read: int64, how many records it had.
          bytes_read: int64.
        """
        if not self._is_known:
            return tf.constant(False)
        left = tf.gather(self._lengths, file) - bytes_read
        # What is left behind whole records: another file of that name has another size.
        in_head = (left > 0) & (left < _HEAD_BYTES)
        is_other = tf.not_equal(left % _MODULUS, 0)
        by_length = tf.where(tf.gather(self._is_gzip, file), is_other, in_head)
        by_length &= tf.gather(self._lengths, file) > _UNKNOWN
        return by_length | (records_read < tf.gather(self._num_records, file))

    def why(self, name, file, records_read) -> tf.Tensor:
        """Returns in words, of a file that `may_be_cut`, why it is; "" if it is not.

        Args:
          name: string, name of the file.
          file: int64, its index.
          records_read: int64, how many records it had.
        """
        num_records = tf.gather(self._num_records, file)
        by_length = tf.cond(
            tf.gather(self._is_gzip, file),
            # Stateless: tf.data saves the position, and starts early (`one_device`).
            lambda: tf.numpy_function(_why_gzip, [name], tf.string, stateful=False),
            lambda: tf.constant(_IN_HEAD),
        )
        short = graph_errors.joined(
            ["the file has ", records_read, " of its ", num_records, " records."]
        )
        return tf.where(records_read < num_records, short, tf.reshape(by_length, []))


def why(name: str, compression: str, bytes_read: int) -> str:
    """Returns in words why a local file that was read to its end is cut; "" if not.

    Args:
      name: the file.
      compression: "", "GZIP" or "ZLIB".
      bytes_read: how many bytes its records have, framing included.
    """
    length = _length(name, compression)
    if length == _UNKNOWN:
        return ""
    if compression == "GZIP":
        is_other = (length - bytes_read) % _MODULUS != 0
        return _why_gzip(name.encode()).decode() if is_other else ""
    return _IN_HEAD if 0 < length - bytes_read < _HEAD_BYTES else ""


def _length(name: str, compression: str | None) -> int:
    """Returns how many bytes a local file says that it has, uncompressed.

    Of gzip modulo 2**32, and of the last of its members only.
    """
    try:
        size = os.path.getsize(name)
        if compression == "":
            return size
        if compression == "GZIP" and size < _LEAST_GZIP:
            return min(size, 1)  # No records have one byte.
        if compression == "GZIP":
            with open(name, "rb") as file:
                file.seek(-4, os.SEEK_END)
                return int.from_bytes(file.read(4), "little")
    except OSError:  # It is remote; or gone, and whoever reads it names it.
        pass
    return _UNKNOWN


def _why_gzip(name: bytes) -> bytes:
    """Returns why a gzip file is cut; `name` is as TensorFlow has it."""
    path = name.decode()
    try:
        found = os.stat(path)
        is_whole = _is_whole(path, found.st_size, found.st_mtime_ns)
    except OSError:  # It is gone: what was read of it is what there was.
        is_whole = True
    return b"" if is_whole else _IN_GZIP.encode()


@functools.lru_cache(_REMEMBERED)
def _is_whole(name: str, *identity: int) -> bool:
    """Returns whether a gzip file ends where a member does: decompresses all of it.

    Args:
      name: the file.
      *identity: what else it is remembered by.
    """
    with gzip.open(name) as file:
        try:
            while file.read(_READ_BYTES):
                pass
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return False
    return True
