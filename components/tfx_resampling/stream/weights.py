"""Loss weights of resampled samples: what they count for in another distribution."""

import tensorflow as tf

from tfx_resampling.core.plan import Plan
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.decision import graph_draws
from tfx_resampling.decision.rule import DecisionRule

INVERSE_FACTOR = "inverse_factor"


class LossWeights:
    """Makes the weight of each sample, r_objective / r_sampling, with mean 1.

    A record comes r_sampling times in an epoch, so that its samples together weigh as
    much as those of a stream of r_objective would (importance sampling). The mean over
    the samples of an epoch is 1, as the two plans predict it: weights are multiplied by
    the records that the one emits and divided by those that the other does.
    """

    def __init__(self, plan: Plan, weights: str | Plan):
        """Makes the weights of `input_fn`.

        Args:
          plan: by which samples are drawn.
          weights: "inverse_factor", for the natural distribution; or the plan of the
            distribution that the loss is to be of.

        Raises:
          ValueError: neither of these, or the plan never emits a label that the other
            one has.
        """
        if isinstance(weights, str) and weights == INVERSE_FACTOR:
            weights = plan.natural()
        if not isinstance(weights, Plan):
            raise ValueError(
                f"weights must be None, {INVERSE_FACTOR!r} or a Plan, got {weights!r}."
            )
        if weights is not plan and weights.groups != plan.groups:
            raise ValueError(
                "weights must be a plan of the same labels: "
                f"{list(weights.groups)[:5]!r}... are not {list(plan.groups)[:5]!r}..."
            )
        missing = [
            label
            for label, wanted, emitted in zip(
                plan.groups, weights.predicted, plan.predicted
            )
            if wanted > 0 and emitted == 0
        ]
        if missing:
            raise ValueError(
                f"weights cannot bring back {missing[:10]!r}, which the plan never "
                "emits. Plan with a min_factor above 0."
            )
        self._plans = plan, weights
        # Of factors alone: by what a record is known does not matter. Where they are
        # all 1, nobody need look at the labels.
        self._rules = [
            None if each.is_natural else DecisionRule(each) for each in self._plans
        ]

    def of(self, serialized: tf.Tensor, epochs: tf.Tensor) -> tf.Tensor:
        """Returns float32 [n], the weights of samples.

        Args:
          serialized: string [n], their records.
          epochs: int64 [n], the epoch of each.
        """
        sampling, objective = (
            self._in_epoch(plan, rule, serialized, epochs)
            for plan, rule in zip(self._plans, self._rules)
        )
        return tf.cast(objective / sampling, tf.float32)

    def _in_epoch(
        self, plan: Plan, rule: DecisionRule | None, serialized, epochs
    ) -> tf.Tensor:
        """Returns float64 [n], the share of each record in what a plan emits."""
        natural, final = float(plan.num_records), plan.predicted_records
        if rule is None:
            shares = tf.constant(1 / natural, tf.float64)
            return tf.fill(tf.shape(serialized), shares)
        schedule = Schedule.parse(plan.schedule)
        begin = graph_draws.cumulative_weight(schedule, epochs)
        weight = graph_draws.cumulative_weight(schedule, epochs + 1) - begin
        factors = 1.0 + weight * (rule.factors(serialized) - 1.0)
        return factors / (natural + weight * (final - natural))
