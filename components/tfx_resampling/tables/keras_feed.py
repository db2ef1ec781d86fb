"""Batches of a generator as Keras asks for them: by number, epoch by epoch."""

import collections
import threading
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfx_resampling.validate import shown


class EpochFeed:
    """Gives Keras the batches of a generator, in their own order.

    Keras asks for the first two batches to learn their shapes, then for each of
    `len(generator)` per epoch, by numbers that `fit` shuffles: numbers within an epoch
    are therefore ignored. Each `fit`, `evaluate` and `predict` starts the generator
    anew (`restart`), and their epochs go on one after the other. A generator without
    `repeat` starts again with each epoch, one with an end after its last batch.

    Args:
      generator: a DataGenerator.
    """

    def __init__(self, generator: Any):
        self._generator = generator
        self._lock = threading.Lock()
        self._dataset: tf.data.Dataset | None = None
        self._iterator: Iterator[Any] = iter(())
        # Batches that were asked for before their epoch began.
        self._ahead: collections.deque = collections.deque()
        # Batches left in the epoch; between epochs, none.
        self._remaining = 0
        self._is_running = self._is_fresh = False
        self._epoch = 0

    def get(self, index: int) -> Any:
        """Returns a batch as NumPy: the next one; between epochs, the one at `index`.

        Raises:
          IndexError: between epochs, an epoch does not have that many batches.
        """
        with self._lock:
            if self._remaining:
                self._remaining -= 1
                return self._ahead.popleft() if self._ahead else self._next()
            if not 0 <= index < len(self._generator):
                raise IndexError(
                    f"index must be from 0 to {len(self._generator) - 1}, got "
                    f"{shown(index)}."
                )
            if not self._is_fresh or index == 0:
                self._start(0)
            while len(self._ahead) <= index:
                self._ahead.append(self._next())
            return self._ahead[index]

    def restart(self) -> None:
        """Forgets what is left of an epoch: the next batch is the generator's first."""
        with self._lock:
            self._remaining = 0
            self._is_running = self._is_fresh = False

    def begin(self) -> None:
        """Begins an epoch."""
        with self._lock:
            # With Keras' steps_per_epoch, its epochs end before those of the generator.
            goes_on = self._remaining > 0 and not self._is_running
            if self._is_fresh:
                pass
            elif self._is_running:  # The one before was broken off, and another begins.
                self._start(0)
            elif not (goes_on or self._generator.repeat):
                self._start(self._epoch + 1)
            self._is_running, self._is_fresh = True, False
            if not goes_on:
                self._remaining = len(self._generator)

    def end(self) -> None:
        """Ends an epoch."""
        with self._lock:
            self._is_running = False

    def _start(self, epoch: int) -> None:
        """Begins with an epoch of the generator, and forgets batches made ahead."""
        self._open(epoch)
        self._ahead.clear()
        self._is_fresh = True

    def _open(self, epoch: int) -> None:
        """Begins with the data set of an epoch of the generator."""
        is_other = epoch != self._epoch and self._generator.changes_by_epoch
        dataset = self._dataset
        if dataset is None or is_other:
            dataset = self._dataset = self._generator.epoch_dataset(epoch)
        self._epoch, self._iterator = epoch, iter(dataset)

    def _next(self) -> Any:
        batch = next(self._iterator, None)
        if batch is None:  # The generator has ended, or samples were skipped.
            self._open(self._epoch + 1)
            batch = next(self._iterator)
        return tf.nest.map_structure(lambda x: x.numpy(), batch)
