"""`InteractiveContext` shows a plan by its report."""

import builtins
import html
import os
import re

import pytest
import tfx_resampling as tr
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from tfx import v1 as tfx
from tfx.orchestration.experimental.interactive import interactive_context
from tfx_resampling import artifacts
from traitlets.config import Config

from tests import plans
from tests.planner import make_statistics

RECORDS = [make_statistics.example(y=[label]) for label in ["<b>"] * 9 + ["c"] * 3]


@pytest.fixture
def displayed(monkeypatch, tmp_path):
    """A list of what is displayed, by a shell that is there for the test."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config)
    shell.display_pub = CapturingDisplayPublisher()
    yield shell.display_pub.outputs
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()


def pages(displayed) -> list:
    """Returns the reports in the frames that are displayed."""
    texts = [output["data"].get("text/html", "") for output in displayed]
    found = [re.search(r'<iframe[^>]* srcdoc="([^"]*)"', text) for text in texts]
    return [html.unescape(match[1]) for match in found if match]


@pytest.mark.long
def test_context_shows_the_report_of_a_planner(displayed, tmp_path):
    statistics = make_statistics.artifact(str(tmp_path), RECORDS)
    context = interactive_context.InteractiveContext(
        pipeline_root=str(tmp_path / "runs")
    )
    importer = tfx.dsl.Importer(
        source_uri=statistics.uri,
        artifact_type=tfx.types.standard_artifacts.ExampleStatistics,
        properties={"split_names": statistics.split_names},
    )
    context.run(importer)
    planner = tr.ResamplePlanner(statistics=importer.outputs["result"], label_key="y")
    context.run(planner)
    displayed.clear()
    context.show(planner.outputs["resample_plan"])
    (page,) = pages(displayed)
    (artifact,) = planner.outputs["resample_plan"].get()
    with open(os.path.join(artifact.uri, "report.html"), encoding="utf-8") as file:
        assert page == file.read()
    assert "<td>&lt;b&gt;</td><td>9</td><td>75.00%</td>" in page


def test_a_plan_without_a_report_is_shown_too(displayed, tmp_path):
    artifact = tr.ResamplePlan()
    artifact.uri = str(tmp_path)
    artifacts.write_plan(plans.make(["cat", "dog"], [1.0, 2.0]), artifact.uri)
    artifacts.ResamplePlanVisualization().display(artifact)
    (page,) = pages(displayed)
    assert page.startswith("<!DOCTYPE html>") and "<td>dog</td>" in page


def test_scripts_cannot_run_in_the_frame(displayed, tmp_path):
    artifact = tr.ResamplePlan()
    artifact.uri = str(tmp_path)
    (tmp_path / "report.html").write_text('"><script>alert(1)</script>')
    artifacts.ResamplePlanVisualization().display(artifact)
    (output,) = displayed
    shown = output["data"]["text/html"]
    assert 'sandbox=""' in shown and "<script" not in shown
    assert pages(displayed) == ['"><script>alert(1)</script>']
