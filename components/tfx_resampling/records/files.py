"""TFRecord files: which there are, how they are compressed, what the records have.

All of it is found when a pipeline is built; the features, from the first records.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfx_resampling.core.identity import Identity
from tfx_resampling.errors import names_like
from tfx_resampling.records.parts import Part

FilePattern = str | Sequence[str]

# Bytes of records in a chunk: with a few times as many, a chunk leaves the processor's
# cache between being read and being parsed; with a few times fewer, calling functions
# costs more than the work in them.
_CHUNK_BYTES = 1_300_000
# Bounds of the records in a chunk. Fewer than the least are not worth a call.
_LEAST_CHUNK, MAX_CHUNK = 16, 1_024
# What TensorFlow reads ahead of a TFRecordDataset.
_BUFFER_BYTES = 256 << 10


@dataclasses.dataclass(frozen=True)
class RecordFiles:
    """TFRecord files and what is known of them before they are read.

    What is not asked for is not read: a pattern alone costs no look into a file.

    Attributes:
      names: the files.
      compression: of all of them, "", "GZIP" or "ZLIB"; or "auto", which looks.
      skip: whether to pass over what cannot be read or parsed.
      part: what is read of the file, if there is one only; None: all of it. What is
        looked at before is at the file's beginning.
    """

    names: tuple[str, ...]
    compression: str = "auto"
    skip: bool = False
    part: Part | None = None

    @classmethod
    def open(
        cls, pattern: FilePattern, compression: str = "auto", skip: bool = False
    ) -> "RecordFiles":
        """Returns the files that match one or several glob patterns, sorted.

        Raises:
          ValueError: a pattern matches no file; the message names it.
        """
        return cls(tuple(match_files(pattern)), compression, skip)

    @functools.cached_property
    def compressions(self) -> list[str]:
        """The compression of each file: "", "GZIP" or "ZLIB".

        With "auto", names that end in ".gz" are GZIP. Of the others the first is looked
        into, and they are all taken to be like it: a shard set is written by one
        writer.
        """
        if self.compression != "auto":
            return [self.compression] * len(self.names)
        unnamed = [name for name in self.names if not name.endswith(".gz")]
        other = "GZIP" if unnamed and _is_gzip(unnamed[0]) else ""
        return ["GZIP" if name.endswith(".gz") else other for name in self.names]

    @functools.cached_property
    def features(self) -> "Features":
        """The features of the first records.

        Raises:
          ValueError: there are no records, or they are not tf.train.Examples.
        """
        return Features(self)

    @property
    def chunk_size(self) -> int:
        """How many records make a chunk, from the bytes of the first ones.

        Raises:
          ValueError: as `features`.
        """
        size = int(_CHUNK_BYTES / max(self.features.mean_bytes, 1))
        return min(MAX_CHUNK, max(_LEAST_CHUNK, size))


def match_files(file_pattern: FilePattern) -> list[str]:
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


def check_positions(names: Sequence[str], identity: Identity) -> None:
    """Raises ValueError if records are known by position and files have one name."""
    if identity.kind != "position":
        return
    places: dict[str, str] = {}
    for name in names:
        directory, _, base_name = name.rpartition("/")
        other = places.setdefault(base_name, directory)
        if other != directory:
            raise ValueError(
                "files must have names of their own with identity='position', got "
                f"{base_name!r} in {other!r} and in {directory!r}. Set key_features, "
                "or rename the files."
            )


def _is_gzip(name: str) -> bool:
    with tf.io.gfile.GFile(name, "rb") as file:
        return file.read(3) == b"\x1f\x8b\x08"  # RFC 1952: magic, deflate.


def open_records(name: Any, compression: Any) -> tf.data.Dataset:
    """Returns the serialized records of a file; both may be tensors."""
    # Not by `tf.data.TFRecordDataset`, which traces a function for each.
    variant = tf.raw_ops.TFRecordDataset(
        filenames=name, compression_type=compression, buffer_size=_BUFFER_BYTES
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))


def open_part(part: Part, compression: Any) -> tf.data.Dataset:
    """Returns the serialized records of a part of a file."""
    if part == Part(part.name):
        return open_records(part.name, compression)

    def opened(name):
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=[name],
            compression_type="",
            buffer_size=_BUFFER_BYTES,
            byte_offsets=[part.offset],
        )
        return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))

    # In a function: TensorFlow cannot write this op into a graph itself.
    records = tf.data.Dataset.from_tensors(part.name).flat_map(opened)
    return records.take(part.num_records)


def first_records(files: RecordFiles, count: int) -> tuple[str, list[bytes]]:
    """Returns (name, up to `count` serialized records) of the first file with any.

    Raises:
      ValueError: all files are empty, or the first one is not a TFRecord file.
    """
    for name, compression in zip(files.names, files.compressions):
        try:
            records = open_records(name, compression)
            if files.skip:
                records = records.ignore_errors()
            found: list[Any] = list(records.take(count).as_numpy_iterator())
        except tf.errors.DataLossError as error:
            kind = compression or "uncompressed"
            raise ValueError(
                f"{name!r} is no {kind} TFRecord file, or is corrupt at its start: "
                f"{error.message}. Is it of another format or compression?"
            ) from None
        if found:
            return name, found
    why = "nothing in them can be read" if files.skip else "the files are empty"
    raise ValueError(f"no records in {list(files.names)[:5]!r}: {why}.")


def _each_file(files: RecordFiles) -> Iterator[Iterator[bytes]]:
    """Yields the records of each file, as far as they can be read."""
    for name, compression in zip(files.names, files.compressions):
        yield _readable(open_records(name, compression))


def _readable(records: tf.data.Dataset) -> Iterator[Any]:
    try:
        yield from records.as_numpy_iterator()
    except tf.errors.OpError:
        return  # Whoever reads all of them says what is corrupt.


_DTYPES = {
    "bytes_list": tf.string,
    "int64_list": tf.int64,
    "float_list": tf.float32,
}


# Records that are looked at: a feature may be missing in some of them.
_LOOKED_AT = 32


def _kind(feature: Any) -> str | None:
    """Returns the kind of a tf.train.Feature; None where it has no value."""
    kind = feature.WhichOneof("kind")
    return kind if kind and len(getattr(feature, kind).value) else None


class Features:
    """Types of the features of records; its errors list the features that are there.

    Attributes:
      mean_bytes: mean size of the first records.
    """

    def __init__(self, files: RecordFiles):
        """Reads the first records of `files`."""
        self._files = files
        self._file, found = first_records(files, _LOOKED_AT)
        self.mean_bytes = sum(map(len, found)) / len(found)
        self._kinds: dict[str, str] = {}
        for serialized in found:
            try:
                example = tf.train.Example.FromString(serialized)
            except Exception as error:  # protobuf's DecodeError has moved about.
                if files.skip:
                    continue
                raise ValueError(
                    f"{self._file!r} does not hold tf.train.Example records: {error}."
                ) from None
            for name, feature in example.features.feature.items():
                if kind := _kind(feature):
                    self._kinds[name] = kind

    def look_on(self, name: str, most: int) -> int:
        """Looks for a value of feature `name` in more records, of all files in order.

        Args:
          name: the feature; `has` tells then whether it was found.
          most: how many records are looked at.

        Returns:
          How many there were, or how many until it was found.
        """
        found = itertools.chain.from_iterable(_each_file(self._files))
        return self._look(name, itertools.islice(found, most))

    def look_everywhere(self, name: str) -> None:
        """Looks for a value of feature `name` in the whole first file that has records.

        And in the first records of the others.
        """
        if self.has(name):
            return
        for file, records in zip(self._files.names, _each_file(self._files)):
            most = None if file == self._file else _LOOKED_AT
            self._look(name, itertools.islice(records, most))
            if self.has(name):
                return

    def _look(self, name: str, records: Iterator[bytes]) -> int:
        number = 0
        for serialized in records:
            number += 1
            try:
                example = tf.train.Example.FromString(serialized)
            except Exception:  # As above; whoever reads it names it.
                continue
            # To ask for a feature that is not there would make it.
            if name in example.features.feature:
                if kind := _kind(example.features.feature[name]):
                    self._kinds[name] = kind
                    break
        return number

    def like(self, name: str) -> str:
        """Returns a sentence that names the features like one that is missing."""
        return names_like(name, self.names)

    @property
    def names(self) -> list[str]:
        """Names of the features that have a value in the first records."""
        return sorted(self._kinds)

    def has(self, name: str) -> bool:
        """Returns whether one of the first records has a value for feature `name`."""
        return name in self._kinds

    def key_dtypes(self, names: Sequence[str]) -> dict[str, tf.DType]:
        """Returns the types of key features by their names.

        Raises:
          ValueError: the first records do not have one.
        """
        return {name: self.dtype("key feature", name) for name in names}

    def dtype(self, option: str, name: str) -> tf.DType:
        """Returns the type of feature `name`, which `option` asks for.

        Raises:
          ValueError: the first records do not have it.
        """
        kind = self._kinds.get(name)
        if kind is None:
            raise ValueError(
                f"{option} {name!r} is not a feature of the first records of "
                f"{self._file!r}, which have {self.names}."
            )
        return _DTYPES[kind]

    def label_dtype(self, label_key: str) -> str:
        """Returns "bytes" or "int64"; "bytes" where the first records have no label.

        Raises:
          ValueError: it has floats.
        """
        kind = self._kinds.get(label_key)
        if kind == "float_list":
            raise ValueError(
                f"label feature {label_key!r} of {self._file!r} has floats; labels are "
                "bytes or int64."
            )
        return "int64" if kind == "int64_list" else "bytes"

    def check_label(self, label_key: str, label_dtype: str) -> None:
        """Raises ValueError where the label feature is of another type than planned."""
        if self._kinds.get(label_key) and self.label_dtype(label_key) != label_dtype:
            raise ValueError(
                f"label feature {label_key!r} is {label_dtype} in the plan but "
                f"{self.label_dtype(label_key)} in {self._file!r}. Make the plan from "
                "statistics of this data."
            )
