"""A table of samples as tensors from which rows are gathered."""

import warnings
from typing import Any, Dict, List

import numpy as np
import pandas as pd
import tensorflow as tf

from tfx_resampling.data.generator.columns import to_tensors

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
    def names(self) -> List[str]:
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

    def gather(self, rows: tf.Tensor) -> Dict[str, Any]:
        """Returns the samples of `rows`, int64 [n], as tensors [n, ...]."""
        return self._with_ragged(self._gather(rows))

    def _gather(self, rows: tf.Tensor) -> Dict[str, tf.Tensor]:
        samples = {}
        for name, column in self._columns.items():
            # Ragged values cannot be cut into batches: their codes can.
            places = rows if column.codes is None else tf.gather(column.codes, rows)
            ragged = column.is_ragged
            samples[name] = places if ragged else tf.gather(column.values, places)
        return samples

    def _with_ragged(self, samples: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
        values = {
            name: tf.gather(self._columns[name].values, samples[name])
            for name in self._ragged
        }
        return {**samples, **values}
