"""What resampling did to the prior of a model, and how to undo it, in NumPy.

A record with label set S is emitted r(S) times on average, so that a model learns
q(S|x), proportional to r(S) p(S|x), and not p(S|x). References:

- C. Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001
- G. King and L. Zeng, Logistic Regression in Rare Events Data, Political Analysis 2001
- M. Saerens, P. Latinne and C. Decaestecker, Adjusting the Outputs of a Classifier to
  New a Priori Probabilities: A Simple Procedure, Neural Computation 2002
- A. Dal Pozzolo et al., Calibrating Probability with Undersampling for Unbalanced
  Classification, IEEE SSCI 2015
- A. Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special

from tfx_resampling.core.counts import LabelCounts, LabelSets
from tfx_resampling.core.factors import record_factors
from tfx_resampling.core.plan import Plan
from tfx_resampling.validate import check_choice, check_number, check_type, shown

# Probabilities this near to 0 and 1 are taken for it; float32 knows none nearer.
_LEAST = 1e-7
# Repeat factor below which a model has seen next to nothing of a label set, and the
# share of the data in such sets above which there is a note.
_UNSEEN_FACTOR, MOST_UNSEEN = 0.01, 0.01


@dataclasses.dataclass(frozen=True, eq=False)
class Correction:
    """How the logits of a model change when its prior does.

    Call it with logits [..., labels], or use `probabilities`; both keep the shape. One
    label per record: logits of a softmax, to which `shift` is added. Several labels:
    logits of sigmoids, to which `shift` is added, and, where label sets are known, what
    the change of their weights adds.

    Attributes:
      labels: the labels, in the order of the model's outputs.
      multi_label: whether outputs are sigmoids, and not one softmax.
      shift: float64 [labels], is added to each logit.
      members: float64 [sets, labels], 1 where a set has a label; [0, labels] where
        label sets are not known.
      log_trained: float64 [sets], log of how often the stream has each set; -inf for
        those that it never has.
      log_wanted: float64 [sets], log of how often the data have it.
      trained_logits: float64 [labels], logit of the share of emitted records with each
        label; [0] where label sets are not known.
      losses: log loss in nats per record, over the plan's own label sets, of a model
        that knows nothing but the prior that it was trained on: "uncorrected",
        "shift" (log factors taken off), "used" (this correction) and "natural" (the
        least that is possible). Empty where label sets are not known.
      notes: where the correction is not exact, or does harm, and why.
    """

    labels: tuple[str, ...]
    multi_label: bool
    shift: np.ndarray
    members: np.ndarray
    log_trained: np.ndarray
    log_wanted: np.ndarray
    trained_logits: np.ndarray
    losses: Mapping[str, float]
    notes: tuple[str, ...]

    def __call__(self, logits: Any) -> np.ndarray:
        """Returns corrected logits, float64 [..., labels]."""
        logits = self._checked("logits", logits)
        if not len(self.members):
            return logits + self.shift
        scores = (logits - self.trained_logits) @ self.members.T
        moved = self._of_labels(scores + self.log_wanted)
        moved -= self._of_labels(scores + self.log_trained)
        return logits + moved + self.shift

    def probabilities(self, probabilities: Any) -> np.ndarray:
        """Returns corrected probabilities, float64 [..., labels].

        Those within 1e-7 of 0 or 1 count as that far from it.
        """
        given = np.clip(self._checked("probabilities", probabilities), _LEAST, 1)
        if self.multi_label:
            given = np.minimum(given, 1 - _LEAST)
            return scipy.special.expit(self(scipy.special.logit(given)))
        return scipy.special.softmax(self(np.log(given)), axis=-1)

    @property
    def unseen(self) -> float:
        """Share of the data whose label sets the stream never has, or next to never.

        Those of a repeat factor below 0.01. What a model says of them is a guess, which
        no correction makes right.
        """
        wanted = np.exp(self.log_wanted)
        is_unseen = self.log_trained < self.log_wanted + np.log(_UNSEEN_FACTOR)
        return float(wanted[is_unseen].sum() / max(wanted.sum(), _LEAST))

    def _of_labels(self, scores: np.ndarray) -> np.ndarray:
        """Returns the logit of each label, of unnormalized log shares [..., sets]."""
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        least = np.finfo(np.float64).tiny
        having = np.maximum(weights @ self.members, least)
        lacking = np.maximum(weights @ (1 - self.members), least)
        return np.log(having) - np.log(lacking)

    def _checked(self, name: str, values: Any) -> np.ndarray:
        values = np.asarray(values, np.float64)
        if values.ndim < 1 or values.shape[-1] != len(self.labels):
            raise ValueError(
                f"{name} must have {len(self.labels)} columns, one for each label of "
                f"the plan, got shape {values.shape}."
            )
        if np.isnan(values).any():
            raise ValueError(f"{name} must not be NaN.")
        return values


def prior_correction(
    plan: Plan,
    to: str | Mapping[str, float] = "natural",
    counts: LabelCounts | None = None,
    *,
    outputs: str | None = None,
) -> Correction:
    """Returns what takes the resampling out of the outputs of a model.

    One softmax: log r_k is subtracted from logit k, with r_k the factor of its records.
    That is exact: q(k|x) is proportional to r_k p(k|x).

    Sigmoids, which know the labels by their marginal probabilities q(l|x) only. Where
    the plan has its label sets (or `counts` has), no rule and no bound matters: x is
    taken to weigh each label by itself,

        q(S|x) ~ n(S) r(S) prod over l in S of exp(logit q(l|x) - logit q(l)),

    and logits move by the difference that it makes to leave r(S) out. Where x says
    nothing, that gives the natural shares exactly; where it says all, nothing moves.
    Where label sets are not known, the log of the label's own factor is subtracted from
    its logit, which is exact if factors are multiplied, no bound clips and labels are
    independent given x; a ratio of shares, log(B_l / A_l), is not.

    Args:
      plan: what the model was trained with. A schedule ends at these factors: it is the
        last epochs that are corrected.
      to: "natural", the data that were counted; "target", the shares of the plan's
        target (one label per record); or label -> share of the records that have it
        where the model is used. In data of other shares, records with a label are
        assumed to look as they did.
      counts: what the plan is made of; for plans that have no label sets, or a sample.
      outputs: "softmax" or "sigmoid", what the model's outputs are; by default softmax
        for plans of one label per record.

    Raises:
      ValueError: the plan resamples groups, or never emits a label; or `to`, `counts`
        or `outputs` does not fit to it.
    """
    check_type("plan", plan, Plan)
    multi_label = _is_sigmoid(plan, outputs)
    if plan.grouping is not None:
        raise ValueError(
            "plan must be one of labels, got one of groups: how often a record was "
            "seen depends on columns that the model does not predict. Correct the "
            "outputs for each group by itself, or plan by labels."
        )
    notes = []
    if plan.schedule != "constant":
        notes.append(f"schedule {plan.schedule!r}: of its last epochs.")
    sets = _label_sets(plan, counts)
    if not multi_label:
        sets = None
    log_factors = plan.log_factors()
    if multi_label and sets is None:
        notes.append(_why_not_exact(plan))
    shift = _shift_to(plan, to, multi_label)
    if sets is None:
        _check_emitted(plan, np.isfinite(log_factors))
        empty = np.zeros(0)
        members = np.zeros((0, len(shift)))
        shift -= log_factors
        return Correction(
            plan.groups,
            multi_label,
            shift,
            *(members, empty, empty, empty),
            losses={},
            notes=tuple(notes),
        )
    trained = sets.weights * record_factors(np.array(plan.factors), sets, plan.rule)
    members = sets.matrix(len(shift)).toarray()
    emitted = trained @ members / trained.sum()
    if not np.allclose(sets.weights @ members, plan.counts):  # A sample.
        emitted = np.array(plan.predicted) / plan.predicted_records
        notes.append(f"label sets: a sample of {len(members):,}.")
    _check_emitted(plan, (emitted > 0) | (np.array(plan.counts) == 0))
    trained_logits = _logits(emitted)
    with np.errstate(divide="ignore"):
        log_trained, log_wanted = np.log(trained), np.log(sets.weights)
    correction = Correction(
        plan.groups,
        True,
        np.zeros(len(shift)),
        *(members, log_trained, log_wanted, trained_logits),
        losses={},
        notes=tuple(notes),
    )
    # So that the sample is right where x says nothing; of all sets, rounding.
    natural = _logits(np.array(plan.counts) / plan.num_records)
    correction = dataclasses.replace(
        correction, shift=natural - correction(trained_logits)
    )
    losses = _losses(correction, natural, log_factors)
    if correction.unseen > MOST_UNSEEN:
        notes.append(
            f"{correction.unseen:.0%} of the data have label sets that the plan never "
            "emits, or next to never: what a model says of these is a guess. Plan with "
            "a min_factor of 0.1, or a target nearer to the natural one."
        )
    return dataclasses.replace(
        correction,
        shift=correction.shift + shift,
        losses=losses,
        notes=tuple(notes),
    )


def _is_sigmoid(plan: Plan, outputs: str | None) -> bool:
    if outputs is None:
        return plan.multi_label
    check_choice("outputs", outputs, ("softmax", "sigmoid"))
    if outputs == "softmax" and plan.multi_label:
        raise ValueError(
            "outputs must be 'sigmoid' where records have several labels, got "
            "'softmax'."
        )
    return outputs == "sigmoid"


def _logits(shares: np.ndarray) -> np.ndarray:
    return scipy.special.logit(np.clip(shares, _LEAST, 1 - _LEAST))


def estimate_prior(
    probabilities: Any,
    prior: Sequence[float],
    *,
    multi_label: bool = False,
    max_iterations: int = 10_000,
) -> np.ndarray:
    """Returns the shares of labels where a model is used, from its outputs alone.

    The most likely ones (Saerens et al. 2002, by their EM algorithm), if only the
    shares have changed and probabilities are right for `prior`. To be handed to
    `prior_correction` as `to`.

    Args:
      probabilities: float [records, labels], what the model says of unlabeled records,
        corrected to `prior`; of a softmax, or of sigmoids with `multi_label`.
      prior: [labels], shares for which they are right: `plan.natural_shares` after a
        correction to natural, `plan.predicted_shares` without one; with `multi_label`
        of records.
      multi_label: whether each label is estimated by itself.
      max_iterations: after so many steps it stops.

    Returns:
      float64 [labels]; sums to 1 unless `multi_label`.

    Raises:
      ValueError: not of these shapes, or no probabilities.
    """
    given, prior_shares = np.asarray(probabilities, float), np.asarray(prior, float)
    if given.ndim != 2 or not len(given) or given.shape[1:] != prior_shares.shape:
        raise ValueError(
            f"probabilities must be [records, {prior_shares.size}] for a prior of "
            f"{prior_shares.size} labels, got shape {given.shape}."
        )
    is_share = (prior_shares > 0) & (prior_shares < 1)
    if not is_share.all():
        raise ValueError(f"prior must have shares between 0 and 1, got {shown(prior)}.")
    if (given < 0).any() or (given > 1).any() or np.isnan(given).any():
        raise ValueError("probabilities must be from 0 to 1.")
    if not multi_label and not np.allclose(given.sum(axis=1), 1, atol=1e-3):
        raise ValueError(
            "probabilities must sum to 1 in each record; set multi_label for sigmoids."
        )
    found = prior_shares
    for _ in range(max_iterations):
        having = given * (found / prior_shares)
        if multi_label:
            total = having + (1 - given) * ((1 - found) / (1 - prior_shares))
        else:
            total = having.sum(axis=1, keepdims=True)
        before, found = found, (having / total).mean(axis=0)
        if np.abs(found - before).max() < 1e-9:
            break
    return found


def _label_sets(plan: Plan, counts: LabelCounts | None) -> LabelSets | None:
    if counts is None:
        return plan.label_counts().known_sets
    check_type("counts", counts, LabelCounts)
    if counts.groups != plan.groups or counts.counts != plan.counts:
        raise ValueError(
            "counts must be those that the plan is made of: labels or their counts "
            "differ."
        )
    return counts.known_sets


def _why_not_exact(plan: Plan) -> str:
    where = "Plan from examples (count_labels), so that label sets are known."
    if plan.combine != "product":
        return f"combine={plan.combine!r} is not a product of factors. {where}"
    if plan.unlabeled_factor != 1:
        return (
            f"records without a label have the factor {plan.unlabeled_factor}. {where}"
        )
    clipped = plan.diagnostics.get("clipped")
    if clipped:
        return f"bounds clip the factors of records with {list(clipped)}. {where}"
    return f"labels are taken to be independent given x. {where}"


def _check_emitted(plan: Plan, is_emitted: np.ndarray) -> None:
    missing = [label for label, emitted in zip(plan.groups, is_emitted) if not emitted]
    if missing:
        raise ValueError(
            f"the plan never emits {missing[:10]!r}: no correction brings back what a "
            "model has not seen. Plan with a min_factor above 0."
        )


def _shift_to(
    plan: Plan, to: str | Mapping[str, float], multi_label: bool
) -> np.ndarray:
    """Returns float64 [labels], what natural logits are shifted by for other shares."""
    if to == "natural":
        return np.zeros(len(plan.groups))
    if to == "target":
        if plan.multi_label:
            raise ValueError(
                "to='target' is of plans with one label per record: a target of "
                "several labels has shares of occurrences, not of records. Give the "
                "share of records with each label."
            )
        to = dict(zip(plan.groups, plan.target))
    if not isinstance(to, Mapping):
        raise ValueError(
            f"to must be 'natural', 'target' or label -> share, got {shown(to)}."
        )
    if set(to) != set(plan.groups):
        odd = sorted(set(to) ^ set(plan.groups))
        raise ValueError(f"to must have every label of the plan, differs in {odd!r}.")
    for label, share in to.items():
        check_number(f"to of label {label!r}", share)
    wanted = np.array([to[label] for label in plan.groups], np.float64)
    if multi_label:
        natural = np.array(plan.counts) / plan.num_records
    else:
        natural = plan.natural_shares
        if not np.isclose(wanted.sum(), 1, atol=1e-6):
            raise ValueError(f"to must sum to 1, got {wanted.sum():g}.")
    for name, values in (("to", wanted), ("the plan's data", natural)):
        if not np.all((values > 0) & (values < 1)):
            labels = [l for l, v in zip(plan.groups, values) if not 0 < v < 1]
            raise ValueError(
                f"shares must be between 0 and 1, in {name} they are not for "
                f"{labels[:10]!r}."
            )
    change = scipy.special.logit if multi_label else np.log
    return change(wanted) - change(natural)


def _losses(
    correction: Correction, natural: np.ndarray, log_factors: np.ndarray
) -> dict[str, float]:
    """Returns `Correction.losses`; `natural` has the logits of the natural shares."""
    trained = correction.trained_logits
    said = {
        "uncorrected": trained,
        "shift": trained - np.maximum(log_factors, np.log(_LEAST)),
        "used": correction(trained),
        "natural": natural,
    }
    shares = scipy.special.expit(natural)
    return {
        name: float(np.sum(np.logaddexp(0, each) - shares * each))
        for name, each in said.items()
    }
