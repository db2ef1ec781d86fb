"""A plan's factors as weights of groups of a table."""

import math
import numbers
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from tfx_resampling.core.counts import LabelSets
from tfx_resampling.core.factors import record_factors
from tfx_resampling.core.plan import Plan
from tfx_resampling.core.strata import Column


def plan_columns(plan: Plan) -> List[str]:
    """Returns the columns of a table that a plan groups rows by."""
    if plan.strata is None:
        return [plan.label_key]
    return [column.name for column in plan.strata.columns]


def plan_weights(
    plan: Plan, counts: np.ndarray, keys: Sequence, columns: Sequence[str]
) -> np.ndarray:
    """Returns float64 [groups], what an epoch of the plan is expected to emit of each.

    n times the repeat factor r of the group's rows, as in `core.factors`: of their
    label, their label set (a tuple), or their stratum. Factors are those of the final
    epochs of a plan with a schedule. Rows without a label have the plan's
    `unlabeled_factor`.

    Args:
      plan: the plan.
      counts: int64 [groups], rows of each group.
      keys: the groups; tuples of values if there are several columns.
      columns: the columns that they are groups of. Labels are in `plan.label_key`, or
        in the only column.

    Raises:
      ValueError: a column that the plan needs is not among them, or a value that the
        plan does not know.
    """
    if plan.strata is not None:
        factors = _strata_factors(plan, keys, columns)
    else:
        factors = _label_factors(plan, keys, columns)
    return np.asarray(counts, np.float64) * factors


def _label_factors(plan: Plan, keys, columns) -> np.ndarray:
    if len(columns) > 1:
        _check_columns(plan, columns)
        place = list(columns).index(plan.label_key)
        keys = [key[place] for key in keys]
    index = {label: i for i, label in enumerate(plan.labels)}
    rows = []
    for key in keys:
        values = key if isinstance(key, tuple) else (key,)
        names = {as_label(value) for value in values if not _is_missing(value)}
        unknown = sorted(names - set(index))
        if unknown:
            raise ValueError(
                f"labels of group {key!r} must be labels of the plan, got "
                f"{unknown[0]!r}. Labels: {list(plan.labels[:20])!r}"
                f"{' ...' if len(plan.labels) > 20 else ''}. Make the plan from this "
                "data."
            )
        rows.append(sorted(index[name] for name in names))
    label_sets = LabelSets.from_sets(rows, [1] * len(rows))
    return record_factors(np.array(plan.factors), label_sets, **plan.rule)


def _strata_factors(plan: Plan, keys, columns) -> np.ndarray:
    _check_columns(plan, columns)
    places = [list(columns).index(name) for name in plan_columns(plan)]
    known = {group: i for i, group in enumerate(plan.strata.groups)}
    factors = np.empty(len(keys))
    for number, key in enumerate(keys):
        values = key if len(columns) > 1 else (key,)
        codes = tuple(
            _code(column, values[place])
            for column, place in zip(plan.strata.columns, places)
        )
        if codes not in known:
            raise ValueError(
                f"group {key!r} must be one of the {len(known)} strata of the plan, "
                "which it is not. Make the plan from this data."
            )
        factors[number] = plan.factors[known[codes]]
    return np.clip(factors, plan.min_factor, plan.max_factor)


def _check_columns(plan: Plan, columns: Sequence[str]) -> None:
    missing = [name for name in plan_columns(plan) if name not in columns]
    if missing:
        raise ValueError(
            f"groups must be of the plan's columns {plan_columns(plan)!r}, got groups "
            f"of {list(columns)!r}. Leave groupby out to group by the plan's columns."
        )


def _code(column: Column, value: Any) -> Optional[int]:
    """Returns the code of a value in a column of strata; None if it is unknown."""
    if _is_missing(value):
        return column.missing
    if column.boundaries is not None:
        if isinstance(value, Interval):
            return value.code
        return int(np.searchsorted(column.boundaries, value, side="right"))
    name = as_label(value)
    return column.values.index(name) if name in column.values else None


def as_label(value: Any) -> str:
    """Returns a value as plans write labels: text, integers in decimal."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (float, np.floating)) and value.is_integer():
        return str(int(value))  # A column of integers with missing values.
    return str(int(value)) if isinstance(value, numbers.Integral) else str(value)


def _is_missing(value: Any) -> bool:
    # As in records: an empty string is a label only if somebody wrote it.
    return value is None or (isinstance(value, float) and math.isnan(value))


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


def buckets(column: Column, values: np.ndarray) -> Tuple[np.ndarray, List[Interval]]:
    """Returns int64 [n], the bucket of each of `values` (NaN: -1), and the buckets."""
    codes = np.searchsorted(column.boundaries, values, side="right")
    return np.where(np.isnan(values), -1, codes), [
        Interval(column, code) for code in range(column.size)
    ]
