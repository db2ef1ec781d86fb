"""Finds the splits in a directory of TFRecord files, and what is in the records."""

import dataclasses
import glob
import os
from collections.abc import Sequence

import tensorflow as tf
from tfx_resampling.options import InputOptions
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.reader import Reader
from tfx_resampling.scan import count

# What people call the two splits, first match wins.
_NAMES = {"train": ("train", "training"), "eval": ("eval", "val", "valid", "test")}


@dataclasses.dataclass(frozen=True)
class DataLayout:
    """Where the splits are and of what type the labels are.

    Attributes:
      splits: split -> file pattern below the directory; None if there are no splits.
      file_pattern: pattern of all files.
      label_dtype: "bytes" or "int64".
    """

    splits: dict[str, str] | None
    file_pattern: str
    label_dtype: str


def inspect(directory: str, label_key: str, image_key: str) -> DataLayout:
    """Looks at a directory before a pipeline is run on it.

    Splits are subfolders (`train/`, `eval/`, also as TFX writes them: `Split-train/`)
    or beginnings of file names (`train-00000-of-00010`). Without them all files are one
    set, which the pipeline splits.

    Raises:
      ValueError: no files, no TFRecords, or a feature that is not there; the message
        names it.
    """
    if not os.path.isdir(directory):
        raise ValueError(
            f"DATA must be a directory of TFRecord files, got {directory!r}."
        )
    splits = _find_splits(directory)
    file_pattern = "*.tfrecord*" if _files(directory, "*.tfrecord*") else "*"
    patterns = list(splits.values()) if splits else [file_pattern]
    label_dtype = "bytes"
    for pattern in patterns:
        files = _files(directory, pattern)
        if not files:
            raise ValueError(
                f"no TFRecord files in {directory!r}. Expected files there, or in "
                "subfolders train/ and eval/ (both), or named train* and eval*."
            )
        found = RecordFiles(tuple(files))
        for name, compression in zip(files, found.compressions):
            if compression and not name.endswith(".gz"):
                raise ValueError(
                    f"{name!r} is gzip but not named so; Beam goes by the name. Rename "
                    "the files to end in .gz."
                )
        found.features.dtype("image feature", image_key)
        if not found.features.has(label_key):
            try:  # Not in the first records; an error if it is in none.
                count.count_labels(files, label_key)
            except ValueError as error:
                raise ValueError(f"{error} There are {found.features.names}.") from None
        label_dtype = found.features.label_dtype(label_key)
    return DataLayout(splits, file_pattern, label_dtype)


def find_corrupt(directory: str, layout: DataLayout) -> str | None:
    """Reads all records and returns what is wrong with the first corrupt file, if any.

    For the error of a pipeline that could not read its input: Beam's does not name the
    file.
    """
    patterns = layout.splits.values() if layout.splits else [layout.file_pattern]
    for pattern in patterns:
        files = RecordFiles(tuple(_files(directory, pattern)))
        reader = Reader(files, {}, InputOptions())
        chunks = reader.read_all(lambda chunk: tf.size(chunk.serialized))
        try:
            for _ in chunks:
                pass
        except tf.errors.InvalidArgumentError as error:
            return error.message
    return None


def _find_splits(directory: str) -> dict[str, str] | None:
    found = {}
    for split, names in _NAMES.items():
        candidates = [
            *(f"{name}/*" for name in names),
            *(f"Split-{name}/*" for name in names),
            *(f"{name}[-_.0-9]*" for name in names),
        ]
        for pattern in candidates:
            if _files(directory, pattern):
                found[split] = pattern
                break
    return found if len(found) == len(_NAMES) else None


def _files(directory: str, pattern: str) -> Sequence[str]:
    paths = sorted(glob.glob(os.path.join(glob.escape(directory), pattern)))
    return [path for path in paths if os.path.isfile(path)]
