"""What the records hold, read off the first ones when a pipeline is built."""

from collections.abc import Sequence

import tensorflow as tf

FilePattern = str | Sequence[str]


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


def compression_types(files: Sequence[str], compression: str) -> list[str]:
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
    files: Sequence[str], compressions: Sequence[str], count: int, skip: bool = False
) -> tuple[str, list[bytes]]:
    """Returns (file, up to `count` serialized records) of the first file that has any.

    With `skip`, what cannot be read is passed over.

    Raises:
      ValueError: all files are empty, or the first one is not a TFRecord file.
    """
    for name, compression in zip(files, compressions):
        try:
            records = tf.data.TFRecordDataset(name, compression)
            if skip:
                records = records.ignore_errors()
            found = list(records.take(count).as_numpy_iterator())
        except tf.errors.DataLossError as error:
            kind = compression or "uncompressed"
            raise ValueError(
                f"{name!r} is no {kind} TFRecord file, or is corrupt at its start: "
                f"{error.message}. Is it of another format or compression?"
            ) from None
        if found:
            return name, found
    why = "nothing in them can be read" if skip else "the files are empty"
    raise ValueError(f"no records in {list(files)[:5]!r}: {why}.")


_DTYPES = {
    "bytes_list": tf.string,
    "int64_list": tf.int64,
    "float_list": tf.float32,
}


# Records that are looked at: a feature may be missing in some of them.
_LOOKED_AT = 32


class Features:
    """Types of the features of records, and errors that say what is there instead.

    Attributes:
      record_bytes: sizes of the first records.
    """

    def __init__(
        self, files: Sequence[str], compressions: Sequence[str], skip: bool = False
    ):
        """Reads the first records of `files`; with `skip`, of those that can be used.

        Raises:
          ValueError: there are none, or they are not tf.train.Examples.
        """
        self._file, found = first_records(files, compressions, _LOOKED_AT, skip)
        self.record_bytes = [len(serialized) for serialized in found]
        self._kinds: dict[str, str] = {}
        for serialized in found:
            try:
                example = tf.train.Example.FromString(serialized)
            except Exception as error:  # protobuf's DecodeError has moved about.
                if skip:
                    continue
                raise ValueError(
                    f"{self._file!r} does not hold tf.train.Example records: {error}."
                ) from None
            for name, feature in example.features.feature.items():
                kind = feature.WhichOneof("kind")
                if kind and len(getattr(feature, kind).value):
                    self._kinds[name] = kind

    @property
    def names(self) -> list[str]:
        """Names of the features that have a value in the first records."""
        return sorted(self._kinds)

    def has(self, name: str) -> bool:
        """Returns whether one of the first records has a value for feature `name`."""
        return name in self._kinds

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
