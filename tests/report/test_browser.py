"""The report in a browser: it fits the window, and nothing goes wrong."""

import dataclasses

import numpy as np
import pytest
import tfx_resampling as tr
from tfx_resampling import report
from tfx_resampling.core.counts import LabelCounts

from tests import plans
from tests.report import chromium
from tests.report.test_page import NASTY, long_tail

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not chromium.BROWSER, reason="there is no Chromium"),
]


def many() -> LabelCounts:
    """Returns 1,200 labels, every one also together with the most frequent."""
    totals = long_tail(1200)
    head, *tail = totals
    sets = {
        ("c0000",): totals[head],
        **{(head, label): totals[label] for label in tail},
    }
    return with_sets(tuple(totals), sets)


def tiny(plan: tr.Plan) -> tr.Plan:
    """Returns the plan with factors and predicted shares of a billionth and less."""
    scale = np.ones(len(plan.groups))
    scale[:900:2], scale[7:13] = 1.2345e-9, 1e-17
    factors, predicted = (scale * np.array(x) for x in (plan.factors, plan.predicted))
    fields = dict(factors=tuple(factors.tolist()), predicted=tuple(predicted.tolist()))
    return dataclasses.replace(plan, **fields)


def nasty() -> LabelCounts:
    labels = tuple(NASTY.values())
    sets = {(label,): 10 ** (7 - i) for i, label in enumerate(labels)}
    return with_sets(labels, {**sets, labels[:2]: 9, labels: 1})


def with_sets(labels, sets) -> LabelCounts:
    return LabelCounts(
        label_key="label",
        groups=labels,
        counts=tuple(sum(n for s, n in sets.items() if l in s) for l in labels),
        num_records=sum(sets.values()),
        multi_label=True,
        label_sets=plans.label_sets(labels, sets),
    )


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium.Chromium(str(tmp_path_factory.mktemp("profile"))) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Returns name -> path of a report."""
    config = tr.PlannerConfig("label", target="sqrt", max_factor=3.0)
    few = plans.set_counts("abc", {"a": 60, "ab": 30, "b": 10, "abc": 10, "": 7})
    paths = {}
    for name, counts in (
        *(("few", few), ("many", many()), ("tiny", many()), ("nasty", nasty())),
    ):
        plan = tr.make_plan(counts, config)
        page = report.as_html(tiny(plan) if name == "tiny" else plan, counts)
        assert len(page) < 2_000_000
        path = tmp_path_factory.mktemp("report") / "report.html"
        path.write_text(page, encoding="utf-8")
        paths[name] = str(path)
    return paths


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["few", "many", "tiny", "nasty"])
def test_page_fits_and_is_quiet(browser, pages, name, scheme, width):
    browser.open(pages[name], width, scheme)
    # What went wrong, or was asked for, while the page was loaded.
    assert browser.messages == []
    sizes = "[document.documentElement.scrollWidth, document.body.scrollWidth]"
    assert max(browser.evaluate(sizes)) <= width
    # Nor does the table scroll within itself.
    inner = "(e => e.scrollWidth - e.clientWidth)(document.querySelector('.scroll'))"
    assert browser.evaluate(inner) <= 0
    # Text is light on dark or dark on light, by the contrast of WCAG's level AA.
    assert contrast(browser, "color", "body") >= 4.5
    assert contrast(browser, "color", "p") >= 4.5
    for series in ("natural", "target", "predicted", "drop", "copy"):
        assert contrast(browser, "backgroundColor", f".legend .{series}") >= 3
    background = luminance(rgb(browser, "backgroundColor", "body"))
    assert (background < 0.1) == (scheme == "dark")


@pytest.mark.parametrize("width", [400, 705, 1400])
def test_nothing_overlaps(browser, pages, width):
    """Of the numbers of an axis, and of the cells of a row, none covers another."""
    for path in pages.values():
        browser.open(path, width, "light")
        overlapping = browser.evaluate(
            """[".row.head .ticks", ".curve .y", ".labels tr", ".row"].flatMap(query =>
              [...document.querySelectorAll(query)].flatMap(parent => {
                const boxes = [...parent.children].map(e => {
                  const range = document.createRange();
                  range.selectNodeContents(e);
                  return e.className == "name" || e.className.includes("plot") ?
                    e.getBoundingClientRect() : range.getBoundingClientRect();
                }).filter(b => b.width && b.height);
                return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
                  a.left < b.right - 1 && b.left < a.right - 1 &&
                  a.top < b.bottom - 4 && b.top < a.bottom - 4
                ).map(() => query + ": " + parent.textContent.slice(0, 80)));
              })).slice(0, 5)"""
        )
        assert overlapping == []
        # Numbers stay within their column.
        outside = browser.evaluate(
            """[...document.querySelectorAll(".row .value, .y span")].filter(e => {
              const range = document.createRange();
              range.selectNodeContents(e);
              const text = range.getBoundingClientRect();
              const cell = e.closest(".value, .y").getBoundingClientRect();
              return text.left < cell.left - 1 || text.right > cell.right + 1;
            }).map(e => e.textContent).slice(0, 5)"""
        )
        assert outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_of_the_heat_map_are_legible(browser, tmp_path, scheme):
    # a with b, c, ...: 5 %, 12 %, ... 96 % of their records.
    labels = "abcdefghijklmn"
    sets = {}
    for i, label in enumerate(labels[1:]):
        sets[f"a{label}"] = 5 + 7 * i
        sets[label] = 95 - 7 * i
    counts = plans.set_counts(labels, sets)
    plan = tr.make_plan(counts, tr.PlannerConfig("label"))
    path = tmp_path / "report.html"
    path.write_text(report.as_html(plan, counts), encoding="utf-8")
    browser.open(str(path), 1400, scheme)
    page = rgb(browser, "backgroundColor", "body")
    cells = browser.evaluate(
        """[...document.querySelectorAll(".heat td[style]")].map(e => [
          getComputedStyle(e).color, getComputedStyle(e).backgroundColor,
          e.textContent].map(x => x.match(/[\\d.]+/g)?.map(Number)))"""
    )
    ratios = []
    for text, background, number in cells:
        if number:
            strength = background[3] if len(background) > 3 else 1.0
            behind = strength * np.array(background[:3]) + (1 - strength) * page
            ratios.append(ratio(np.array(text[:3]), behind))
    assert len(ratios) == 26 and min(ratios) >= 4.5


def test_what_goes_wrong_is_noticed(browser, tmp_path):
    """The tests above would fail if there were something to see."""
    path = tmp_path / "page.html"
    path.write_text("<img src='http://127.0.0.1:9/x.png'><script>nothing()</script>")
    browser.open(str(path), 400, "light")
    texts = str(browser.messages)
    assert "nothing is not defined" in texts and "x.png" in texts


def test_labels_run_no_script(browser, pages):
    browser.open(pages["nasty"], 400, "light")
    assert browser.evaluate("document.scripts.length") == 0
    shown = "document.querySelector('.labels td').textContent"
    assert browser.evaluate(shown) == NASTY["script"]


def contrast(browser, attribute: str, element: str) -> float:
    """Returns the contrast of an element's colour to the page."""
    page = rgb(browser, "backgroundColor", "body")
    return ratio(rgb(browser, attribute, element), page)


def rgb(browser, attribute: str, element: str) -> np.ndarray:
    """Returns float64 [3], 0 to 255."""
    style = f"getComputedStyle(document.querySelector('{element}')).{attribute}"
    values = browser.evaluate(f"{style}.match(/[\\d.]+/g).slice(0, 3).map(Number)")
    return np.array(values, np.float64)


def ratio(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the contrast of two colours, 1 to 21, as in WCAG."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def luminance(colour: np.ndarray) -> float:
    """Returns the relative luminance, 0 to 1, as in WCAG."""
    shares = colour / 255
    linear = np.where(
        shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4
    )
    return float(linear @ [0.2126, 0.7152, 0.0722])
