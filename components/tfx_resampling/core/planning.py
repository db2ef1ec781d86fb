"""Makes a plan: A (counts) -> B (target) -> T (factors) -> what T emits."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfx_resampling.core import diagnostics, fit, targets
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.counts import LabelCounts, LabelSets
from tfx_resampling.core.factors import (
    Emission,
    RecordRule,
    distance,
    emission,
    emission_of_sets,
    label_factors,
    labeled_records,
    plain_factors,
    shares,
)
from tfx_resampling.core.plan import Plan
from tfx_resampling.version import __version__

# Total-variation distance up to which a fit has reached its target.
_REACHED = 1e-6
# Share of unlabeled records in an epoch that is worth a warning.
_MANY_UNLABELED = 0.2

_MARGINAL_NOTES = {
    "independent": "Records carry several labels and only their marginal counts are "
    "known: predicted counts assume that labels occur independently. Give the planner "
    "examples for a plan that reaches the target.",
    "pairwise": "Records carry several labels, only marginal and pairwise counts are "
    "known: by the pairs, this plan misses the target by a total-variation distance of "
    "about {distance:.3f}. Give the planner examples for one that reaches it.",
}


def make_plan(counts: LabelCounts, config: PlannerConfig) -> Plan:
    """Returns the plan that turns the distribution of `counts` into the target.

    Single labels, or only marginal counts known: T = clip(s * B / A, min_factor,
    max_factor) per label; s follows from `size`. Several labels with known label sets,
    and `combine="product"`: T is fitted so that the expected emitted shares equal B at
    the size wanted, or come closest to it (`core.fit`).

    What the plan emits is predicted exactly where label sets or single labels are
    known. Otherwise it is estimated, from pairwise counts of labels if there are any;
    the plan says which. A schedule changes none of this: it is how the factors come in
    over the epochs, and the plan carries it along.

    Args:
      counts: what is known of the labels.
      config: the options.

    Raises:
      ValueError: the target names labels that the data lacks, a size that cannot be, or
        a target that is not reached and `on_unreachable` is "error".
    """
    if counts.label_key != config.label_key:
        raise ValueError(
            f"label_key must be that of the counts, {counts.label_key!r}, got "
            f"{config.label_key!r}."
        )
    target, factors, rule, notes = _transformation(counts, config)
    emitted = emission(factors, counts, rule)
    if isinstance(config.target, str) and targets.fixes_size(config.target):
        # Of a rule that gives factors and no shares, B is what it emits.
        target = shares(emitted.counts)
    details = _diagnostics(counts, emitted, target, rule)
    notes += _target_notes(details, emitted, target, config)
    notes += _unlabeled_notes(counts, config, emitted)
    plan = Plan(
        label_key=counts.label_key,
        label_dtype=counts.label_dtype,
        multi_label=counts.multi_label,
        groups=counts.groups,
        classes=counts.classes,
        grouping=counts.grouping,
        counts=counts.counts,
        target=tuple(target.tolist()),
        factors=tuple(factors.tolist()),
        num_records=counts.num_records,
        num_unlabeled=counts.num_unlabeled,
        seed=config.seed,
        key_feature=config.key_feature,
        unknown_labels=config.unknown_labels,
        predicted=tuple(emitted.counts.tolist()),
        predicted_records=emitted.records
        + counts.num_unlabeled * config.unlabeled_factor,
        prediction=emitted.kind,
        schedule=config.schedule,
        diagnostics=details,
        warnings=(*counts.notes, *notes),
        provenance={
            "options": config.to_dict(),
            "source": dict(counts.source),
            "tfx_resampling": __version__,
        },
        **dataclasses.asdict(rule),
    )
    if config.on_unreachable == "error" and plan.prediction == "exact":
        _check_reached(plan, config.tolerance)
    return plan


def _transformation(
    counts: LabelCounts, config: PlannerConfig
) -> tuple[np.ndarray, np.ndarray, RecordRule, list[str]]:
    """Returns (B, T, rule, warnings)."""
    natural = np.array(counts.counts, np.float64)
    rule = RecordRule(
        combine=config.combine,
        min_factor=config.min_factor,
        max_factor=config.max_factor,
        unlabeled_factor=config.unlabeled_factor,
    )
    empty = [label for label, n in zip(counts.groups, counts.counts) if n == 0]
    notes = []
    if empty:
        notes.append(f"No records for {_some(empty)}: target share 0, factor 1.")
    # Of several labels that are combined by their product, if label sets are known.
    fitted = counts.label_sets if counts.multi_label else None
    if config.combine != "product":
        fitted = None
    if targets.fixes_size(config.target):
        factors = targets.fixed_factors(
            config.target, counts.groups, natural, counts.num_records
        )
        wanted = natural * factors
        target = wanted / wanted.sum()
        if fitted is not None and targets.is_counts(config.target):
            bounds = fit.Bounds(config.min_factor, config.max_factor)
            return target, fit.fit_counts(fitted, wanted, bounds), rule, notes
    else:
        target = targets.target_shares(config.target, counts.groups, natural)
        num_records = labeled_records(
            config.size,
            counts.num_labeled,
            counts.num_unlabeled * config.unlabeled_factor,
        )
        if fitted is not None:
            # Records, not labels, are bounded then: a factor of 300 is no harm where
            # every record with the label also has one of 0.1.
            factors, rule = _fit(fitted, target, config.size, num_records, rule, notes)
            return target, factors, rule, notes
        scale = num_records / counts.num_labeled
        factors = label_factors(natural, target, config.size, scale)
    clipped = np.clip(factors, config.min_factor, config.max_factor)
    for name, bound, binds in (
        ("max_factor", config.max_factor, factors > config.max_factor),
        ("min_factor", config.min_factor, factors < config.min_factor),
    ):
        if binds.any():
            names = [counts.groups[i] for i in np.flatnonzero(binds)]
            notes.append(
                f"{name} {bound:g} binds for {len(names)} of {len(counts.groups)} "
                f"labels: {_some(names)}. Their target shares are not reached."
            )
    return target, clipped, rule, notes


def _fit(
    label_sets: LabelSets,
    target: np.ndarray,
    size: None | str | int | float,
    num_records: float,
    rule: RecordRule,
    notes: list[str],
) -> tuple[np.ndarray, RecordRule]:
    """Returns (T, rule).

    Args:
      label_sets: the label sets.
      target: float64 [labels], B.
      size: as `PlannerConfig.size`.
      num_records: labeled records that an epoch is to emit.
      rule: the rule that is asked for.
      notes: gets a line where the rule is another one.
    """
    if size in ("undersample", "oversample"):
        limit = min if size == "undersample" else max
        low, high = limit(rule.min_factor, 1.0), limit(rule.max_factor, 1.0)
        rule = dataclasses.replace(rule, min_factor=low, max_factor=high)
        largest = size == "undersample"
        bounds = fit.Bounds(low, high)
        return fit.fit_extreme_size(label_sets, target, bounds, largest), rule
    bounds = fit.Bounds(rule.min_factor, rule.max_factor)
    factors = fit.fit_factors(label_sets, target, num_records, bounds)
    best = distance(emission_of_sets(factors, label_sets, rule).counts, target)
    if best > _REACHED:
        # Of an unreachable target the fit is close to the closest distribution; now and
        # then the plain rule happens to be closer.
        for combine in ("product", "max"):
            other = dataclasses.replace(rule, combine=combine)
            plain = plain_factors(label_sets, target, num_records, other)
            if plain is None:
                continue
            missed = distance(emission_of_sets(plain, label_sets, other).counts, target)
            if missed < best:
                best, factors, rule = missed, plain, other
        if rule.combine != "product":
            notes.append(
                "The target is not reached; combining factors by their maximum instead "
                "of their product comes closest to it."
            )
    return factors, rule


def _diagnostics(
    counts: LabelCounts, emitted: Emission, target: np.ndarray, rule: RecordRule
) -> dict[str, Any]:
    """Returns `Plan.diagnostics`; without label sets there are fewer."""
    natural = np.array(counts.counts, np.float64)
    sets, per_set = counts.known_sets, emitted.per_set
    if sets is None or per_set is None:
        measures = {
            "natural": diagnostics.imbalance(natural),
            "predicted": diagnostics.imbalance(emitted.counts),
        }
        return {"imbalance": measures}
    weights = sets.weights * per_set
    rarest = int(np.argmin(np.where(natural > 0, natural, np.inf)))
    predicted = shares(emitted.counts)
    return {
        "imbalance": {
            "natural": diagnostics.imbalance(natural, sets),
            "predicted": diagnostics.imbalance(emitted.counts, sets, weights),
        },
        **diagnostics.concentration(sets, per_set, rarest),
        "unreached": diagnostics.unreached(
            counts.groups, sets, per_set, predicted, target, rule
        ),
    }


def _target_notes(
    details: Mapping[str, Any],
    emitted: Emission,
    target: np.ndarray,
    config: PlannerConfig,
) -> list[str]:
    """Returns a warning where the target is missed, or may be."""
    missed = distance(emitted.counts, target)
    if emitted.kind != "exact":
        return [_MARGINAL_NOTES[emitted.kind].format(distance=missed)]
    if missed <= config.tolerance:
        return []
    reasons = [f"{label} is {why}." for label, why in details["unreached"].items()]
    shown = reasons[:5]
    if len(reasons) > 5:
        shown.append(f"And {len(reasons) - 5} more labels.")
    return [
        f"The target is not reached: total-variation distance {missed:.4f}. "
        + " ".join(shown)
    ]


def _unlabeled_notes(
    counts: LabelCounts, config: PlannerConfig, emitted: Emission
) -> list[str]:
    """Returns a warning where unlabeled records make up much more than they did."""
    unlabeled = counts.num_unlabeled * config.unlabeled_factor
    share = unlabeled / ((emitted.records + unlabeled) or 1)
    if share <= max(_MANY_UNLABELED, 2 * counts.num_unlabeled / counts.num_records):
        return []
    return [
        f"{share:.0%} of the records that an epoch emits have no label: {unlabeled:.0f}"
        f" beside {emitted.records:.0f} with labels. Set unlabeled to 'drop' or to a "
        "factor."
    ]


def _check_reached(plan: Plan, tolerance: float) -> None:
    if plan.distance > tolerance:
        reasons = "; ".join(
            f"{label!r} is {reason}"
            for label, reason in list(plan.diagnostics["unreached"].items())[:10]
        )
        raise ValueError(
            f"target is not reached: total-variation distance {plan.distance:.4f} > "
            f"tolerance {tolerance:g}. {reasons}. Change target, max_factor or "
            "min_factor, or set on_unreachable='warn'."
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
