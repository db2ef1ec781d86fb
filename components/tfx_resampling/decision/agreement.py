"""Whether the records that are read are such as the plan was made for.

What is compared is what was read, before anything is decided on it, with what the plan
knows of its own data: how many records had no label, and the shares of the labels.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from tfx_resampling.core import chances, factors
from tfx_resampling.core.plan import Plan
from tfx_resampling.decision.rule import num_found
from tfx_resampling.records import graph_errors
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.reader import WHOLE, Shard

# Records that are looked at before anything else if the first ones have no label, and
# where that is no evidence yet.
_LOOKED_AT, _MOST_LOOKED_AT = 1_000, 10_000
# Share of unlabeled records that is next to none: not to meet a label in the first
# 1,000 records has then to do with the records, not with their order.
_NEXT_TO_NONE = 0.01
# An epoch of resampled records has about as many as planned. A part of the plan's own
# data, such as files of one label, has fewer, and may have any labels.
_WHOLE = 0.9
_WAY_OUT = (
    "Make the plan with the label_key that these records have, or of records like "
    "them; plan.natural() reads records without labels."
)


def check_first_labels(files: RecordFiles, plan: Plan) -> None:
    """Raises ValueError where the first records have no label, unlike the plan's data.

    What is read as it is (`plan.natural()`) need not have labels; it is logged.
    """
    try:
        features = files.features
    except ValueError:
        return  # No records, or none that can be parsed: whoever reads them says so.
    if features.has(plan.label_key):
        return
    unlabeled, records = plan.num_unlabeled, plan.num_records
    limit = chances.largest_count(unlabeled, records)
    # There may be all that the plan's data had in a row.
    most = max(_LOOKED_AT, min(limit + 1, _MOST_LOOKED_AT))
    looked_at = features.look_on(plan.label_key, most)
    if features.has(plan.label_key):
        return
    words = (
        f"label feature {plan.label_key!r} has no value in the first {looked_at:,} "
        f"records of {list(files.names)[:5]!r}"
    )
    like = features.like(plan.label_key)
    if plan.is_natural or not _knows_unlabeled(plan):
        logging.warning("%s. %s", words, like)
        return
    ratio = chances.log_likelihood_ratio(looked_at, looked_at, unlabeled, records)
    # Where the plan's data had some, they may all come first.
    in_a_row = looked_at <= limit and unlabeled > 0
    is_rare = unlabeled <= _NEXT_TO_NONE * records
    if is_rare and ratio > chances.UNLIKELY and not in_a_row:
        raise ValueError(
            f"{words}, but of the {records:,} records that the plan is made of "
            f"{unlabeled:,} had none. {like} {_WAY_OUT}"
        )


class Agreement:
    """Compares what was read of records with what a plan knows of its own.

    Guarantee: the records that a plan is made of agree with it, in any order and dealt
    out to any workers. So do others of the same distribution, but for less than one in
    a million times.

    Attributes:
      size: how many numbers `check` takes.
    """

    def __init__(self, plan: Plan, files: RecordFiles, shard: Shard = WHOLE):
        """Takes what a plan knows.

        Args:
          plan: the plan.
          files: the files; an error names features of their first records.
          shard: the part of them that is read.
        """
        self.size = num_found(plan)
        self._plan, self._files = plan, files
        self._num_shards = shard.num_shards
        # Whole files may be of a few labels; every n-th record is like them all.
        cut, _ = shard.of_records(len(files.names))
        self._has_files_of_its_own = cut < shard.num_shards
        self._limit = chances.largest_count(plan.num_unlabeled, plan.num_records)
        # Of every n-th record of a file there may be one more.
        self._least = plan.num_records - len(files.names) * (cut - 1)

    def check(
        self,
        found: tf.Tensor,
        where: Sequence[str | tf.Tensor],
        tells: bool | tf.Tensor = True,
    ) -> tf.Operation:
        """Returns an op that raises InvalidArgumentError unless what was read agrees.

        Args:
          found: int64 [size], the sum of `Decision.found` over all that was read, each
            record once.
          where: in words, where it was read.
          tells: whether to print a line where there are fewer records than the plan's,
            which is no error: they may be a part of them.
        """
        counts, unlabeled, records = found[:-3], found[-2], found[-1]
        checks = [self._check_resampled(counts, unlabeled, records, where)]
        if not self._has_files_of_its_own:
            checks.append(self._tell_fewer(records, where, tells))
        if _knows_unlabeled(self._plan):
            checks.append(self._check_unlabeled(unlabeled, records, where))
        return tf.group(*checks)

    def _tell_fewer(self, records, where, tells) -> tf.Operation:
        by_one = f" by one of {self._num_shards} workers"
        return graph_errors.report_unless(
            (records * self._num_shards >= self._least) | tf.logical_not(tells),
            lambda: [
                f"The plan is made of {self._plan.num_records:,} records, but there ",
                *("were ", records, " ", *where, by_one * (self._num_shards > 1)),
                ": is a file missing, or cut between two records? If they are meant ",
                "to be a part of them, all is well.",
            ],
        )

    def _check_unlabeled(self, unlabeled, records, where) -> tf.Operation:
        plan = self._plan
        # Of fewer records than the plan's there may be as many without a label as of
        # all of them: they may be a part of them. Of more there are more.
        at_least = tf.cast(plan.num_records, tf.float64)
        all_records = tf.cast(records * self._num_shards, tf.float64)
        allowed = self._limit * tf.maximum(all_records / at_least, 1.0)

        def message():
            like = self._files.features.like(plan.label_key)
            return [
                f"label feature {plan.label_key} has no value in ",
                *(unlabeled, " of ", records, " records ", *where),
                f", but of the {plan.num_records:,} records that the plan is made of "
                f"{plan.num_unlabeled:,} had none, and by chance no more than "
                f"{self._limit:,} would. {like} {_WAY_OUT}",
            ]

        return graph_errors.require(tf.cast(unlabeled, tf.float64) <= allowed, message)

    def _check_resampled(self, counts, unlabeled, records, where) -> tf.Operation:
        """Raises where the labels' shares are those of a stream that was resampled."""
        plan = self._plan
        natural, predicted = plan.natural_shares, plan.predicted_shares
        apart = factors.distance(natural, predicted)
        # The score of a label grows with its likelihood to be of a resampled record; it
        # is within 2 of 0 (the score of triangular discrimination, Topsoe 2000).
        both = np.maximum(natural + predicted, np.finfo(float).tiny)
        scores = 2 * (predicted - natural) / both
        scores -= natural @ scores
        if not scores.any():
            return tf.no_op()
        variance, largest = float(natural @ scores**2), float(scores.max())
        counts, labeled, records = (
            tf.cast(count, tf.float64)
            for count in (counts, records - unlabeled, records)
        )
        shares = tf.math.divide_no_nan(counts, tf.reduce_sum(counts))
        to_natural, to_predicted = (
            0.5 * tf.reduce_sum(tf.abs(shares - of)) for of in (natural, predicted)
        )
        mean = tf.maximum(tf.reduce_sum(shares * scores), 0.0)
        # Labels of one record are not independent: where records have m of them, n
        # records count; where m varies, the mean counts more those that have many.
        independent = tf.math.divide_no_nan(labeled**2, tf.reduce_sum(counts))
        deviation = chances.deviation(mean, variance, largest, independent)
        is_unnatural = deviation > chances.UNLIKELY
        # By chance the shares of n records are so far from those expected, at most.
        noise = 0.5 * np.sqrt(predicted).sum() * tf.math.rsqrt(tf.maximum(labeled, 1.0))
        is_predicted = to_predicted <= tf.minimum(apart / 4 + noise, apart / 2)
        all_records = records * self._num_shards
        is_whole = all_records >= _WHOLE * plan.predicted_records
        if self._has_files_of_its_own:
            # Files of a few labels may look like anything, but have no more of a label
            # than there are.
            raised = predicted > natural
            at_most = float(np.array(plan.counts) @ raised)
            at_most *= tf.maximum(all_records / plan.num_records, 1.0)
            is_whole &= tf.reduce_sum(tf.boolean_mask(counts, raised)) > at_most
        return graph_errors.require(
            tf.logical_not(is_unnatural & is_predicted & is_whole),
            lambda: [
                *(
                    "the records ",
                    *where,
                    " are resampled already: the shares of their ",
                ),
                *("labels are ", tf.strings.as_string(to_predicted, precision=3)),
                " from those that the plan predicts for its samples, but ",
                tf.strings.as_string(to_natural, precision=3),
                " from the natural ones. The plan would resample them again. Read them "
                "with plan.applied(), or give the records they were made of. If they "
                "are no samples, make the plan from them.",
            ],
        )


def _knows_unlabeled(plan: Plan) -> bool:
    return plan.unlabeled_known and plan.grouping is None
