"""Backups of a model's weights in a bucket, complete at any moment."""

import os
import tempfile

import keras
import tensorflow as tf

_UNFINISHED = ".unfinished"


class BackupAndRestore(keras.callbacks.BackupAndRestore):
    """Keras' BackupAndRestore for any file system; it survives being killed.

    Guarantee: what is in `backup_dir` under its final name is complete, whenever the
    job is killed. Keras 3 writes HDF5 in place, to local disks only: not to gs://, and
    a job that is killed while it writes cannot be started again.

    The callback saves after each epoch, as `InputMonitor` needs it, with which a job
    goes on exactly; the monitor comes behind it in `callbacks`.
    """

    def __init__(self, backup_dir: str, delete_checkpoint: bool = True):
        """Makes the callback.

        Args:
          backup_dir: directory of the backup, local or remote.
          delete_checkpoint: whether it is deleted when training is done.
        """
        # Alive as long as this object.
        self._scratch = tempfile.TemporaryDirectory(prefix="backup-")
        super().__init__(self._scratch.name, delete_checkpoint=delete_checkpoint)
        self._target = backup_dir

    def on_train_begin(self, logs=None):
        os.makedirs(self._scratch.name, exist_ok=True)
        if tf.io.gfile.isdir(self._target):
            for name in tf.io.gfile.listdir(self._target):
                path = os.path.join(self._target, name)
                # The input's positions are in a directory.
                if not name.endswith(_UNFINISHED) and not tf.io.gfile.isdir(path):
                    local = os.path.join(self._scratch.name, name)
                    tf.io.gfile.copy(path, local, overwrite=True)
        super().on_train_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        tf.io.gfile.makedirs(self._target)
        # Weights first, then their epoch: InputMonitor repairs a kill between the two.
        for name in sorted(os.listdir(self._scratch.name)):
            path = os.path.join(self._target, name)
            local = os.path.join(self._scratch.name, name)
            tf.io.gfile.copy(local, path + _UNFINISHED, overwrite=True)
            tf.io.gfile.rename(path + _UNFINISHED, path, overwrite=True)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        if self.delete_checkpoint and tf.io.gfile.exists(self._target):
            tf.io.gfile.rmtree(self._target)
