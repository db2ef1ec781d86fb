"""From A and B to the transformation T, and from T to what it emits."""

import dataclasses

import numpy as np
import scipy.optimize

from tfx_resampling.core import draws, marginals
from tfx_resampling.core.config import LARGEST_FACTOR
from tfx_resampling.core.counts import LabelCounts, LabelSets
from tfx_resampling.validate import shown

# Relative error of the number of records that counts as none.
_SIZE_TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True)
class RecordRule:
    """How the factors of its labels make a record's repeat factor.

    r(y) = clip(combine(T_l, l in y), min_factor, max_factor).

    Attributes:
      combine: "product", "max", "min" or "mean".
      min_factor: lower bound of a labeled record's factor.
      max_factor: upper bound of it.
      unlabeled_factor: factor of records without a label, which is not clipped.
    """

    combine: str
    min_factor: float
    max_factor: float
    unlabeled_factor: float


@dataclasses.dataclass(frozen=True, eq=False)
class Emission:
    """What an epoch emits on average.

    Attributes:
      counts: float64 [labels], occurrences of each label.
      records: records with a label.
      per_set: float64 [sets], repeat factor of each label set; None where label sets
        are not known.
      kind: "exact", or how it is estimated: "pairwise" or "independent", see
        `emission_of_marginals`.
    """

    counts: np.ndarray
    records: float
    per_set: np.ndarray | None
    kind: str


def shares(counts: np.ndarray) -> np.ndarray:
    """Returns `counts` [labels] divided by their sum; zeros where all are 0."""
    return counts / (counts.sum() or 1.0)


def distance(counts: np.ndarray, target: np.ndarray) -> float:
    """Returns the total-variation distance, 0 to 1, of the shares of counts to B."""
    return float(np.abs(shares(counts) - target).sum() / 2)


def label_factors(
    counts: np.ndarray,
    target: np.ndarray,
    size: None | str | int | float,
    scale: float,
) -> np.ndarray:
    """Returns T = s * B / A before clipping, float64 [labels].

    A = counts / sum(counts). s is such that max T = 1 for "undersample", such that the
    smallest positive T = 1 for "oversample", and else `scale`. A label without records
    has T = 1, which multiplies nothing.

    Args:
      counts: float64 [labels], natural counts, >= 0.
      target: float64 [labels], B, sums to 1, 0 where counts are 0.
      size: as `PlannerConfig.size`.
      scale: labeled records that an epoch is to emit, for each that there is.
    """
    present = counts > 0
    natural = counts / counts.sum()
    ratio = np.where(present, target / np.where(present, natural, 1.0), 1.0)
    if size == "undersample":
        scale = 1 / ratio[present].max()
    elif size == "oversample":
        scale = 1 / ratio[present & (target > 0)].min()
    return np.where(present, ratio * scale, 1.0)


def labeled_records(
    size: None | str | int | float, num_labeled: int, unlabeled_emitted: float
) -> float:
    """Returns how many labeled records an epoch of the given size emits.

    Args:
      size: None or a name (as many as there are), a ratio to `num_labeled`, or a number
        of records, from which the unlabeled ones are subtracted.
      num_labeled: natural number of labeled records.
      unlabeled_emitted: unlabeled records that an epoch emits.

    Raises:
      ValueError: nothing is left for labeled records.
    """
    if size is None or isinstance(size, str):
        return float(num_labeled)
    if isinstance(size, float):
        return size * num_labeled
    if size <= unlabeled_emitted:
        raise ValueError(
            f"size must exceed the {unlabeled_emitted:g} unlabeled records that an "
            f"epoch emits, got {shown(size)}. Set unlabeled='drop' or a larger size."
        )
    return size - unlabeled_emitted


def record_factors(
    factors: np.ndarray, label_sets: LabelSets, rule: RecordRule
) -> np.ndarray:
    """Returns r(y) of every label set, float64 [sets].

    The empty set has `rule.unlabeled_factor`. Values are multiples of 2**-32
    (`core.draws`), the very ones that the input graph computes.

    Args:
      factors: float64 [labels], T.
      label_sets: the label sets.
      rule: how factors are combined and bounded.
    """
    result = np.full(len(label_sets.weights), rule.unlabeled_factor, np.float64)
    lengths = label_sets.lengths
    filled = lengths > 0
    if filled.any():
        starts = label_sets.indptr[:-1][filled]
        values = factors[label_sets.indices]
        if rule.combine == "mean":
            combined = np.add.reduceat(values, starts) / lengths[filled]
        else:
            ufunc = {"product": np.multiply, "max": np.maximum, "min": np.minimum}
            with np.errstate(over="ignore", invalid="ignore"):
                combined = ufunc[rule.combine].reduceat(values, starts)
            # A product that overflows before it meets a 0 is 0.
            combined = np.where(np.isnan(combined), 0.0, combined)
        result[filled] = np.clip(combined, rule.min_factor, rule.max_factor)
    return draws.quantize(result)


def emission(factors: np.ndarray, counts: LabelCounts, rule: RecordRule) -> Emission:
    """Returns what an epoch emits on average: exact where label sets are known.

    Args:
      factors: float64 [labels], T.
      counts: what is known of the labels.
      rule: how factors are combined and bounded.
    """
    if counts.known_sets is not None:
        return emission_of_sets(factors, counts.known_sets, rule)
    natural = np.array(counts.counts, np.float64)
    return emission_of_marginals(
        factors, natural, counts.num_labeled, rule, counts.pairs
    )


def emission_of_sets(
    factors: np.ndarray, label_sets: LabelSets, rule: RecordRule
) -> Emission:
    """Returns what an epoch of some label sets emits on average.

    Exact: counts_l = sum of n_y r(y) over sets y with l.

    Args:
      factors: float64 [labels], T.
      label_sets: the label sets, weighted by their number of records.
      rule: how factors are combined and bounded.
    """
    per_set = record_factors(factors, label_sets, rule)
    emitted = label_sets.weights * per_set
    counts = label_sets.label_totals(emitted, len(factors))
    records = float(emitted[label_sets.lengths > 0].sum())
    return Emission(counts, records, per_set, "exact")


def emission_of_marginals(
    factors: np.ndarray,
    counts: np.ndarray,
    num_labeled: int,
    rule: RecordRule,
    pairs: np.ndarray | None = None,
) -> Emission:
    """Returns an estimate for labels whose label sets are not known.

    Labels occur beside each other with the chances that the pairwise counts give
    ("pairwise"), or, without those, independently ("independent"): `core.marginals`.
    Where every factor is 1, what is emitted is what is there, and known exactly.

    Args:
      factors: float64 [labels], T.
      counts: float64 [labels], natural counts.
      num_labeled: records with at least one label.
      rule: how factors are combined and bounded.
      pairs: float64 [labels, labels], records that have both labels, if known.
    """
    if (factors[counts > 0] == 1).all() and rule.min_factor <= 1 <= rule.max_factor:
        return Emission(counts, float(num_labeled), None, "exact")
    per_label, records = marginals.expected(
        factors,
        counts,
        num_labeled,
        pairs,
        rule.combine,
        (rule.min_factor, rule.max_factor),
    )
    kind = "independent" if pairs is None else "pairwise"
    return Emission(per_label, records, None, kind)


def held_size(
    factors: np.ndarray,
    counts: LabelCounts,
    rule: RecordRule,
    num_records: float,
    kept: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the factors times s, clipped, with s such that the size holds.

    T = clip(s * factors, min_factor, max_factor) emits `num_records` labeled records on
    average, or as near to that as the bounds allow.

    Args:
      factors: float64 [labels], positive where labels are wanted.
      counts: what is known of the labels.
      rule: how factors are combined and bounded.
      num_records: labeled records that an epoch is to emit.
      kept: bool [labels], those whose factors are not scaled; None for none.
    """
    absent = np.array(counts.counts) == 0
    is_scaled = 1.0 if kept is None else 1.0 - kept

    def scaled(log_scale):
        scale = np.exp(log_scale * is_scaled)
        bounded = np.clip(factors * scale, rule.min_factor, rule.max_factor)
        return np.where(absent, 1.0, bounded)

    def excess(log_scale):
        return emission(scaled(log_scale), counts, rule).records / num_records - 1

    if abs(excess(0.0)) <= _SIZE_TOLERANCE:
        return scaled(0.0)
    span = np.log(LARGEST_FACTOR)
    low, high = excess(-span), excess(span)
    if low >= 0 or high <= 0:
        return scaled(-span if low >= 0 else span)
    # Estimates cost seconds, and are not known that well.
    tolerance = 1e-12 if counts.known_sets is not None else 1e-4
    return scaled(scipy.optimize.brentq(excess, -span, span, xtol=tolerance))
