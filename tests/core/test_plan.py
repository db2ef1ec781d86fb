"""The plan file: what is written is what is read, and nothing else is accepted."""

import dataclasses
import json
import math

import numpy as np
import pytest
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.factors import RecordRule
from tfx_resampling.core.groups import Column, Grouping
from tfx_resampling.core.plan import SCHEMA_VERSION, Plan
from tfx_resampling.fitting.planning import make_plan

from tests import plans


def real_plan(**options):
    counts = plans.set_counts("abé", {"a": 60, "b": 20, "ab": 20, "é": 3, "": 10})
    return make_plan(counts, PlannerConfig("label", **options))


def changed(**fields):
    """Returns the JSON of a valid plan with some fields replaced."""
    return json.dumps({**json.loads(real_plan().to_json()), **fields})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"target": "power:0.3", "size": 0.1, "seed": 2**63 - 1},
        {"target": {"a": 1 / 3}, "combine": "mean", "max_factor": 1.5},
        {"target": {"b": 7}, "unlabeled": "drop"},
        {"size": 1_000},
        {"schedule": "linear:10"},
        {"key_features": ("image/id",), "unknown_labels": 0.3},
    ],
)
def test_a_plan_survives_json(options):
    plan = real_plan(**options)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()


def test_the_counts_are_those_that_it_is_made_of():
    counts = plans.set_counts("abé", {"a": 60, "b": 20, "ab": 20, "é": 3, "": 10})
    plan = make_plan(counts, PlannerConfig("label", target="sqrt"))
    assert dict(plan.label_sets) == {"0": 60, "0 1": 20, "1": 20, "": 10, "2": 3}
    again = make_plan(plan.label_counts(), PlannerConfig("label", target="sqrt"))
    assert again.factors == pytest.approx(plan.factors)
    assert again.label_sets == plan.label_sets == plan.natural().label_sets
    assert plan.applied().label_sets == {}


def test_json_is_readable_and_versioned():
    text = real_plan().to_json()
    assert json.loads(text)["schema_version"] == SCHEMA_VERSION
    assert "é" in text and text.endswith("}\n")


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(Plan)] + ["schema_version"]
)
def test_every_field_is_required(field):
    fields = json.loads(real_plan().to_json())
    del fields[field]
    with pytest.raises(ValueError, match=field):
        Plan.from_json(json.dumps(fields))


# As tfx-resampling 0.1.0 wrote it, but for line breaks.
VERSION_1 = """{"schema_version": 1, "label_key": "label", "label_dtype": "bytes",
"multi_label": false, "labels": ["a", "b"], "counts": [30, 10],
"target": [0.6339745962155614, 0.36602540378443865],
"factors": [0.5811433798642647, 1.0065698604072062],
"num_records": 45, "num_unlabeled": 5, "unlabeled_factor": 0.5,
"combine": "product", "min_factor": 0.0, "max_factor": 100.0, "seed": 7,
"predicted": [17.43430139729753, 10.065698605030775],
"predicted_records": 30.000000002328306, "prediction": "exact",
"classes": ["a", "b"], "strata": null, "schedule": "linear:4",
"diagnostics": {"largest_factor": 1.0065698605030775, "unreached": {}},
"warnings": [], "provenance": {"options": {"strata": []}, "source": {}}}"""
VERSION_1_WITH_STRATA = """{"schema_version": 1, "label_key": "label",
"label_dtype": "bytes", "multi_label": false,
"labels": ["site=north, age=(-inf, 18)", "site=south, age=(missing)"],
"counts": [20, 5], "target": [0.5, 0.5], "factors": [0.625, 2.5],
"num_records": 25, "num_unlabeled": 0, "unlabeled_factor": 1.0,
"combine": "product", "min_factor": 0.0, "max_factor": 100.0, "seed": 0,
"predicted": [12.5, 12.5], "predicted_records": 25.0, "prediction": "exact",
"classes": ["x", "y"], "strata": {"columns": [
{"name": "site", "dtype": "bytes", "values": ["north", "south"], "boundaries": null},
{"name": "age", "dtype": "int64", "values": [], "boundaries": [18.0]}],
"groups": [[0, 0], [1, 3]]}, "schedule": "constant", "diagnostics": {},
"warnings": [], "provenance": {}}"""


def test_version_1_is_read():
    plan = Plan.from_json(VERSION_1)
    assert (plan.groups, plan.classes, plan.grouping) == (("a", "b"), ("a", "b"), None)
    assert (plan.key_features, plan.unknown_labels) == ((), "error")
    # What it emitted then, it emits now.
    assert plan.identity == "bytes"
    assert plan.unlabeled_known
    # Statistics do not count empty lists among several labels.
    estimated = VERSION_1.replace('"exact"', '"pairwise"').replace("false", "true", 1)
    assert not Plan.from_json(estimated).unlabeled_known
    counts = plans.counts({"a": 30, "b": 10}, num_unlabeled=5)
    options = dict(target="sqrt", size=30, unlabeled=0.5, schedule="linear:4", seed=7)
    assert plan.factors == make_plan(counts, PlannerConfig("label", **options)).factors
    assert Plan.from_json(plan.to_json()) == plan


def test_strata_of_version_1_are_groups():
    plan = Plan.from_json(VERSION_1_WITH_STRATA)
    columns = (
        Column("site", "bytes", ("north", "south")),
        Column("age", "int64", boundaries=(18.0,)),
    )
    assert plan.grouping == Grouping(columns, ((0, 0), (1, 3)))
    assert plan.groups == plan.grouping.names
    assert plan.classes == ("x", "y")


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('"seed"', '"sead"', r"missing \['seed'\], unknown \['sead'\]"),
        ('"labels"', '"groups"', r"version 1 has unknown fields \['groups'\]"),
        ('"seed": 7', '"seed": 7, "key_features": []', r"fields \['key_features'\]"),
        ('"seed": 7', '"seed": 7, "colour": 1', r"unknown \['colour'\]"),
    ],
)
def test_version_1_is_read_strictly(old, new, message):
    with pytest.raises(ValueError, match=message):
        Plan.from_json(VERSION_1.replace(old, new))


@pytest.mark.parametrize("text", ["", "{", "plan", "[]", "3", "null", '"a"', "{}"])
def test_what_is_not_a_plan_is_refused(text):
    with pytest.raises(ValueError, match="plan (is not JSON|must be a JSON object)"):
        Plan.from_json(text)


def test_natural_gives_every_record_once():
    plan = real_plan(
        **dict(unlabeled="drop", max_factor=2.0, combine="max", schedule="linear:3"),
        **dict(key_features=("image/id",), unknown_labels=0.3),
    )
    natural = plan.natural()
    assert natural.factors == (1.0, 1.0, 1.0)
    assert natural.unlabeled_factor == 1.0
    assert (natural.min_factor, natural.max_factor) == (1.0, 1.0)
    assert natural.predicted == (80.0, 40.0, 3.0)
    assert natural.predicted_records == plan.num_records == 113
    assert natural.distance == pytest.approx(0)
    assert natural.target == pytest.approx([80 / 123, 40 / 123, 3 / 123])
    assert (natural.groups, natural.seed) == (plan.groups, plan.seed)
    assert natural.schedule == "constant"
    assert (natural.key_features, natural.unknown_labels) == (("image/id",), 0.3)
    assert natural.is_natural and not plan.is_natural


def test_a_plan_that_drops_unknown_labels_is_not_natural():
    plan = plans.make("ab", [1, 1])
    assert plan.is_natural
    assert dataclasses.replace(plan, unknown_labels=1.0).is_natural
    assert not dataclasses.replace(plan, unknown_labels=0.5).is_natural


@pytest.mark.parametrize(
    "records, batch_size, steps",
    [
        (100.0, 10, 10),
        (100.1, 10, 11),
        (99.0, 10, 10),
        (3.0, 10, 1),
        (0.0, 10, 1),
    ],
)
def test_steps_per_epoch_round_up(records, batch_size, steps):
    plan = plans.make("ab", [1, 1], predicted_records=records)
    assert plan.steps_per_epoch(batch_size) == steps


def test_a_plan_is_scheduled_and_changed_in_nothing_else():
    plan = real_plan(target="sqrt")
    scheduled = plan.scheduled("linear:10")
    assert (plan.schedule, scheduled.schedule) == ("constant", "linear:10")
    assert scheduled != plan
    assert scheduled.scheduled("constant") == plan
    with pytest.raises(ValueError, match="schedule must be .*got 'linear:x'"):
        plan.scheduled("linear:x")


@pytest.mark.parametrize(
    "schedule, expected, records",
    [
        ("constant", [[15, 20]] * 6, [35] * 6),
        (
            "linear:4",
            [[30, 10], [26.25, 12.5], [22.5, 15], [18.75, 17.5], [15, 20], [15, 20]],
            [45, 42.5, 40, 37.5, 35, 35],
        ),
        ("step:2", [[30, 10]] * 2 + [[15, 20]] * 4, [45] * 2 + [35] * 4),
    ],
)
def test_predictions_of_an_epoch_are_interpolated(schedule, expected, records):
    plan = plans.make(
        "ab",
        [0.5, 2],
        counts=(30, 10),
        num_records=45,  # Of them 5 unlabeled, which the final epochs drop.
        num_unlabeled=5,
        unlabeled_factor=0.0,
        predicted=(15.0, 20.0),
        predicted_records=35.0,
        schedule=schedule,
    )
    for epoch in range(6):
        found = plan.predicted_at(epoch)
        assert found.dtype == np.float64
        assert found.tolist() == expected[epoch]
        assert plan.predicted_records_at(epoch) == records[epoch]
        assert plan.steps_per_epoch(8, epoch) == math.ceil(records[epoch] / 8)
    assert plan.steps_per_epoch(8) == 5


@pytest.mark.parametrize("epoch", [-1, 0.5])
def test_predictions_of_no_epoch_are_refused(epoch):
    plan = plans.make("ab", [1, 1], schedule="linear:4")
    for method in (plan.predicted_at, plan.predicted_records_at):
        with pytest.raises(ValueError, match="epoch must be an integer >= 0, got"):
            method(epoch)


def test_shares_and_distance():
    plan = plans.make(
        "ab", [0.5, 1], counts=(30, 10), target=(0.5, 0.5), predicted=(15.0, 10.0)
    )
    assert plan.natural_shares == pytest.approx([0.75, 0.25])
    assert plan.predicted_shares == pytest.approx([0.6, 0.4])
    assert plan.distance == pytest.approx(0.1)


def test_nothing_predicted_is_no_division_by_zero():
    plan = plans.make("ab", [0, 0], predicted=(0.0, 0.0), predicted_records=0.0)
    assert plan.predicted_shares.tolist() == [0.0, 0.0]
    assert plan.distance == pytest.approx(0.5)


def test_rule_is_what_record_factors_takes():
    plan = plans.make(
        "a", [1], combine="max", min_factor=0.5, max_factor=2.0, unlabeled_factor=0.25
    )
    assert plan.rule == RecordRule("max", 0.5, 2.0, unlabeled_factor=0.25)
