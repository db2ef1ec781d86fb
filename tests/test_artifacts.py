"""The artifact type and what it holds."""

import importlib
import re

import pytest
import tfx_resampling as tr
from tfx import types
from tfx.types.standard_artifacts import Examples, ExampleStatistics
from tfx_resampling import artifacts
from tfx_resampling.core.counts import LabelCounts

PLAN = tr.make_plan(LabelCounts("y", ("é", "b"), (3, 1), 4), tr.PlannerConfig("y"))


def test_type_name_is_an_import_path_that_kubeflow_accepts():
    name = tr.ResamplePlan.TYPE_NAME
    assert re.fullmatch(r"[a-z][a-z0-9-_]{2,20}[.][A-Z][a-zA-Z0-9-_]{2,49}", name)
    module, attribute = name.split(".")
    assert getattr(importlib.import_module(module), attribute) is tr.ResamplePlan
    # Declared properties make compiling for Kubeflow fail.
    assert not tr.ResamplePlan.PROPERTIES


def test_what_is_written_is_read(tmp_path):
    path = artifacts.write_plan(PLAN, str(tmp_path / "new" / "plan"))
    assert artifacts.read_plan(str(tmp_path / "new" / "plan")) == PLAN
    assert artifacts.read_plan(path) == PLAN
    artifact = tr.ResamplePlan()
    artifact.uri = str(tmp_path / "new" / "plan")
    assert tr.read_plan(artifact) == PLAN
    planner = tr.ResamplePlanner(types.Channel(type=ExampleStatistics), label_key="y")
    for wrong in (planner.outputs["resample_plan"], tr.ResamplePlan()):
        with pytest.raises(ValueError, match="read from an artifact or a URI, got"):
            tr.read_plan(wrong)


def test_errors_name_the_path(tmp_path):
    with pytest.raises(ValueError, match=f"no plan at '{tmp_path}/plan.json'"):
        artifacts.read_plan(str(tmp_path))
    newer = PLAN.to_json().replace('"schema_version": 2', '"schema_version": 3')
    (tmp_path / "plan.json").write_text(newer)
    with pytest.raises(ValueError, match="plan.json.*schema_version 3.*Upgrade"):
        artifacts.read_plan(str(tmp_path))


def examples(span=None, version=None) -> Examples:
    """Returns what ExampleGen writes: custom properties."""
    made = Examples()
    if span is not None:
        made.set_int_custom_property("span", span)
    if version is not None:
        made.set_int_custom_property("version", version)
    return made


def test_the_span_of_the_latest_source_is_carried_on():
    sources = [examples(3, 9), examples(), examples(7, 1), examples(7, 2)]
    target = Examples()
    artifacts.carry_span(sources, target)
    assert (target.span, target.version) == (7, 2)
    # Where resolvers look.
    assert target.get_int_custom_property("span") == 7
    plan = tr.ResamplePlan()
    artifacts.carry_span([target], plan)
    assert plan.get_int_custom_property("version") == 2


def test_spans_of_every_form_are_read():
    of_text, declared = examples(), ExampleStatistics()
    of_text.set_string_custom_property("span", "12")
    declared.span = 12
    of_kubeflow = examples()
    of_kubeflow.set_float_custom_property("span", 12.0)
    for source in (of_text, declared, of_kubeflow):
        target = Examples()
        artifacts.carry_span([source], target)
        assert target.get_int_custom_property("span") == 12
        assert not target.has_custom_property("version")


def test_without_a_span_none_is_made_up():
    target = Examples()
    empty = examples()
    empty.mlmd_artifact.custom_properties["span"].SetInParent()  # As on Kubeflow.
    artifacts.carry_span([examples(), ExampleStatistics(), empty], target)
    assert not target.has_custom_property("span")
    artifacts.carry_span([examples(0)], target)
    assert target.has_custom_property("span")
