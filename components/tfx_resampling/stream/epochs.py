"""Chunks of records -> resampled samples of each epoch, by the plan's decision rule.

Guarantee: which samples an epoch emits is a function of the plan, its seed, the records
and the epoch. Options of speed, shuffling and sharding change their order only.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfx_resampling.decision import graph_draws
from tfx_resampling.decision.agreement import Agreement
from tfx_resampling.decision.rule import DecisionRule
from tfx_resampling.options import InputOptions, parallel_calls
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.reader import WHOLE, Chunk, Reader, Shard
from tfx_resampling.shards.selection import Selection
from tfx_resampling.stream import blocks


class Epochs:
    """The samples of each epoch."""

    def __init__(
        self,
        files: RecordFiles,
        rule: DecisionRule,
        options: InputOptions,
        shard: Shard = WHOLE,
        selection: Selection | None = None,
        agreement: Agreement | None = None,
        num_records: Sequence[int] | None = None,
    ):
        """Makes the epochs of `options`.

        Args:
          files: the files.
          rule: what decides.
          options: see `InputOptions`.
          shard: the part of the records that is read.
          selection: which of the files an epoch needs; None for all.
          agreement: compares what an epoch reads with the plan; None does not.
          num_records: how many records each file was written with, as `Reader` has it.
        """
        self._rule = rule
        self._options = options
        self._selection = selection
        self._reader = Reader(files, rule.parsing, options, shard, num_records)
        self._agreement = None
        # Of stratified files an epoch reads a part only, and of a service's worker
        # nobody knows which part; neither is like the data.
        if selection is None and options.service is None:
            self._agreement = agreement
        self._decide = functools.partial(self._decided, rule)
        self._files = shard.files(len(files.names))
        self._num_shards, _ = shard.of_records(len(self._files))

    def each(
        self, use: Callable[[tf.data.Dataset], tf.data.Dataset]
    ) -> tf.data.Dataset:
        """Returns what `use` makes of the samples of each epoch, one after another.

        Epochs do not mix: the last sample of one comes before the first of the next.
        Not so with `options.service`, whose workers take the files of the next epoch as
        soon as those of the last are given out.

        Args:
          use: gets a data set of `blocks.Samples`, of any number each.
        """
        first, num_files = self._options.start_epoch, len(self._files)
        end = np.iinfo(np.int64).max // num_files
        if self._options.epochs is not None:
            end = first + self._options.epochs
        if self._options.service is not None:
            # One range of (epoch, file): the service deals out what its first data set
            # has, and epochs alone would leave each worker with whole ones.
            dealt = tf.data.Dataset.range(first * num_files, end * num_files)
            return use(self._samples(self._of_dealt(dealt)))
        # Of one epoch at a time, but the next ones are begun before it has ended; else
        # the cores would have nothing to do while the last blocks are taken.
        return tf.data.Dataset.range(first, end).interleave(
            lambda epoch: use(self._samples(self._survivors(epoch))),
            cycle_length=1,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def _survivors(self, epoch: tf.Tensor) -> tf.data.Dataset:
        order = self._order(epoch)
        if self._selection is None:
            sources = tf.data.Dataset.from_tensor_slices(
                (tf.fill([len(self._files)], epoch), order)
            )
            read = self._reader.read(sources, self._decide)
            if self._agreement is None:
                return read
            return blocks.agreeing(
                read, self._agreement, epoch, self._options.start_epoch
            )
        files, *streams = self._selection.streams(
            self._rule, epoch, order, self._num_shards
        )
        sources = tf.data.Dataset.from_tensor_slices(tuple(streams)).map(
            lambda start, length, size: (epoch, files[start : start + length], size)
        )
        num_streams = tf.size(streams[0], tf.int64)
        return self._reader.read_streams(sources, self._decide, num_streams)

    def _decided(self, rule: DecisionRule, chunk: Chunk):
        rows, found = blocks.survivors(rule, chunk)
        return rows if self._agreement is None else (rows, found)

    def _of_dealt(self, dealt: tf.data.Dataset) -> tf.data.Dataset:
        num_files = len(self._files)
        sources = dealt.map(
            lambda i: (i // num_files, self._order(i // num_files)[i % num_files])
        )
        selection = self._selection
        if selection is not None:
            sources = sources.filter(
                lambda *source: selection.needed(self._rule, *source)
            )
        return self._reader.read(sources, self._decide)

    def _order(self, epoch: tf.Tensor) -> tf.Tensor:
        """Returns int64 [files], the order in which an epoch has the files."""
        files = tf.constant(self._files, tf.int64)
        if self._options.shuffle_records <= 1:
            return files
        part = tf.constant(0, tf.int64)
        return graph_draws.shuffled(files, self._rule.seed, epoch, part)

    def _samples(self, survivors: tf.data.Dataset) -> tf.data.Dataset:
        shuffle_records = self._options.shuffle_records
        mixed = 1 if self._selection is None else self._selection.step
        in_blocks = blocks.in_blocks(survivors, shuffle_records, mixed)
        parallel = parallel_calls(self._options)
        return blocks.copies(in_blocks, self._rule.seed, shuffle_records > 1, parallel)
