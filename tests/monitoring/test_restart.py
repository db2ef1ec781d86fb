"""A training job that is killed mid-epoch and started again, and one that is not."""

import numpy as np
import pytest
import tensorflow as tf

from tests import processes, tfrecords

pytestmark = pytest.mark.long

JOB = """
import json, os, signal, sys
import keras
import numpy as np
import tensorflow as tf
import tfx_resampling as tr
from tests import plans

files, backup, kill_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
tf.config.experimental.enable_op_determinism()
keras.utils.set_random_seed(3)
plan = plans.make("abc", [0.4, 1.5, 2.2], seed=6, counts=(60, 60, 60), num_records=210,
                  num_unlabeled=30, predicted=(24.0, 90.0, 132.0),
                  predicted_records=276.0, schedule="linear:2")
monitor = tr.InputMonitor(plan, backup_dir=backup)
batches = tr.input_fn(
    files, plan, batch_size=16, drop_remainder=True,
    image=tr.ImageOptions(augment=tr.Augmentation(shift=0.2, contrast=0.4)),
    options=tr.InputOptions(deterministic=True, shuffle_records=100),
    monitor=monitor)

class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

model = keras.Sequential([
    keras.Input([8, 8, 3]), keras.layers.Conv2D(4, 3), keras.layers.Flatten(),
    keras.layers.Dropout(0.3), keras.layers.Dense(3)])
model.compile(keras.optimizers.Adam(0.01),
              keras.losses.BinaryCrossentropy(from_logits=True))
model.fit(batches, epochs=4, steps_per_epoch=10, verbose=0, callbacks=[
    keras.callbacks.BackupAndRestore(backup), monitor, Kill()])
print("trained", json.dumps([[w.tolist() for w in model.get_weights()],
                             monitor.label_counts.tolist(), monitor.samples_seen,
                             monitor.history[0].epoch]))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    rng = np.random.default_rng(0)
    records = [
        tfrecords.example(
            {
                "image/encoded": tf.io.encode_png(
                    rng.integers(0, 255, [8, 8, 3], np.uint8)
                ).numpy(),
                "label": [letter.encode() for letter in letters],
            }
        )
        for letters in ["", "a", "b", "c", "ab", "bc", "abc"] * 30
    ]
    folder = tmp_path_factory.mktemp("files")
    tfrecords.spread(folder, records, files=3)
    return str(folder / "*")


def trained(log):
    weights, *counted = processes.answer(log, "trained")
    return [np.array(w) for w in weights], counted


def test_a_killed_job_ends_with_the_weights_of_an_undisturbed_one(files, tmp_path):
    def job(name, backup, kill_at):
        log = tmp_path / name
        arguments = (files, str(tmp_path / backup), str(kill_at))
        return log, processes.running(log, JOB, *arguments)

    # Side by side; the killed one is started again.
    undisturbed_log, undisturbed = job("undisturbed", "backup-0", -1)
    with undisturbed as process:
        killed_log, killed = job("killed", "backup-1", 26)  # In the third epoch.
        with killed as victim:
            assert victim.wait(120) == -9, killed_log.read_text()
        again_log, again = job("again", "backup-1", -1)
        with again as second:
            found, counted = trained(processes.wait_until_done(again_log, second))
        expected, expected_counts = trained(
            processes.wait_until_done(undisturbed_log, process)
        )
    assert all(np.array_equal(one, other) for one, other in zip(found, expected))
    *totals, first_epoch = counted
    *expected_totals, _ = expected_counts
    assert totals == expected_totals and totals[1] == 4 * 10 * 16
    assert first_epoch == 2
