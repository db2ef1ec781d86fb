"""A column of a table as tensors."""

import os
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from tfx_resampling.tables.row_groups import plain

# Kinds of NumPy types that are types of tensors: bool, integers, floats, complex.
_NUMERIC = "biufc"
# What pandas calls columns of objects that become one type of tensor.
_TEXTS = ("string", "bytes")
_NUMBERS = ("integer", "floating", "mixed-integer-float", "boolean", "decimal")


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
        return size * float(np.prod(self.values.shape[1:]))


def to_tensors(column: pd.Series) -> TensorColumn | None:
    """Returns a column as tensors, copied; None if there is no type of tensor for it.

    | Values | Tensor of a row |
    |---|---|
    | bool, integers, floats | scalar of the same type |
    | text, bytes, `os.PathLike` | string scalar, text as UTF-8; missing: empty |
    | categories | as their values |
    | integers or bools, some missing | float64 scalar; missing: NaN |
    | tuples, sets (a label set) | [k], k by row; missing: k = 0 |
    | lists, arrays | a tensor if all have one shape, else as tuples |

    Dates, other objects and columns of mixed types are none.

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
            return _of_texts(column)
        if kind in _NUMBERS:
            return _of_numbers(column, kind)
        if kind == "mixed":
            return _of_objects(column)
    except (TypeError, ValueError, UnicodeError):
        pass  # Of mixed types within rows, or text that is not Unicode.
    return None


def _of_texts(column: pd.Series) -> TensorColumn:
    missing = column.isna().to_numpy()
    if missing.any():
        column = column.mask(missing, "" if _is_text(column) else b"")
    return TensorColumn(tf.constant(column.to_numpy(), tf.string))


def _is_text(column: pd.Series) -> bool:
    return isinstance(column[column.first_valid_index()], str)


def _of_numbers(column: pd.Series, kind: str) -> TensorColumn:
    if column.isna().any():
        values = pd.to_numeric(column).to_numpy(np.float64, na_value=np.nan)
    else:
        values = np.array(column.tolist())
    if values.dtype.kind not in _NUMERIC:
        values = values.astype(np.float64)
    return TensorColumn(tf.constant(values))


def _of_objects(column: pd.Series) -> TensorColumn | None:
    """Paths, tuples, sets, lists and arrays, of which one kind must fill the column."""
    present = column[~column.map(lambda x: pd.api.types.is_scalar(x) and pd.isna(x))]
    if not len(present):
        return None
    if present.map(lambda x: isinstance(x, (str, os.PathLike))).all():
        texts = present.map(os.fspath).reindex(column.index)
        return _of_texts(texts)
    if not present.map(lambda x: isinstance(x, _LISTS)).all():
        return None
    if present.map(lambda x: isinstance(x, (list, np.ndarray))).all():
        dense = _dense(column) if len(present) == len(column) else None
        if dense is not None:
            return TensorColumn(dense)
    # Equal label sets are held once.
    codes, sets = pd.factorize(column.map(lambda x: plain(x) if _is_list(x) else ()))
    ragged = tf.ragged.constant([list(values) for values in sets], ragged_rank=1)
    return TensorColumn(ragged, tf.constant(codes.astype(np.int32)))


_LISTS = (tuple, list, np.ndarray, set, frozenset)


def _is_list(value: Any) -> bool:
    return isinstance(value, _LISTS)


def _dense(column: pd.Series) -> tf.Tensor | None:
    """Returns rows of one shape as one tensor; None if they are not."""
    shapes = column.map(np.shape)
    if not (shapes == shapes.iloc[0]).all():
        return None
    return tf.constant(np.array(column.tolist()))


def _of_categories(column: pd.Series) -> TensorColumn | None:
    categories = column.cat.categories
    if not len(categories):
        return None
    codes = column.cat.codes.to_numpy(np.int32)
    has_missing = bool((codes < 0).any())
    if has_missing:
        codes = np.where(codes < 0, len(categories), codes)
    values = pd.Series([*categories, *[None] * has_missing], dtype=object)
    if not has_missing and categories.dtype != object:
        values = pd.Series(categories)
    found = to_tensors(values)
    if found is None:
        return None
    codes = tf.constant(codes.astype(np.int32))
    if found.codes is not None:
        codes = tf.gather(found.codes, codes)
    return TensorColumn(found.values, codes)


# Rows that are gathered at once: many, for speed, but not more than this many bytes.
_ROWS, _BYTES = 2**16, 2**24


def as_frame(samples: Any) -> pd.DataFrame:
    """Returns samples as a DataFrame, which may be the very one that came.

    Args:
      samples: a DataFrame, or what makes one: a list (or array) of dicts, a dict of
        columns.

    Raises:
      ValueError: no rows, no columns, or names of columns that are no distinct strings.
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

    Columns for which there is no type of tensor are left out, with one warning that
    names them.

    Args:
      frame: the table, as of `as_frame`.

    Raises:
      ValueError: no column is left.
    """

    def __init__(self, frame: pd.DataFrame):
        self._columns, dropped = {}, []
        with tf.device("/cpu:0"):
            for name in frame.columns:
                column = to_tensors(frame[name])
                if column is None:
                    dropped.append(name)
                else:
                    self._columns[name] = column
        if not self._columns:
            raise ValueError(
                f"samples must have a column that tensors can hold, got {dropped!r}. "
                "Text, numbers, categories, and tuples or lists of these can be held."
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

        Rows are gathered many at a time, whatever the batch size: the cost of a call is
        that of thousands of rows.

        Args:
          rows: int64 [n], rows of the table, in blocks of any size.
          batch_size: samples per batch.
        """
        large = max(batch_size, self._rows_at_once)
        # No more at once than a block has: a small table is not read far ahead.
        batches = rows if large >= _ROWS else rows.rebatch(large)
        batches = batches.map(self._gather).rebatch(batch_size)
        return batches.map(self._with_ragged) if self._ragged else batches

    def gather(self, rows: tf.Tensor) -> dict[str, Any]:
        """Returns the samples of `rows`, int64 [n], as tensors [n, ...]."""
        return self._with_ragged(self._gather(rows))

    def _gather(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        samples = {}
        for name, column in self._columns.items():
            # Ragged values cannot be cut into batches: their codes can.
            places = rows if column.codes is None else tf.gather(column.codes, rows)
            ragged = column.is_ragged
            samples[name] = places if ragged else tf.gather(column.values, places)
        return samples

    def _with_ragged(self, samples: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        values = {
            name: tf.gather(self._columns[name].values, samples[name])
            for name in self._ragged
        }
        return {**samples, **values}
