"""Chunks of records -> resampled samples of each epoch, by the plan's decision rule.

Guarantee: which samples an epoch emits is a function of the plan, its seed, the records
and the epoch. Options of speed, shuffling and sharding change their order only.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfx_resampling.decision import graph_draws
from tfx_resampling.decision.rule import DecisionRule
from tfx_resampling.options import InputOptions, parallel_calls
from tfx_resampling.records.reader import WHOLE, Lost, Reader, Shard
from tfx_resampling.shards.selection import Selection
from tfx_resampling.stream import blocks


def resampled(
    files: Sequence[str],
    compressions: Sequence[str],
    rule: DecisionRule,
    options: InputOptions,
    finish: Callable[[tf.data.Dataset], tf.data.Dataset],
    shard: Shard = WHOLE,
    selection: Selection | None = None,
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
    decide = functools.partial(blocks.survivors, rule)
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
        seed = graph_draws.shuffle_seed(rule.seed, epoch, tf.constant(0, tf.int64))
        return tf.random.experimental.stateless_shuffle(indices, seed)

    def samples(survivors):
        mixed = 1 if selection is None else selection.step
        in_blocks = blocks.in_blocks(survivors, options.shuffle_records, mixed)
        whole = in_blocks.flat_map(
            # Before the block, whose samples carry the counts of what has none.
            lambda block: reader.recover(
                Lost(*tf.unstack(block.lost, axis=1)), decide
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
        return finish(samples(reader.read(sources, decide)))

    def survivors(epoch):
        if selection is None:
            sources = (tf.fill([num_files], epoch), order(epoch))
            sources = tf.data.Dataset.from_tensor_slices(sources)
            return reader.read(sources, decide)
        files, *streams = selection.streams(
            rule, epoch, order(epoch), shard.of_records(len(mine))[0]
        )
        dataset = tf.data.Dataset.from_tensor_slices(tuple(streams)).map(
            lambda start, length, size: (epoch, files[start : start + length], size)
        )
        num_streams = tf.size(streams[0], tf.int64)
        return reader.read_streams(dataset, decide, num_streams)

    # Of one epoch at a time, but the next ones are begun before it has ended; else the
    # cores would have nothing to do while the last blocks are taken.
    return tf.data.Dataset.range(options.start_epoch, end).interleave(
        lambda epoch: finish(samples(survivors(epoch))),
        cycle_length=1,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
