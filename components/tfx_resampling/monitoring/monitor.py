"""Reports on the input of a training job, and lets a killed job resume exactly.

How waiting is measured: the monitor holds the iterator of the data set, and training
asks it for one batch at a time, in its own thread; what counts is the time from asking
to getting. On a CPU that is the time in which nothing was trained. A GPU may still be
busy with steps that were queued, so there it is an upper bound, as it is under
tf.distribute, which asks from a thread of its own.
"""

import math
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfx_resampling.core.plan import Plan
from tfx_resampling.monitoring import epoch_report
from tfx_resampling.monitoring.epoch_report import EpochInput, Made
from tfx_resampling.monitoring.positions import Backups, optimizer_steps, random_states
from tfx_resampling.monitoring.watched import Counts, WatchedDataset


class InputMonitor(keras.callbacks.Callback):
    """Reports the input of each epoch, and resumes it where a killed job left it.

    Guarantee: with `backup_dir`, a job that is killed at any time and started again
    goes on behind the last batch that its weights have seen, or ends with an error that
    tells why not: each batch is trained on once. If the order of batches is the same on
    every run (`InputOptions(deterministic=True)`), so are the weights in the end.
    What is counted is what training took; validation is not.

    Example:
        monitor = InputMonitor(plan, log_dir=run_dir, backup_dir=backup_dir)
        batches = input_fn(files, plan, batch_size=64, monitor=monitor)
        model.fit(batches, epochs=10, steps_per_epoch=plan.steps_per_epoch(64),
                  callbacks=[keras.callbacks.BackupAndRestore(backup_dir), monitor])

    Each epoch is a line in the log, numbered from 1 as Keras does, and an entry of
    `history`, numbered from 0. The line has how many samples were emitted and planned,
    and what explains a difference, apart from chance. The distance in it is the total
    variation, 0 to 1, of the labels seen to those that the plan predicts for the data's
    epoch. A plan for groups predicts groups: no distance then.

    With `backup_dir`, training has to take the batches as they come. A `prefetch`
    behind `input_fn`, or Keras' class_weight, which makes one, is an error. Under a
    tf.distribute strategy `input_fn` has to be called in its scope, and batches come
    only within an epoch. The monitor may come before BackupAndRestore or behind it.
    Behind, it also repairs a kill between that callback's two files; before, that is an
    error. Several workers need a directory each.

    A loop of your own, without Keras, calls `begin_epoch` and `end_epoch`.

    Attributes:
      history: the epochs that this process trained, one `EpochInput` each.
      plan: as given.
      backup_dir: as given.
    """

    def __init__(
        self,
        plan: Plan,
        log_dir: str | None = None,
        backup_dir: str | None = None,
    ):
        """Makes a monitor for one data set.

        Args:
          plan: the plan that the data set is made with.
          log_dir: where charts for TensorBoard go, into a folder "input"; None: none.
          backup_dir: the directory of keras.callbacks.BackupAndRestore; positions in
            the data go into a folder "input" of it, and vanish with it at the end. They
            hold what is in shuffle and prefetch buffers. None: none.

        Raises:
          ValueError: no plan.
        """
        super().__init__()
        if not isinstance(plan, Plan):
            raise ValueError(f"plan must be a Plan, got {plan!r}.")
        # Else Keras would wait for the device after every batch on our behalf.
        self.async_safe = backup_dir is None
        self.history: list[EpochInput] = []
        self.plan = plan
        self._charts = None if log_dir is None else epoch_report.Charts(plan, log_dir)
        self.backup_dir = backup_dir
        self._backups: Backups | None = None
        self._watched: WatchedDataset | None = None
        self._made: Made | None = None
        self._label_counts = np.zeros(len(plan.classes), np.int64)
        self._samples = 0
        self._next_epoch: int | None = None  # After the last that ended here.

    def watch(
        self,
        dataset: tf.data.Dataset,
        made_with: Mapping[str, str] | None = None,
        *,
        batch_size: int | None = None,
        drop_remainder: bool = False,
        num_shards: int = 1,
        epochs: int | None = None,
    ) -> tf.data.Dataset:
        """Returns the data set of batches to train on; `input_fn` calls this.

        It is one stream: iterating it again goes on where it was left, and starts anew
        once it has ended.

        Args:
          dataset: (batch, stats), see `WatchedDataset`.
          made_with: what it is made with, by name, in words. A job that is started
            again with something else is an error that tells what.
          batch_size: samples per batch, to tell how many samples are planned; None:
            that is not told.
          drop_remainder: whether an epoch's smaller last batch is dropped.
          num_shards: of so many workers, which share the records, this is one.
          epochs: epochs of the data, after which it ends; None: it does not.

        Raises:
          ValueError: a second data set, or one that `backup_dir` cannot save.
        """
        if self._watched is not None:
            raise ValueError(
                "an InputMonitor watches one data set, and this one has its data set "
                "already. Make another one; validation data needs none."
            )
        gated = self.backup_dir is not None and tf.distribute.has_strategy()
        watched = WatchedDataset(dataset, len(self.plan.classes), gated)
        if self.backup_dir is not None:
            self._backups = Backups(self.backup_dir, watched.iterator, made_with or {})
        self._watched = watched
        if batch_size is not None:
            self._made = Made(batch_size, drop_remainder, num_shards, epochs)
        self._counted = watched.read()
        self._start_epoch(0, None)
        return watched.dataset

    @property
    def label_counts(self) -> np.ndarray:
        """int64 [classes], samples with each class since the job was first started."""
        return self._label_counts + self._taken().label_counts

    @property
    def samples_seen(self) -> int:
        """Samples since the job was first started."""
        return self._samples + self._taken().emitted

    def begin_epoch(self, epoch: int, batches: int | None = None) -> None:
        """Starts the clock; in a job started again, goes to the epoch's first batch.

        Args:
          epoch: epoch of training, from 0.
          batches: how many batches it takes; None: until the data ends.

        Raises:
          ValueError: no backup for this epoch, or one that does not fit.
        """
        watched = self._watching()
        if self._backups is not None:
            self._go_to(epoch, self._backups)
        elif epoch and self._next_epoch is None:
            logging.warning(
                "Training starts at epoch %d, but its input at the beginning, as "
                "InputMonitor has no backup_dir.",
                epoch + 1,
            )
        watched.begin(batches)
        self._start_epoch(epoch, batches)

    def end_epoch(self, epoch: int) -> None:
        """Reports an epoch, and backs up where the next one starts."""
        seconds = time.monotonic() - self._started - self._paused
        if self._saved != epoch + 1:
            self._save(epoch + 1)
        now = self._watching().read()
        taken = self._taken(now)
        done = EpochInput(epoch=epoch, seconds=seconds, **taken._asdict())
        if self._made is not None:
            is_cut = self._batches is not None and taken.batches >= self._batches
            done = self._made.compared(done, self.plan, is_cut)
        self._label_counts = self._label_counts + done.label_counts
        self._samples += done.emitted
        self._counted = now
        self._next_epoch = epoch + 1
        self._start_epoch(epoch + 1, None)
        self.history.append(done)
        epoch_report.log(done, self.plan)
        if self._charts is not None:
            self._charts.write(done)

    def on_train_begin(self, logs=None):
        watched, model = self._watching(), self._keras_model
        if self._backups is None:
            return
        with model.distribute_strategy.scope():
            if tf.distribute.has_strategy() and not watched.gated:
                raise ValueError(
                    "a tf.distribute strategy takes batches ahead of training, so that "
                    "the input could not be resumed exactly. Call input_fn within "
                    "strategy.scope(), or leave backup_dir out."
                )
        epoch = model._initial_epoch or 0
        ahead = self._backups.are_ahead(epoch, optimizer_steps(model))
        if self._next_epoch is None and ahead:
            logging.warning(
                "BackupAndRestore was killed between its two files: the weights are "
                "those of the start of epoch %d, not %d. Training goes on there.",
                epoch + 2,
                epoch + 1,
            )
            model._initial_epoch = epoch + 1

    def on_epoch_begin(self, epoch, logs=None):
        steps = (self.params or {}).get("steps")
        if steps is not None:
            together = self._keras_model.steps_per_execution
            steps = math.ceil(steps / together) * together
        self.begin_epoch(epoch, steps)

    def on_train_batch_end(self, batch, logs=None):
        """Backs the position up behind the last batch of an epoch."""
        if self._backups is None or self._batches is None:
            return
        first = not self._steps
        self._steps += self._keras_model.steps_per_execution
        if self._steps >= self._batches:
            # Not only at the end of the epoch, which BackupAndRestore may be told of
            # before: a kill in between would leave weights without a position.
            self._save(self._epoch + 1)
        elif first:
            self._check_not_ahead()

    def on_epoch_end(self, epoch, logs=None):
        self.end_epoch(epoch)

    def on_test_begin(self, logs=None):
        self._test_started = time.monotonic()

    def on_test_end(self, logs=None):
        if self._watched is not None:
            self._paused += time.monotonic() - self._test_started

    @property
    def _keras_model(self) -> Any:
        """The model that Keras has set, with what its stubs leave out."""
        return self.model

    def _watching(self) -> WatchedDataset:
        if self._watched is None:
            raise ValueError(
                "this InputMonitor has no data set. Give it to the one that is trained "
                "on: input_fn(..., monitor=monitor)."
            )
        return self._watched

    def _start_epoch(self, epoch: int, batches: int | None) -> None:
        self._epoch, self._batches = epoch, batches
        self._steps = 0  # Batches trained, where Keras tells.
        self._saved: int | None = None
        self._begun = self._watching().read()
        self._started, self._paused = time.monotonic(), 0.0

    def _taken(self, now: Counts | None = None) -> Counts:
        """Returns what was taken after the last epoch that was reported."""
        now = now or self._watching().read()
        # The clock started with the epoch; a batch may have been taken before.
        waited = now.since(self._begun).wait_seconds
        return now.since(self._counted)._replace(wait_seconds=waited)

    def _go_to(self, epoch: int, backups: Backups) -> None:
        """Puts the data set where the epoch starts."""
        watched = self._watching()
        moved = watched.read().batches != self._counted.batches
        fresh = self._next_epoch is None
        here = epoch == self._next_epoch and (
            # Nothing trained what was taken since, and without a backup (they vanish
            # when training is done) nothing else can be meant.
            not moved or epoch not in backups.epochs()
        )
        if fresh and backups.are_ahead(epoch, optimizer_steps(self.model)):
            raise ValueError(
                "BackupAndRestore was killed between its two files: the weights are "
                f"those of the start of epoch {epoch + 1} (from 0), not {epoch}. Put "
                "InputMonitor behind BackupAndRestore in callbacks; it repairs that."
            )
        if epoch and not here:
            state = backups.restore(epoch, optimizer_steps(self.model))
            self._label_counts = np.array(state["label_counts"], np.int64)
            self._samples = state["samples_seen"]
            for variable, value in zip(random_states(self.model), state["random"]):
                variable.assign(value)
            logging.info("Input goes on where epoch %d starts.", epoch + 1)
        elif fresh and moved:
            # Batches that were looked at before training, as by Keras to build a model.
            backups.rewind()
        else:
            return
        self._counted = watched.read()

    def _save(self, epoch: int) -> None:
        if self._backups is None:
            return
        started = time.monotonic()
        self._check_not_ahead()
        self._backups.save(
            epoch,
            optimizer_steps(self.model),
            samples_seen=self.samples_seen,
            label_counts=self.label_counts.tolist(),
            random=[state.numpy().tolist() for state in random_states(self.model)],
        )
        self._saved = epoch
        self._paused += time.monotonic() - started

    def _check_not_ahead(self) -> None:
        watched = self._watching()
        taken = watched.read().batches - self._begun.batches
        if self._steps and taken > self._steps and not watched.gated:
            raise RuntimeError(
                f"{taken} batches were taken from the input, but {self._steps} were "
                "trained on, so that it could not be resumed exactly. Leave out what "
                "takes more: a prefetch behind input_fn, class_weight, which makes "
                "one, or looks at the data during training. Or leave backup_dir out."
            )
