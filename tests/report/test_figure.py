"""`report.figure(plan)`: what is drawn, of few labels and of many."""

import io
import re
import subprocess
import sys

import pytest
import tfx_resampling as tr
from matplotlib.figure import Figure
from tfx_resampling import report

from tests import plans


def make(totals: dict, **options) -> tr.Plan:
    counts = plans.counts(totals)
    return tr.make_plan(counts, tr.PlannerConfig("label", **options))


def drawn(figure: Figure) -> tuple:
    """Returns the axes, after drawing: shares and factors."""
    figure.savefig(io.BytesIO(), format="png")
    return tuple(figure.axes)


def test_bars_are_the_shares_and_the_factors_by_frequency():
    plan = make({"c": 10, "a": 60, "b": 30})
    figure = report.figure(plan)
    shares, factors = drawn(figure)
    assert [text.get_text() for text in shares.get_yticklabels()] == ["a", "b", "c"]
    natural, target, predicted = shares.containers
    assert [bar.get_width() for bar in natural] == pytest.approx([0.6, 0.3, 0.1])
    for bars in (target, predicted):
        assert [bar.get_width() for bar in bars] == pytest.approx([1 / 3] * 3)
    (bars,) = factors.containers
    ends = [1 + bar.get_width() for bar in bars]
    assert ends == pytest.approx([1 / 1.8, 1 / 0.9, 1 / 0.3])
    assert bars[0].get_facecolor() != bars[1].get_facecolor()
    assert (shares.get_xscale(), factors.get_xscale()) == ("linear", "log")
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["natural", "target", "predicted"]


def test_a_long_tail_is_on_a_log_scale_and_says_so():
    shares, _ = drawn(report.figure(make({"a": 1000, "b": 9})))
    assert shares.get_xscale() == "log"
    assert "log scale" in shares.get_xlabel()
    # Bars start at the axis and end at the share.
    bar = shares.containers[0][1]
    assert bar.get_x() == pytest.approx(shares.get_xlim()[0])
    assert bar.get_x() + bar.get_width() == pytest.approx(9 / 1009)


@pytest.mark.long
@pytest.mark.parametrize("size, curves", [(40, False), (41, True), (1200, True)])
def test_many_labels_are_curves(size, curves):
    totals = {f"c{i}": 10 + round(1e5 / (1 + i) ** 1.1) for i in range(size)}
    figure = report.figure(make(totals, target="sqrt"))
    shares, factors = drawn(figure)
    assert (len(shares.lines) == 2) == curves
    assert figure.get_size_inches()[1] < 14
    if curves:
        predicted = shares.lines[1].get_ydata()
        assert len(predicted) == size
        assert predicted == pytest.approx(make(totals, target="sqrt").predicted_shares)
        assert factors.get_yscale() == "log"


def test_a_factor_of_0_reaches_the_edge():
    _, factors = drawn(
        report.figure(plans.make("ab", [0.0, 1.0], predicted=(0.0, 1.0)))
    )
    bar = factors.containers[0][0]
    assert 1 + bar.get_width() == pytest.approx(factors.get_xlim()[0])


@pytest.mark.long
@pytest.mark.parametrize(
    "label, shown",
    [
        ("$\\frac{1}$", "$\\frac{1}$"),
        ("a\nb", "a\\nb"),
        ("x" * 10_000, "x" * 31 + "…"),
        ("<b>שלום", "<b>שלום"),
        ("", '""'),
    ],
)
def test_labels_are_drawn_as_text(label, shown):
    shares, _ = drawn(report.figure(make({label: 3, "b": 2})))
    assert shares.get_yticklabels()[0].get_text() == shown


def test_a_notebook_shows_it():
    plan = make({"a": 3, "b": 1})
    assert report.figure(plan)._repr_png_().startswith(b"\x89PNG")


@pytest.mark.long
def test_it_needs_no_display_and_pyplot_does_not_know_of_it(tmp_path):
    code = (
        "import sys, tfx_resampling as tr\n"
        "from tfx_resampling import report\n"
        "counts = tr.LabelCounts('y', ('a', 'b'), (3, 1), 4)\n"
        "figure = report.figure(tr.make_plan(counts, tr.PlannerConfig('y')))\n"
        f"figure.savefig({str(tmp_path / 'plan.pdf')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env={}, check=True)
    assert (tmp_path / "plan.pdf").read_bytes().startswith(b"%PDF")


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "tfx_resampling.report.plots", raising=False)
    monkeypatch.delattr("tfx_resampling.report.plots", raising=False)
    for name in [n for n in sys.modules if n.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = 'a figure of a plan needs Matplotlib: pip install "tfx-resampling[plot]"'
    with pytest.raises(ImportError, match=f"^{re.escape(message)}$"):
        report.figure(make({"a": 3, "b": 1}))
