"""The table of a plan as text and HTML."""

import dataclasses
import re

import pytest
import tfx_resampling as tr
from tfx_resampling import report
from tfx_resampling.core.counts import LabelCounts

from tests import plans

PLAN = tr.make_plan(
    LabelCounts("y", ("<script>alert(1)</script>", "dog\n"), (1, 3), 5, 1),
    tr.PlannerConfig("y"),
)


def test_text_table_is_sorted_by_frequency():
    lines = report.as_text(PLAN, realised=[2, 6]).splitlines()
    assert lines[0].split() == [
        *("label", "natural", "share", "target", "factor", "predicted", "realised")
    ]
    dog = ["dog\\n", "3", "75.00%", "50.00%", "0.6667", "50.00%", "75.00%"]
    assert lines[1].split() == dog
    assert lines[2].split()[1:] == ["1", "25.00%", "50.00%", "2", "50.00%", "25.00%"]
    assert "Records: 5 (1 of them unlabeled, factor 1)." in lines
    assert "Emitted per epoch: 5 records (exact expectation)." in lines


def test_html_is_one_file_with_everything_escaped():
    page = report.as_html(PLAN)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
    # Natural 3 of 4, target and prediction one half: 2 emitted per epoch.
    row = "<td>3</td><td>75.00%</td><td>50.00%</td><td>0.6667</td><td>50.00%</td>"
    assert f"{row}<td>2</td></tr>" in page


def test_nothing_realised_is_not_an_error():
    assert "0.00%" in report.as_text(PLAN, realised=[0, 0])


@pytest.mark.parametrize(
    "schedule, line",
    [
        ("linear:10", "natural in epoch 0, as planned from epoch 10 on."),
        ("step:1", "natural in epoch 0, as planned from epoch 1 on."),
        ("step:5", "natural in epochs 0 to 4, as planned from epoch 5 on."),
    ],
)
def test_a_schedule_has_a_line(schedule, line):
    plan = PLAN.scheduled(schedule)
    line = f"Schedule {schedule}: {line}"
    assert line in report.summary(plan)
    assert line in report.as_html(plan)


def test_no_schedule_has_no_line():
    assert "Schedule" not in report.as_text(PLAN)


def test_several_labels_have_what_comes_of_their_factors():
    counts = plans.set_counts("ab", {"a": 60, "b": 20, "ab": 20})
    plan = tr.make_plan(counts, tr.PlannerConfig("label", max_factor=1.5))
    a, b = report.rows(plan)
    assert list(a)[4:] == ["factor", "emitted / natural", "clipped", "predicted"]
    ratios = [row["emitted / natural"] for row in (a, b)]
    assert ratios == pytest.approx([plan.predicted[0] / 80, plan.predicted[1] / 40])
    # {a, b} and {b} are at max_factor: a quarter of a's records, and all of b's.
    assert [row["clipped"] for row in (a, b)] == [0.25, 1.0]
    line = report.as_text(plan).splitlines()[1].split()
    assert line[5:7] == [f"{ratios[0]:.4g}", "25%"]


def test_thousands_are_written_in_one_way():
    plan = plans.make("ab", [12_345.6, 0.5], max_factor=1e5)
    plan = dataclasses.replace(plan, diagnostics={"largest_factor": 12_345.6})
    text = report.as_text(plan)
    assert "12,346" in text and "at most 100,000." in text and "e+0" not in text
    assert ">12,346<" in report.as_html(plan) and "e+0" not in report.as_html(plan)
