"""A data set that counts what it gives and can be saved between two of its batches.

The iterator is ours, and what training gets is a data set that asks it for one batch at
a time. So the time that a batch takes is measured in the thread that waits for it, and
the iterator stands, between two training steps, exactly behind the last batch trained.
"""

import concurrent.futures
from typing import Any, NamedTuple, cast

import numpy as np
import tensorflow as tf

# More batches than any training has; the length of an epoch without a known one.
_ENDLESS = 2**62
# Within which an epoch's first batch is asked for, of what runs ahead of training.
_POLL_MICROSECONDS = 10_000


class Counts(NamedTuple):
    """What was taken from a data set since it is watched.

    Attributes:
      batches: batches taken.
      emitted: samples in them.
      scanned: records read for them.
      dropped: records of those that were dropped.
      skipped_records: corrupt records skipped.
      skipped_images: undecodable images skipped.
      data_epoch: epoch of the data that the last batch is of.
      wait_seconds: time spent waiting for them; None if it is not known.
      label_counts: int64 [classes], samples with each class.
    """

    batches: int
    emitted: int
    scanned: int
    dropped: int
    skipped_records: int
    skipped_images: int
    data_epoch: int
    wait_seconds: float | None
    label_counts: np.ndarray

    def since(self, start: "Counts") -> "Counts":
        """Returns what came after `start`."""
        both: Any = zip(self, start)
        differences: list[Any] = [
            None if now is None else now - then for now, then in both
        ]
        return Counts(*differences)._replace(data_epoch=self.data_epoch)


class WatchedDataset:
    """Counts the batches that are taken from `dataset`, and holds its position.

    Guarantee: nothing is fetched before it is asked for. Measured on 2 cores, it costs
    0.15 ms per batch, 0.3 ms with 10,000 classes and 256 samples; gated, 0.1 ms more.

    It is one stream: iterating it again goes on where it was left, and starts anew once
    it has ended.

    Attributes:
      dataset: tf.data.Dataset of batches, for training.
      iterator: tf.data.Iterator behind it, for tf.train.Checkpoint.
      gated: whether batches come only within an epoch that `begin` has announced, and
        one before. That keeps what runs ahead of training, as data sets of
        tf.distribute do, from taking batches of the epoch after.
    """

    def __init__(self, dataset: tf.data.Dataset, num_classes: int, gated: bool):
        """Starts watching.

        Args:
          dataset: (batch, stats). stats: int64 [6 + classes]: epoch of the data,
            samples in the batch, the counts of `stream.row_counts` that arrive with it,
            and its samples with each class.
          num_classes: number of classes.
          gated: see the class.
        """
        self.iterator: Any = iter(_over_and_over(dataset))
        self.gated = gated
        self._has_clock = _has_clock()
        # In a strategy's scope variables are mirrored, which a tf.data function cannot
        # add to. The scope is of this thread only.
        with concurrent.futures.ThreadPoolExecutor(1) as unscoped:
            unscoped.submit(self._make_variables, num_classes).result()
        self.dataset = self._make_dataset()

    def _make_variables(self, num_classes: int) -> None:
        with tf.device("CPU:0"):  # Where functions of tf.data run.
            # Batches, and all of stats but the epoch.
            self._sums = tf.Variable(tf.zeros([6 + num_classes], tf.int64))
            self._data_epoch = tf.Variable(tf.zeros([], tf.int64))
            self._wait = tf.Variable(tf.zeros([], tf.float64))
            # Batches that may be taken. One for a look: under a strategy Keras takes it
            # to build a model, and what follows it ahead would be trained on.
            self._allowed = tf.Variable(tf.ones([], tf.int64))

    def _make_dataset(self) -> tf.data.Dataset:
        numbers = tf.data.Dataset.range(_ENDLESS)
        if self.gated:
            numbers = numbers.flat_map(self._wait_for_epoch)
        batches = numbers.map(self._fetch).take_while(_has_value).map(_get_batch)
        options = tf.data.Options()
        # Anything that fetches ahead leaves the iterator behind a batch that is not
        # trained yet; a resumed job would miss it.
        options.experimental_optimization.inject_prefetch = False
        options.autotune.enabled = False
        # The numbers of `range` are no records: sharding them would lose batches.
        off = tf.data.experimental.AutoShardPolicy.OFF
        options.experimental_distribute.auto_shard_policy = off
        return batches.with_options(options)

    @tf.autograph.experimental.do_not_convert
    def _wait_for_epoch(self, index):
        # Polls: to delete an iterator that waits in an op of a queue may crash the
        # process (TensorFlow 2.16).
        polls = tf.data.Dataset.range(_ENDLESS).take_while(self._is_closed)
        return polls.flat_map(_sleep).concatenate(tf.data.Dataset.from_tensors(index))

    def _is_closed(self, poll):
        return self._sums[0] >= self._allowed

    @tf.autograph.experimental.do_not_convert
    def _fetch(self, index):
        asked = tf.timestamp() if self._has_clock else tf.constant(0.0)
        with tf.control_dependencies([asked]):
            batch = self.iterator.get_next()
        # At its end the stream starts anew, but only for one who starts to iterate.
        batch = tf.cond(
            tf.logical_and(tf.equal(index, 0), tf.logical_not(batch.has_value())),
            self.iterator.get_next,
            lambda: batch,
        )
        has_value = batch.has_value()
        if self._has_clock:
            with tf.control_dependencies([has_value]):
                # The clock may have been set back.
                self._wait.assign_add(tf.maximum(tf.timestamp() - asked, 0.0))
        tf.cond(has_value, lambda: self._count(batch), lambda: False)
        return batch

    def _count(self, batch):
        _, stats = batch.get_value()
        self._sums.assign_add(tf.concat([[1], stats[1:]], axis=0))
        self._data_epoch.assign(stats[0])
        return True

    def read(self) -> Counts:
        """Returns what was taken until now."""
        sums = self._sums.numpy()
        return Counts(
            *sums[:6].tolist(),
            data_epoch=int(self._data_epoch),
            wait_seconds=float(self._wait) if self._has_clock else None,
            label_counts=sums[6:],
        )

    def begin(self, batches: int | None) -> None:
        """Lets an epoch of so many batches pass the gate; None: until the data ends."""
        self._allowed.assign(_ENDLESS if batches is None else self._sums[0] + batches)


@tf.autograph.experimental.do_not_convert
def _over_and_over(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns optionals: of each element, then none at the end; and so again.

    To make an iterator anew in its place, as TensorFlow's MakeIterator does, would keep
    0.1 MB of the old one each time (TensorFlow 2.16).
    """
    spec, optional = dataset.element_spec, cast(Any, tf.experimental.Optional)
    some = dataset.map(lambda *batch: optional.from_value(batch))
    end = tf.data.Dataset.range(1).map(lambda _: optional.empty(spec))
    return some.concatenate(end).repeat()


def _has_clock() -> bool:
    """Returns whether TensorFlow tells the time: not with op determinism."""
    try:
        tf.timestamp()
    except tf.errors.FailedPreconditionError:
        return False
    return True


def _sleep(poll):
    empty = tf.data.Dataset.range(0)
    slept = tf.raw_ops.SleepDataset(
        input_dataset=tf.data.experimental.to_variant(empty),
        sleep_microseconds=_POLL_MICROSECONDS,
        output_types=[tf.int64],
        output_shapes=[[]],
    )
    return tf.data.experimental.from_variant(slept, empty.element_spec)


def _has_value(batch):
    return batch.has_value()


def _get_batch(batch):
    return batch.get_value()[0]
