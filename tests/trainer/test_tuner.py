"""`Tuner`, and the route of a plan into `tuner_fn`."""

import json
import os

import keras
import keras_tuner
import pytest
import tensorflow as tf
import tfx_resampling as tr
from tfx import v1 as tfx
from tfx.types import channel_utils, standard_artifacts
from tfx_resampling import artifacts
from tfx_resampling.trainer import tuner

from tests import plans, tfrecords

PLAN = plans.make("ab", [1, 3], label_key="label")


def channel(kind):
    return channel_utils.as_channel([kind()])


def tuner_fn(fn_args) -> tfx.components.TunerFnResult:
    """A user's function: the better of two learning rates on resampled records."""
    plan = tr.load_plan(fn_args)
    assert plan == PLAN and fn_args.custom_config["x"] == 1
    batches = tr.input_fn(
        fn_args.train_files,
        plan,
        batch_size=8,
        labels="index",
        parse={"image/id": tf.io.FixedLenFeature([1], tf.int64)},
    ).map(lambda x, y: (tf.cast(x["image/id"], tf.float32) / 30, y))

    def build(parameters):
        model = keras.Sequential([keras.Input([1]), keras.layers.Dense(2, "softmax")])
        rate = parameters.Choice("learning_rate", [0.1, 0.01])
        model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
        return model

    return tfx.components.TunerFnResult(
        keras_tuner.RandomSearch(
            build,
            keras_tuner.Objective("loss", "min"),
            max_trials=1,
            directory=fn_args.working_dir,
        ),
        {"x": batches, "steps_per_epoch": fn_args.train_steps, "verbose": 0},
    )


def build_tuner(**options) -> tr.Tuner:
    return tr.Tuner(
        **{
            "examples": channel(standard_artifacts.Examples),
            "resample_plan": channel(tr.ResamplePlan),
            **options,
        }
    )


def test_takes_a_plan_and_all_that_the_stock_tuner_takes():
    made = build_tuner(
        schema=channel(standard_artifacts.Schema),
        transform_graph=channel(standard_artifacts.TransformGraph),
        base_model=channel(standard_artifacts.Model),
        tuner_fn="a.b.tuner_fn",
        custom_config={"x": 1},
    )
    assert set(made.inputs) == {
        *("examples", "resample_plan", "schema", "transform_graph", "base_model"),
    }
    assert json.loads(made.exec_properties["custom_config"]) == {"x": 1}
    assert set(made.outputs) == {"best_hyperparameters", "tuner_results"}
    plain = build_tuner(tuner_fn="a.b", resample_plan=None)
    assert set(plain.inputs) == {"examples"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(), "Exactly one of module_file and tuner_fn"),
        (dict(tuner_fn="a.b", shema=None), r"unknown inputs \['shema'\]"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        build_tuner(**options)


@pytest.mark.long
def test_tuner_fn_finds_the_plan_and_trains_on_its_samples(tmp_path):
    kinds = {
        "examples": standard_artifacts.Examples,
        "plan": tr.ResamplePlan,
        "best_hyperparameters": standard_artifacts.HyperParameters,
        "tuner_results": standard_artifacts.TunerResults,
    }
    made = {name: kind() for name, kind in kinds.items()}
    for name, artifact in made.items():
        artifact.uri = str(tmp_path / name)
        os.makedirs(artifact.uri)
    made["examples"].split_names = '["train", "eval"]'
    folder = tmp_path / "examples" / "Split-train"
    folder.mkdir()
    tfrecords.write(folder / "0", tfrecords.labeled("aab" * 10))
    artifacts.write_plan(PLAN, made["plan"].uri)
    component = build_tuner(
        tuner_fn=f"{__name__}.tuner_fn",
        custom_config={"x": 1},
        train_args=tfx.proto.TrainArgs(num_steps=3),
    )
    context = tuner.Executor.Context(tmp_dir=str(tmp_path / "tmp"), unique_id="1")
    tuner.Executor(context).Do(
        {"examples": [made["examples"]], "resample_plan": [made["plan"]]},
        {name: [made[name]] for name in ("best_hyperparameters", "tuner_results")},
        dict(component.exec_properties),
    )
    (found,) = os.listdir(made["best_hyperparameters"].uri)
    text = (tmp_path / "best_hyperparameters" / found).read_text()
    assert json.loads(text)["values"]["learning_rate"] in (0.1, 0.01)
