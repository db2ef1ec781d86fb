"""TFRecord files -> chunks of serialized records, with errors that name the file."""

from typing import List, NamedTuple, Sequence, Tuple, Union

import tensorflow as tf

from tfx_resampling.data import checks
from tfx_resampling.data.options import InputOptions

FilePattern = Union[str, Sequence[str]]

# Bytes of a TFRecord beside its data: length, and the checksums of both.
_FRAMING = 16

# More chunks than any file has; only bounds the numbering below.
_MANY = 1 << 40


def match_files(file_pattern: FilePattern) -> List[str]:
    """Returns the sorted, distinct files that match one or several glob patterns.

    Raises:
      ValueError: a pattern matches no file; the message names it.
    """
    patterns = [file_pattern] if isinstance(file_pattern, str) else list(file_pattern)
    if not patterns:
        raise ValueError("file_pattern must name at least one pattern, got none.")
    files = set()
    for pattern in patterns:
        # A name with brackets or stars of its own is not a pattern.
        found = [pattern] if tf.io.gfile.exists(pattern) else tf.io.gfile.glob(pattern)
        found = [name for name in found if not tf.io.gfile.isdir(name)]
        if not found:
            raise ValueError(
                f"file_pattern {pattern!r} matches no file. A pattern matches files, "
                "e.g. '/data/train-*.tfrecord'."
            )
        files.update(found)
    return sorted(files)


def compression_types(files: Sequence[str], compression: str) -> List[str]:
    """Returns the compression of each file; "auto" looks at names, then at contents.

    Names that end in ".gz" are GZIP. Of the others the first is looked into, and they
    are all taken to be like it: a shard set is written by one writer.
    """
    if compression != "auto":
        return [compression] * len(files)
    unnamed = [name for name in files if not name.endswith(".gz")]
    other = "GZIP" if unnamed and _is_gzip(unnamed[0]) else ""
    return ["GZIP" if name.endswith(".gz") else other for name in files]


def _is_gzip(name: str) -> bool:
    with tf.io.gfile.GFile(name, "rb") as file:
        return file.read(3) == b"\x1f\x8b\x08"  # RFC 1952: magic, deflate.


def first_records(
    files: Sequence[str], compressions: Sequence[str], count: int
) -> Tuple[str, List[bytes]]:
    """Returns (file, up to `count` serialized records) of the first file that has any.

    Raises:
      ValueError: all files are empty, or the first one is not a TFRecord file.
    """
    for name, compression in zip(files, compressions):
        try:
            found = list(
                tf.data.TFRecordDataset(name, compression)
                .take(count)
                .as_numpy_iterator()
            )
        except tf.errors.DataLossError as error:
            kind = compression or "uncompressed"
            raise ValueError(
                f"{name!r} is not a {kind} TFRecord file, or is corrupt at its start: "
                f"{error.message}. Is it of another format or compression?"
            ) from None
        if found:
            return name, found
    raise ValueError(f"no records in {list(files)[:5]!r}: the files are empty.")


class Chunk(NamedTuple):
    """A chunk of records as it is read; `verified` before its records are used.

    Attributes:
      source: (file name, compression), string scalars.
      position: int64 scalar, how many chunks of the file came before.
      numbered: (int64 scalar: how many chunks of the file should have come before,
        string [n]: serialized records).
    """

    source: Tuple[tf.Tensor, tf.Tensor]
    position: tf.Tensor
    numbered: Tuple[tf.Tensor, tf.Tensor]


def record_chunks(
    files: tf.Tensor, compressions: tf.Tensor, options: InputOptions
) -> tf.data.Dataset:
    """Returns the `Chunk`s of interleaved files, to be `verified` in a map.

    Every record of every file is in exactly one chunk.

    Args:
      files: string [files], in the order in which they are opened.
      compressions: string [files], "" or "GZIP" or "ZLIB".
      options: `chunk_size`, `cycle_length`, `deterministic`, `num_parallel_calls`.
    """
    dataset = tf.data.Dataset.from_tensor_slices((files, compressions))
    parallel = options.num_parallel_calls or tf.data.AUTOTUNE
    if options.cycle_length and options.num_parallel_calls:
        # tf.data refuses more calls than files that are read at the same time.
        parallel = min(options.num_parallel_calls, options.cycle_length)
    return dataset.interleave(
        lambda name, compression: _file_chunks(name, compression, options.chunk_size),
        cycle_length=options.cycle_length or tf.data.AUTOTUNE,
        num_parallel_calls=parallel,
        deterministic=options.deterministic,
    )


def verified(*chunk) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns (file name [], serialized records [n]) of the fields of a `Chunk`.

    A corrupt or truncated file is an InvalidArgumentError that names the file, the
    record and the byte offset. (Not where a file ends between two records, or within
    the 12 bytes that start one, which TensorFlow takes for the end.)
    """
    (name, compression), position, (number, serialized) = Chunk(*chunk)
    complete = checks.require(
        tf.equal(number, position), lambda: _where_it_breaks(name, compression)
    )
    with tf.control_dependencies([complete]):
        return name, tf.identity(serialized)


def _file_chunks(name, compression, chunk_size: int) -> tf.data.Dataset:
    """Chunks of one file, numbered so that an error in reading it shows.

    tf.data's own error has no file name, and cannot be caught in a graph, but
    `ignore_errors` can skip it. So chunks are numbered before that and counted after
    it, and two that differ give the error away; an empty chunk at the end makes sure
    that there is one after it. No function is called for a chunk here: that would cost
    more than reading it.
    """
    # Opens the file outside ignore_errors, which retries a missing file for ever; the
    # error of this one names the file.
    opened = tf.data.FixedLengthRecordDataset(name, 1).take(1).skip(1).batch(1)
    opened = opened.map(lambda byte: (tf.constant(0, tf.int64), byte))
    end = tf.data.Dataset.from_tensors(tf.constant([], tf.string))
    chunks = tf.data.TFRecordDataset(name, compression).batch(chunk_size)
    numbered = tf.data.Dataset.zip(
        (tf.data.Dataset.range(_MANY), chunks.concatenate(end))
    ).ignore_errors()
    source = tf.data.Dataset.from_tensors((name, compression)).repeat()
    counted = tf.data.Dataset.range(_MANY)
    return tf.data.Dataset.zip((source, counted, opened.concatenate(numbered)))


def _where_it_breaks(name, compression):
    """Reads a corrupt file again and returns the parts of a message that says where."""

    def count(state, record):
        length = tf.cast(tf.strings.length(record), tf.int64)
        return state[0] + 1, state[1] + _FRAMING + length

    readable = tf.data.TFRecordDataset(name, compression).ignore_errors()
    zero = tf.constant(0, tf.int64)
    number, offset = readable.reduce((zero, zero), count)
    return [
        *("corrupt or truncated TFRecord file ", name, ": record ", number),
        *(" at byte ", offset, " (uncompressed) cannot be read. Write the file again."),
    ]
