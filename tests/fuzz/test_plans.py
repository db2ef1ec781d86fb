"""Whatever is counted and wanted: a plan that holds what it says, or a refusal."""

import json

import numpy as np
from tfx_resampling import report
from tfx_resampling.core import targets
from tfx_resampling.core.config import COMBINE_RULES, PlannerConfig
from tfx_resampling.core.counts import LabelCounts, LabelSets
from tfx_resampling.core.factors import emission
from tfx_resampling.core.groups import parse_columns
from tfx_resampling.core.plan import Plan
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.fitting.planning import make_plan

from tests.fuzz.fuzzing import fuzz, or_refused, st

LABELS = st.lists(st.text(max_size=12), min_size=1, max_size=6, unique=True)
NUMBERS = st.integers(0, 60) | st.integers(0, 10**7)
TARGETS = st.sampled_from(
    ["natural", "uniform", "sqrt", "log1p", "power:0.3", "effective:0.99"]
) | st.lists(st.floats(0, 1), min_size=1, max_size=6)
SIZES = st.sampled_from([None, "preserve", "undersample", "oversample", "ratio:0.3"])
SCHEDULES = st.sampled_from(["constant", "linear:7", "step:3"])


@st.composite
def label_counts(draw) -> LabelCounts:
    labels = draw(LABELS)
    places = st.lists(st.integers(0, len(labels) - 1), max_size=4, unique=True)
    sets = draw(st.lists(places.map(sorted).map(tuple), max_size=12, unique=True))
    singles = [(i,) for i in range(len(labels))]
    is_single = draw(st.booleans())
    sets = singles if is_single else sorted({(), *singles, *sets})
    weights = [draw(NUMBERS) for _ in sets]
    unlabeled = dict(zip(sets, weights)).get((), 0)
    totals = [
        sum(w for each, w in zip(sets, weights) if i in each)
        for i in range(len(labels))
    ]
    return LabelCounts(
        label_key="label",
        groups=tuple(labels),
        counts=tuple(totals),
        num_records=sum(weights),
        num_unlabeled=unlabeled,
        multi_label=not is_single,
        label_sets=None if is_single else LabelSets.from_sets(sets, weights),
    )


@st.composite
def plans(draw) -> Plan | None:
    counts = or_refused(lambda: draw(label_counts()))
    if counts is None:
        return None
    target = draw(TARGETS)
    if isinstance(target, list):
        target = dict(zip(counts.groups, target))
    bounds = sorted([draw(st.floats(0, 100)), draw(st.floats(0, 100))])
    options = dict(
        target=target,
        size=draw(SIZES),
        combine=draw(st.sampled_from(COMBINE_RULES)),
        schedule=draw(SCHEDULES),
        seed=draw(st.integers(0, 2**63 - 1)),
        **(
            dict(zip(("min_factor", "max_factor"), bounds))
            if draw(st.booleans())
            else {}
        ),
    )
    return or_refused(lambda: make_plan(counts, PlannerConfig("label", **options)))


@fuzz(plan=plans())
def test_a_plan_holds_what_it_says(plan):
    if plan is None:
        return
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json()).to_json() == plan.to_json()
    factors = np.array(plan.factors)
    assert np.isfinite(factors).all() and (factors >= 0).all()
    total = plan.predicted_shares.sum()
    assert total == 0 if not any(plan.predicted) else abs(total - 1) < 1e-9
    assert abs(sum(plan.target) - 1) < 1e-9
    found = emission(factors, plan.label_counts(), plan.rule)
    if found.per_set is not None and plan.label_sets:
        some = [bool(key) for key in plan.label_sets]
        of_labeled = found.per_set[some]
        # Factors are multiples of 2**-32.
        assert (of_labeled >= plan.min_factor * (1 - 1e-9) - 2**-32).all()
        assert (of_labeled <= plan.max_factor * (1 + 1e-9) + 2**-32).all()
    for text in (report.as_text(plan), report.as_html(plan)):
        assert "<script" not in text
        assert all(c.isprintable() or c in "\n\u200c\u200d" for c in text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def changed_plans(draw) -> str:
    """A plan of which some values are others."""
    plan = draw(plans())
    fields = json.loads(plan.to_json()) if plan else {}
    for _ in range(draw(st.integers(1, 3))):
        place, name = fields, draw(st.sampled_from([*fields, "else"]))
        while isinstance(place.get(name), dict) and place[name] and draw(st.booleans()):
            place = place[name]
            name = draw(st.sampled_from(list(place)))
        place[name] = draw(JSON)
    return json.dumps(fields)


@fuzz(text=changed_plans())
def test_a_changed_plan_is_one_or_is_refused(text):
    plan = or_refused(lambda: Plan.from_json(text))
    if plan is not None and any(plan.counts):
        assert Plan.from_json(plan.to_json()) == plan
        assert report.as_text(plan) and report.as_html(plan)


@fuzz(200, text=st.text() | st.text('power:ffctivelog1.e-+0123456789{}"', max_size=14))
def test_any_text_is_an_option_or_is_refused(text):
    for parse in (targets.parse, Schedule.parse, parse_columns):
        or_refused(lambda parse=parse: parse(text))
    for name in ("size", "keep_natural", "split", "unlabeled", "max_factor"):
        options = {name: text}
        or_refused(lambda options=options: PlannerConfig("label", **options))
