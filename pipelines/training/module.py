"""Trainer module: a small multi-label CNN on a resampled image stream.

TFX packs every Python file beside a module file, so this one is alone in its folder.

`custom_config` of the Trainer: "image_key", "image_size" ([height, width]),
"batch_size", "input_options" (fields of `InputOptions`), "resampled" (whether the
training split is what a Resampler has materialized). `train_args.num_steps` is the
number of batches to train; `eval_args.num_steps` the number of validation batches, 0
for all.
"""

import dataclasses
import json
import os
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tfx_resampling as tr
from absl import logging
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.dsl.io import fileio
from tfx.utils import io_utils
from tfx_resampling import report
from tfx_resampling.decision import labels
from tfx_resampling.images import decode

REALISED_FILE = "realised_labels.json"


def run_fn(fn_args: FnArgs) -> None:
    """Trains on the resampled training split, validates on the natural eval split.

    Writes the serving model, TensorBoard logs and checkpoints (`model_run_dir`), and
    the label distribution that training really saw (`realised_labels.json`, beside the
    serving model). A job that was killed continues from its last epoch when it is
    restarted with the same `model_run_dir`.
    """
    config = fn_args.custom_config or {}
    plan = tr.load_plan(fn_args)
    if plan is None:
        raise ValueError(
            "this Trainer module needs a plan: give tfx_resampling.Trainer a "
            "resample_plan, or a stock Trainer the planner's hyperparameters."
        )
    if config.get("resampled"):
        plan = plan.applied()
    batch_size = int(config.get("batch_size", 64))
    size = tuple(int(n) for n in config.get("image_size", (32, 32)))
    image = tr.ImageOptions(config.get("image_key", "image/encoded"), size)
    options = tr.InputOptions.from_dict(
        config.get("input_options", {"deterministic": True})
    )
    keras.utils.set_random_seed(plan.seed % 2**32)

    run_dir = fn_args.model_run_dir
    backup_dir = os.path.join(run_dir, "backup")
    monitor = tr.InputMonitor(plan, log_dir=run_dir, backup_dir=backup_dir)
    training = tr.input_fn(
        fn_args.train_files,
        plan,
        batch_size=batch_size,
        image=dataclasses.replace(
            image, augment=tr.Augmentation(shift=0.06, contrast=0.2)
        ),
        options=options,
        monitor=monitor,
    )
    validation = tr.input_fn(
        fn_args.eval_files,
        # A label that only the eval split has cannot be predicted.
        dataclasses.replace(plan.natural(), unknown_labels=1.0),
        batch_size=batch_size,
        image=image,
        options=dataclasses.replace(
            options,
            epochs=1,
            start_epoch=0,
            shuffle_records=0,
            deterministic=True,
            service_job=None,  # The stream of that name is the training split's.
        ),
    )

    model = build_model(len(plan.classes), (*size, image.channels))
    steps_per_epoch = min(plan.steps_per_epoch(batch_size), fn_args.train_steps)
    model.fit(
        training,
        epochs=-(-fn_args.train_steps // steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        validation_data=validation,
        validation_steps=fn_args.eval_steps or None,
        verbose=0,  # pyright: ignore[reportArgumentType]
        callbacks=[
            StopAfter(fn_args.train_steps),
            LogEpochs(),
            tr.BackupAndRestore(backup_dir),
            monitor,
            keras.callbacks.TensorBoard(run_dir, write_graph=False),
            SaveWeights(os.path.join(run_dir, "checkpoints")),
        ],
    )
    realised = monitor.label_counts
    if plan.grouping is None:  # Else the plan's rows are not labels.
        logging.info("Realised:\n%s", report.as_text(plan, realised=realised))
    export(model, plan, image, fn_args.serving_model_dir)
    write_realised(plan, realised, monitor.samples_seen, fn_args)


class StopAfter(keras.callbacks.Callback):
    """Ends training after a number of batches, also within an epoch."""

    def __init__(self, num_steps: int):
        super().__init__()
        self._num_steps = num_steps

    def on_train_batch_end(self, batch, logs=None):
        model: Any = self.model
        # Of the optimizer, which a restarted job restores.
        if model.optimizer.iterations >= self._num_steps:
            model.stop_training = True


class LogEpochs(keras.callbacks.Callback):
    """Logs a line per epoch; a progress bar is of no use in a container's log."""

    def on_epoch_end(self, epoch, logs=None):
        values = ", ".join(f"{k} {v:.4f}" for k, v in (logs or {}).items())
        epochs = (self.params or {}).get("epochs")
        logging.info("Epoch %d/%d: %s", epoch + 1, epochs, values)


class SaveWeights(keras.callbacks.Callback):
    """Saves the weights after each epoch; Keras' own callback cannot write to gs://."""

    def __init__(self, directory: str):
        super().__init__()
        self._directory = directory

    def on_epoch_end(self, epoch, logs=None):
        model: Any = self.model
        name = f"epoch-{epoch + 1:03d}.weights.h5"
        tf.io.gfile.makedirs(self._directory)
        with tempfile.TemporaryDirectory() as scratch:
            model.save_weights(os.path.join(scratch, name))
            tf.io.gfile.copy(
                os.path.join(scratch, name),
                os.path.join(self._directory, name),
                overwrite=True,
            )


def build_model(num_labels: int, input_shape) -> keras.Model:
    """Returns a compiled CNN with one sigmoid per label."""
    inputs = keras.Input(input_shape, name="image")
    x = inputs
    for filters in (32, 64, 128):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Activation("relu")(x)
        x = keras.layers.MaxPooling2D(2)(x)
    # A label is somewhere in the image: the strongest response decides.
    x = keras.layers.GlobalMaxPooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    outputs = keras.layers.Dense(num_labels, activation="sigmoid")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="binary_crossentropy",
        metrics=[
            keras.metrics.AUC(
                curve="PR", multi_label=True, num_labels=num_labels, name="auc_pr"
            )
        ],
    )
    return model


def export(
    model: keras.Model, plan: tr.Plan, image: tr.ImageOptions, directory: str
) -> None:
    """Saves the model with signatures that take serialized examples.

    "serving_default" returns "probabilities" float32 [batch, labels] in the order of
    `plan.classes`; "transformed_labels" returns "multi_hot", which the Evaluator takes
    as labels.
    """
    vocabulary = labels.Vocabulary(plan.classes, plan.label_dtype)
    label_spec = labels.feature_spec(plan.label_key, plan.label_dtype)
    image_spec = {image.key: tf.io.FixedLenFeature([], tf.string)}
    signature = [tf.TensorSpec([None], tf.string, name="examples")]
    pixel_dtype = tf.uint8 if image.scale is None else tf.float32

    @tf.function(input_signature=signature)
    def serve(examples):
        encoded = tf.io.parse_example(examples, image_spec)[image.key]
        pixels = tf.map_fn(
            lambda one: decode.decode_image(one, image),
            encoded,
            fn_output_signature=tf.TensorSpec(model.input_shape[1:], pixel_dtype),
        )
        return {"probabilities": model(pixels, training=False)}

    @tf.function(input_signature=signature)
    def transformed_labels(examples):
        values: Any = tf.io.parse_example(examples, label_spec)[plan.label_key]
        found = labels.labels_of(values, vocabulary)
        return {"multi_hot": labels.multi_hot(found, vocabulary.size)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve)
    archive.add_endpoint("transformed_labels", transformed_labels)
    archive.write_out(directory)


def write_realised(
    plan: tr.Plan, counts: np.ndarray, samples: int, fn_args: FnArgs
) -> None:
    """Writes what training saw beside the serving model."""
    directory = os.path.dirname(fn_args.serving_model_dir)
    fileio.makedirs(directory)
    io_utils.write_string_file(
        os.path.join(directory, REALISED_FILE),
        json.dumps(
            {
                "labels": plan.classes,
                "counts": [int(n) for n in counts],
                "samples": int(samples),
            },
            indent=1,
        ),
    )
