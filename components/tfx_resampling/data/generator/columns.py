"""A column of a table as tensors."""

import os
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import pandas as pd
import tensorflow as tf

from tfx_resampling.data.generator.groups import plain

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

    values: Union[tf.Tensor, tf.RaggedTensor]
    codes: Optional[tf.Tensor] = None

    @property
    def is_ragged(self) -> bool:
        """Whether rows have different numbers of values."""
        return isinstance(self.values, tf.RaggedTensor)

    @property
    def row_bytes(self) -> float:
        """About how many bytes a row of a dense column takes."""
        size = 24 if self.values.dtype == tf.string else self.values.dtype.size
        return size * float(np.prod(self.values.shape[1:]))


def to_tensors(column: pd.Series) -> Optional[TensorColumn]:
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


def _of_objects(column: pd.Series) -> Optional[TensorColumn]:
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


def _dense(column: pd.Series) -> Optional[tf.Tensor]:
    """Returns rows of one shape as one tensor; None if they are not."""
    shapes = column.map(np.shape)
    if not (shapes == shapes.iloc[0]).all():
        return None
    return tf.constant(np.array(column.tolist()))


def _of_categories(column: pd.Series) -> Optional[TensorColumn]:
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
