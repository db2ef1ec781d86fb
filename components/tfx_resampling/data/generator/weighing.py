"""Weights of groups from their counts. NumPy only."""

import inspect
import math
import warnings
from typing import Any, Callable, Mapping, Sequence, Union

import numpy as np

from tfx_resampling.core import targets
from tfx_resampling.core.plan import Plan
from tfx_resampling.data.generator import plan_weights

Weighing = Union[str, Mapping, Plan, Callable]

# Name -> weight of a group of n rows.
WEIGHINGS = {
    "uniform": np.ones_like,
    "count": lambda n: n,
    "square root": np.sqrt,
    "log": np.log,
    "logx+1": lambda n: np.log(n) + 1,
}
# Groups that a message names; more are counted.
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
    | a `Plan` | n times the repeat factor of the group's labels or stratum |
    | a function of n, or of (n, group) | what it returns |

    A mapping has groups (or their names) as keys: shares as floats, counts as integers.
    A group of weight 0 is never drawn; a warning names such groups.

    Args:
      weighing: as above.
      counts: int64 [groups], rows of each group, >= 1.
      keys: the groups (`groups.Groups.keys`).
      columns: the columns that they are groups of.

    Raises:
      ValueError: unknown weighing; a weight that is not a number, negative or not
        finite; all weights 0; a label that a plan does not know.
    """
    check_weighing(weighing)
    if isinstance(weighing, Plan):
        weights = plan_weights.plan_weights(weighing, counts, keys, columns)
    elif isinstance(weighing, str) and weighing in WEIGHINGS:
        weights = WEIGHINGS[weighing](np.asarray(counts, np.float64))
    elif isinstance(weighing, (str, Mapping)):
        weights = _target_weights(weighing, counts, keys, columns)
    else:
        weights = _called(weighing, counts, keys)
    return _checked(weights, weighing, keys)


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
        f"Plan, or a function of (count) or (count, group), got {weighing!r}."
    )


def _target_weights(target, counts, keys, columns) -> np.ndarray:
    names = tuple(group_name(key, columns) for key in keys)
    if isinstance(target, Mapping):
        by_key = {key: name for key, name in zip(keys, names)}
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
    if target == "log" and not (natural > 1).any():
        return np.zeros_like(natural)  # `_checked` says it in the words of groups.
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
                f"{weight!r} for group {key!r} of {count} rows."
            ) from None
    return np.array(weights)


def _takes_group(function: Callable) -> bool:
    """Says whether a function takes (count, group) and not (count) alone.

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
            f"weights of groups must be finite and >= 0, got {weights[first]!r} for "
            f"group {keys[first]!r} by weighing {described!r}. 0 is for groups that "
            "are never drawn."
        )
    largest = weights.max()
    if largest == 0:
        raise ValueError(
            f"weights of groups must not all be 0, as they are for all {len(keys)} "
            f"groups by weighing {described!r}. Use 'logx+1' or 'uniform'."
        )
    never = [key for key, weight in zip(keys, weights.tolist()) if weight == 0]
    if never:
        shown = ", ".join(repr(key) for key in never[:_NAMED])
        more = f" and {len(never) - _NAMED} more" if len(never) > _NAMED else ""
        warnings.warn(
            f"Groups that are never drawn, since weighing {described!r} gives them "
            f"weight 0: {shown}{more}.",
            stacklevel=2,
        )
    # First to at most 1: a sum of large weights might overflow.
    weights = weights / largest
    return weights / math.fsum(weights)
