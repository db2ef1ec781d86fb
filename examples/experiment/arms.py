"""The ways to train that are compared: which samples, which loss, which correction."""

import dataclasses
from typing import Any

import numpy as np
import tfx_resampling as tr
from scipy import special
from tfx_resampling.core import draws
from tfx_resampling.core.schedule import Schedule

from examples.experiment.data import DataSet, factors

# Of the arms with a schedule: the share of training before the plan holds.
_BEFORE = 0.5


@dataclasses.dataclass(frozen=True)
class Arm:
    """A way to train.

    Attributes:
      name: its name in the table.
      options: of `PlannerConfig`; the default target is the natural one.
      schedule: "step" or "linear", over half of the training.
      loss: "plain", "adjusted" (logits are shifted by the prior in the loss: Menon et
        al., ICLR 2021), "class weights" (positives of a label weigh the mean count over
        its own) or "inverse factor" (samples weigh the inverse of their factors).
    """

    name: str
    options: dict[str, Any]
    schedule: str = "constant"
    loss: str = "plain"


ARMS = (
    Arm("natural", {"target": "natural"}),
    Arm("logit adjustment", {"target": "natural"}, loss="adjusted"),
    Arm("class weights", {"target": "natural"}, loss="class weights"),
    Arm("uniform", {"target": "uniform"}),
    # Without this, label sets of frequent labels alone are never emitted.
    Arm("uniform, min 0.1", {"target": "uniform", "min_factor": 0.1}),
    Arm("sqrt", {"target": "sqrt"}),
    Arm("B/A, max", {"target": "sqrt", "combine": "max"}),
    Arm("step", {"target": "uniform"}, schedule="step"),
    Arm("linear", {"target": "uniform"}, schedule="linear"),
    Arm("sqrt, inverse factor", {"target": "sqrt"}, loss="inverse factor"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """What an arm trains on, all batches of it.

    Attributes:
      records: int32 [steps, batch], training records.
      weights: float32 [steps, batch], of samples in the loss.
      positive_weights: float32 [labels], of the positives of a label in the loss.
      added: float32 [labels], added to the logits in the loss.
      plan: by which samples are drawn.
      natural: float64 [labels] -> [labels], makes logits those of the natural data.
    """

    records: np.ndarray
    weights: np.ndarray
    positive_weights: np.ndarray
    added: np.ndarray
    plan: tr.Plan
    _shift: np.ndarray | None

    def natural(self, logits: np.ndarray) -> np.ndarray:
        """Returns logits for the natural data, float64 [n, labels]."""
        if self._shift is not None:
            return logits + self._shift
        return tr.prior_correction(self.plan)(logits)

    def repeats(self, chosen: np.ndarray) -> float:
        """Returns how often a record of those chosen is seen on average."""
        counts = np.bincount(self.records.ravel(), minlength=len(chosen))
        return float(counts[chosen].mean())

    def effective_sample_size(self, num_records: int) -> float:
        """Returns (sum of c)^2 / sum of c^2, c how much a record counts in all.

        C. Kish, Survey Sampling, 1965.
        """
        counts = np.bincount(
            self.records.ravel(), self.weights.ravel(), minlength=num_records
        )
        return float(counts.sum() ** 2 / (counts**2).sum())


def prepare(
    arm: Arm, data: DataSet, steps: int, batch_size: int, seed: int
) -> Training:
    """Returns what an arm trains on: equally many batches of any arm."""
    counts = data.train.label_counts(data.labels)
    config = tr.PlannerConfig("label", seed=seed, max_factor=20.0, **arm.options)
    plan = tr.make_plan(counts, config)
    if arm.options["target"] == "natural":
        plan = plan.natural()
    samples = steps * batch_size
    if arm.schedule != "constant":
        epochs = max(1, round(_BEFORE * samples / plan.num_records))
        plan = plan.scheduled(f"{arm.schedule}:{epochs}")
    records = _samples(plan, data.train.y, samples, seed)
    weights = np.ones(samples)
    natural = np.maximum(np.array(plan.counts, np.float64), 1.0)
    prior = natural / plan.num_records
    added, positive_weights = np.zeros(len(natural)), np.ones(len(natural))
    shift = None
    if arm.loss == "adjusted":
        added = special.logit(prior) if plan.multi_label else np.log(prior)
        shift = added
    elif arm.loss == "class weights":
        positive_weights = natural.mean() / natural
        shift = -np.log(positive_weights)
    elif arm.loss == "inverse factor":
        weights = 1 / factors(plan, data.train.y)[records]
        weights *= samples / weights.sum()
        shift = np.zeros(len(natural))
    return Training(
        records.reshape(steps, batch_size).astype(np.int32),
        weights.reshape(steps, batch_size).astype(np.float32),
        positive_weights.astype(np.float32),
        added.astype(np.float32),
        plan,
        shift,
    )


def _samples(plan: tr.Plan, y: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Returns int64 [samples], the records of epoch after epoch, each shuffled.

    By the same rule as `input_fn`; a record is known by its number.
    """
    final, schedule = factors(plan, y), Schedule.parse(plan.schedule)
    keys = draws.mix(np.arange(len(y), dtype=np.uint64))
    uniforms = draws.uniforms(plan.seed, keys)
    rng = np.random.default_rng(seed)
    found, size, epoch = [], 0, 0
    while size < samples:
        before, after = (
            draws.cumulative_factors(final, schedule.cumulative(e), e)
            for e in (epoch, epoch + 1)
        )
        copies = draws.copies(uniforms, before, after)
        found.append(rng.permutation(np.repeat(np.arange(len(y)), copies)))
        size, epoch = size + len(found[-1]), epoch + 1
    return np.concatenate(found)[:samples]
