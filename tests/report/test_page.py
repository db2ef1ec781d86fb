"""The report as a page: what is on it, whatever the labels are called."""

import html
import html.parser
import re

import markupsafe
import numpy as np
import pytest
import tfx_resampling as tr
from tfx_resampling import report
from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.groups import Column, Grouping

from tests import plans

NASTY = {
    "script": "<script>alert(1)</script>",
    "quotes": "\"double\" and 'single' & <b>",
    "emoji": "👩\u200d🔬 🎉",
    "right to left": "שלום (abc)",
    "override": "\u202edesrever",
    "long": "é" * 10_000,
    "empty": "",
}


class Tags(html.parser.HTMLParser):
    """Collects the names of all attributes of a page."""

    def __init__(self):
        super().__init__()
        self.attributes = set()

    def handle_starttag(self, tag, attrs):
        self.attributes |= {name for name, _ in attrs}


def single(totals: dict, **options) -> tr.Plan:
    counts = plans.counts(totals)
    return tr.make_plan(counts, tr.PlannerConfig("label", **options))


def long_tail(size: int) -> dict:
    return {f"c{i:04d}": 10 + round(1e5 / (1 + i) ** 1.1) for i in range(size)}


def text_of(page: str) -> str:
    """Returns what a reader sees, without style and markup."""
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    return html.unescape(re.sub(r"<[^>]*>", " ", page))


@pytest.mark.parametrize("name", NASTY)
def test_labels_are_text_wherever_they_come(name):
    label = NASTY[name]
    sets = {("plain", label): 3, ("plain",): 50, (label,): 1}
    labels = ("plain", label)
    counts = LabelCounts(
        label_key=label,
        groups=labels,
        counts=(53, 4),
        num_records=54,
        multi_label=True,
        label_sets=plans.label_sets(labels, sets),
        notes=(f"About {label}.",),
        source={label: label, "split": [label]},
    )
    config = tr.PlannerConfig(label or "y", target={"plain": 0.2, label: 0.8})
    if not label:
        counts = plans.counts({"plain": 5, "": 2}, label_key="y")
    plan = tr.make_plan(counts, config)
    page = report.as_html(plan, counts)
    assert "<script" not in page and "<b>" not in page
    parser = Tags()
    parser.feed(page)  # A stray quote would make attributes of a label's words.
    assert parser.attributes <= {
        *("class", "style", "title", "role", "aria-label", "scope"),
        *("lang", "charset", "http-equiv", "content", "name"),
    }
    shown = {"override": "\\u202edesrever", "empty": '""', "long": "é" * 99 + "…"}
    assert f">{markupsafe.escape(shown.get(name, label))}</td>" in page
    assert "\u202e" not in page
    if name == "long":  # Short where it is seen, whole where it is asked for.
        assert f'<td title="{label}">' in page
        assert len(page) < 200_000


def test_nothing_comes_from_elsewhere():
    page = report.as_html(single({"a": 5, "b": 1}))
    assert not re.search(r"(src|href)=|url\(|@import|https?:|<script", page)
    assert "default-src 'none'" in page


def test_rows_are_sorted_by_frequency():
    page = report.as_html(single({"rare": 1, "often": 9, "some": 5}))
    assert re.findall(r'<span class="name">(\w+)', page) == ["often", "some", "rare"]


def bars(page: str) -> dict:
    """Returns label -> (natural, target, predicted) widths in percent."""
    found = re.findall(
        r'<span class="name">([^<]*)</span><div class="plot shares">(.*?)</div>', page
    )
    return {
        name: tuple(float(x) for x in re.findall(r"width:([\d.]+)%", drawn))
        for name, drawn in found
    }


def test_bars_are_linear_where_shares_are_near():
    # 60, 30 and 10 %; the axis ends at 60 %.
    page = report.as_html(single({"a": 60, "b": 30, "c": 10}))
    third = pytest.approx(100 * (1 / 3) / 0.6, abs=0.01)
    assert bars(page) == {
        "a": (100, third, third),
        "b": (50, third, third),
        "c": (pytest.approx(100 / 6, abs=0.01), third, third),
    }
    assert "log scale" not in page


def test_bars_are_logarithmic_where_the_tail_asks_for_it():
    page = report.as_html(single({"a": 1000, "b": 9}))
    assert "Shares are on a log scale that starts at 0.1%" in page
    # 0.892 % and half on an axis from 0.1 % to 100 %.
    low, half = np.log10([0.00891972 / 0.001, 0.5 / 0.001]) / 3 * 100
    assert bars(page)["b"] == pytest.approx((low, half, half), abs=0.01)


def test_tiny_shares_do_not_make_the_scale_longer():
    plan = plans.make(
        "abcd", [1, 1, 1, 1], counts=(9_999, 1, 1, 1), predicted=(9_999, 1, 1e-9, 0)
    )
    page = report.as_html(plan)
    start = "Shares are on a log scale that starts at 0.0000001%: they differ by"
    assert start in page and "Smaller shares are drawn at its start." in page
    assert bars(page)["c"][2] == 0 < bars(page)["b"][2]


def test_nothing_is_said_twice():
    counts = plans.set_counts("ab", {"a": 60_000, "ab": 3_000, "b": 1_000, "": 1_234})
    plan = tr.make_plan(counts, tr.PlannerConfig("label"))
    page = report.as_html(plan, counts)
    tiles = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))
    assert tiles["Records"] == "65,234" and tiles["Emitted per epoch"] == "65,234"
    assert "1,234 of them unlabeled, factor 1" in page
    bullets = html.unescape(page[page.index("<ul>") : page.index("</ul>")])
    assert not any(f"{name}: " in bullets for name in tiles)
    # What is a tile or a bullet is a line of text.
    for line in report.summary(plan):
        assert line.partition(":")[0] in [*tiles, bullets] or line in bullets
    for measure in ("max IR", "MeanIR", "CVIR", "SCUMBLE"):
        assert re.search(
            rf"<li>{measure}, natural -> predicted: .* \(.*\)\.</li>", bullets
        )


@pytest.mark.parametrize("multi_label", [False, True])
def test_factors_are_drawn_from_1_on_a_log_axis(multi_label):
    # Of several labels it is what comes of the factors.
    drawn = dict(multi_label=multi_label, counts=(12, 4, 1), predicted=(3.0, 4.0, 4.0))
    plan = plans.make("abc", [0.1] * 3 if multi_label else [0.25, 1.0, 4.0], **drawn)
    page = report.as_html(plan)
    found = re.findall(
        r'class="(drop|copy)" style="left:([\d.]+)%;width:([\d.]+)', page
    )
    (drop, left, width), (_, one, none), (copy, start, same) = found
    assert (drop, copy) == ("drop", "copy")
    # 1 / 4 is as far below 1 as 4 is above.
    assert float(width) == pytest.approx(float(same), abs=0.02) and float(width) > 40
    assert float(left) + float(width) == pytest.approx(float(one), abs=0.02)
    assert (start, float(none)) == (one, 0)


def test_a_factor_of_0_is_drawn():
    page = report.as_html(plans.make("ab", [0.0, 1.0], predicted=(0.0, 1.0)))
    assert 'class="drop" style="left:0.00%' in page


@pytest.mark.parametrize("size, rows", [(40, 40), (41, 30), (1200, 30)])
def test_many_labels_are_curves_and_both_ends(size, rows):
    plan = single(long_tail(size), target="sqrt")
    page = report.as_html(plan)
    assert len(bars(page)) == rows
    assert page.count("<tr><td>") == size  # The table has all.
    assert ("<svg" in page) == (size > 40)
    if size > 40:
        between = f"Between them are {size - 30:,} labels of "
        assert f"least frequent of {size:,} labels. {between}" in text_of(page)
        # A step per label.
        (natural,) = re.findall(r'<path class="natural" d="([^"]*)"', page)
        assert natural.count("H") == size + 1
    assert len(page) < 500_000


def test_the_rarest_share_is_not_written_as_nothing():
    plan = single({"a": 999_990, "b": 10})
    assert "<td>10</td><td>0.001%</td>" in report.as_html(plan)
    assert "0.001%" in report.as_text(plan)


def test_heat_map_has_what_labels_occur_with():
    counts = plans.set_counts("abc", {"a": 60, "ab": 30, "b": 10, "abc": 10, "": 7})
    plan = tr.make_plan(counts, tr.PlannerConfig("label"))
    page = report.as_html(plan, counts)
    assert "Labels that occur together" in page
    # a in 100 records, 40 of them with b, 10 with c; all of c's with both.
    for title in ("b in a: 40%", "c in a: 10%", "a in b: 80%", "a in c: 100%"):
        assert f'title="{title}"' in page
    assert page.count('class="same"') == 3
    assert "Labels that occur together" not in report.as_html(plan)


def test_heat_map_of_many_labels_has_both_ends():
    labels = tuple(f"l{i:02d}" for i in range(30))
    sets = {("l00", label): 100 - i for i, label in enumerate(labels) if i}
    counts = LabelCounts(
        label_key="label",
        groups=labels,
        counts=(sum(sets.values()), *sets.values()),
        num_records=sum(sets.values()),
        multi_label=True,
        label_sets=plans.label_sets(labels, sets),
    )
    page = report.as_html(tr.make_plan(counts, tr.PlannerConfig("label")), counts)
    assert page.count('<th scope="row">l') - 1 == 24  # And label_key.
    assert "the 12 most and the 12 least frequent of 30 labels" in page
    assert 'title="l00 in l29: 100%"' in page and "l15 in" not in page


@pytest.mark.parametrize(
    "counts",
    [
        plans.counts({"a": 3, "b": 2}),
        plans.counts({"a": 3, "b": 2}, multi_label=True),
    ],
    ids=["single", "marginal"],
)
def test_no_heat_map_where_nothing_is_known(counts):
    plan = tr.make_plan(counts, tr.PlannerConfig("label"))
    assert "Labels that occur together" not in report.as_html(plan, counts)


def test_labels_that_never_meet_are_said_so():
    counts = plans.set_counts("ab", {"a": 3, "b": 2})
    plan = tr.make_plan(counts, tr.PlannerConfig("label"))
    assert "No two labels occur in one record." in report.as_html(plan, counts)


def test_counts_of_another_plan_are_refused():
    with pytest.raises(ValueError, match="counts must have the 2 labels of the plan"):
        report.as_html(single({"a": 2, "b": 1}), plans.counts({"a": 2, "c": 1}))


def test_parameters_provenance_and_warnings_are_on_the_page():
    counts = plans.counts(
        {"a": 90, "b": 1}, notes=("Of a sample.",), source={"split": "train"}
    )
    config = tr.PlannerConfig("label", target="uniform", max_factor=2.0, seed=17)
    text = text_of(report.as_html(tr.make_plan(counts, config)))
    for pattern in (
        r"Warnings\s+Of a sample\.\s+max_factor 2 binds for 1 of 2 labels",
        r"max_factor\s+2\.0",
        r"seed\s+17",
        r"Provenance\s+split\s+train",
        rf"tfx_resampling\s+{re.escape(tr.__version__)}",
    ):
        assert re.search(pattern, text), pattern
    assert "Warnings" not in report.as_html(single({"a": 2, "b": 1}))


def test_groups_are_called_groups_and_have_no_heat_map():
    grouping = Grouping((Column("site", "bytes", ("x", "y")),), ((0,), (1,)))
    counts = plans.counts(
        dict(zip(grouping.names, (3, 1))), multi_label=True, grouping=grouping
    )
    plan = plans.make(grouping.names, [0.5, 2.0], classes=("a",), grouping=grouping)
    page = report.as_html(plan, counts)
    assert "<dt>Groups</dt><dd>2</dd>" in page and "occur together" not in page
    assert all(
        f"<td>{name}</td>" in page for name in map(markupsafe.escape, grouping.names)
    )


def test_long_texts_are_folded():
    plan = plans.make("ab", [1, 1], warnings=("w" * 5_000,))
    assert f"<details><summary>{'w' * 200}…</summary>" in report.as_html(plan)


def test_realised_shares_and_metrics_are_columns():
    plan = single({"a": 3, "b": 1})
    page = report.as_html(plan, realised=[1, 3], metrics={"<precision>": [0.5, 0.25]})
    assert '<th scope="col">&lt;precision&gt;</th>' in page
    assert "<td>25.00%</td><td>2</td><td>0.500</td></tr>" in page


def test_what_was_weighed_is_drawn():
    weighed = [
        dict(distance=0.2, effective_sample_size=50.0, records=9.0, chosen=True),
        dict(distance=0.3, effective_sample_size=90.0, records=9.0, chosen=False),
    ]
    plan = plans.make("ab", [2, 0.5], diagnostics={"trade_off": weighed})
    page = report.as_html(plan)
    points = re.findall(r"<i(.*?) style=\"left:([\d.]+)%;top:([\d.]+)%\" title", page)
    (taken, left, top), (other, right, above) = points
    assert taken == ' class="chosen"' and other == ""
    # Closer is farther down, more samples are farther right.
    assert float(left) < float(right) and float(top) > float(above)
    assert "distance 0.2000, effective sample size 50, 9 records" in page
    assert "effective sample size" not in report.as_html(plans.make("ab", [2, 0.5]))
