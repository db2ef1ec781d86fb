"""`Trainer`, and the route of a plan through a stock TFX Trainer."""

import json
import os
from typing import Any

import pytest
import tensorflow as tf
import tfx_resampling as tr
from tfx.components.trainer import executor as stock_executor
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.types import (
    channel_utils,
    standard_artifacts,
    standard_component_specs,
)
from tfx.utils import proto_utils
from tfx_resampling import artifacts
from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.trainer import executor

PLAN = tr.make_plan(
    LabelCounts("y", ("a", "b"), (3, 1), 4), tr.PlannerConfig("y", seed=11)
)


def channel(kind):
    return channel_utils.as_channel([kind()])


@pytest.fixture
def examples():
    return channel(standard_artifacts.Examples)


def test_takes_a_plan_and_all_that_the_stock_trainer_takes(examples):
    trainer = tr.Trainer(
        examples=examples,
        resample_plan=channel(tr.ResamplePlan),
        transform_graph=channel(standard_artifacts.TransformGraph),
        schema=channel(standard_artifacts.Schema),
        base_model=channel(standard_artifacts.Model),
        hyperparameters=channel(standard_artifacts.HyperParameters),
        run_fn="a.b.run_fn",
        train_args=TrainArgs(num_steps=10),
        eval_args=EvalArgs(num_steps=5),
        custom_config={"x": 1},
    )
    assert set(trainer.inputs) == {
        *("examples", "resample_plan", "transform_graph", "schema"),
        *("base_model", "hyperparameters"),
    }
    assert json.loads(trainer.exec_properties["custom_config"]) == {"x": 1}
    assert json.loads(trainer.exec_properties["train_args"]) == {"num_steps": 10}
    assert trainer.exec_properties["package_version"] == tr.__version__
    assert set(trainer.outputs) == {"model", "model_run"}


def test_takes_the_inputs_of_the_installed_version_of_tfx():
    """Of 1.21's, `statistics`, from which it makes `fn_args.num_examples`."""
    stock = standard_component_specs.TrainerSpec.INPUTS
    inputs = {name: channel(parameter.type) for name, parameter in stock.items()}
    trainer = tr.Trainer(
        resample_plan=channel(tr.ResamplePlan), run_fn="a.b.run_fn", **inputs
    )
    assert set(trainer.inputs) == {*stock, "resample_plan"}


def test_plan_is_optional(examples):
    trainer = tr.Trainer(examples=examples, run_fn="a.b.run_fn")
    assert set(trainer.inputs) == {"examples"}


def test_older_name_of_transformed_examples(examples):
    graph = channel(standard_artifacts.TransformGraph)
    trainer = tr.Trainer(
        transformed_examples=examples, transform_graph=graph, run_fn="a.b.run_fn"
    )
    assert trainer.inputs["examples"] is examples


def test_module_file_is_packed(examples, tmp_path):
    module = tmp_path / "module.py"
    module.write_text("def run_fn(fn_args): pass\n")
    trainer = tr.Trainer(examples=examples, module_file=str(module))
    assert trainer._pip_dependencies  # What the stock Trainer does with a module file.
    assert trainer.exec_properties["module_file"] == str(module)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(), "Exactly one of module_file and run_fn"),
        (dict(run_fn="a.b", module_file="c.py"), "Exactly one of module_file"),
        (dict(run_fn="a.b", shema=None), r"unknown inputs \['shema'\]"),
        (dict(run_fn="a.b", examples=None), "Exactly one of examples"),
    ],
)
def test_wrong_arguments(examples, options, message):
    with pytest.raises(ValueError, match=message):
        tr.Trainer(**{"examples": examples, **options})


def run_fn(fn_args) -> None:
    """A user's module: what it gets is written down instead of a model."""
    plan = tr.load_plan(fn_args)
    os.makedirs(fn_args.serving_model_dir)
    with open(os.path.join(fn_args.serving_model_dir, "seen.json"), "w") as file:
        seen = {
            "plan": plan and plan.to_json(),
            "custom_config": fn_args.custom_config,
            "train_steps": fn_args.train_steps,
            "train_files": fn_args.train_files,
        }
        json.dump(seen, file)


def execute(directory, do, inputs, custom_config=None, **properties) -> dict:
    """Runs a Trainer executor with `run_fn` above and returns what that saw."""
    examples = standard_artifacts.Examples()
    examples.uri = os.path.join(directory, "examples")
    examples.split_names = '["train", "eval"]'
    model, model_run = standard_artifacts.Model(), standard_artifacts.ModelRun()
    model.uri = os.path.join(directory, "model")
    model_run.uri = os.path.join(directory, "model_run")
    do(
        {"examples": [examples], **inputs},
        {"model": [model], "model_run": [model_run]},
        {
            "train_args": proto_utils.proto_to_json(TrainArgs(num_steps=9)),
            "eval_args": proto_utils.proto_to_json(EvalArgs(num_steps=1)),
            "run_fn": f"{__name__}.run_fn",
            "custom_config": json.dumps(custom_config),
            **properties,
        },
    )
    with open(os.path.join(model.uri, "Format-Serving", "seen.json")) as file:
        return json.load(file)


def test_run_fn_finds_the_plan(tmp_path):
    artifact = tr.ResamplePlan()
    artifact.uri = str(tmp_path / "plan")
    artifacts.write_plan(PLAN, artifact.uri)
    do = executor.Executor().Do
    seen = execute(str(tmp_path), do, {"resample_plan": [artifact]}, {"x": 1})
    assert tr.Plan.from_json(seen["plan"]) == PLAN
    assert seen["custom_config"] == {"x": 1, "resample_plan_uri": artifact.uri}
    assert seen["train_steps"] == 9
    assert seen["train_files"] == [str(tmp_path / "examples/Split-train/*")]


def test_train_steps_may_be_set_when_a_run_starts(examples, tmp_path):
    parameter = RuntimeParameter("train_steps", int, 10)
    trainer = tr.Trainer(examples=examples, run_fn="a.b", train_steps=parameter)
    assert trainer.exec_properties["train_steps"] is parameter
    trainer = tr.Trainer(examples=examples, run_fn="a.b", train_steps=20)
    assert trainer.exec_properties["train_steps"] == 20
    # Over the 9 of train_args; a number may arrive as a float.
    do = executor.Executor().Do
    for directory, steps in (("a", 20), ("b", 20.0)):
        seen = execute(str(tmp_path / directory), do, {}, train_steps=steps)
        assert seen["train_steps"] == 20
    wrong_steps: Any = (0, -1, 2.5, True, "many")
    for wrong in wrong_steps:
        with pytest.raises(ValueError, match="train_steps must be an integer >= 1"):
            tr.Trainer(examples=examples, run_fn="a.b", train_steps=wrong)


def test_without_a_plan_run_fn_finds_none(tmp_path):
    seen = execute(str(tmp_path), executor.Executor().Do, {}, {"x": 1})
    assert seen["plan"] is None
    assert seen["custom_config"] == {"x": 1}


def test_stock_trainer_gets_the_plan_as_hyperparameters(tmp_path):
    hyperparameters = standard_artifacts.HyperParameters()
    hyperparameters.uri = str(tmp_path / "hyperparameters")
    os.makedirs(hyperparameters.uri)
    with open(os.path.join(hyperparameters.uri, "any.json"), "w") as file:
        json.dump({artifacts.PLAN_KEY: PLAN.to_json()}, file)
    do = stock_executor.GenericExecutor().Do
    seen = execute(str(tmp_path), do, {"hyperparameters": [hyperparameters]})
    assert tr.Plan.from_json(seen["plan"]) == PLAN


def test_stock_trainer_gets_an_earlier_plan_by_uri(tmp_path):
    path = artifacts.write_plan(PLAN, str(tmp_path / "plan"))
    do = stock_executor.GenericExecutor().Do
    for number, uri in enumerate((str(tmp_path / "plan"), path)):
        directory = str(tmp_path / str(number))
        seen = execute(directory, do, {}, {"resample_plan_uri": uri})
        assert tr.Plan.from_json(seen["plan"]) == PLAN


def test_an_error_of_the_input_is_one_line_first(monkeypatch, caplog):
    text = "{{node x}} assertion failed: [record 3 of f has no image.] [Op:Next]"
    error = tf.errors.InvalidArgumentError(None, None, text)

    def train(*_):
        raise error

    monkeypatch.setattr(stock_executor.GenericExecutor, "Do", train)
    with pytest.raises(tf.errors.InvalidArgumentError):
        executor.Executor().Do({}, {}, {})
    assert caplog.messages == ["Training ended: record 3 of f has no image."]
