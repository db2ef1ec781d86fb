"""Chunks of records -> resampled samples, by the plan's decision rule.

Guarantee: which samples an epoch emits is a function of the plan, its seed, the records
and the epoch. Options of speed, shuffling and sharding change their order only.
"""

from typing import Callable, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from tfx_resampling.core import draws as core_draws
from tfx_resampling.core.plan import Plan
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.data import blocks, checks, draws, strata
from tfx_resampling.data import labels as labels_lib
from tfx_resampling.data.chunks import Reader
from tfx_resampling.data.layout import Selection
from tfx_resampling.data.options import InputOptions, parallel_calls
from tfx_resampling.data.records import Chunk, Lost
from tfx_resampling.data.sharding import WHOLE, Shard


class DecisionRule:
    """The plan's rule as graph ops: chunks of records in, copies out.

    Attributes:
      features: what of the records it must know, for `chunks.Reader`.
    """

    def __init__(self, plan: Plan, options: InputOptions, key_dtype=tf.string):
        """Makes the rule of a plan.

        Args:
          plan: the plan.
          options: `key_feature` and `unknown_labels`.
          key_dtype: tf.string or tf.int64, type of the key feature.
        """
        self._plan = plan
        self._options = options
        self._unknown_is_error = options.unknown_labels == "error"
        unknown = 1.0 if self._unknown_is_error else float(options.unknown_labels)
        self._factors = np.append(np.array(plan.factors, np.float64), unknown)
        self._unlabeled = float(core_draws.quantize(plan.unlabeled_factor))
        if plan.strata is None:
            self._vocabulary = labels_lib.Vocabulary(plan.labels, plan.label_dtype)
            self.features = labels_lib.feature_spec(plan.label_key, plan.label_dtype)
        else:
            self._strata = strata.StratumLookup(plan.strata)
            self.features = self._strata.features
        self._schedule = Schedule.parse(plan.schedule)
        if options.key_feature is not None:
            # The key may be the label feature itself.
            self.features = {
                options.key_feature: tf.io.RaggedFeature(
                    key_dtype, row_splits_dtype=tf.int64
                ),
                **self.features,
            }

    @property
    def seed(self) -> int:
        """The plan's seed."""
        return self._plan.seed

    def decide(
        self, chunk: Chunk, epochs: int = 1
    ) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns what becomes of the records of a chunk.

        Args:
          chunk: the records.
          epochs: how many epochs, from the chunk's on; their copies add up.

        Returns:
          hashes uint64 [n], repeat factors float64 [n] and copies int64 [n].
        """
        by_unit = self._by_label if self._plan.strata is None else self._by_stratum
        factors, known = by_unit(chunk.parsed, chunk.name)
        keys = self._keys(chunk)
        with tf.control_dependencies([known]):
            hashes = draws.seeded_hash(self._plan.seed, keys)
        before, after = (
            self.cumulative_factors(factors, epoch)
            for epoch in (chunk.epoch, chunk.epoch + epochs)
        )
        return hashes, factors, draws.copies(draws.bets(hashes), before, after)

    @property
    def num_units(self) -> int:
        """Number of labels, or strata, that the plan knows."""
        return len(self._plan.labels)

    def units(self, chunk: Chunk) -> labels_lib.Labels:
        """Returns the labels of the records of a chunk, or their strata.

        Unknown ones are `num_units`.
        """
        if self._plan.strata is None:
            values = chunk.parsed[self._plan.label_key]
            return labels_lib.labels_of(values, self._vocabulary)
        ids = self._strata.lookup(chunk.parsed, chunk.name)
        num_rows = tf.size(ids, tf.int64)
        return labels_lib.Labels(ids, tf.range(num_rows), num_rows)

    def cumulative_factors(self, factors: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        """Returns float64 [n], the copies due before an epoch (int64 scalar)."""
        weight = draws.cumulative_weight(self._schedule, epoch)
        return draws.cumulative_factors(factors, weight, epoch)

    def survivors(self, chunk: Chunk) -> blocks.Survivors:
        """Returns the records of a chunk that have copies; the first row has counts.

        Where no record has copies, that is a row without a record.
        """
        hashes, _, copies = self.decide(chunk)
        kept = tf.where(copies > 0)[:, 0]
        num_kept, scanned = tf.size(kept, tf.int64), tf.size(copies, tf.int64)
        num_rows = tf.maximum(num_kept, 1)

        def rows(values):
            """Pads `values` [m, ...] with zeros to all rows."""
            missing = num_rows - tf.shape(values, tf.int64)[0]
            return tf.pad(values, [[0, missing]] + [[0, 0]] * (values.shape.rank - 1))

        origins = tf.pad(chunk.numbers[:, tf.newaxis], [[0, 0], [2, 0]])
        origins += tf.stack([chunk.epoch, chunk.file, 0])
        counts = tf.stack([scanned, scanned - num_kept, chunk.skipped])
        return blocks.Survivors(
            # The bytes are copied once, here.
            serialized=tf.cond(
                num_kept > 0,
                lambda: tf.gather(chunk.serialized, kept),
                lambda: tf.constant([""]),
            ),
            hashes=rows(tf.bitcast(tf.gather(hashes, kept), tf.int64)),
            copies=rows(tf.gather(copies, kept)),
            origins=rows(tf.gather(origins, kept)),
            counts=rows(counts[tf.newaxis]),
            lost=rows(tf.stack(chunk.lost)[tf.newaxis]),
        )

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

    def _keys(self, chunk: Chunk) -> tf.Tensor:
        """Returns uint64 [n], what identifies each record."""
        feature = self._options.key_feature
        if feature is None:
            return draws.fingerprints(chunk.serialized)
        parsed = chunk.parsed[feature]
        check = checks.require(
            tf.reduce_all(tf.equal(parsed.row_lengths(), 1)),
            lambda: [
                f"key_feature {feature} must have one value in every record of ",
                *(chunk.name, "."),
            ],
        )
        with tf.control_dependencies([check]):
            values = tf.identity(parsed.flat_values)
        if values.dtype == tf.int64:
            return tf.bitcast(values, tf.uint64)
        return draws.fingerprints(values)


def resampled(
    files: Sequence[str],
    compressions: Sequence[str],
    rule: DecisionRule,
    options: InputOptions,
    finish: Callable[[tf.data.Dataset], tf.data.Dataset],
    shard: Shard = WHOLE,
    selection: Optional[Selection] = None,
) -> tf.data.Dataset:
    """Returns what `finish` makes of the `blocks.Samples` of each epoch.

    Epochs follow each other without mixing: the last sample of one comes before the
    first of the next. Not so with `options.service`, whose workers take the files of
    the next epoch as soon as those of the last are given out.

    Args:
      files: the files.
      compressions: compression of each file.
      rule: what decides.
      options: see `InputOptions`.
      finish: makes batches of a data set of `blocks.Samples`, of any number each.
      shard: the part of the records that is read.
      selection: which of the files an epoch needs; None for all.
    """
    parallel = parallel_calls(options)
    reader = Reader(files, compressions, rule.features, options, shard)
    mine = shard.files(len(files))
    num_files = len(mine)
    end = np.iinfo(np.int64).max // num_files
    if options.epochs is not None:
        end = options.start_epoch + options.epochs

    def order(epoch):
        indices = tf.constant(mine, tf.int64)
        if options.shuffle_records <= 1:
            return indices
        seed = draws.shuffle_seed(rule.seed, epoch, tf.constant(0, tf.int64))
        return tf.random.experimental.stateless_shuffle(indices, seed)

    def samples(survivors):
        mixed = 1 if selection is None else selection.step
        in_blocks = blocks.in_blocks(survivors, options.shuffle_records, mixed)
        whole = in_blocks.flat_map(
            # Before the block, whose samples carry the counts of what has none.
            lambda block: reader.recover(
                Lost(*tf.unstack(block.lost, axis=1)), rule.survivors
            ).concatenate(tf.data.Dataset.from_tensors(block))
        )
        return blocks.copies(whole, rule.seed, options.shuffle_records > 1, parallel)

    if options.service is not None:
        # One range of (epoch, file): the service deals out what its first data set has,
        # and epochs alone would leave each worker with whole ones.
        dealt = tf.data.Dataset.range(options.start_epoch * num_files, end * num_files)
        sources = dealt.map(
            lambda i: (i // num_files, order(i // num_files)[i % num_files])
        )
        if selection is not None:
            sources = sources.filter(
                lambda epoch, file: selection.needed(rule, epoch, file)
            )
        return finish(samples(reader.read(sources, rule.survivors)))

    def survivors(epoch):
        if selection is None:
            sources = (tf.fill([num_files], epoch), order(epoch))
            sources = tf.data.Dataset.from_tensor_slices(sources)
            return reader.read(sources, rule.survivors)
        files, *streams = selection.streams(
            rule, epoch, order(epoch), shard.of_records(len(mine))[0]
        )
        dataset = tf.data.Dataset.from_tensor_slices(tuple(streams)).map(
            lambda start, length, size: (epoch, files[start : start + length], size)
        )
        num_streams = tf.size(streams[0], tf.int64)
        return reader.read_streams(dataset, rule.survivors, num_streams)

    # Of one epoch at a time, but the next ones are begun before it has ended; else the
    # cores would have nothing to do while the last blocks are taken.
    return tf.data.Dataset.range(options.start_epoch, end).interleave(
        lambda epoch: finish(samples(survivors(epoch))),
        cycle_length=1,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
