"""Weights of groups: the share of draws of each, from its count or from a plan."""

import inspect
import math
import numbers
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfx_resampling.core import targets
from tfx_resampling.core.counts import LabelSets
from tfx_resampling.core.factors import record_factors
from tfx_resampling.core.groups import Column, Grouping
from tfx_resampling.core.plan import Plan
from tfx_resampling.tables.row_groups import Groups, Interval, plan_columns
from tfx_resampling.validate import shown

# How groups are weighed: `group_weights` has the table.
Weighing = str | Mapping | Plan | Callable

# Name -> weight of a group of n rows.
WEIGHINGS = {
    "uniform": np.ones_like,
    "count": lambda n: n,
    "square root": np.sqrt,
    "log": np.log,
    "logx+1": lambda n: np.log(n) + 1,
}
# Groups or labels that a message names; more are counted.
_NAMED = 20


def group_weights(
    weighing: Weighing, counts: np.ndarray, keys: Sequence, columns: Sequence[str]
) -> np.ndarray:
    """Returns float64 [groups], >= 0, sums to 1: the share of draws of each group.

    | `weighing` | weight of a group of n rows |
    |---|---|
    | "uniform", "count" | 1, n |
    | "square root", "log", "logx+1" | n ** 0.5, ln n, ln n + 1 |
    | a target of the planner, "power:0.3", a mapping... | as `core.targets` says |
    | a `Plan` | n times the repeat factor of the group's labels or group |
    | a function of n, or of (n, group) | its result |

    A mapping has groups (or their names) as keys: shares as floats, counts as integers.
    A group of weight 0 is never drawn; a warning names such groups.

    Args:
      weighing: as above.
      counts: int64 [groups], rows of each group, >= 1.
      keys: the groups (`row_groups.Groups.keys`).
      columns: the columns that they are groups of.

    Raises:
      ValueError: unknown weighing; a weight that is not a number, negative or not
        finite; all weights 0; a label that a plan does not know.
    """
    check_weighing(weighing)
    if isinstance(weighing, Plan):
        weights = _plan_weights(weighing, counts, keys, columns)
    elif isinstance(weighing, str) and weighing in WEIGHINGS:
        weights = WEIGHINGS[weighing](np.asarray(counts, np.float64))
    elif isinstance(weighing, (str, Mapping)):
        weights = _target_weights(weighing, counts, keys, columns)
    else:
        weights = _called(weighing, counts, keys)
    return _checked(weights, weighing, keys)


def group_loss_weights(
    objective: Weighing, shares: np.ndarray, groups: Groups
) -> np.ndarray:
    """Returns float32 [groups]: what a sample counts for, 1 in the mean over draws.

    The share of draws that the group would have by `objective`, over the one it has.

    Args:
      objective: a weighing as for `group_weights`; "inverse_factor" is "count".
      shares: float64 [groups], share of draws of each, as `group_weights` returns.
      groups: the groups.

    Raises:
      ValueError: as `group_weights`; or a group that is never drawn is to count.
    """
    if isinstance(objective, str) and objective == "inverse_factor":
        objective = "count"
    wanted = group_weights(objective, groups.counts, groups.keys, groups.columns)
    missing = [
        key
        for key, share, want in zip(groups.keys, shares, wanted)
        if want and not share
    ]
    if missing:
        raise ValueError(
            f"loss_weights cannot bring back groups {missing[:_NAMED]!r}, which are "
            "never drawn."
        )
    ratios = np.divide(wanted, shares, out=np.zeros_like(wanted), where=shares > 0)
    return ratios.astype(np.float32)


def check_weighing(weighing: Weighing) -> None:
    """Raises ValueError unless `group_weights` knows a weighing."""
    if isinstance(weighing, str) and weighing not in WEIGHINGS:
        try:
            targets.parse(weighing)
        except ValueError as error:
            if weighing.partition(":")[0] in targets.describe():
                raise
            raise ValueError(_unknown(weighing)) from error
    elif not isinstance(weighing, (str, Mapping, Plan)) and not callable(weighing):
        raise ValueError(_unknown(weighing))


def group_name(key: Any, columns: Sequence[str]) -> str:
    """Returns a group in words: "north", or of several columns "site=north, age=3"."""
    if len(columns) == 1:
        return "(missing)" if key is None else str(key)
    return ", ".join(
        f"{column}={group_name(value, [column])}" for column, value in zip(columns, key)
    )


def _unknown(weighing: Any) -> str:
    return (
        f"group weighing must be one of {list(WEIGHINGS)}, a target of the planner "
        f"({', '.join(targets.describe())}, or a mapping group -> share or count), a "
        f"Plan, or a function of (count) or (count, group), got {shown(weighing)}."
    )


def _target_weights(target, counts, keys, columns) -> np.ndarray:
    names = tuple(group_name(key, columns) for key in keys)
    if isinstance(target, Mapping):
        by_key = dict(zip(keys, names))
        target = {by_key.get(key, key): value for key, value in target.items()}
    target = targets.parse(target)
    if len(set(names)) < len(names) and not isinstance(target, str):
        raise ValueError(
            "group weighing must not be a mapping where groups of different types look "
            f"the same, got groups {list(keys[:_NAMED])!r}. Use a function."
        )
    natural = np.asarray(counts, np.float64)
    if targets.fixes_size(target):
        total = int(natural.sum())
        return natural * targets.fixed_factors(target, names, natural, total)
    return targets.target_shares(target, names, natural)


def _called(function: Callable, counts: np.ndarray, keys: Sequence) -> np.ndarray:
    takes_group = _takes_group(function)
    weights = []
    for count, key in zip(counts.tolist(), keys):
        weight = function(count, key) if takes_group else function(count)
        try:
            weights.append(float(weight))
        except (TypeError, ValueError):
            raise ValueError(
                "group weighing must return a number for each group, got "
                f"{shown(weight)} for group {key!r} of {count} rows."
            ) from None
    return np.array(weights)


def _takes_group(function: Callable) -> bool:
    """Returns whether a function takes (count, group) and not (count) alone.

    By its signature and not by trying: an error within it must not be swallowed. A
    second parameter that has a default is not for the group, unless that is its name.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # NumPy's functions have none: of the count.
        return False
    if any(p.kind == p.VAR_POSITIONAL for p in parameters):
        return True
    positional = [
        p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) < 2:
        return False
    return positional[1].default is inspect.Parameter.empty or (
        positional[1].name == "group"
    )


def _checked(weights: np.ndarray, weighing: Weighing, keys: Sequence) -> np.ndarray:
    described = weighing if isinstance(weighing, str) else type(weighing).__name__
    bad = ~np.isfinite(weights) | (weights < 0)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"weights of groups must be finite and >= 0, got {weights[first].item()!r} "
            f"for group {keys[first]!r} by weighing {described!r}. 0 is for groups "
            "that are never drawn."
        )
    largest = weights.max()
    if largest == 0:
        raise ValueError(
            f"weights of groups must not all be 0, as they are for all {len(keys)} "
            f"groups by weighing {described!r}. Use 'logx+1' or 'uniform'."
        )
    never = [key for key, weight in zip(keys, weights.tolist()) if weight == 0]
    if never:
        names = ", ".join(repr(key) for key in never[:_NAMED])
        more = f" and {len(never) - _NAMED} more" if len(never) > _NAMED else ""
        warnings.warn(
            f"Groups that are never drawn, since weighing {described!r} gives them "
            f"weight 0: {names}{more}.",
            stacklevel=2,
        )
    # First to at most 1: a sum of large weights might overflow.
    weights = weights / largest
    return weights / math.fsum(weights)


def _plan_weights(plan: Plan, counts, keys, columns) -> np.ndarray:
    """Returns float64 [groups], how many samples of each an epoch is expected to emit.

    n times the repeat factor r of the group's rows, as in `core.factors`: of their
    label, their label set (a tuple), or their group. Factors are those of the final
    epochs of a plan with a schedule. Rows without a label have the plan's
    `unlabeled_factor`. Labels are in `plan.label_key`, or in the only column.

    Raises:
      ValueError: a column that the plan needs is not among them, or a value that the
        plan does not know.
    """
    needed = plan_columns(plan)
    is_needed = plan.grouping is not None or len(columns) > 1
    if is_needed and not set(needed) <= set(columns):
        raise ValueError(
            f"groups must be of the plan's columns {needed!r}, got groups of "
            f"{list(columns)!r}. Leave groupby out to group by the plan's columns."
        )
    if len(columns) > 1:
        places = [list(columns).index(name) for name in needed]
        values = [tuple(key[place] for place in places) for key in keys]
    else:
        values = [(key,) for key in keys]
    if plan.grouping is None:
        factors = _label_factors(plan, keys, values)
    else:
        factors = _group_factors(plan, plan.grouping, keys, values)
    return np.asarray(counts, np.float64) * factors


def _label_factors(plan: Plan, keys, values) -> np.ndarray:
    index = {label: i for i, label in enumerate(plan.groups)}
    rows = []
    for key, (value,) in zip(keys, values):
        labels = value if isinstance(value, tuple) else (value,)
        names = {_as_label(label) for label in labels if not _is_missing(label)}
        unknown = sorted(names - set(index))
        if unknown:
            raise ValueError(
                f"labels of group {key!r} must be labels of the plan, got "
                f"{unknown[0]!r}. Labels: {list(plan.groups[:_NAMED])!r}"
                f"{' ...' if len(plan.groups) > _NAMED else ''}. Make the plan from "
                "this data."
            )
        rows.append(sorted(index[name] for name in names))
    label_sets = LabelSets.from_sets(rows, [1] * len(rows))
    return record_factors(np.array(plan.factors), label_sets, plan.rule)


def _group_factors(plan: Plan, grouping: Grouping, keys, values) -> np.ndarray:
    known: dict[tuple, int] = {group: i for i, group in enumerate(grouping.groups)}
    factors = np.empty(len(keys))
    for number, (key, row) in enumerate(zip(keys, values)):
        codes = tuple(
            _code(column, value) for column, value in zip(grouping.columns, row)
        )
        if codes not in known:
            raise ValueError(
                f"group {key!r} must be one of the {len(known)} groups of the plan, "
                "which it is not. Make the plan from this data."
            )
        factors[number] = plan.factors[known[codes]]
    return np.clip(factors, plan.min_factor, plan.max_factor)


def _code(column: Column, value: Any) -> int | None:
    """Returns the code of a value in a column of groups; None: the plan has no such."""
    if _is_missing(value):
        return column.missing
    if column.boundaries is not None:
        if isinstance(value, Interval):
            return value.code
        return int(np.searchsorted(column.boundaries, value, side="right"))
    name = _as_label(value)
    return column.values.index(name) if name in column.values else None


def _as_label(value: Any) -> str:
    """Returns a value as plans write labels: text, integers in decimal."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (float, np.floating)) and value.is_integer():
        return str(int(value))  # A column of integers with missing values.
    return str(int(value)) if isinstance(value, numbers.Integral) else str(value)


def _is_missing(value: Any) -> bool:
    # As in records: an empty string is a label only if somebody wrote it.
    return value is None or (isinstance(value, float) and math.isnan(value))
