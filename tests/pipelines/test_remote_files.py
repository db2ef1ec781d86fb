"""The Trainer module where no path is a local file, as on a cluster.

TensorFlow's in-memory file system `ram://` stands for a bucket: what opens its paths
with anything but TensorFlow or TFX fails, as it would on gs://.
"""

import glob
import json
import os

import numpy as np
import pytest
import tensorflow as tf
import tfx_resampling as tr
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.dsl.io import filesystem_registry
from tfx.dsl.io.plugins import tensorflow_gfile
from tfx_resampling import artifacts

from pipelines.training import module

pytestmark = pytest.mark.nightly

ROOT = "ram://bucket"
BATCH_SIZE = 32


@pytest.fixture(scope="module")
def fn_args(demo_data):
    """Arguments of `run_fn`, with the data, the plan and all outputs in ram://."""

    class InMemory(tensorflow_gfile.TensorflowFilesystem):
        SUPPORTED_SCHEMES = ["ram://"]

    registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
    registry.register(InMemory, priority=0, use_as_fallback=False)
    for path in glob.glob(os.path.join(demo_data, "*", "*.tfrecord")):
        target = os.path.join(ROOT, os.path.relpath(path, demo_data))
        tf.io.gfile.makedirs(os.path.dirname(target))
        tf.io.gfile.copy(path, target)
    counts = tr.count_labels(f"{ROOT}/train/*", "labels")
    plan = tr.make_plan(counts, tr.PlannerConfig("labels", target="sqrt", seed=3))
    artifacts.write_plan(plan, f"{ROOT}/plan")
    return FnArgs(
        train_files=[f"{ROOT}/train/*"],
        eval_files=[f"{ROOT}/eval/*"],
        train_steps=2 * plan.steps_per_epoch(BATCH_SIZE),
        eval_steps=2,
        model_run_dir=f"{ROOT}/model_run",
        serving_model_dir=f"{ROOT}/model/Format-Serving",
        custom_config={
            "batch_size": BATCH_SIZE,
            # The first of the two epochs.
            "natural_epochs": 1,
            "second_stage": "head",
            "resample_plan_uri": f"{ROOT}/plan",
        },
    )


class Killed(Exception):
    pass


def test_trains_saves_and_goes_on_from_a_backup(fn_args, monkeypatch):
    plan = tr.load_plan(fn_args)

    class Stop(module.LogEpochs):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "LogEpochs", Stop)
        with pytest.raises(Killed):
            module.run_fn(fn_args)
    backup = tf.io.gfile.listdir(f"{ROOT}/model_run/backup")
    assert sorted(name.rstrip("/") for name in backup) == [
        *("input", "latest.weights.h5", "training_metadata.json")
    ]
    epochs = []

    class Note(module.LogEpochs):
        def on_epoch_begin(self, epoch, logs=None):
            epochs.append(epoch)

    monkeypatch.setattr(module, "LogEpochs", Note)
    module.run_fn(fn_args)
    assert epochs == [1]
    with tf.io.gfile.GFile(f"{ROOT}/model/{module.REALISED_FILE}") as file:
        realised = json.load(file)
    # Each batch once, by two processes.
    batches = tr.input_fn(
        fn_args.train_files,
        plan.scheduled("step:1"),
        batch_size=BATCH_SIZE,
        image=None,
        options=tr.InputOptions(deterministic=True),
    )
    taken = batches.take(fn_args.train_steps).as_numpy_iterator()
    ys = np.concatenate([y for _, y in taken])
    assert realised["samples"] == len(ys)
    assert realised["counts"] == ys.sum(axis=0).astype(int).tolist()
    assert not tf.io.gfile.exists(f"{ROOT}/model_run/backup")
    assert tf.io.gfile.listdir(f"{ROOT}/model_run/checkpoints") == [
        *("epoch-001.weights.h5", "epoch-002.weights.h5")
    ]
    assert tf.io.gfile.glob(f"{ROOT}/model_run/train/events.out.tfevents.*")
    model = tf.saved_model.load(fn_args.serving_model_dir)
    (path,) = tf.io.gfile.glob(f"{ROOT}/eval/*")[:1]
    examples = list(tf.data.TFRecordDataset(path).take(3).as_numpy_iterator())
    serve = model.signatures["serving_default"]
    probabilities = serve(examples=tf.constant(examples))["probabilities"]
    assert probabilities.shape == (3, len(plan.classes))
