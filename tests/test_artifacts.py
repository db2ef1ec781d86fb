"""The artifact type and what it holds."""

import importlib
import re

import pytest
import tfx_resampling as tr
from tfx import types
from tfx.types.standard_artifacts import ExampleStatistics
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
