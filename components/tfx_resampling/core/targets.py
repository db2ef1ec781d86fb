"""From the natural distribution A to the target distribution B.

Shares are shares of label occurrences: they sum to 1 over the labels, and a record
with two labels counts in two. A further named target is one more entry of `RULES`.
"""

import dataclasses
import json
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfx_resampling.validate import shown

Target = str | Mapping[str, int | float]

# Of less an epoch of a million million samples would have none; products of factors
# that are much smaller are no numbers of 64 bits.
_LEAST_SHARE = 1e-12


@dataclasses.dataclass(frozen=True)
class Interval:
    """Where the number of a target lies.

    Attributes:
      words: as an error has it, e.g. "from 0 to 1".
      holds: number -> whether it lies there.
    """

    words: str
    holds: Callable[[float], bool]


@dataclasses.dataclass(frozen=True)
class Rule:
    """A target that has a name. It gives either shares or factors.

    Attributes:
      name: its name; with an interval it is written "name:NUMBER".
      help: its formula, for help texts.
      interval: where its number lies; None where it takes none.
      shares: (counts float64 [labels] >= 1, number) -> float64 [labels], what shares
        are in proportion to. The number is NaN where the rule takes none.
      factors: (counts float64 [labels] >= 1, number of records, number) -> float64
        [labels], factors that leave no size to choose.

    Raises:
      ValueError: not exactly one of `shares` and `factors`.
    """

    name: str
    help: str
    interval: Interval | None = None
    shares: Callable[[np.ndarray, float], np.ndarray] | None = None
    factors: Callable[[np.ndarray, int, float], np.ndarray] | None = None

    def __post_init__(self):
        if (self.shares is None) == (self.factors is None):
            raise ValueError(f"target {self.name!r} must give shares or factors.")


def _effective(counts: np.ndarray, beta: float) -> np.ndarray:
    # -expm1(n log beta) = 1 - beta**n without cancellation for beta near 1.
    log_beta = math.log(beta) if beta > 0 else -math.inf
    return counts * (1 - beta) / -np.expm1(counts * log_beta)


def _repeat_threshold(
    counts: np.ndarray, num_records: int, threshold: float
) -> np.ndarray:
    return np.maximum(1.0, np.sqrt(threshold * num_records / counts))


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "natural",
            "share ∝ n: the distribution as it is",
            shares=lambda counts, _: counts,
        ),
        Rule(
            "uniform",
            "share equal for every label",
            shares=lambda counts, _: np.ones_like(counts),
        ),
        Rule(
            "sqrt",
            "share ∝ n ** 0.5 (square-root sampling)",
            shares=lambda counts, _: np.sqrt(counts),
        ),
        Rule(
            "log",
            "share ∝ log(n); a label with one record gets none",
            shares=lambda counts, _: np.log(counts),
        ),
        Rule("log1p", "share ∝ log(1 + n)", shares=lambda counts, _: np.log1p(counts)),
        Rule(
            "power",
            "power:Q, 0 <= Q <= 1: share ∝ n ** Q",
            Interval("from 0 to 1", lambda q: 0 <= q <= 1),
            shares=lambda counts, q: counts**q,
        ),
        Rule(
            "effective",
            "effective:BETA, 0 <= BETA < 1: share ∝ n (1 - BETA) / (1 - BETA**n), the "
            "inverse effective number of samples (Cui et al., CVPR 2019)",
            Interval("from 0 to below 1", lambda beta: 0 <= beta < 1),
            shares=_effective,
        ),
        Rule(
            "repeat_threshold",
            "repeat_threshold:T, 0 < T <= 1: factor max(1, sqrt(T / f)), f the "
            "fraction of records with the label (LVIS; Gupta et al., CVPR 2019)",
            Interval("above 0, at most 1", lambda t: 0 < t <= 1),
            factors=_repeat_threshold,
        ),
    )
}
# A mapping label -> share that names every label may miss 1 by rounding only.
_SHARE_TOLERANCE = 1e-3


def describe() -> dict[str, str]:
    """Returns target name -> formula, for help texts."""
    return {rule.name: rule.help for rule in RULES.values()}


def parse(target: Any) -> Target:
    """Returns `target` checked, a JSON object in a string turned into a dict.

    Raises:
      ValueError: unknown name, parameter out of range, or a mapping with values that
        are negative, not finite or not numbers.
    """
    if isinstance(target, str) and target.lstrip().startswith("{"):
        try:
            target = json.loads(target)
        except json.JSONDecodeError as error:
            raise ValueError(f"target is not a JSON object: {error}.") from None
    if isinstance(target, Mapping):
        return _parse_mapping(target)
    if not isinstance(target, str):
        raise ValueError(_not_a_target(target))
    rule, number = _named(target)
    if rule.interval is not None and not rule.interval.holds(number):
        raise ValueError(
            f"target {rule.name} takes a number {rule.interval.words}, got {target!r}."
        )
    return target


def _named(target: str) -> tuple[Rule, float]:
    """Returns the rule that a string names, and its number, NaN if it has none."""
    name, colon, number = target.partition(":")
    rule = RULES.get(name)
    if rule is None or bool(colon) != (rule.interval is not None):
        raise ValueError(_not_a_target(target))
    try:
        return rule, float(number) if colon else math.nan
    except ValueError:
        raise ValueError(_not_a_target(target)) from None


def _not_a_target(target: Any) -> str:
    numbered = [rule.name for rule in RULES.values() if rule.interval is not None]
    return (
        f"target must be a mapping label -> share or count, or one of {list(RULES)} "
        f"({', '.join(numbered)} with a number, as in '{numbered[0]}:0.5'), got "
        f"{shown(target)}."
    )


def _parse_mapping(target: Mapping) -> dict:
    for label, value in target.items():
        if not isinstance(label, str):
            raise ValueError(f"target labels must be strings, got {shown(label)}.")
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value < 0:
            raise ValueError(
                f"target for label {label!r} must be a share or a count, finite and >= "
                f"0, got {shown(value)}."
            )
        if value != 0 and value < _LEAST_SHARE:
            raise ValueError(
                f"target for label {label!r} must be 0 or a share of at least "
                f"{_LEAST_SHARE:g}, got {shown(value)}."
            )
    if not target:
        raise ValueError("target must name at least one label, got an empty mapping.")
    # NumPy's strings and numbers as Python's, which JSON takes.
    return {
        str(label): int(value) if isinstance(value, numbers.Integral) else float(value)
        for label, value in target.items()
    }


def is_counts(target: Target) -> bool:
    """Returns whether `target` is a mapping label -> count (all integers)."""
    return not isinstance(target, str) and all(
        isinstance(value, int) for value in target.values()
    )


def fixes_size(target: Target) -> bool:
    """Returns whether `target` gives the factors themselves and not only shares."""
    if isinstance(target, str):
        return _named(target)[0].factors is not None
    return is_counts(target)


def kept_labels(names: Sequence[str], target: Target, labels: tuple) -> np.ndarray:
    """Returns bool [labels], which of them a target is to leave alone.

    Raises:
      ValueError: a name that is no label, or that the target names too.
    """
    unknown = [name for name in names if name not in set(labels)]
    if unknown:
        raise ValueError(
            f"keep_natural names {unknown[:5]!r}, which the data does not have. "
            f"Labels: {list(labels[:20])!r}{' ...' if len(labels) > 20 else ''}."
        )
    both = [] if isinstance(target, str) else [n for n in names if n in target]
    if both:
        raise ValueError(
            f"keep_natural and target must not name the same labels, got {both[:5]!r} "
            "in both. Leave them out of one."
        )
    return np.array([label in set(names) for label in labels], bool)


def fixed_factors(
    target: Target,
    labels: tuple,
    counts: np.ndarray,
    num_records: int,
    kept: np.ndarray | None = None,
) -> np.ndarray:
    """Returns float64 [labels], the factors of a target that fixes them.

    Args:
      target: a target for which `fixes_size`.
      labels: the labels.
      counts: float64 [labels], natural count of each.
      num_records: number of records, of which `counts` gives the fraction f.
      kept: bool [labels], `kept_labels`: their factor is 1.
    """
    present = counts > 0
    safe = np.where(present, counts, 1.0)
    if isinstance(target, str):
        rule, number = _named(target)
        if rule.factors is None:
            raise ValueError(f"target {target!r} fixes no factors, only shares.")
        factors = rule.factors(safe, num_records, number)
    else:
        _check_labels(target, labels, counts)
        wanted = np.array([target.get(label, n) for label, n in zip(labels, counts)])
        if not wanted.any():
            raise ValueError(
                f"target must leave some label more than 0, got {shown(target)}."
            )
        factors = wanted / safe
    if kept is not None:
        present = present & ~kept
    return np.where(present, factors, 1.0)


def target_shares(
    target: Target,
    labels: tuple,
    counts: np.ndarray,
    kept: np.ndarray | None = None,
) -> np.ndarray:
    """Returns float64 [labels], the target distribution B; sums to 1.

    A label without records has share 0: there is nothing to draw it from. A label that
    is kept has its natural share, B = A; what that leaves is shared by the others as
    the target has it for them alone.

    Args:
      target: a target for which not `fixes_size`.
      labels: the labels, in the order of `counts`.
      counts: float64 [labels], natural count of each, >= 0, not all 0.
      kept: bool [labels], `kept_labels`; None for none.

    Raises:
      ValueError: a mapping names a label that does not exist or has no records, or
        its shares do not sum to 1 where they must; or no other label than kept ones has
        records.
    """
    if kept is not None and kept.any():
        others = np.flatnonzero(~kept)
        if not counts[others].any():
            raise ValueError(
                "keep_natural must leave a label with records to the target, got all "
                "of them. Set target='natural' instead."
            )
        shares = counts / counts.sum()
        left = target_shares(target, tuple(labels[i] for i in others), counts[others])
        shares[others] = left * shares[others].sum()
        return shares
    if not isinstance(target, str):
        return _mapping_shares(target, labels, counts)
    rule, number = _named(target)
    if rule.shares is None:
        raise ValueError(f"target {target!r} fixes factors, not shares.")
    # Labels without records are masked below.
    weights = rule.shares(np.maximum(counts, 1.0), number)
    weights = np.where(counts > 0, weights, 0.0)
    if not weights.any():
        raise ValueError(
            f"target {target!r} gives every label weight 0: no label has more than one "
            "record. Use 'log1p' or 'uniform'."
        )
    return weights / weights.sum()


def _mapping_shares(target: Mapping, labels: tuple, counts: np.ndarray) -> np.ndarray:
    _check_labels(target, labels, counts)
    named = math.fsum(target.values())
    rest = np.array([0.0 if l in target else n for l, n in zip(labels, counts)])
    if rest.any() and named <= 1 + _SHARE_TOLERANCE:
        # Labels that the mapping leaves out share what is left, as they are.
        rest *= max(0.0, 1 - named) / rest.sum()
    elif rest.any() or abs(named - 1) > _SHARE_TOLERANCE:
        raise ValueError(
            f"target shares must sum to {'at most ' if rest.any() else ''}1, got "
            f"{named!r}. Shares are floats that sum to 1; for counts use integers only."
        )
    shares = np.array([target.get(l, r) for l, r in zip(labels, rest)], np.float64)
    return shares / shares.sum()


def _check_labels(target: Mapping, labels: tuple, counts: np.ndarray) -> None:
    unknown = [label for label in target if label not in set(labels)]
    if unknown:
        raise ValueError(
            f"target names {unknown[:5]!r}, which the data does not have. Labels: "
            f"{list(labels[:20])!r}{' ...' if len(labels) > 20 else ''}."
        )
    empty = [l for l, n in zip(labels, counts) if n == 0 and target.get(l, 0) > 0]
    if empty:
        raise ValueError(
            f"target asks for {empty[:5]!r}, which have no records in this split. Give "
            "them 0 or leave them out."
        )
