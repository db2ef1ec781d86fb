"""Makes a plan: A (counts) -> B (target) -> T (factors) -> what T emits."""

import numpy as np

from tfx_resampling.core import factors as factors_lib
from tfx_resampling.core import targets
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.plan import Plan
from tfx_resampling.version import __version__


def make_plan(counts: LabelCounts, config: PlannerConfig) -> Plan:
    """Returns the plan that turns the distribution of `counts` into the target.

    T = clip(s * B / A, min_factor, max_factor) per label; s follows from `size`. What
    the plan emits is predicted exactly where label sets or single labels are known,
    and as if labels were independent otherwise; the plan says which.

    Args:
      counts: what is known of the labels.
      config: the options.

    Raises:
      ValueError: the target names labels that the data lacks, or a size that cannot be.
    """
    if counts.label_key != config.label_key:
        raise ValueError(
            f"label_key must be that of the counts, {counts.label_key!r}, got "
            f"{config.label_key!r}."
        )
    natural = np.array(counts.counts, np.float64)
    unlabeled_factor = config.unlabeled_factor
    unlabeled_emitted = counts.num_unlabeled * unlabeled_factor
    if targets.fixes_size(config.target):
        unclipped = targets.fixed_factors(
            config.target, counts.labels, natural, counts.num_records
        )
        wanted = natural * unclipped
        shares = wanted / wanted.sum()
    else:
        shares = targets.target_shares(config.target, counts.labels, natural)
        unclipped = factors_lib.label_factors(
            natural, shares, config.size, counts.num_labeled, unlabeled_emitted
        )
    factors = np.clip(unclipped, config.min_factor, config.max_factor)
    rule = dict(
        combine=config.combine,
        min_factor=config.min_factor,
        max_factor=config.max_factor,
        unlabeled_factor=unlabeled_factor,
    )
    if counts.label_sets is not None:
        prediction = "exact"
        predicted, emitted = factors_lib.predict(factors, counts.label_sets, **rule)
    elif counts.multi_label:
        prediction = "independent"
        predicted, emitted = factors_lib.predict_independent(
            factors, natural, counts.num_labeled, **rule
        )
    else:
        prediction = "exact"
        predicted = natural * factors
        emitted = float(predicted.sum())
    return Plan(
        label_key=counts.label_key,
        label_dtype=counts.label_dtype,
        multi_label=counts.multi_label,
        labels=counts.labels,
        counts=counts.counts,
        target=tuple(shares.tolist()),
        factors=tuple(factors.tolist()),
        num_records=counts.num_records,
        num_unlabeled=counts.num_unlabeled,
        seed=config.seed,
        predicted=tuple(predicted.tolist()),
        predicted_records=float(emitted + unlabeled_emitted),
        prediction=prediction,
        warnings=_warnings(counts, config, unclipped, prediction),
        provenance={
            "options": config.to_dict(),
            "source": dict(counts.source),
            "tfx_resampling": __version__,
        },
        **rule,
    )


def _warnings(
    counts: LabelCounts, config: PlannerConfig, unclipped: np.ndarray, prediction: str
) -> tuple:
    warnings = list(counts.notes)
    bounds = (
        ("max_factor", config.max_factor, unclipped > config.max_factor),
        ("min_factor", config.min_factor, unclipped < config.min_factor),
    )
    for name, bound, binds in bounds:
        if binds.any():
            names = [counts.labels[i] for i in np.flatnonzero(binds)]
            warnings.append(
                f"{name} {bound:g} binds for {len(names)} of {len(counts.labels)} "
                f"labels: {_some(names)}. Their target shares are not reached."
            )
    empty = [label for label, n in zip(counts.labels, counts.counts) if n == 0]
    if empty:
        warnings.append(f"No records for {_some(empty)}: target share 0, factor 1.")
    if prediction == "independent":
        warnings.append(
            "Records carry several labels and only their marginal counts are known: "
            "predicted counts assume that labels occur independently of each other."
        )
    return tuple(warnings)


def _some(names: list) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
