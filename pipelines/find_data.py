"""Finds the splits in a directory of TFRecord files, and what is in the records."""

import dataclasses
import glob
import os
from collections.abc import Sequence

import tensorflow as tf
from tfx_resampling.options import InputOptions
from tfx_resampling.records.fields import Parsing
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.reader import Reader
from tfx_resampling.scan import count

# What people call the two splits, first match wins.
_NAMES = {"train": ("train", "training"), "eval": ("eval", "val", "valid", "test")}


@dataclasses.dataclass(frozen=True)
class FoundData:
    """Where the splits are and of what type the labels are.

    Attributes:
      directory: where the files are.
      splits: split -> file pattern below the directory; None if there are no splits.
      file_pattern: pattern of all files.
      label_dtype: "bytes" or "int64".
    """

    directory: str
    splits: dict[str, str] | None
    file_pattern: str
    label_dtype: str = "bytes"

    def file_sets(self) -> list[RecordFiles]:
        """Returns the files of each split; those of all if there are no splits.

        Raises:
          ValueError: there are none.
        """
        patterns = self.splits.values() if self.splits else [self.file_pattern]
        found = [_files(self.directory, pattern) for pattern in patterns]
        if not all(found):
            raise ValueError(
                f"no TFRecord files in {self.directory!r}. Expected files there, or in "
                "subfolders train/ and eval/ (both), or named train* and eval*."
            )
        return [RecordFiles(tuple(files)) for files in found]


def inspect(directory: str, label_key: str, image_key: str) -> FoundData:
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
    pattern = "*.tfrecord*" if _files(directory, "*.tfrecord*") else "*"
    found = FoundData(directory, _find_splits(directory), pattern)
    label_dtype = "bytes"
    for files in found.file_sets():
        for name, compression in zip(files.names, files.compressions):
            if compression and not name.endswith(".gz"):
                raise ValueError(
                    f"{name!r} is gzip but not named so; Beam goes by the name. Rename "
                    "the files to end in .gz."
                )
        features = files.features
        features.dtype("image feature", image_key)
        if not features.has(label_key):
            try:  # Not in the first records; an error if it is in none.
                count.count_labels(files.names, label_key)
            except ValueError as error:
                raise ValueError(f"{error} Valid: {features.names}.") from None
        label_dtype = features.label_dtype(label_key)
    return dataclasses.replace(found, label_dtype=label_dtype)


def find_corrupt(data: FoundData) -> str | None:
    """Reads all records and returns what is wrong with the first corrupt file, if any.

    For the error of a pipeline that could not read its input: Beam's does not name the
    file.
    """
    for files in data.file_sets():
        chunks = Reader(files, Parsing({}), InputOptions()).read_all(
            lambda chunk: tf.size(chunk.serialized)
        )
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
