"""What a plan does to the data, known before anything is trained.

Counts per label need nothing else; what depends on which labels occur together is
there only where label sets are known.
"""

import numpy as np

from tfx_resampling.core.counts import LabelSets
from tfx_resampling.core.factors import RecordRule

# Shares that differ by less are not worth a word.
_SHARE_TOLERANCE = 1e-4
# Relative distance to a bound of a factor that is at it.
_BOUND_TOLERANCE = 1e-6


def imbalance(
    counts: np.ndarray,
    label_sets: LabelSets | None = None,
    emitted: np.ndarray | None = None,
) -> dict[str, float]:
    """Returns measures of imbalance (Charte et al., Neurocomputing 163, 2015).

    - max_ir, mean_ir: largest and mean imbalance ratio IRLbl(l) = max_k n_k / n_l.
    - cvir: coefficient of variation of IRLbl (standard deviation with n - 1).
    - scumble: mean over records of 1 - geometric / arithmetic mean of the IRLbl of
      their labels: how much frequent and rare labels occur together (Charte et al.,
      HAIS 2014). Needs label sets.

    Labels that do not occur are left out of account.

    Args:
      counts: float64 [labels].
      label_sets: the label sets, if known.
      emitted: float64 [sets], records with each label set; those of `label_sets` if
        None.
    """
    present = counts > 0
    if not present.any():
        return {}
    ratios = np.where(present, counts[present].max() / np.where(present, counts, 1), 0)
    values = ratios[present]
    deviation = values.std(ddof=1) if len(values) > 1 else 0.0
    result = {
        "max_ir": float(values.max()),
        "mean_ir": float(values.mean()),
        "cvir": float(deviation / values.mean()),
    }
    if label_sets is not None:
        weights = label_sets.weights if emitted is None else emitted
        lengths = label_sets.lengths
        filled = (lengths > 0) & (weights > 0)
        starts, sizes = label_sets.indptr[:-1], np.maximum(lengths, 1)
        # reduceat needs a value for empty sets too; they are masked out.
        safe = np.append(np.where(ratios > 0, ratios, 1)[label_sets.indices], 1.0)
        positions = np.minimum(starts, len(safe) - 1)
        arithmetic = np.add.reduceat(safe, positions) / sizes
        geometric = np.exp(np.add.reduceat(np.log(safe), positions) / sizes)
        if filled.any():
            scumble = 1 - geometric[filled] / arithmetic[filled]
            result["scumble"] = float(np.average(scumble, weights=weights[filled]))
    return result


def concentration(label_sets: LabelSets, factors: np.ndarray, rarest: int) -> dict:
    """Returns how unevenly an epoch draws from the distinct records.

    - effective_sample_size: (sum r)^2 / sum r^2 over records (Kish 1965): so many
      records, drawn evenly, tell as much.
    - largest_factor: the largest repeat factor of any record.
    - half_of_rarest: how many distinct records make up half of the samples of the
      label that is rarest in the data.

    Args:
      label_sets: the label sets.
      factors: float64 [sets], repeat factor of each.
      rarest: index of the rarest label.
    """
    weights = label_sets.weights
    total = weights @ factors
    result = {
        "effective_sample_size": float(total**2 / (weights @ factors**2 or 1.0)),
        "largest_factor": float(factors[weights > 0].max()),
    }
    owner = np.repeat(np.arange(len(weights)), label_sets.lengths)
    sets = owner[label_sets.indices == rarest]
    order = sets[np.argsort(-factors[sets], kind="stable")]
    samples = np.cumsum(weights[order] * factors[order])
    if len(order) and samples[-1] > 0:
        half = samples[-1] / 2
        last = int(np.searchsorted(samples, half))
        before = samples[last - 1] if last else 0.0
        records = weights[order[:last]].sum() + (half - before) / factors[order[last]]
        result["half_of_rarest"] = int(np.ceil(records - 1e-9))
    return result


def clipped(
    labels: tuple, label_sets: LabelSets, factors: np.ndarray, rule: RecordRule
) -> dict[str, float]:
    """Returns label -> share of its records whose factor is at a bound, if any is.

    A lower bound of 0 clips nothing.

    Args:
      labels: the labels.
      label_sets: the label sets.
      factors: float64 [sets], repeat factor of each.
      rule: the bounds of repeat factors.
    """
    at_most, at_least = _at_bounds(factors, rule)
    at_bound = at_most | (at_least if rule.min_factor > 0 else False)
    total = label_sets.label_totals(label_sets.weights, len(labels))
    bound = label_sets.label_totals(label_sets.weights * at_bound, len(labels))
    return {
        labels[i]: float(bound[i] / total[i]) for i in np.flatnonzero(bound).tolist()
    }


def unreached(
    labels: tuple,
    label_sets: LabelSets,
    factors: np.ndarray,
    predicted: np.ndarray,
    target: np.ndarray,
    rule: RecordRule,
) -> dict[str, str]:
    """Returns label -> why its predicted share is not its target share.

    First those that a bound or their company holds back, by how much.

    Args:
      labels: the labels.
      label_sets: the label sets.
      factors: float64 [sets], repeat factor of each.
      predicted: float64 [labels], expected shares.
      target: float64 [labels], B.
      rule: the bounds of repeat factors.
    """
    num_labels = len(labels)
    at_most, at_least = _at_bounds(factors, rule)
    num_sets = label_sets.label_totals(np.ones(len(factors)), num_labels)
    binding = [
        (f"{name} {bound:g}", label_sets.label_totals(at_bound, num_labels))
        for name, bound, at_bound in (
            ("max_factor", rule.max_factor, at_most),
            ("min_factor", rule.min_factor, at_least),
        )
    ]
    missed = np.flatnonzero(
        np.abs(predicted - target) > np.maximum(_SHARE_TOLERANCE, 0.01 * target)
    )
    company = _company(label_sets, num_labels)
    result, gaps = {}, {}
    for label in missed:
        too_low = predicted[label] < target[label]
        verb = "below" if too_low else "above"
        parts = []
        if others := [labels[i] for i in company.get(label, ())]:
            parts.append(f"occurs only together with {_some(others)}")
        bound, bound_sets = binding[0 if too_low else 1]
        if bound_sets[label]:
            parts.append(
                f"{bound} binds for {bound_sets[label]:.0f} of {num_sets[label]:.0f} "
                "label sets"
            )
        # What is held back by a bound, or by company, is the cause of the others.
        gaps[labels[label]] = (not parts, -abs(predicted[label] - target[label]))
        if not parts:
            parts.append(
                "limited by the size of the epoch and the labels it occurs with"
                if too_low
                else "the size is held, and other labels cannot fill it"
            )
        result[labels[label]] = (
            f"{verb} its target ({100 * predicted[label]:.2f}% for "
            f"{100 * target[label]:.2f}%): {'; '.join(parts)}"
        )
    return {name: result[name] for name in sorted(result, key=gaps.__getitem__)}


def _company(label_sets: LabelSets, num_labels: int) -> dict[int, list[int]]:
    """Returns label -> other labels that are in every one of its label sets."""
    members = label_sets.matrix(num_labels)
    together = (members.T @ members).tocoo()
    always = together.data == together.diagonal()[together.row]
    result = {}
    for label, other in zip(together.row[always], together.col[always]):
        if label != other:
            result.setdefault(int(label), []).append(int(other))
    return {label: sorted(others) for label, others in result.items()}


def _at_bounds(factors: np.ndarray, rule: RecordRule) -> tuple[np.ndarray, np.ndarray]:
    """Returns bool [sets]: which factors are at the upper bound, and at the lower."""
    return (
        factors >= rule.max_factor * (1 - _BOUND_TOLERANCE),
        factors <= rule.min_factor * (1 + _BOUND_TOLERANCE),
    )


def _some(names: list) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
