"""Groups of the rows of a table, by the values of columns or as a plan groups them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tfx_resampling.core.groups import Column
from tfx_resampling.core.plan import Plan


@dataclasses.dataclass(frozen=True)
class Groups:
    """Which rows of a table belong together.

    Attributes:
      columns: the columns that rows are grouped by.
      keys: the groups in order: values, sorted, a missing one (None) last; of several
        columns, tuples of them. A value of several (a label set) is a tuple.
      ids: int32 [rows], the group of each row, an index into `keys`.
      counts: int64 [groups], rows of each, >= 1.
    """

    columns: tuple[str, ...]
    keys: tuple[Any, ...]
    ids: np.ndarray
    counts: np.ndarray


class Interval(str):
    """A bucket of a column of numbers, named as in the plan: "[18, 65)".

    Attributes:
      code: number of the bucket.
    """

    code: int

    def __new__(cls, column: Column, code: int):
        """Makes the bucket number `code` of a column."""
        interval = super().__new__(cls, column.describe(code).partition("=")[2])
        interval.code = code
        return interval


def find_groups(
    frame: pd.DataFrame, groupby: None | str | Sequence[str], plan: Plan | None = None
) -> Groups | None:
    """Returns the groups that options of a generator ask for; None: no groups.

    Args:
      frame: the table.
      groupby: columns. None or empty: the columns of the plan, if there is one.
      plan: the plan that groups are weighed by.

    Raises:
      ValueError: `groupby` is not valid, a column is not in the table, or its values
        cannot be compared.
    """
    columns = [groupby] if isinstance(groupby, str) else list(groupby or [])
    if not all(isinstance(name, str) for name in columns):
        raise ValueError(
            f"sampling_groupby must be one or more names of columns, got {groupby!r}."
        )
    if columns:
        return group_rows(frame, columns)
    return None if plan is None else group_rows(frame, plan_columns(plan), plan)


def group_rows(
    frame: pd.DataFrame, columns: Sequence[str], plan: Plan | None = None
) -> Groups:
    """Returns the groups of rows with equal values in `columns`.

    A missing value (None, NaN, NaT, pandas.NA) is a value; categories without rows are
    no groups. Lists count as tuples, sets as sorted tuples.

    Args:
      frame: the table.
      columns: names of columns.
      plan: if given, the numbers that it cuts into buckets are grouped by bucket.

    Raises:
      ValueError: a column is not in the table, or its values cannot be compared.
    """
    table = dict(frame.items())
    missing = [name for name in columns if name not in table]
    if missing:
        hint = " Without groupby, the columns of the plan are taken." if plan else ""
        raise ValueError(
            f"groupby must name columns of samples, got {missing[0]!r}. Columns: "
            f"{list(table)!r}.{hint}"
        )
    if len(set(columns)) < len(columns):
        raise ValueError(f"groupby must name each column once, got {list(columns)!r}.")
    grouped = plan.grouping.columns if plan and plan.grouping else ()
    cuts = {column.name: column for column in grouped if column.boundaries is not None}
    ids = np.zeros(len(frame), np.int64)
    keys: list[Any] = [()]
    for name in columns:
        if name in cuts:
            codes, values = _bucket_codes(table[name], cuts[name])
        else:
            codes, values = _value_codes(table[name])
        # The missing value is the last one.
        codes, values = np.where(codes < 0, len(values), codes), [*values, None]
        # Only combinations that occur, in the order of codes.
        ids, found = pd.factorize(ids * len(values) + codes, sort=True)
        pairs = [divmod(number, len(values)) for number in found.tolist()]
        keys = [(*keys[first], values[last]) for first, last in pairs]
    if len(columns) == 1:
        keys = [key for (key,) in keys]
    return Groups(tuple(columns), tuple(keys), ids.astype(np.int32), np.bincount(ids))


def plan_columns(plan: Plan) -> list[str]:
    """Returns the columns of a table that a plan groups rows by."""
    if plan.grouping is None:
        return [plan.label_key]
    return [column.name for column in plan.grouping.columns]


def plain(value: Any) -> Any:
    """Returns a value as Python's own type: tuples for lists, sorted ones for sets."""
    if isinstance(value, (list, tuple)):
        return tuple(plain(item) for item in value)
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (set, frozenset)):
        items = [plain(item) for item in value]
        return tuple(items[place] for place in sort_order(items))
    return value.item() if isinstance(value, np.generic) else value


def sort_order(values: Sequence) -> list[int]:
    """Returns the indices that sort values; those of several types, type by type."""
    try:
        return sorted(range(len(values)), key=values.__getitem__)
    except TypeError:
        return sorted(
            range(len(values)),
            key=lambda place: (type(values[place]).__name__, repr(values[place])),
        )


def _value_codes(column: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """Returns int64 [rows], an index into the values, -1 if missing; and the values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy(np.int64)
        return codes, [plain(value) for value in column.cat.categories]
    name = column.name
    if column.dtype == object and pd.api.types.infer_dtype(column) == "mixed":
        column = pd.Series([plain(value) for value in column], dtype=object)
    try:
        codes, values = pd.factorize(column)
        values = [plain(value) for value in values]
        order = sort_order(values)
    except TypeError as error:
        raise ValueError(
            f"column {name!r} must have values that can be hashed to group by it: "
            f"{error}."
        ) from None
    # Of the inverse permutation, -1 takes the last one.
    ranks = np.append(np.argsort(order), -1)
    return ranks[codes], [values[place] for place in order]


def _bucket_codes(column: pd.Series, cut: Column) -> tuple[np.ndarray, list[Interval]]:
    """Returns int64 [rows], the bucket of each row, -1 if missing; and the buckets."""
    numbers = pd.to_numeric(column).to_numpy(np.float64, na_value=np.nan)
    codes = np.searchsorted(np.array(cut.boundaries), numbers, side="right")
    buckets = [Interval(cut, code) for code in range(cut.size)]
    return np.where(np.isnan(numbers), -1, codes), buckets
