"""Backups of the position in a data set, to resume a killed training job exactly."""

import json
import os
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf


class Backups:
    """Positions of an iterator at the starts of epochs, in files.

    Guarantee: a backup is seen when it is complete, whenever the job is killed. The two
    of the newest epochs are kept: the model's own backup may be one behind.
    """

    _MARKER = "state.json"

    def __init__(
        self, directory: str, iterator: tf.data.Iterator, made_with: Mapping[str, str]
    ):
        """Reads the position, so that what cannot be saved fails before training.

        Args:
          directory: where backups go, into a folder "input".
          iterator: the iterator.
          made_with: what its data set is made with, by name, in words.

        Raises:
          ValueError: the data set has state that cannot be saved.
        """
        self._directory = directory
        self._iterator: Any = iterator  # Its stubs do not have what it can save.
        self._made_with = dict(made_with)
        self._checkpoint = tf.train.Checkpoint(iterator=iterator)
        try:
            # Making the iterator again is no way back: `shuffle` then has another seed.
            self._first = self._iterator._serialize_to_tensors()
        except tf.errors.OpError as error:
            raise ValueError(
                "backup_dir needs a data set whose position can be saved, but: "
                f"{error.message} In functions of your own, such as an augmentation, "
                "use random numbers of the sample's seed (tf.random.stateless_*), no "
                "variables and no Python; or leave backup_dir out."
            ) from error

    def rewind(self) -> None:
        """Puts the iterator to where it was first, its first batch."""
        self._iterator._restore_from_tensors(self._first)

    def epochs(self) -> list[int]:
        """Returns the epochs at whose start there is a backup."""
        folder = os.path.join(self._directory, "input")
        if not tf.io.gfile.isdir(folder):
            return []
        names = [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]
        found = [int(name[6:]) for name in names if name.startswith("epoch-")]
        return sorted(epoch for epoch in found if self._state(epoch) is not None)

    def are_ahead(self, epoch: int, iterations: int | None) -> bool:
        """Returns whether a model stands where the epoch after `epoch` starts.

        Args:
          epoch: the epoch that training is about to start.
          iterations: steps that the model's optimizer has made; None: not known.
        """
        if not iterations:
            return False
        own, following = self._state(epoch), self._state(epoch + 1)
        here = own is not None and own["iterations"] == iterations
        return (
            not here and following is not None and following["iterations"] == iterations
        )

    def save(self, epoch: int, iterations: int | None, **values) -> None:
        """Saves the position as that of the start of an epoch, and JSON values."""
        state = {
            "epoch": epoch,
            "iterations": iterations,
            "made_with": self._made_with,
            **values,
        }
        self._remove(epoch)
        tf.io.gfile.makedirs(self._path(epoch))
        self._checkpoint.write(self._path(epoch, "iterator"))
        # Renaming a file is atomic, renaming a folder is not on object stores.
        unfinished = self._path(epoch, "unfinished")
        with tf.io.gfile.GFile(unfinished, "w") as file:
            json.dump(state, file)
        tf.io.gfile.rename(unfinished, self._path(epoch, self._MARKER))
        for other in self.epochs():
            # Later ones are of an earlier job.
            if other not in (epoch, epoch - 1):
                self._remove(other)

    def restore(self, epoch: int, iterations: int | None) -> dict:
        """Puts the iterator to the start of an epoch and returns the values of `save`.

        Args:
          epoch: the epoch, from 0.
          iterations: steps of the optimizer until there, None if not known.

        Raises:
          ValueError: there is no such backup, it is not of this data set, or the model
            does not stand there.
        """
        state = self._state(epoch)
        if state is None:
            raise ValueError(
                f"no backup of the input at the start of epoch {epoch} (from 0) in "
                f"{self._directory!r}; there are those of epochs {self.epochs()}. Was "
                "the job started without backup_dir, or with another one?"
            )
        before = state["made_with"]
        changed = [
            f"{name} {before.get(name)} is now {value}"
            for name, value in self._made_with.items()
            if before.get(name) != value
        ]
        if changed:
            raise ValueError(
                "a job must be started again with the input that it was started with, "
                f"or with another backup_dir: {'; '.join(changed)}."
            )
        if state["iterations"] != iterations:
            raise ValueError(
                f"the weights are not those of the start of epoch {epoch} (from 0): "
                f"the optimizer has made {iterations} steps, the input's backup is of "
                f"{state['iterations']}. BackupAndRestore must have "
                'save_freq="epoch".'
            )
        try:
            read = self._checkpoint.read(self._path(epoch, "iterator"))
            read.assert_consumed()
        except (tf.errors.OpError, AssertionError) as error:
            raise ValueError(
                f"the input's backup {self._path(epoch)!r} does not fit this data set. "
                "A job must be started again with the files, plan and options that it "
                f"was started with, or with another backup_dir. TensorFlow: {error}"
            ) from error
        return state

    def _state(self, epoch: int) -> dict | None:
        name = self._path(epoch, self._MARKER)
        if not tf.io.gfile.exists(name):
            return None
        with tf.io.gfile.GFile(name) as file:
            return json.load(file)

    def _remove(self, epoch: int) -> None:
        # The marker first: without it a rest is no backup.
        if tf.io.gfile.exists(self._path(epoch, self._MARKER)):
            tf.io.gfile.remove(self._path(epoch, self._MARKER))
        if tf.io.gfile.exists(self._path(epoch)):
            tf.io.gfile.rmtree(self._path(epoch))

    def _path(self, epoch: int, *names: str) -> str:
        return os.path.join(self._directory, "input", f"epoch-{epoch:06d}", *names)


def random_states(model: keras.Model | None) -> list[keras.Variable]:
    """Returns the states of a model's random layers, such as dropout.

    Keras does not save them with the weights: a resumed job would draw other numbers.
    """
    if model is None:
        return []
    saved = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in saved]


def optimizer_steps(model: keras.Model | None) -> int | None:
    """Returns how many steps a model's optimizer has made, None without one."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return None
    return int(keras.ops.convert_to_numpy(optimizer.iterations))
