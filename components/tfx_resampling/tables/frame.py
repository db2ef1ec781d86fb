"""A table of samples as tensors: batches of its rows."""

import os
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from tfx_resampling.tables.row_groups import plain

# Rows that are gathered at once: many, for speed, but not more than this many bytes.
_ROWS, _BYTES = 2**16, 2**24
# Kinds of NumPy types that are types of tensors: bool, integers, floats, complex.
_NUMERIC = "biufc"
# Names that pandas has for columns of objects which become one type of tensor.
_TEXTS = ("string", "bytes")
_NUMBERS = ("integer", "floating", "mixed-integer-float", "boolean", "decimal")
_LISTS = (tuple, list, np.ndarray, set, frozenset)


def as_frame(samples: Any) -> pd.DataFrame:
    """Returns samples as a DataFrame; a DataFrame is returned as it is.

    Args:
      samples: a DataFrame, a list (or array) of dicts, or a dict of columns.

    Raises:
      ValueError: no rows, no columns, or names of columns that are not distinct
        strings.
    """
    if not isinstance(samples, pd.DataFrame):
        if isinstance(samples, np.ndarray) and samples.dtype == object:
            samples = samples.tolist()
        try:
            samples = pd.DataFrame(samples)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "samples must be a pandas.DataFrame or a list of dicts, got "
                f"{type(samples).__name__}: {error}."
            ) from None
    if not len(samples):
        raise ValueError("samples must have at least one row, got an empty table.")
    names = list(samples.columns)
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            "columns of samples must have non-empty strings as names, got "
            f"{names[:20]!r}. Use samples.rename(columns=str), or a list of dicts."
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"columns of samples must be distinct, got {twice!r} twice.")
    return samples


class SampleTable:
    """The columns of a table that are tensors; a copy, so that the caller's may change.

    Columns that no type of tensor can hold are left out, with one warning that names
    them.

    Args:
      frame: the table, as returned by `as_frame`.

    Raises:
      ValueError: no column is left.
    """

    def __init__(self, frame: pd.DataFrame):
        self._columns, dropped = {}, []
        with tf.device("/cpu:0"):
            for name, values in frame.items():
                column = to_tensors(values)
                if column is None:
                    dropped.append(name)
                else:
                    self._columns[name] = column
        if not self._columns:
            raise ValueError(
                f"samples must have a column that tensors can hold, got {dropped!r}. "
                "They hold text, numbers, categories, and tuples or lists of these."
            )
        if dropped:
            warnings.warn(
                f"Columns of samples that tensors cannot hold are left out: {dropped}.",
                stacklevel=3,
            )
        self._ragged = [n for n, column in self._columns.items() if column.is_ragged]
        dense = [c.row_bytes for c in self._columns.values() if not c.is_ragged]
        self._rows_at_once = int(min(_ROWS, max(1, _BYTES // max(1, sum(dense)))))

    @property
    def names(self) -> list[str]:
        """The columns that samples have."""
        return list(self._columns)

    def batches(self, rows: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Returns batches of samples: dicts of tensors [batch, ...].

        Rows are gathered many at a time, whatever the batch size, since a call costs as
        much as thousands of rows.

        Args:
          rows: int64 [n], rows of the table, in blocks of any size.
          batch_size: samples per batch.
        """
        large = max(batch_size, self._rows_at_once)
        # No more at once than a block has: a small table is not read far ahead.
        batches = rows if large >= _ROWS else rows.rebatch(large)
        batches = batches.map(self._gather).rebatch(batch_size)
        return batches.map(self._with_ragged) if self._ragged else batches

    def gather(self, rows: Any) -> dict[str, Any]:
        """Returns the samples of `rows`, integers [n], as tensors [n, ...]."""
        return self._with_ragged(self._gather(rows))

    def _gather(self, rows: Any) -> dict[str, tf.Tensor]:
        samples = {}
        for name, column in self._columns.items():
            # Ragged values cannot be cut into batches: their codes can.
            places = rows if column.codes is None else tf.gather(column.codes, rows)
            ragged = column.is_ragged
            samples[name] = places if ragged else tf.gather(column.values, places)
        return samples

    def _with_ragged(self, samples: dict[str, tf.Tensor]) -> dict[str, Any]:
        values = {
            name: tf.gather(self._columns[name].values, samples[name])
            for name in self._ragged
        }
        return {**samples, **values}


class TensorColumn(NamedTuple):
    """The values of a column, and which of them each row has.

    Attributes:
      values: dense [n, ...], or ragged.
      codes: int32 [rows], the value of each row; None if row i has value i.
    """

    values: tf.Tensor | tf.RaggedTensor
    codes: tf.Tensor | None = None

    @property
    def is_ragged(self) -> bool:
        """Whether rows have different numbers of values."""
        return isinstance(self.values, tf.RaggedTensor)

    @property
    def row_bytes(self) -> float:
        """About how many bytes a row of a dense column takes."""
        size = 24 if self.values.dtype == tf.string else self.values.dtype.size
        return size * (self.values.shape[1:].num_elements() or 0)


def to_tensors(column: pd.Series) -> TensorColumn | None:
    """Returns a column as tensors, copied; None if no type of tensor can hold it.

    | Values | Tensor of a row |
    |---|---|
    | bool, integers, floats | scalar of the same type |
    | text, bytes, `os.PathLike` | string scalar, text as UTF-8; missing: empty |
    | categories | as their values |
    | integers or bools, some missing | float64 scalar; missing: NaN |
    | tuples, sets (a label set) | [k], k by row; missing: k = 0 |
    | lists, arrays | a tensor if all have one shape, else as tuples |

    Tensors cannot hold dates, other objects or columns of mixed types.

    Args:
      column: the column.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _of_categories(column)
    if pd.api.types.is_extension_array_dtype(column.dtype):
        column = column.astype(object)
    if column.dtype != object:
        if column.dtype.kind not in _NUMERIC:
            return None
        return TensorColumn(tf.constant(column.to_numpy(copy=True)))
    kind = pd.api.types.infer_dtype(column, skipna=True)
    try:
        if kind in _TEXTS:
            return _of_texts(column.to_numpy())
        if kind in _NUMBERS:
            return _of_numbers(column)
        if kind == "mixed":
            return _of_objects(column)
    except (TypeError, ValueError, UnicodeError):
        pass  # Of mixed types within rows, or text that is not Unicode.
    return None


def _of_texts(values: np.ndarray) -> TensorColumn:
    return TensorColumn(tf.constant(np.where(pd.isna(values), b"", values), tf.string))


def _of_numbers(column: pd.Series) -> TensorColumn:
    if column.isna().any():
        values = pd.to_numeric(column).to_numpy(np.float64, na_value=np.nan)
    else:
        values = np.array(column.tolist())
    if values.dtype.kind not in _NUMERIC:
        values = values.astype(np.float64)
    return TensorColumn(tf.constant(values))


def _of_objects(column: pd.Series) -> TensorColumn | None:
    """Paths, tuples, sets, lists and arrays, of which one kind must fill the column."""
    values = column.to_numpy()
    present = [v for v in values if not (pd.api.types.is_scalar(v) and pd.isna(v))]
    if not present:
        return None
    if all(isinstance(value, (str, os.PathLike)) for value in present):
        return _of_texts(column.map(os.fspath, na_action="ignore").to_numpy())
    if not all(isinstance(value, _LISTS) for value in present):
        return None
    if len(present) == len(values) and all(
        isinstance(value, (list, np.ndarray)) for value in values
    ):
        shape = np.shape(values[0])
        if all(np.shape(value) == shape for value in values):
            return TensorColumn(tf.constant(np.array(values.tolist())))
    # Equal label sets are held once.
    codes, sets = pd.factorize(
        column.map(lambda value: plain(value) if isinstance(value, _LISTS) else ())
    )
    ragged = tf.ragged.constant([list(values) for values in sets], ragged_rank=1)
    return TensorColumn(ragged, tf.constant(codes.astype(np.int32)))


def _of_categories(column: pd.Series) -> TensorColumn | None:
    categories = column.cat.categories
    codes = column.cat.codes.to_numpy(np.int32)
    values = pd.Series(categories)
    if (codes < 0).any():
        codes = np.where(codes < 0, len(categories), codes)
        values = pd.Series([*categories, None], dtype=object)
    found = to_tensors(values) if len(categories) else None
    if found is None:
        return None
    places = tf.constant(codes.astype(np.int32))
    if found.codes is not None:
        places = tf.gather(found.codes, places)
    return TensorColumn(found.values, places)
