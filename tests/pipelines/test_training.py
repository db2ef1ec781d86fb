"""The Trainer module: stages of training, and what its probabilities are."""

import dataclasses
import json
from typing import Any

import keras
import numpy as np
import pytest
import tfx_resampling as tr
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx_resampling import artifacts
from tfx_resampling.core.groups import Column, Grouping

from pipelines import pipeline
from pipelines.training import module
from tests import plans

COUNTS = plans.set_counts("abc", {"a": 60, "b": 20, "ab": 20, "c": 4, "": 10})
PLAN = tr.make_plan(COUNTS, tr.PlannerConfig("label", target="sqrt"))


def stages(plan=PLAN, train_steps=100, **config):
    return module.Stages.of(plan, config, 8, train_steps)


def test_stages_are_a_schedule_of_the_plan():
    assert stages() == module.Stages(PLAN)
    assert stages().callbacks() == []
    assert stages(natural_epochs=2) == module.Stages(PLAN.scheduled("step:2"))
    # 114 natural records are 15 batches of 8.
    assert stages(natural_epochs=2, second_stage="head").head_from == 30
    assert stages(PLAN.scheduled("step:1"), second_stage="head").head_from == 15
    # What the planner was asked for is left as it is.
    assert stages(PLAN.scheduled("step:9"), 5).plan.schedule == "step:9"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dict(natural_epochs=-1), "natural_epochs must be an integer >= 0, got -1"),
        (dict(natural_epochs="2"), "natural_epochs must be an integer"),
        (dict(natural_epochs=1, second_stage="tail"), r"one of \['all', 'head'\]"),
        (dict(second_stage="head"), "needs a first one: set natural_epochs"),
        (dict(natural_epochs=7), r"'step:7' they have 105 batches .* is 100"),
        (dict(natural_epochs=1, resampled=True), "Resample while training"),
        (
            dict(natural_epochs=1, plan=PLAN.scheduled("linear:3")),
            "plan has a schedule, 'linear:3'",
        ),
    ],
)
def test_stages_that_cannot_be(config, message):
    with pytest.raises(ValueError, match=message):
        stages(**config)


@pytest.mark.long
def test_only_the_head_is_trained_in_the_second_stage():
    model: Any = module.build_model(3, (8, 8, 1))
    layers = [layer for layer in model.layers if layer.weights]
    before, changed = [], []

    class Note(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            before[:] = [layer.get_weights() for layer in layers]

        def on_train_batch_end(self, batch, logs=None):
            changed.append(
                [
                    any((a != b).any() for a, b in zip(old, layer.get_weights()))
                    for old, layer in zip(before, layers)
                ]
            )

    rng = np.random.default_rng(0)
    x, y = rng.random((8, 8, 8, 1)), rng.integers(0, 2, (8, 3))
    model.fit(x, y, 2, epochs=1, verbose=0, callbacks=[module.HeadOnly(2), Note()])
    every, head = [True] * len(layers), [False] * (len(layers) - 1) + [True]
    assert changed == [every, every, head, head]


def test_what_probabilities_are():
    layer, words = module.correction_of(PLAN)
    assert layer is not None and words == "corrected to the natural data"
    layer, words = module.correction_of(PLAN.scheduled("step:2"))
    assert layer is not None and "last epochs" in words
    one_label = plans.counts({"a": 30, "b": 10}, num_unlabeled=5)
    plan = tr.make_plan(one_label, tr.PlannerConfig("label"))
    layer, words = module.correction_of(plan)
    assert layer is not None and layer.correction.multi_label


def test_a_tuner_plans_of_the_same_counts():
    found = module.planned(PLAN, {"target_exponent": 0.25, "max_factor": 3})
    config = tr.PlannerConfig("label", target="power:0.25", max_factor=3.0)
    expected = tr.make_plan(COUNTS, config)
    assert found.factors == pytest.approx(expected.factors)
    assert found.provenance["options"] == expected.provenance["options"]
    assert module.planned(PLAN, {"learning_rate": 1e-3}) is PLAN
    position = dataclasses.replace(PLAN, identity="position")
    assert module.planned(position, {"max_factor": 3}).identity == "position"
    without = dataclasses.replace(PLAN, provenance={})
    with pytest.raises(ValueError, match=r"plan.provenance\['options'\]"):
        module.planned(without, {"max_factor": 3})


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"batch_size": (1, 2)}, r"unknown hyperparameters in search \['batch_size'\]"),
        ({"max_factor": (3, 2)}, "'max_factor' must be the lowest and the highest"),
        ({"max_factor": 3}, "above 0, got 3"),
        ({"learning_rate": (0, 1)}, "above 0, got"),
        ({"target_exponent": (0, 2)}, "from 0 to 1, got"),
    ],
)
def test_a_search_that_cannot_be(search, message):
    with pytest.raises(ValueError, match=message):
        module.search_space({"search": search})


@pytest.mark.nightly
def test_four_trials(demo_data, one_epoch, tmp_path):
    """And the Trainer takes the best of them."""
    plan = one_epoch[0]
    artifacts.write_plan(plan, str(tmp_path / "plan"))
    fn_args = FnArgs(
        working_dir=str(tmp_path / "tuner"),
        train_files=[f"{demo_data}/train/*"],
        eval_files=[f"{demo_data}/eval/*"],
        train_steps=3,
        eval_steps=4,
        model_run_dir=str(tmp_path / "run"),
        serving_model_dir=str(tmp_path / "model" / "Format-Serving"),
        custom_config={
            "batch_size": 32,
            "image_size": (8, 8),
            "trials": 4,
            "search": {"max_factor": (2, 5)},
            "resample_plan_uri": str(tmp_path / "plan"),
        },
    )
    tuner, options = module.tuner_fn(fn_args)
    tuner.search(**options)
    trials = tuner.oracle.get_best_trials(9)
    assert [one.status for one in trials] == ["COMPLETED"] * 4
    scores = [one.score for one in trials]
    assert scores == sorted(scores, reverse=True) and scores[-1] > 0
    chosen = [one.hyperparameters.values for one in trials]
    for values in chosen:
        assert set(values) == set(module.SEARCH)
        assert 2 <= values["max_factor"] <= 5
    assert len({values["target_exponent"] for values in chosen}) == 4
    # As TFX writes it and reads it.
    best = json.loads(json.dumps(tuner.get_best_hyperparameters()[0].get_config()))
    fn_args.hyperparameters = best
    module.run_fn(fn_args)
    trained = artifacts.read_plan(str(tmp_path / "model"))
    assert trained == module.planned(plan, chosen[0])
    assert trained.max_factor == chosen[0]["max_factor"] and trained != plan


def test_a_tuner_in_the_pipeline(tmp_path):
    options = pipeline.PipelineOptions(
        name="p",
        root=str(tmp_path),
        data=str(tmp_path),
        planner=tr.PlannerConfig("labels"),
        push_to=str(tmp_path / "pushed"),
        run_fn=pipeline.TRAINER_RUN_FN,
        tuner_trials=4,
    )
    made = {c.id: c for c in pipeline.create_pipeline(options).components}
    tuner, trainer = made["Tuner"], made["Trainer"]
    assert tuner.exec_properties["tuner_fn"] == "pipelines.training.module.tuner_fn"
    assert json.loads(tuner.exec_properties["custom_config"])["trials"] == 4
    assert trainer.inputs["hyperparameters"].producer_component_id == "Tuner"
    with pytest.raises(ValueError, match="a Resampler writes is of one plan"):
        pipeline.create_pipeline(dataclasses.replace(options, resample="stratify"))


def grouped() -> tr.Plan:
    grouping = Grouping((Column("site", "bytes", ("n", "s")),), ((0,), (1,)))
    counts = tr.LabelCounts(
        *("y", grouping.names, (90, 10), 100), classes=("a", "b"), grouping=grouping
    )
    return tr.make_plan(counts, tr.PlannerConfig("y"))


@pytest.mark.parametrize(
    ("plan", "is_final", "message"),
    [
        (grouped(), True, "plan must be one of labels"),
        (dataclasses.replace(PLAN, label_sets={}), True, "independent given x"),
        (dataclasses.replace(PLAN, factors=(1e-6, 1e6, 1.0)), True, "is a guess"),
        (PLAN.scheduled("step:9"), False, "final factors of schedule 'step:9'"),
    ],
)
def test_what_cannot_be_corrected_is_told(plan, is_final, message):
    layer, words = module.correction_of(plan, is_final)
    assert layer is None
    assert words.startswith("of the resampled data: ") and message in words
