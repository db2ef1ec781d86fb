"""Makes a plan: A (counts) -> B (target) -> T (factors) -> what T emits."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfx_resampling.core import targets
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.counts import LabelCounts, LabelSets
from tfx_resampling.core.factors import (
    Emission,
    RecordRule,
    distance,
    emission,
    held_size,
    label_factors,
    labeled_records,
    shares,
)
from tfx_resampling.core.plan import Plan
from tfx_resampling.fitting import diagnostics, exact
from tfx_resampling.fitting.closest import Candidate, Closest
from tfx_resampling.version import __version__

# Total-variation distance up to which a fit has reached its target.
_REACHED = 1e-6
# The same for the smallest or largest epoch, whose size is found by trying.
_REACHED_AT_SIZE = 1e-4
# What it costs, in distance, if all labels move away from their targets: one of a few
# is worse than any distance; a handful of thousands, where a search must end early, is
# better than a plan that is next to natural.
_ASTRAY_COST = 4.0
# Distances that are about the same, by what is preferred among them.
_SLACK = {"distance": 0.005, "samples": 0.06}
# Relative error of a size that is worth a warning.
_SIZE_MISSED = 0.005
# What records of one identity may do to a label's number of samples: so many times the
# variance, whose deviation is half of the bounds of `scan.audit` (4.5 deviations of
# records with numbers of their own: 1 + (4.5 / 2)**2), or a deviation of this share of
# the number that is planned. Beyond both, one seed in twenty misses the plan by far.
_INFLATED, _DEVIATION = 6.0, 0.05
# Label sets that a plan keeps: 200 kB of plan.json, where sets have a few labels.
_MOST_SETS = 4_096
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
    max_factor) per label, with s such that the size holds. Several labels with known
    label sets, and `combine="product"`: T is fitted so that the expected emitted shares
    equal B at the size wanted (`fitting.exact`), or come closest to it
    (`fitting.closest`). No label is then moved away from its target, and of plans of
    about the same distance the one of the larger effective sample size is taken
    (`prefer`).

    What the plan emits is predicted exactly where label sets or single labels are
    known. Otherwise it is estimated, from pairwise counts of labels if there are any;
    the plan says which. A schedule changes none of this: it is how the factors come in
    over the epochs, and the plan carries it along.

    Args:
      counts: what is known of the labels.
      config: the options.

    Raises:
      ValueError: the target names labels that the data lacks, a size that cannot be, a
        target that is not reached and `on_unreachable` is "error", or records that
        share identities and `on_duplicates` is "error".
    """
    if counts.label_key != config.label_key:
        raise ValueError(
            f"label_key must be that of the counts, {counts.label_key!r}, got "
            f"{config.label_key!r}."
        )
    made = _transformation(counts, config)
    target, factors, rule, notes = made.target, made.factors, made.rule, made.notes
    emitted = emission(factors, counts, rule)
    _check_epoch(emitted.records, counts, config, notes)
    notes += _size_notes(counts, config, emitted)
    notes += _dropped_notes(counts, emitted)
    if isinstance(config.target, str) and targets.fixes_size(config.target):
        # Of a rule that gives factors and no shares, B is what it emits.
        target = shares(emitted.counts)
    details = _diagnostics(counts, emitted, target, rule)
    if len(made.trade_off) > 1:
        details["trade_off"] = made.trade_off
    notes += _target_notes(details, emitted, target, config)
    notes += _unlabeled_notes(counts, config, emitted)
    identity, found = _told_apart(counts, config, emitted)
    notes += found
    if counts.duplicates is not None:
        details["distinct_records"] = counts.duplicates.num_distinct
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
        unlabeled_known=counts.unlabeled_known,
        seed=config.seed,
        identity=identity,
        key_features=() if identity == "position" else tuple(config.key_features),
        unknown_labels=config.unknown_labels,
        predicted=tuple(emitted.counts.tolist()),
        predicted_records=emitted.records
        + counts.num_unlabeled * config.unlabeled_factor,
        prediction=emitted.kind,
        label_sets=_label_sets(counts),
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


@dataclasses.dataclass(frozen=True, eq=False)
class _Transformation:
    """How A becomes B.

    Attributes:
      target: float64 [labels], B.
      factors: float64 [labels], T.
      rule: how they are combined and bounded.
      notes: what a user should know.
      trade_off: `diagnostics["trade_off"]`; empty where there is nothing to weigh.
    """

    target: np.ndarray
    factors: np.ndarray
    rule: RecordRule
    notes: list[str]
    trade_off: list[dict[str, float | bool]] = dataclasses.field(default_factory=list)


def _transformation(counts: LabelCounts, config: PlannerConfig) -> _Transformation:
    """Returns how A becomes B."""
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
    kept = targets.kept_labels(config.keep_natural, config.target, counts.groups)
    if targets.fixes_size(config.target):
        factors = targets.fixed_factors(
            config.target, counts.groups, natural, counts.num_records, kept
        )
        wanted = natural * factors
        target = wanted / wanted.sum()
        if fitted is not None and targets.is_counts(config.target):
            bounds = exact.Bounds(config.min_factor, config.max_factor)
            factors = exact.fit_counts(fitted, wanted, bounds)
            return _Transformation(target, factors, rule, notes)
        clipped = np.clip(factors, config.min_factor, config.max_factor)
    else:
        target = targets.target_shares(config.target, counts.groups, natural, kept)
        num_records = labeled_records(
            config.size,
            counts.num_labeled,
            counts.num_unlabeled * config.unlabeled_factor,
        )
        if fitted is not None:
            # Records, not labels, are bounded then: a factor of 300 is no harm where
            # every record with the label also has one of 0.1.
            found = _fit(fitted, target, config, num_records, rule)
            notes += _fit_notes(found, counts, config)
            return _Transformation(
                target, found.factors, found.rule, notes, found.trade_off()
            )
        scale = num_records / counts.num_labeled
        factors = label_factors(natural, target, config.size, scale)
        if config.is_size_open:
            clipped = np.clip(factors, config.min_factor, config.max_factor)
        else:
            clipped = held_size(factors, counts, rule, num_records, kept)
    notes += _bound_notes(factors, counts, config)
    return _Transformation(target, clipped, rule, notes)


def _bound_notes(
    factors: np.ndarray, counts: LabelCounts, config: PlannerConfig
) -> list[str]:
    """Returns warnings of labels whose factors are out of bounds."""
    notes = []
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
    positive = factors[(factors > 0) & (np.array(counts.counts) > 0)]
    if notes and not counts.multi_label and len(positive):
        # Of single labels it is known at which sizes no bound would bind.
        scale = config.max_factor / positive.max()
        if scale * positive.min() >= config.min_factor and scale < 1:
            epoch = factors @ np.array(counts.counts, np.float64) * scale
            notes.append(
                f"With size='records:{int(epoch)}' or fewer no bound binds, and the "
                "target is reached."
            )
    return notes


@dataclasses.dataclass(frozen=True, eq=False)
class _Fit:
    """Fitted factors, and what was weighed against them.

    Attributes:
      factors: float64 [labels], T.
      rule: the rule, with the bounds of the size asked for.
      chosen: the plan that was taken.
      candidates: all that were found; the only one where the target is reached.
    """

    factors: np.ndarray
    rule: RecordRule
    chosen: Candidate
    candidates: list[Candidate]

    def trade_off(self) -> list[dict[str, float | bool]]:
        """Returns the candidates that are the best of their distance, closest first."""
        kept, best = [], (-np.inf, -np.inf)
        for each in sorted(self.candidates, key=lambda c: c.distance):
            sizes = (each.effective_sample_size, each.records)
            if each is self.chosen or sizes[0] > best[0]:
                best = max(best, sizes)
                kept.append(
                    {
                        "distance": each.distance,
                        "effective_sample_size": each.effective_sample_size,
                        "records": each.records,
                        "chosen": each is self.chosen,
                    }
                )
        return kept


def _fit(
    label_sets: LabelSets,
    target: np.ndarray,
    config: PlannerConfig,
    num_records: float,
    rule: RecordRule,
) -> _Fit:
    """Returns factors that emit the target, or come closest to it.

    Args:
      label_sets: the label sets.
      target: float64 [labels], B.
      config: `size` and `prefer`.
      num_records: labeled records that an epoch is to emit.
      rule: the rule that is asked for.
    """
    is_open, is_smallest = config.is_size_open, config.size == "oversample"
    if is_open:
        limit = max if is_smallest else min
        low, high = limit(rule.min_factor, 1.0), limit(rule.max_factor, 1.0)
        rule = dataclasses.replace(rule, min_factor=low, max_factor=high)
    low, high = rule.min_factor, rule.max_factor
    bounds = exact.Bounds(low, high)
    if is_open:
        fitted = exact.fit_extreme_size(label_sets, target, bounds, not is_smallest)
    else:
        fitted = exact.fit_factors(label_sets, target, num_records, bounds)
    search = Closest(label_sets, target, low, high, None if is_open else num_records)
    candidates = [search.given(fitted)]
    if candidates[0].distance > (_REACHED_AT_SIZE if is_open else _REACHED):
        if is_open:
            candidates += search.sizes(fitted, is_smallest)
        else:
            candidates += search.trade_off(fitted)

    def gain(candidate):
        if is_open:
            return -candidate.records if is_smallest else candidate.records
        return candidate.effective_sample_size

    def cost(candidate):
        return candidate.distance + _ASTRAY_COST * len(candidate.astray) / len(target)

    least = min(map(cost, candidates))
    near = [c for c in candidates if cost(c) <= least + _SLACK[config.prefer]]
    chosen = max(near, key=gain)
    if len(candidates) == 1:
        return _Fit(fitted, rule, chosen, candidates)
    return _Fit(chosen.factors, rule, chosen, candidates)


def _fit_notes(found: _Fit, counts: LabelCounts, config: PlannerConfig) -> list[str]:
    """Returns what a fit costs: labels on the wrong side, and small epochs."""
    notes = []
    # Where the target is reached, only the number of labels per record has changed.
    if found.chosen.astray and found.chosen.distance > config.tolerance:
        names = [counts.groups[i] for i in found.chosen.astray]
        notes.append(
            f"Emitted less often than naturally though their share is to rise, or more "
            f"often though it is to fall: {_some(names)}. The bounds, and the labels "
            "they occur with, force it: widen min_factor and max_factor, or choose a "
            "nearer target."
        )
    if config.size == "undersample":
        others = [
            f"{each.records:.0f} at distance {each.distance:.3f}"
            for each in sorted(found.candidates, key=lambda c: -c.records)
            if each.records > 1.2 * found.chosen.records
        ]
        also = f" Larger epochs are farther off: {', '.join(others[:4])}." * bool(
            others
        )
        notes.append(
            f"Undersampling keeps {found.chosen.records:.0f} of {counts.num_labeled} "
            f"labeled records at distance {found.chosen.distance:.3f} to the target."
            + also
        )
    return notes


def _check_epoch(
    records: float, counts: LabelCounts, config: PlannerConfig, notes: list[str]
) -> None:
    """Raises ValueError where undersampling leaves next to nothing."""
    least = config.min_epoch * counts.num_labeled
    if config.size == "undersample" and records < least:
        raise ValueError(
            f"undersampling leaves {records:.0f} of {counts.num_labeled} labeled "
            f"records per epoch, less than min_epoch {config.min_epoch:g} of them. "
            f"{' '.join(notes)} Choose size='preserve' or a ratio, a target nearer to "
            "the natural one, prefer='samples', or min_epoch=0 to plan it all the same."
        )


def _label_sets(counts: LabelCounts) -> dict[str, float]:
    """Returns `Plan.label_sets`."""
    if not counts.multi_label or counts.label_sets is None:
        return {}
    natural = np.array(counts.counts, np.float64)
    return counts.label_sets.sampled(_MOST_SETS, natural).to_mapping()


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
        "clipped": diagnostics.clipped(counts.groups, sets, per_set, rule),
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
    reasons = [
        f"{label} is {why}." for label, why in details.get("unreached", {}).items()
    ]
    shown = reasons[:5]
    if len(reasons) > 5:
        shown.append(f"And {len(reasons) - 5} more labels.")
    return [
        f"The target is not reached: total-variation distance {missed:.4f}. "
        + " ".join(shown)
    ]


def _size_notes(
    counts: LabelCounts, config: PlannerConfig, emitted: Emission
) -> list[str]:
    """Returns a warning where the bounds do not allow the size that was asked for."""
    if config.is_size_open or targets.fixes_size(config.target):
        return []
    unlabeled = counts.num_unlabeled * config.unlabeled_factor
    wanted = labeled_records(config.size, counts.num_labeled, unlabeled)
    if abs(emitted.records - wanted) <= _SIZE_MISSED * wanted:
        return []
    return [
        f"The size is not held: an epoch emits {emitted.records:.0f} labeled records "
        f"instead of {wanted:.0f}, all that min_factor {config.min_factor:g} and "
        f"max_factor {config.max_factor:g} allow."
    ]


def _dropped_notes(counts: LabelCounts, emitted: Emission) -> list[str]:
    """Returns a warning where labels that the data has are not emitted."""
    natural = np.array(counts.counts)
    dropped = np.flatnonzero((natural > 0) & (emitted.counts <= 0))
    if not len(dropped):
        return []
    names = [counts.groups[i] for i in dropped]
    return [f"Dropped altogether, factor 0: {_some(names)}."]


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


def _told_apart(
    counts: LabelCounts, config: PlannerConfig, emitted: Emission
) -> tuple[str, list[str]]:
    """Returns the kind of identity that the plan takes, and why.

    Raises:
      ValueError: records that share an identity would throw planned counts off, and
        `on_duplicates` is "error".
    """
    found, sets, per_set = counts.duplicates, counts.known_sets, emitted.per_set
    if found is None or sets is None or per_set is None:
        return config.identity, []
    if found.known_by != config.known_by:
        return config.identity, []
    fraction = per_set - np.floor(per_set)
    single = sets.label_totals(
        sets.weights * fraction * (1 - fraction), len(counts.groups)
    )
    inflation = np.array(found.inflation)
    deviations = np.sqrt(single * np.maximum(inflation - 1, 0))
    shown = deviations / np.maximum(emitted.counts, 1.0)
    is_off = (inflation > _INFLATED) & (shown > _DEVIATION)
    if not is_off.any():
        return config.identity, []
    worst = int(np.argmax(np.where(is_off, shown, 0)))
    names = [counts.groups[i] for i in np.flatnonzero(is_off)]
    words = (
        f"{counts.num_records:,} records have {found.num_distinct:,} identities "
        f"({found.known_by}), and records of one identity share one uniform number: "
        "they are kept or dropped together. That throws the counts of "
        f"{len(names)} labels off ({_some(names)}): an epoch has "
        f"{emitted.counts[worst]:.0f} +- {deviations[worst]:.0f} samples of "
        f"{counts.groups[worst]!r}."
    )
    if config.on_duplicates == "position":
        return "position", [f"{words} Records are known by their position instead."]
    if config.on_duplicates == "warn":
        return config.identity, [words]
    raise ValueError(
        f"records must have identities of their own: {words} Name key_features that "
        "tell them apart, or set identity='position' (file name and number of the "
        "record), or on_duplicates='position' or 'warn'."
    )


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
