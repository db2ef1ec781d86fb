"""Groups of the rows of a table, by the values of one or several columns."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tfx_resampling.core.plan import Plan
from tfx_resampling.tables import weights
from tfx_resampling.tables.weights import Weighing, check_weighing


@dataclasses.dataclass(frozen=True)
class Groups:
    """Which rows of a table belong together.

    Attributes:
      columns: what rows are grouped by.
      keys: the groups in order: values, sorted, a missing one (None) last; of several
        columns, tuples of them. A value of several (a label set) is a tuple.
      ids: int32 [rows], the group of each row, an index into `keys`.
      counts: int64 [groups], rows of each, >= 1.
    """

    columns: tuple[str, ...]
    keys: tuple[Any, ...]
    ids: np.ndarray
    counts: np.ndarray


def find_groups(
    frame: pd.DataFrame, groupby: None | str | Sequence[str], weighing: Weighing
) -> Groups | None:
    """Returns the groups that options of a generator ask for; None: none.

    Args:
      frame: the table.
      groupby: columns. None or empty: those of `weighing` if it is a Plan, else none.
      weighing: how groups are weighed.

    Raises:
      ValueError: `groupby` or `weighing` is not valid.
    """
    check_weighing(weighing)
    columns = [groupby] if isinstance(groupby, str) else list(groupby or [])
    if not all(isinstance(name, str) for name in columns):
        raise ValueError(
            f"sampling_groupby must be one or more names of columns, got {groupby!r}."
        )
    if columns:
        return group_rows(frame, columns)
    return plan_groups(frame, weighing) if isinstance(weighing, Plan) else None


def group_rows(frame: pd.DataFrame, columns: Sequence[str]) -> Groups:
    """Returns the groups of rows with equal values in `columns`.

    A missing value (None, NaN, NaT, pandas.NA) is a value; categories without rows are
    no groups. Lists are taken as tuples, sets as sorted ones.

    Raises:
      ValueError: a column is not there, or has values that cannot be compared.
    """
    _check_columns(frame, columns)
    return _combined(columns, [_codes(frame[name], name) for name in columns])


def plan_groups(frame: pd.DataFrame, plan: Plan) -> Groups:
    """Returns the groups that a plan makes: of labels, label sets or groups.

    Numbers that the plan cuts into buckets are grouped by bucket.

    Raises:
      ValueError: a column of the plan is not in the table, or has values that cannot be
        compared.
    """
    columns = weights.plan_columns(plan)
    _check_columns(frame, columns, " Of a plan without groupby, its own are taken.")
    coded = []
    for number, name in enumerate(columns):
        column = plan.grouping.columns[number] if plan.grouping else None
        if column is None or column.boundaries is None:
            coded.append(_codes(frame[name], name))
        else:
            values = pd.to_numeric(frame[name]).to_numpy(np.float64, na_value=np.nan)
            coded.append(weights.buckets(column, values))
    return _combined(columns, coded)


def _check_columns(frame: pd.DataFrame, columns: Sequence[str], hint: str = "") -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ValueError(
            f"groupby must name columns of samples, got {missing[0]!r}. Columns: "
            f"{list(frame.columns)!r}.{hint}"
        )
    if len(set(columns)) < len(columns):
        raise ValueError(f"groupby must name each column once, got {list(columns)!r}.")


def _codes(column: pd.Series, name: str) -> tuple[np.ndarray, list[Any]]:
    """Returns int64 [rows], an index into the values, -1 if missing; and the values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy(np.int64)
        return codes, [plain(value) for value in column.cat.categories]
    if column.dtype == object and pd.api.types.infer_dtype(column) == "mixed":
        column = pd.Series([plain(value) for value in column], dtype=object)
    try:
        codes, values = pd.factorize(column)
        values = [plain(value) for value in values]
        order = sorting(values)
    except TypeError as error:
        raise ValueError(
            f"column {name!r} must have values that can be hashed to group by it: "
            f"{error}."
        ) from None
    ranks = np.empty(len(order) + 1, np.int64)
    ranks[order], ranks[-1] = np.arange(len(order)), -1
    return ranks[codes], [values[place] for place in order]


def _combined(columns: Sequence[str], coded: Sequence[tuple]) -> Groups:
    """Joins the codes of columns into groups that occur, in the order of codes."""
    ids, keys = None, [()]
    for codes, values in coded:
        # The missing value is the last one.
        codes = np.where(codes < 0, len(values), codes)
        values = [*values, None]
        joined = codes if ids is None else ids * len(values) + codes
        ids, found = pd.factorize(joined)
        order = np.argsort(found)
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        ids = ranks[ids]
        keys = [
            (*keys[number // len(values)], values[number % len(values)])
            for number in found[order].tolist()
        ]
    if len(columns) == 1:
        keys = [key for (key,) in keys]
    return Groups(tuple(columns), tuple(keys), ids.astype(np.int32), np.bincount(ids))


def plain(value: Any) -> Any:
    """Returns a value as Python's own type: tuples for lists, sorted ones for sets."""
    if isinstance(value, (list, tuple)):
        return tuple(plain(item) for item in value)
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (set, frozenset)):
        items = [plain(item) for item in value]
        return tuple(items[place] for place in sorting(items))
    return value.item() if isinstance(value, np.generic) else value


def sorting(values: Sequence) -> list[int]:
    """Returns the indices that sort values; those of several types, type by type."""
    try:
        return sorted(range(len(values)), key=values.__getitem__)
    except TypeError:

        def by_type(place):
            value = values[place]
            return type(value).__name__, repr(value)

        return sorted(range(len(values)), key=by_type)
