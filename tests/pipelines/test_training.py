"""The Trainer module: stages of training, and what its probabilities are."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
import tfx_resampling as tr
from tfx_resampling.core.groups import Column, Grouping

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
        (PLAN.scheduled("step:9"), False, "final factors of schedule 'step:9'"),
    ],
)
def test_what_cannot_be_corrected_is_told(plan, is_final, message):
    layer, words = module.correction_of(plan, is_final)
    assert layer is None
    assert words.startswith("of the resampled data: ") and message in words
