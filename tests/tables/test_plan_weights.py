"""A plan's factors as weights of groups."""

import itertools

import numpy as np
import pandas as pd
import pytest
import tfx_resampling as tr
from tfx_resampling import DataGenerator, Plan, StratifiedSampler
from tfx_resampling.core.groups import Column, Grouping
from tfx_resampling.tables.weights import group_weights

from tests import plans

SINGLE = plans.make(
    "abc", [0.5, 2, 3], unlabeled_factor=0.25, min_factor=0.1, max_factor=2.5
)


def weigh(plan, counts, keys, columns=("label",)):
    return group_weights(plan, np.array(counts), keys, columns)


def shares(*weights):
    return pytest.approx(np.array(weights) / sum(weights))


def test_count_times_factor_of_the_label():
    assert weigh(SINGLE, [80, 15, 5], ("a", "b", "c")) == shares(40, 30, 12.5)


def test_label_sets_combine_as_the_plan_says():
    keys, counts = (("a",), ("a", "b"), ("a", "b", "b"), (), None), [10] * 5
    assert weigh(SINGLE, counts, keys) == shares(0.5, 1, 1, 0.25, 0.25)
    largest = plans.make("ab", [0.5, 2], combine="max", unlabeled_factor=0.25)
    assert weigh(largest, counts, keys) == shares(0.5, 2, 2, 0.25, 0.25)


def test_integer_labels():
    plan = plans.make(["1", "20"], [1, 3], label_dtype="int64")
    assert weigh(plan, [5, 5], (1, 20)) == shares(1, 3)
    assert weigh(plan, [5, 5], (1.0, 20.0)) == shares(1, 3)
    assert weigh(plan, [5, 5], ((1, 20), (20,))) == shares(3, 3)


def test_bytes_are_labels_as_well():
    assert weigh(SINGLE, [1, 1], (b"a", b"b")) == shares(0.5, 2)


def test_the_label_column_is_found_among_several():
    keys = (("n", "a"), ("n", "b"), ("s", "b"))
    assert weigh(SINGLE, [4, 4, 4], keys, ("site", "label")) == shares(0.5, 2, 2)
    with pytest.raises(ValueError, match=r"columns \['label'\], got groups of"):
        weigh(SINGLE, [4, 4, 4], keys, ("site", "category"))


def test_a_label_that_the_plan_does_not_know_is_named():
    with pytest.raises(ValueError, match=r"group \('a', 'z'\) .* got 'z'.*\['a', 'b'"):
        weigh(SINGLE, [1], (("a", "z"),))


GROUPED = plans.make(
    ("site=n, age=(-inf, 18)", "site=n, age=[18, inf)", "site=s, age=(missing)"),
    [1, 2, 5],
    classes=("x",),
    grouping=Grouping(
        (
            Column("site", "bytes", ("n", "s")),
            Column("age", "int64", boundaries=(18.0,)),
        ),
        ((0, 0), (0, 1), (1, 3)),
    ),
)


def people():
    return pd.DataFrame(
        {
            "site": ["n"] * 7 + ["s"] * 3,
            "age": [10, 17, 18, 40, 41, 42, 99, None, None, None],
            "id": range(10),
        }
    )


def test_groups_group_by_their_own_columns_and_buckets():
    generator = DataGenerator(people(), sampling_group_weighing=GROUPED, repeat=True)
    weights = generator.get_debug_info()["sample_weight"]
    assert weights == {
        ("n", "(-inf, 18)"): pytest.approx(2 / 27),
        ("n", "[18, inf)"): pytest.approx(10 / 27),
        ("s", None): pytest.approx(15 / 27),
    }
    drawn = itertools.islice(generator.get_samples_numpy(batch=False), 270)
    ages = [sample["age"] for sample in drawn]
    assert sum(np.isnan(ages)) == 150 and sum(np.less(ages, 18)) == 20


def test_groups_of_groups_by_value():
    keys = (("n", 10), ("n", 18), ("n", 99), ("s", None))
    weights = weigh(GROUPED, [2, 1, 4, 3], keys, ("site", "age"))
    assert weights == shares(2, 2, 8, 15)
    with pytest.raises(ValueError, match=r"group \('s', 10\) must be one of the 3"):
        weigh(GROUPED, [1], (("s", 10),), ("site", "age"))


def test_a_plan_groups_by_its_label():
    samples = [{"label": "a"}] * 8 + [{"label": "b"}] * 2
    sampler = StratifiedSampler(group_weighing=SINGLE)
    weights = sampler.get(samples).get_debug_info()["sample_weight"]
    assert weights == {"a": pytest.approx(0.5), "b": pytest.approx(0.5)}
    with pytest.raises(ValueError, match="got 'label'.*'category'.*its own are taken"):
        sampler.get([{"category": "a"}])


def test_a_fitted_plan_reaches_its_target_from_a_table():
    """Label sets with a plan as the planner makes it, read back from its JSON."""
    table = {"a": 700, "ab": 200, "b": 40, "bc": 20, "c": 40}
    counts = plans.set_counts("abc", table)
    config = tr.PlannerConfig("label", target="uniform", size="preserve", seed=3)
    plan = Plan.from_json(tr.make_plan(counts, config).to_json())
    assert plan.distance < 0.001
    samples = [
        {"label": tuple(labels)} for labels, n in table.items() for _ in range(n)
    ]
    generator = DataGenerator(samples, sampling_group_weighing=plan, repeat=True)
    found = dict.fromkeys("abc", 0)
    for sample in itertools.islice(generator.get_samples_numpy(batch=False), 10_000):
        for label in sample["label"]:
            found[label] += 1
    # Each of 5 groups is within 1 of its share of draws.
    total = sum(found.values())
    assert all(abs(n - total / 3) < 20 for n in found.values()), found
