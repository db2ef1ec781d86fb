"""`BackupAndRestore`: complete at any moment, on any file system."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tfx_resampling as tr

X, Y = np.ones((8, 3), np.float32), np.ones((8, 1), np.float32)


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Ends training at the start of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch
        self.trained = []

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epoch:
            raise Killed
        self.trained.append(epoch)


def fit(directory, kill_at=None):
    """Trains 4 epochs; returns (model, epochs trained)."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    kill = Kill(kill_at)
    try:
        model.fit(
            *(X, Y),
            epochs=4,
            verbose=0,
            callbacks=[tr.BackupAndRestore(directory), kill],
        )
    except Killed:
        pass
    return model, kill.trained


@pytest.fixture(params=["local", pytest.param("ram", marks=pytest.mark.long)])
def directory(request, tmp_path):
    """A directory on this disk, and where only TensorFlow can write."""
    return str(tmp_path) if request.param == "local" else f"ram://{tmp_path.name}"


def test_goes_on_from_the_last_epoch(directory):
    expected, _ = fit(f"{directory}/other")
    _, trained = fit(f"{directory}/backup", kill_at=2)
    assert trained == [0, 1]
    assert sorted(tf.io.gfile.listdir(f"{directory}/backup")) == [
        *("latest.weights.h5", "training_metadata.json")
    ]
    model, trained = fit(f"{directory}/backup")
    assert trained == [2, 3]
    for weights, wanted in zip(model.get_weights(), expected.get_weights()):
        np.testing.assert_array_equal(weights, wanted)
    assert not tf.io.gfile.exists(f"{directory}/backup")


@pytest.mark.long
@pytest.mark.parametrize(
    "directory, name",
    [
        ("local", "latest.weights.h5"),
        ("ram", "training_metadata.json"),
        pytest.param("local", "training_metadata.json", marks=pytest.mark.nightly),
        pytest.param("ram", "latest.weights.h5", marks=pytest.mark.nightly),
    ],
    indirect=["directory"],
)
def test_a_kill_while_it_writes_leaves_what_was_there(directory, monkeypatch, name):
    rename, seen = tf.io.gfile.rename, []

    def killed(source, target, overwrite=False):
        seen.append(target)
        if target.endswith(name) and sum(t.endswith(name) for t in seen) == 2:
            raise Killed
        rename(source, target, overwrite)

    with monkeypatch.context() as patch:
        patch.setattr(tf.io.gfile, "rename", killed)
        _, trained = fit(directory)
    assert trained == [0, 1]
    # The second epoch is not in the backup, the first is whole.
    _, trained = fit(directory)
    assert trained == [1, 2, 3]
