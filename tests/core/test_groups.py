"""Columns, buckets and groups of groups."""

import math

import pytest
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.groups import (
    Bucket,
    Column,
    Grouping,
    format_columns,
    parse_columns,
)
from tfx_resampling.core.plan import Plan
from tfx_resampling.fitting.planning import make_plan

COLUMNS = (
    Column("site", "bytes", ("north", "south")),
    Column("age", "float", boundaries=(18.0, 65.0)),
)


def test_columns_survive_the_trip_through_json():
    columns = ("site", Bucket("age", boundaries=[18, 65]), Bucket("dose", quantiles=4))
    assert parse_columns(format_columns(columns)) == columns
    assert parse_columns(columns) == columns
    assert parse_columns('["a", {"name": "b", "quantiles": 3}]') == (
        "a",
        Bucket("b", quantiles=3),
    )


@pytest.mark.parametrize(
    "columns, message",
    [
        ("site", "must be a list"),
        ("[", "must be a list"),
        ([3], "must be a list"),
        ([""], "must be a list"),
        ([{"name": "a", "cuts": [1]}], "must be a list"),
        (["a", "a"], "every column once"),
        (["a", {"name": "a", "quantiles": 2}], "every column once"),
    ],
)
def test_what_is_no_list_of_columns(columns, message):
    with pytest.raises(ValueError, match=message):
        parse_columns(columns)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({}, "either boundaries or quantiles"),
        ({"boundaries": [1], "quantiles": 2}, "either boundaries or quantiles"),
        ({"boundaries": []}, "increasing finite"),
        ({"boundaries": [2, 1]}, "increasing finite"),
        ({"boundaries": [1, 1]}, "increasing finite"),
        ({"boundaries": [1, math.inf]}, "increasing finite"),
        ({"boundaries": ["x"]}, "increasing finite"),
        ({"quantiles": 1}, "integer >= 2"),
        ({"quantiles": 2.5}, "integer >= 2"),
    ],
)
def test_what_is_no_bucket(fields, message):
    with pytest.raises(ValueError, match=message):
        Bucket("age", **fields)


def test_groups_have_names():
    groups = ((0, 0), (0, 2), (1, 1), (COLUMNS[0].missing, COLUMNS[1].missing))
    assert Grouping(COLUMNS, groups).names == (
        "site=north, age=(-inf, 18)",
        "site=north, age=[65, inf)",
        "site=south, age=[18, 65)",
        "site=(missing), age=(missing)",
    )


@pytest.mark.parametrize("group", [(0,), (0, 0, 0), (2, 0), (0, 3), (0, 9), (-1, 0)])
def test_codes_that_no_column_has(group):
    with pytest.raises(ValueError, match="codes that no column has"):
        Grouping(COLUMNS, (group,))


def counts() -> LabelCounts:
    grouping = Grouping(COLUMNS, ((0, 0), (0, 1), (1, 2)))
    return LabelCounts(
        label_key="y",
        groups=grouping.names,
        counts=(60, 30, 10),
        num_records=100,
        classes=("cat", "dog"),
        grouping=grouping,
    )


def test_a_plan_for_groups_resamples_groups_and_keeps_the_classes():
    config = PlannerConfig("y", target="uniform", group_by=["site", "age"])
    plan = make_plan(counts(), config)
    assert plan.factors == pytest.approx([100 / 180, 100 / 90, 100 / 30])
    assert plan.classes == ("cat", "dog")
    assert plan.prediction == "exact"
    assert Plan.from_json(plan.to_json()) == plan


def test_a_target_names_groups():
    target = {"site=north, age=(-inf, 18)": 0.5}
    plan = make_plan(counts(), PlannerConfig("y", target=target, group_by=["site"]))
    assert plan.target == pytest.approx([0.5, 0.375, 0.125])


def test_unlabeled_has_no_meaning_with_groups():
    with pytest.raises(ValueError, match="unlabeled must be left out with group_by"):
        PlannerConfig("y", group_by=["site"], unlabeled="drop")
