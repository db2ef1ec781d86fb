"""Makes a plan: A (counts) -> B (target) -> T (factors) -> what T emits."""

import numpy as np

from tfx_resampling.core import diagnostics, fit, targets
from tfx_resampling.core import factors as factors_lib
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.counts import LabelCounts, LabelSets
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
    label_sets = _known_label_sets(counts)
    target, factors, rule, notes = _transformation(counts, config, label_sets)
    natural = np.array(counts.counts, np.float64)
    measures = {"natural": diagnostics.imbalance(natural, label_sets)}
    details = {"imbalance": measures}
    if label_sets is None:
        prediction = "independent" if counts.pairs is None else "pairwise"
        predicted, emitted = factors_lib.predict_marginal(
            factors, natural, counts.num_labeled, counts.pairs, **rule
        )
        target = _implied(config, predicted, target)
        measures["predicted"] = diagnostics.imbalance(predicted)
        distance = factors_lib.distance(predicted, target)
        notes.append(_MARGINAL_NOTES[prediction].format(distance=distance))
    else:
        prediction = "exact"
        predicted, emitted = factors_lib.predict(factors, label_sets, **rule)
        target = _implied(config, predicted, target)
        per_set = factors_lib.record_factors(factors, label_sets, **rule)
        emitted_sets = label_sets.weights * per_set
        measures["predicted"] = diagnostics.imbalance(
            predicted, label_sets, emitted_sets
        )
        details |= _details(counts, label_sets, per_set, rule, predicted, target)
        notes += _unreached_notes(details["unreached"], predicted, target, config)
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
        predicted=tuple(predicted.tolist()),
        predicted_records=emitted + counts.num_unlabeled * config.unlabeled_factor,
        prediction=prediction,
        schedule=config.schedule,
        diagnostics=details,
        warnings=(*counts.notes, *notes),
        provenance={
            "options": config.to_dict(),
            "source": dict(counts.source),
            "tfx_resampling": __version__,
        },
        **rule,
    )
    if config.on_unreachable == "error" and prediction == "exact":
        _check_reached(plan, config.tolerance)
    return plan


def _unlabeled_notes(
    counts: LabelCounts, config: PlannerConfig, emitted: float
) -> list[str]:
    """Returns a warning where unlabeled records make up much more than they did."""
    unlabeled = counts.num_unlabeled * config.unlabeled_factor
    share = unlabeled / ((emitted + unlabeled) or 1)
    if share <= max(_MANY_UNLABELED, 2 * counts.num_unlabeled / counts.num_records):
        return []
    return [
        f"{share:.0%} of the records that an epoch emits have no label: {unlabeled:.0f}"
        f" beside {emitted:.0f} with labels. Set unlabeled to 'drop' or to a factor."
    ]


def _implied(config: PlannerConfig, predicted: np.ndarray, target: np.ndarray):
    """Returns B: of a rule that gives factors and no shares, what it emits."""
    if isinstance(config.target, str) and targets.fixes_size(config.target):
        return factors_lib.shares(predicted)
    return target


def _known_label_sets(counts: LabelCounts):
    """Returns the label sets; single labels are their own sets."""
    if counts.label_sets is not None or counts.multi_label:
        return counts.label_sets
    singles = [[i] for i in range(len(counts.groups))]
    return LabelSets.from_sets(
        [*singles, []], [*counts.counts, float(counts.num_unlabeled)]
    )


def _transformation(
    counts: LabelCounts, config: PlannerConfig, label_sets
) -> tuple[np.ndarray, np.ndarray, dict, list]:
    """Returns (B, T, rule as in `factors.record_factors`, warnings)."""
    natural = np.array(counts.counts, np.float64)
    rule = dict(
        combine=config.combine,
        min_factor=config.min_factor,
        max_factor=config.max_factor,
        unlabeled_factor=config.unlabeled_factor,
    )
    empty = [label for label, n in zip(counts.groups, counts.counts) if n == 0]
    notes = []
    fitted = counts.multi_label and label_sets and config.combine == "product"
    if empty:
        notes.append(f"No records for {_some(empty)}: target share 0, factor 1.")
    if targets.fixes_size(config.target):
        factors = targets.fixed_factors(
            config.target, counts.groups, natural, counts.num_records
        )
        wanted = natural * factors
        target = wanted / wanted.sum()
        if fitted and targets.is_counts(config.target):
            bounds = fit.Bounds(config.min_factor, config.max_factor)
            return target, fit.fit_counts(label_sets, wanted, bounds), rule, notes
    else:
        target = targets.target_shares(config.target, counts.groups, natural)
        unlabeled_emitted = counts.num_unlabeled * config.unlabeled_factor
        epoch = (config.size, counts.num_labeled, unlabeled_emitted)
        if fitted:
            # Records, not labels, are bounded then: a factor of 300 is no harm where
            # every record with the label also has one of 0.1.
            factors, rule = _fit(label_sets, target, epoch, rule, notes)
            return target, factors, rule, notes
        factors = factors_lib.label_factors(natural, target, *epoch)
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
    label_sets: LabelSets, target: np.ndarray, epoch: tuple, rule: dict, notes: list
) -> tuple[np.ndarray, dict]:
    """Returns (T, rule).

    Args:
      label_sets: the label sets.
      target: float64 [labels], B.
      epoch: the arguments of `factors.labeled_records`.
      rule: as in `factors.record_factors`.
      notes: gets a line where the rule is not the one asked for.
    """
    size, low, high = epoch[0], rule["min_factor"], rule["max_factor"]
    if size in ("undersample", "oversample"):
        limit = min if size == "undersample" else max
        rule = {**rule, "min_factor": limit(low, 1.0), "max_factor": limit(high, 1.0)}
        bounds = fit.Bounds(rule["min_factor"], rule["max_factor"])
        largest = size == "undersample"
        return fit.fit_extreme_size(label_sets, target, bounds, largest), rule
    num_records = factors_lib.labeled_records(*epoch)
    bounds = fit.Bounds(low, high)
    factors = fit.fit_factors(label_sets, target, num_records, bounds)
    best = _distance(factors, label_sets, target, rule)
    if best > _REACHED:
        # Of an unreachable target the fit is close to the closest distribution; now and
        # then the plain rule happens to be closer.
        for combine in ("product", "max"):
            other = {**rule, "combine": combine}
            plain = factors_lib.plain_factors(label_sets, target, num_records, **other)
            if plain is None:
                continue
            distance = _distance(plain, label_sets, target, other)
            if distance < best:
                best, factors, rule = distance, plain, other
        if rule["combine"] != "product":
            notes.append(
                "The target is not reached, and combining factors by their maximum in "
                "place of their product comes closest to it."
            )
    return factors, rule


def _distance(factors, label_sets: LabelSets, target: np.ndarray, rule: dict) -> float:
    counts, _ = factors_lib.predict(factors, label_sets, **rule)
    return factors_lib.distance(counts, target)


def _details(counts, label_sets, per_set, rule, predicted, target) -> dict:
    natural = np.array(counts.counts, np.float64)
    rarest = int(np.argmin(np.where(natural > 0, natural, np.inf)))
    return {
        **diagnostics.concentration(label_sets, per_set, rarest),
        "unreached": diagnostics.unreached(
            counts.groups,
            label_sets,
            per_set,
            factors_lib.shares(predicted),
            target,
            rule["min_factor"],
            rule["max_factor"],
        ),
    }


def _unreached_notes(unreached: dict, predicted, target, config) -> list:
    distance = factors_lib.distance(predicted, target)
    if distance <= config.tolerance:
        return []
    reasons = [f"{label} is {reason}." for label, reason in unreached.items()]
    shown = reasons[:5]
    if len(reasons) > 5:
        shown.append(f"And {len(reasons) - 5} more labels.")
    return [
        f"The target is not reached: total-variation distance {distance:.4f}. "
        + " ".join(shown)
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


def _some(names: list) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
