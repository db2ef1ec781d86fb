"""Trainer module: a small multi-label CNN on a resampled image stream.

TFX packs every Python file beside a module file, so this one is alone in its folder.

`custom_config` of the Trainer:

- "image_key", "image_size" ([height, width]), "batch_size", "learning_rate"
- "input_options": fields of `InputOptions`
- "resampled": whether the training split is what a Resampler has materialized
- "natural_epochs": epochs of natural data before those of the plan; 0 for none
- "second_stage": what is trained when the natural epochs are over, "all" or "head"
- "trials", "search": how many sets of hyperparameters a Tuner tries, and of which
  (`SEARCH`)

`train_args.num_steps` is the number of batches to train; `eval_args.num_steps` the
number of validation batches, 0 for all.
"""

import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
import tfx_resampling as tr
from absl import logging
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult
from tfx.dsl.io import fileio
from tfx.utils import io_utils
from tfx_resampling import artifacts, report
from tfx_resampling.calibration.prior import MOST_UNSEEN
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.decision import labels
from tfx_resampling.images import decode
from tfx_resampling.validate import check_choice, check_integer, check_names

REALISED_FILE = "realised_labels.json"
SECOND_STAGES = ("all", "head")
LEARNING_RATE = 1e-3
# What a Tuner chooses, from and to. The target is "power:Q", of exponent Q.
SEARCH = {
    "target_exponent": (0.0, 1.0),
    "max_factor": (2.0, 100.0),
    "learning_rate": (3e-4, 3e-3),
}
TRIALS = 8
# What its trials are compared by, on the natural eval split.
OBJECTIVE = keras_tuner.Objective("val_auc_pr", "max")


def run_fn(fn_args: FnArgs) -> None:
    """Trains on the resampled training split, validates on the natural eval split.

    Writes the serving model, TensorBoard logs and checkpoints (`model_run_dir`), and
    beside the serving model the plan and the label distribution that training really
    saw (`realised_labels.json`). A job that was killed continues from its last epoch
    when it is restarted with the same `model_run_dir`.
    """
    config = fn_args.custom_config or {}
    data = Data.of(fn_args)
    tuned = (fn_args.hyperparameters or {}).get("values", {})
    stages = Stages.of(
        planned(load_plan(fn_args), tuned),
        config,
        data.batch_size,
        fn_args.train_steps,
    )
    made = stages.plan
    before = steps_before_plan(made, data.batch_size, fn_args.train_steps)
    is_final = before < fn_args.train_steps
    if config.get("resampled") and made.schedule != "constant":
        is_final = False  # Of whatever epochs they were made.
    correction, natural = correction_of(made, is_final)
    plan = made.applied() if config.get("resampled") else made
    keras.utils.set_random_seed(plan.seed % 2**32)

    run_dir = fn_args.model_run_dir
    backup_dir = os.path.join(run_dir, "backup")
    monitor = tr.InputMonitor(plan, log_dir=run_dir, backup_dir=backup_dir)
    model = build_model(
        len(plan.classes),
        data.shape,
        float(tuned.get("learning_rate", config.get("learning_rate", LEARNING_RATE))),
    )
    steps_per_epoch = min(plan.steps_per_epoch(data.batch_size), fn_args.train_steps)
    model.fit(
        data.training(plan, monitor),
        epochs=-(-fn_args.train_steps // steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        validation_data=data.validation(plan),
        validation_steps=fn_args.eval_steps or None,
        verbose=0,  # pyright: ignore[reportArgumentType]
        callbacks=[
            *stages.callbacks(),
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
    export(model, plan, data.image, correction, fn_args.serving_model_dir)
    write_realised(plan, realised, monitor.samples_seen, natural, fn_args)
    artifacts.write_plan(made, os.path.dirname(fn_args.serving_model_dir))


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Returns what searches for a plan and a learning rate: TFX's Tuner runs it.

    Each trial makes a plan of its own, of the counts and options of the Tuner's plan,
    and trains `train_steps` batches: equally many whatever the plan. It is judged by
    the mean area under the precision-recall curve on the natural eval split. The
    Trainer makes the best trial's plan again, of the hyperparameters that it gets.
    """
    config = fn_args.custom_config or {}
    plan, data = load_plan(fn_args), Data.of(fn_args)
    trials = config.get("trials", TRIALS)
    check_integer("trials", trials, 1)
    _ = Stages.of(plan, config, data.batch_size, fn_args.train_steps)
    keras.utils.set_random_seed(plan.seed % 2**32)
    return TunerFnResult(
        keras_tuner.RandomSearch(
            Candidates(plan, data, search_space(config)),
            OBJECTIVE,
            max_trials=trials,
            seed=plan.seed % 2**32,
            directory=fn_args.working_dir,
            project_name="resampling",
        ),
        {"verbose": 0},
    )


def search_space(config: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Returns hyperparameter -> (lowest, highest), `SEARCH` but for config["search"].

    Raises:
      ValueError: another hyperparameter, or what is not two numbers in order.
    """
    given = config.get("search") or {}
    check_names("hyperparameters in search", given, list(SEARCH))
    space = {**SEARCH, **given}
    for name, interval in space.items():
        try:
            low, high = map(float, interval)
        except (TypeError, ValueError):
            low, high = 1.0, 0.0
        most = 1.0 if name == "target_exponent" else math.inf
        least = 0.0 if name == "target_exponent" else math.ulp(0.0)
        if not least <= low <= high <= most:
            raise ValueError(
                f"search of {name!r} must be the lowest and the highest value, "
                f"{'from 0 to 1' if most == 1 else 'above 0'}, got {interval!r}."
            )
        space[name] = low, high
    return space


class Candidates(keras_tuner.HyperModel):
    """Models of plans and learning rates that are tried."""

    def __init__(
        self, plan: tr.Plan, data: "Data", space: Mapping[str, tuple[float, float]]
    ):
        super().__init__()
        self._plan, self._data, self._space = plan, data, space
        self._validation = data.validation(plan)  # The same of any plan of the labels.

    def build(self, hp) -> keras.Model:
        """Returns a model that is not yet trained."""
        values = {
            name: hp.Float(
                name, low, high, sampling="log" if low > 0 and low < high else "linear"
            )
            for name, (low, high) in self._space.items()
        }
        return build_model(
            len(self._plan.classes), self._data.shape, values["learning_rate"]
        )

    def fit(self, hp, model, *args, callbacks=(), **kwargs):
        """Trains a model on samples of the plan of its hyperparameters."""
        fn_args = self._data.fn_args
        config, steps = fn_args.custom_config or {}, fn_args.train_steps
        plan = planned(self._plan, hp.values)
        stages = Stages.of(plan, config, self._data.batch_size, steps)
        logging.info("Trial:\n%s", report.as_text(plan))
        return model.fit(
            self._data.training(stages.plan),
            steps_per_epoch=steps,
            validation_data=self._validation,
            validation_steps=fn_args.eval_steps or None,
            callbacks=[*callbacks, *stages.callbacks()],
            **kwargs,
        )


def load_plan(fn_args: FnArgs) -> tr.Plan:
    """Returns the plan.

    Raises:
      ValueError: there is none.
    """
    plan = tr.load_plan(fn_args)
    if plan is None:
        raise ValueError(
            "this Trainer module needs a plan: give tfx_resampling.Trainer a "
            "resample_plan, or a stock Trainer the planner's hyperparameters."
        )
    return plan


def planned(plan: tr.Plan, values: Mapping[str, Any]) -> tr.Plan:
    """Returns a plan of the same counts and options, but for what a Tuner chose.

    Args:
      plan: as the planner made it.
      values: hyperparameters; without "target_exponent" and "max_factor" it is `plan`.

    Raises:
      ValueError: the plan does not have the options that it was made with, or the
        hyperparameters do not go with them.
    """
    chosen = {}
    if "target_exponent" in values:
        chosen["target"] = f"power:{float(values['target_exponent']):.6g}"
    if "max_factor" in values:
        chosen["max_factor"] = float(values["max_factor"])
    if not chosen:
        return plan
    options = plan.provenance.get("options")
    if not options:
        raise ValueError(
            "a plan can be made again only if it has the options that it was made "
            "with: plan.provenance['options']."
        )
    if not all(float(n).is_integer() for n in plan.label_sets.values()):
        logging.warning(
            "The plan has a sample of its label sets: what is planned of these is not "
            "exact."
        )
    known_by = {"identity": plan.identity, "key_features": plan.key_features}
    config = tr.PlannerConfig(**{**options, **known_by, **chosen})
    return tr.make_plan(plan.label_counts(), config)


@dataclasses.dataclass(frozen=True)
class Data:
    """What is read, as `custom_config` has it.

    Attributes:
      fn_args: the files.
      batch_size: samples per batch.
      image: how images are decoded.
      options: how records are read.
    """

    fn_args: FnArgs
    batch_size: int
    image: tr.ImageOptions
    options: tr.InputOptions

    @classmethod
    def of(cls, fn_args: FnArgs) -> "Data":
        """Reads the options of a Trainer or Tuner."""
        config = fn_args.custom_config or {}
        size = tuple(int(n) for n in config.get("image_size", (32, 32)))
        return cls(
            fn_args,
            int(config.get("batch_size", 64)),
            tr.ImageOptions(config.get("image_key", "image/encoded"), size),
            tr.InputOptions.from_dict(
                config.get("input_options", {"deterministic": True})
            ),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and channels of an image."""
        return (*(self.image.size or ()), self.image.channels)

    def training(
        self, plan: tr.Plan, monitor: tr.InputMonitor | None = None
    ) -> tf.data.Dataset:
        """Returns batches of augmented samples of a plan, without end."""
        return tr.input_fn(
            self.fn_args.train_files,
            plan,
            batch_size=self.batch_size,
            image=dataclasses.replace(
                self.image, augment=tr.Augmentation(shift=0.06, contrast=0.2)
            ),
            options=self.options,
            monitor=monitor,
        )

    def validation(self, plan: tr.Plan) -> tf.data.Dataset:
        """Returns batches of the natural eval split."""
        return tr.input_fn(
            self.fn_args.eval_files,
            # A label that only the eval split has cannot be predicted.
            dataclasses.replace(plan.natural(), unknown_labels=1.0),
            batch_size=self.batch_size,
            image=self.image,
            options=dataclasses.replace(
                self.options,
                epochs=1,
                start_epoch=0,
                shuffle_records=0,
                deterministic=True,
                service_job=None,  # The stream of that name is the training split's.
            ),
        )


@dataclasses.dataclass(frozen=True)
class Stages:
    """Deferred balancing: epochs of natural data, then those of the plan.

    References: Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware
    Margin Loss, NeurIPS 2019 (all of the model is trained in both stages); Kang et al.,
    Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020
    (only the classifier is in the second one, which they begin anew, and which here
    goes on from where it is).

    Attributes:
      plan: the plan, with the schedule of the stages.
      head_from: batch from which on only the head is trained; None: never.
    """

    plan: tr.Plan
    head_from: int | None = None

    @classmethod
    def of(
        cls,
        plan: tr.Plan,
        config: Mapping[str, Any],
        batch_size: int,
        train_steps: int,
    ) -> "Stages":
        """Returns the stages that a `custom_config` asks for.

        Raises:
          ValueError: values that are not valid, or stages that cannot be.
        """
        epochs = config.get("natural_epochs") or 0
        second = config.get("second_stage", "all")
        check_integer("natural_epochs", epochs)
        check_choice("second_stage", second, SECOND_STAGES)
        if not epochs and second == "all":
            return cls(plan)
        if epochs and plan.schedule != "constant":
            raise ValueError(
                f"natural_epochs must be left out where the plan has a schedule, "
                f"{plan.schedule!r}, got {epochs!r}."
            )
        if epochs:
            plan = plan.scheduled(f"step:{epochs}")
        if not plan.schedule.startswith("step:"):
            raise ValueError(
                "second_stage='head' needs a first one: set natural_epochs, or the "
                "schedule 'step:E' of the plan."
            )
        if config.get("resampled"):
            raise ValueError(
                "natural_epochs and second_stage must be left out where a Resampler "
                "has materialized the samples. Resample while training, or by "
                "mode='stratify'."
            )
        steps = steps_before_plan(plan, batch_size, train_steps)
        if steps >= train_steps:
            raise ValueError(
                "natural_epochs must end before training does: of the schedule "
                f"{plan.schedule!r} they have {steps} batches or more, train_steps is "
                f"{train_steps}."
            )
        return cls(plan, steps if second == "head" else None)

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns what brings the second stage about."""
        return [] if self.head_from is None else [HeadOnly(self.head_from)]


def steps_before_plan(plan: tr.Plan, batch_size: int, limit: int) -> int:
    """Returns the batches before a plan's final factors come in; up to `limit`."""
    steps = 0
    for epoch in range(Schedule.parse(plan.schedule).epochs):
        steps += plan.steps_per_epoch(batch_size, epoch)
        if steps >= limit:
            break
    return steps


def correction_of(
    plan: tr.Plan, is_final: bool = True
) -> tuple[tr.PriorCorrection | None, str]:
    """Returns what makes probabilities natural ones, and what they then are, in words.

    None where no correction is known that is safe: the words say why.

    Args:
      plan: by which the model is trained.
      is_final: whether training ends by its final factors.
    """
    try:
        if not is_final:
            raise ValueError(
                f"training is not by the final factors of schedule {plan.schedule!r}."
            )
        layer = tr.PriorCorrection(plan, outputs="sigmoid")
    except ValueError as error:
        why = str(error)
    else:
        correction = layer.correction
        if len(correction.members) and correction.unseen <= MOST_UNSEEN:
            notes = "; ".join(correction.notes)
            return layer, f"corrected to the natural data{notes and f' ({notes})'}"
        # Factors by themselves can do more harm than good where bounds clip, and so
        # can label sets that a model has not seen.
        why = " ".join(correction.notes)
    logging.warning("Probabilities are not corrected: %s", why)
    return None, f"of the resampled data: {why}"


class HeadOnly(keras.callbacks.Callback):
    """From a batch on trains the last layer, and leaves all others as they are."""

    def __init__(self, first_batch: int):
        super().__init__()
        self._first_batch = first_batch
        self._is_on = False

    def on_train_batch_begin(self, batch, logs=None):
        model: Any = self.model
        # Of the optimizer, which a restarted job restores.
        if self._is_on or model.optimizer.iterations < self._first_batch:
            return
        self._is_on = True
        for layer in model.layers[:-1]:
            layer.trainable = False
        # Keras has traced the step with all weights.
        model.make_train_function(force=True)
        logging.info("From batch %d on only the head is trained.", self._first_batch)


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


def build_model(
    num_labels: int, input_shape, learning_rate: float = LEARNING_RATE
) -> keras.Model:
    """Returns a compiled CNN with one logit per label, for a sigmoid."""
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
    outputs = keras.layers.Dense(num_labels)(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.AUC(
                curve="PR",
                multi_label=True,
                num_labels=num_labels,
                from_logits=True,
                name="auc_pr",
            )
        ],
    )
    return model


def export(
    model: keras.Model,
    plan: tr.Plan,
    image: tr.ImageOptions,
    correction: tr.PriorCorrection | None,
    directory: str,
) -> None:
    """Saves the model with signatures that take serialized examples.

    "serving_default" returns "probabilities" float32 [batch, labels] in the order of
    `plan.classes`, for natural data where there is a correction; "raw" those of the
    resampled data. "transformed_labels" returns "multi_hot", which the Evaluator takes
    as labels. Needs nothing of this package.
    """
    vocabulary = labels.Vocabulary(plan.classes, plan.label_dtype)
    label_spec = labels.feature_spec(plan.label_key, plan.label_dtype)
    image_spec = {image.key: tf.io.FixedLenFeature([], tf.string)}
    signature = [tf.TensorSpec([None], tf.string, name="examples")]
    pixel_dtype = tf.uint8 if image.scale is None else tf.float32

    def logits_of(examples):
        encoded = tf.io.parse_example(examples, image_spec)[image.key]
        pixels = tf.map_fn(
            lambda one: decode.decode_image(one, image),
            encoded,
            fn_output_signature=tf.TensorSpec(model.input_shape[1:], pixel_dtype),
        )
        return model(pixels, training=False)

    @tf.function(input_signature=signature)
    def raw(examples):
        return {"probabilities": tf.sigmoid(logits_of(examples))}

    @tf.function(input_signature=signature)
    def serve(examples):
        logits = logits_of(examples)
        if correction is not None:
            logits = correction(logits)
        return {"probabilities": tf.sigmoid(logits)}

    @tf.function(input_signature=signature)
    def transformed_labels(examples):
        values: Any = tf.io.parse_example(examples, label_spec)[plan.label_key]
        found = labels.labels_of(values, vocabulary)
        return {"multi_hot": labels.multi_hot(found, vocabulary.size)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve)
    archive.add_endpoint("raw", raw)
    archive.add_endpoint("transformed_labels", transformed_labels)
    archive.write_out(directory)


def write_realised(
    plan: tr.Plan,
    counts: np.ndarray,
    samples: int,
    probabilities: str,
    fn_args: FnArgs,
) -> None:
    """Writes what training saw, and what came of it, beside the serving model."""
    directory = os.path.dirname(fn_args.serving_model_dir)
    fileio.makedirs(directory)
    io_utils.write_string_file(
        os.path.join(directory, REALISED_FILE),
        json.dumps(
            {
                "labels": plan.classes,
                "counts": [int(n) for n in counts],
                "samples": int(samples),
                "probabilities": probabilities,
            },
            indent=1,
        ),
    )
