"""Chunks of records -> resampled samples, by the plan's decision rule.

Guarantee: which samples an epoch emits is a function of the plan, its seed, the records
and the epoch. Options of speed, shuffling and sharding change their order only.
"""

from typing import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfx_resampling.core import draws as core_draws
from tfx_resampling.core.plan import Plan
from tfx_resampling.data import checks, draws, records, strata
from tfx_resampling.data import labels as labels_lib
from tfx_resampling.data.options import InputOptions

# Survivors that are replicated in one step; large enough to make the step's overhead
# small, small beside the shuffle buffers.
_REPLICATE_CHUNK = 256
# Any constant but 0; the seeds that tell shuffles apart are made from the plan's.
_GRAPH_SEED = 1


class DecisionRule:
    """The plan's rule as graph ops: serialized records in, copies out."""

    def __init__(self, plan: Plan, options: InputOptions, key_dtype=tf.string):
        self._plan = plan
        self._options = options
        self._unknown_is_error = options.unknown_labels == "error"
        unknown = 1.0 if self._unknown_is_error else float(options.unknown_labels)
        self._factors = np.append(np.array(plan.factors, np.float64), unknown)
        self._unlabeled = float(core_draws.quantize(plan.unlabeled_factor))
        if plan.strata is None:
            self._vocabulary = labels_lib.Vocabulary(plan.labels, plan.label_dtype)
            self._features = labels_lib.feature_spec(plan.label_key, plan.label_dtype)
        else:
            self._strata = strata.StratumLookup(plan.strata)
            self._features = self._strata.features
        self._key_dtype = key_dtype

    @property
    def replicates(self) -> bool:
        """Whether a record can yield more than one copy."""
        largest = max(self._factors.max(), self._unlabeled, self._plan.min_factor)
        return largest > 1

    def shuffle_seed(self, epoch: tf.Tensor, stage: int) -> tf.Tensor:
        """Returns int64 [2], the seed of one of the shuffles of an epoch."""
        key = tf.constant([core_draws.hashed_seed(stage)], tf.uint64)
        hashes = draws.seeded_hash(self._plan.seed, key)
        return draws.sample_seeds(hashes, epoch, tf.zeros([1], tf.int64))[0]

    def decide(self, name: tf.Tensor, serialized: tf.Tensor, epoch: tf.Tensor):
        """Returns (hashes uint64 [n], copies int64 [n]) of serialized records [n].

        Args:
          name: string scalar, file of the records, for errors.
          serialized: string [n], serialized tf.train.Example.
          epoch: int64 scalar.
        """
        parsed = tf.io.parse_example(serialized, self._features)
        by_unit = self._by_label if self._plan.strata is None else self._by_stratum
        factors, known = by_unit(parsed, name)
        with tf.control_dependencies([known]):
            hashes = draws.seeded_hash(self._plan.seed, self._keys(serialized, name))
        spent = factors * tf.cast(epoch, tf.float64)
        return hashes, draws.copies(draws.bets(hashes), factors, spent)

    def _by_label(self, parsed, name: tf.Tensor):
        """The graph twin of `core.factors.record_factors`: float64 [n], and a check."""
        values = parsed[self._plan.label_key]
        labels = labels_lib.labels_of(values, self._vocabulary)
        known = tf.no_op()
        if self._unknown_is_error:
            where = [f"label feature {self._plan.label_key} of ", name]
            known = labels_lib.check_known(values, labels, self._vocabulary, where)
        rows, num_rows = labels.rows, labels.num_rows
        reduce = {
            "product": tf.math.unsorted_segment_prod,
            "max": tf.math.unsorted_segment_max,
            "min": tf.math.unsorted_segment_min,
            "mean": tf.math.unsorted_segment_mean,
        }[self._plan.combine]
        combined = reduce(tf.gather(self._factors, labels.ids), rows, num_rows)
        # A product that overflows before it meets a 0 is 0.
        combined = tf.where(tf.math.is_nan(combined), tf.zeros_like(combined), combined)
        ones = tf.ones_like(rows, tf.int32)
        is_labeled = tf.math.unsorted_segment_sum(ones, rows, num_rows) > 0
        return tf.where(is_labeled, self._bounded(combined), self._unlabeled), known

    def _by_stratum(self, parsed, name: tf.Tensor):
        """Repeat factors of the records' strata, float64 [n], and a check."""
        ids = self._strata.lookup(parsed, name)
        known = tf.no_op()
        if self._unknown_is_error:

            def message():
                row = tf.where(tf.equal(ids, self._strata.size))[0, 0]
                return [
                    *("a record of ", name, " is in the stratum "),
                    *(self._strata.describe(parsed, row), ", which the plan does not "),
                    "know. Make the plan from this data, or set unknown_labels to a ",
                    "factor.",
                ]

            known = checks.require(tf.reduce_all(ids < self._strata.size), message)
        return self._bounded(tf.gather(self._factors, ids)), known

    def _bounded(self, factors: tf.Tensor) -> tf.Tensor:
        low, high = self._plan.min_factor, self._plan.max_factor
        return draws.quantize(tf.clip_by_value(factors, low, high))

    def _keys(self, serialized: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
        """Returns uint64 [n], what identifies each record."""
        feature = self._options.key_feature
        if feature is None:
            return draws.fingerprints(serialized)
        parsed = tf.io.parse_example(
            serialized, {feature: tf.io.VarLenFeature(self._key_dtype)}
        )[feature]
        rows = parsed.indices[:, 0]
        one_each = tf.logical_and(
            tf.equal(tf.size(rows), tf.size(serialized)),
            tf.reduce_all(tf.equal(rows, tf.range(tf.size(rows, tf.int64)))),
        )
        check = checks.require(
            one_each,
            lambda: [
                f"key_feature {feature} must have one value in every record of ",
                *(name, "."),
            ],
        )
        with tf.control_dependencies([check]):
            values = tf.identity(parsed.values)
        if values.dtype == tf.int64:
            return tf.bitcast(values, tf.uint64)
        return draws.fingerprints(values)


def resampled(
    files: Sequence[str],
    compressions: Sequence[str],
    plan: Plan,
    options: InputOptions,
    finish: Callable[[tf.data.Dataset], tf.data.Dataset] = lambda samples: samples,
    key_dtype: tf.DType = tf.string,
) -> tf.data.Dataset:
    """Returns the samples of each epoch, (serialized string [], seed int64 [2]).

    Epochs follow each other without mixing: the last sample of one comes before the
    first of the next. `seed` is distinct for every (record, epoch, copy) and meant for
    stateless augmentation.

    Args:
      files: the files.
      compressions: compression of each file.
      plan: the plan.
      options: see `InputOptions`.
      finish: what to make of the samples of one epoch, such as batches.
      key_dtype: tf.string or tf.int64, type of `options.key_feature`.
    """
    rule = DecisionRule(plan, options, key_dtype)
    num_epochs = options.epochs or np.iinfo(np.int64).max - options.start_epoch
    epochs = tf.data.Dataset.range(
        options.start_epoch, options.start_epoch + num_epochs
    )
    names, kinds = tf.constant(list(files)), tf.constant(list(compressions))
    return epochs.flat_map(
        lambda epoch: finish(_epoch(names, kinds, rule, options, epoch))
    )


def _epoch(names, kinds, rule: DecisionRule, options: InputOptions, epoch):
    # Within this function's graph only: without it, shuffles would also depend on
    # tf.random.set_seed, and fail where that is 0 (it is compared with a tensor).
    tf.compat.v1.set_random_seed(_GRAPH_SEED)
    parallel = options.num_parallel_calls or tf.data.AUTOTUNE
    if options.shuffle_records > 1:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.size(names)), seed=rule.shuffle_seed(epoch, stage=0)
        )
        names, kinds = tf.gather(names, order), tf.gather(kinds, order)
    chunks = records.record_chunks(names, kinds, options)

    def survivors(*chunk):
        name, serialized = records.verified(*chunk)
        hashes, copies = rule.decide(name, serialized, epoch)
        kept = tf.where(copies > 0)[:, 0]
        hashes, copies = tf.gather(hashes, kept), tf.gather(copies, kept)
        serialized = tf.gather(serialized, kept)
        if not rule.replicates:
            return serialized, draws.sample_seeds(hashes, epoch, tf.zeros_like(copies))
        return serialized, tf.stack([tf.bitcast(hashes, tf.int64), copies], axis=-1)

    def replicate(serialized, tags):
        hashes, copies = tf.bitcast(tags[:, 0], tf.uint64), tags[:, 1]
        source = tf.repeat(tf.range(tf.size(copies)), copies)
        # Number of each copy within its record: 0 .. copies - 1.
        first = tf.cumsum(copies, exclusive=True)
        index = tf.range(tf.reduce_sum(copies)) - tf.gather(first, source)
        seeds = draws.sample_seeds(tf.gather(hashes, source), epoch, index)
        return tf.gather(serialized, source), seeds

    samples = chunks.prefetch(tf.data.AUTOTUNE).map(
        survivors, num_parallel_calls=parallel, deterministic=options.deterministic
    )
    samples = samples.unbatch()
    if options.shuffle_records > 1:
        seed = rule.shuffle_seed(epoch, stage=1)[0]
        samples = samples.shuffle(options.shuffle_records, seed=seed)
    if rule.replicates:
        # Distinct records are shuffled before they are replicated, so that the large
        # buffer holds each once; the small shuffle then parts the copies.
        samples = samples.batch(_REPLICATE_CHUNK)
        samples = samples.map(
            replicate, num_parallel_calls=parallel, deterministic=options.deterministic
        ).unbatch()
        if options.shuffle_samples > 1:
            seed = rule.shuffle_seed(epoch, stage=2)[0]
            samples = samples.shuffle(options.shuffle_samples, seed=seed)
    return samples
