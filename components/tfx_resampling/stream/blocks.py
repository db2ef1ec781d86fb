"""Survivors -> shuffled copies, a block of records at a time.

A block of records is shuffled as a whole and cut into batches: nothing is done for one
sample by itself, which is what makes `Dataset.shuffle` and `Dataset.unbatch` slow.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfx_resampling.decision import graph_draws
from tfx_resampling.decision.agreement import Agreement
from tfx_resampling.decision.labels import upper_bound
from tfx_resampling.decision.rule import DecisionRule
from tfx_resampling.records.reader import Chunk
from tfx_resampling.stream import row_counts

# Records in the first block of an epoch; each following one has twice as many, up to
# `shuffle_records`. It is what must be read before the first batch.
_FIRST_BLOCK = 1_024
# Blocks until sizes begin anew, which a block smaller than it might be gives away.
_NUM_BLOCKS = 1_000
# Survivors that are handled in one step where nothing is shuffled.
_UNSHUFFLED = 1_024


class Survivors(NamedTuple):
    """Records and how many copies they yield, in few columns: each costs by itself.

    Attributes:
      serialized: string [n], the records.
      hashes: int64 [n], the bits of `draws.seeded_hash` of each.
      copies: int64 [n], >= 0. A row without copies has no record, only counts.
      origins: int64 [n, 3], epoch, index of the file, number of the record within it.
      counts: int64 [n, counts], `row_counts`, to be added up.
    """

    serialized: tf.Tensor
    hashes: tf.Tensor
    copies: tf.Tensor
    origins: tf.Tensor
    counts: tf.Tensor


class Samples(NamedTuple):
    """Emitted samples.

    Attributes:
      serialized: string [n], the records.
      seeds: int64 [n, 2], a seed for each, `draws.sample_seeds`.
      origins: int64 [n, 3], as in `Survivors`.
      counts: int64 [n, counts], as in `Survivors`; a block's are in its first row.
    """

    serialized: tf.Tensor
    seeds: tf.Tensor
    origins: tf.Tensor
    counts: tf.Tensor


def survivors(rule: DecisionRule, chunk: Chunk) -> tuple[Survivors, tf.Tensor]:
    """Returns the records of a chunk that have copies, and `Decision.found` of it.

    The first row has counts. Where no record has copies, it is without a record.
    """
    hashes, _, copies, found = rule.decide(chunk)
    kept = tf.reshape(tf.where(copies > 0), [-1])
    num_kept, scanned = tf.size(kept, tf.int64), tf.size(copies, tf.int64)
    num_rows = tf.maximum(num_kept, 1)
    padding = tf.reshape(tf.stack([0, num_rows - num_kept]), [1, 2])

    def rows(values):
        """Returns [rows], those of `values` [n] that are kept, and zeros."""
        return tf.pad(tf.gather(values, kept), padding)

    numbers = rows(chunk.numbers)
    zeros = tf.zeros_like(numbers)
    kept_records = Survivors(
        # The bytes are copied once, here.
        serialized=tf.cond(
            num_kept > 0,
            lambda: tf.gather(chunk.serialized, kept),
            lambda: tf.constant([""]),
        ),
        hashes=rows(tf.bitcast(hashes, tf.int64)),
        copies=rows(copies),
        origins=tf.stack([zeros + chunk.epoch, zeros + chunk.file, numbers], axis=1),
        counts=row_counts.in_first_row(
            num_rows,
            scanned=scanned,
            dropped=scanned - num_kept,
            skipped_records=chunk.skipped,
        ),
    )
    return kept_records, found


def agreeing(
    chunks: tf.data.Dataset, agreement: Agreement, epoch: tf.Tensor, start_epoch: int
) -> tf.data.Dataset:
    """Returns the `Survivors` of an epoch, and raises at its end unless they agree.

    Args:
      chunks: what `survivors` returns, of all chunks of the epoch.
      agreement: what compares them with the plan.
      epoch: int64 scalar.
      start_epoch: the first one, in which what is no error is told.
    """
    no_rows = Survivors(
        serialized=tf.zeros([0], tf.string),
        hashes=tf.zeros([0], tf.int64),
        copies=tf.zeros([0], tf.int64),
        origins=tf.zeros([0, 3], tf.int64),
        counts=row_counts.in_first_row(tf.constant(0)),
    )
    # No chunk has a negative number of records.
    end = (no_rows, -tf.ones([agreement.size], tf.int64))

    def step(total, chunk):
        rows, found = chunk
        is_end = found[-1] < 0
        checked = tf.cond(
            is_end,
            lambda: agreement.check(
                total, ["read in epoch ", epoch], tf.equal(epoch, start_epoch)
            ),
            tf.no_op,
        )
        with tf.control_dependencies([checked]):
            return total + found, rows

    return chunks.concatenate(tf.data.Dataset.from_tensors(end)).scan(
        tf.zeros([agreement.size], tf.int64), step
    )


def in_blocks(
    survivors: tf.data.Dataset, shuffle_records: int, mixed: int = 1
) -> tf.data.Dataset:
    """Returns `Survivors` put into blocks of `shuffle_records` rows.

    The first blocks are smaller, so that they are full early; but none is smaller than
    `mixed` rows, in which what comes first need not be like what comes last.
    """
    if shuffle_records <= 1:
        return survivors.rebatch(_UNSHUFFLED)
    sizes, first = [max(shuffle_records, mixed)], max(_FIRST_BLOCK, mixed)
    while sizes[0] > first:
        sizes.insert(0, max(first, sizes[0] // 2))
    return survivors.rebatch(np.array(sizes + sizes[-1:] * _NUM_BLOCKS, np.int64))


def copies(
    blocks: tf.data.Dataset, seed: int, shuffle: bool, parallel: int
) -> tf.data.Dataset:
    """Returns the `Samples` that blocks of survivors yield, as many as they happen to.

    Guarantee: each row with c copies becomes c samples, with seeds of their own. The
    order within a block is a function of `seed`, the epoch and the block's position.

    Args:
      blocks: `Survivors` of at least one row.
      seed: seed of the shuffle.
      shuffle: whether to shuffle; else the copies of a record are in a row.
      parallel: blocks that are worked on at the same time.
    """

    def replicate(position, rows):
        # Samples until the copies of each row end.
        ends = tf.cumsum(rows.copies)
        numbers = tf.range(tf.reduce_sum(rows.copies), dtype=tf.int64)
        source = upper_bound(ends, numbers)
        # Number of each copy within its record: 0 .. copies - 1.
        index = numbers - tf.gather(ends - rows.copies, source)
        if shuffle:
            epoch = tf.reduce_max(rows.origins[:, 0])
            order = graph_draws.shuffled(numbers, seed, epoch, 1 + position)
            source, index = tf.gather(source, order), tf.gather(index, order)
        hashes = tf.bitcast(tf.gather(rows.hashes, source), tf.uint64)
        origins = tf.gather(rows.origins, source)
        return Samples(
            serialized=tf.gather(rows.serialized, source),
            seeds=graph_draws.sample_seeds(hashes, origins[:, 0], index),
            origins=origins,
            counts=rows.counts,
        )

    samples = blocks.enumerate().map(
        replicate, num_parallel_calls=parallel, deterministic=True
    )
    return row_counts.carried(samples)
