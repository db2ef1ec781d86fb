"""Weights of groups, from their counts and from a plan."""

import functools
import itertools
import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tfx_resampling as tr
from tfx_resampling import DataGenerator, Plan, StratifiedSampler
from tfx_resampling.core import targets
from tfx_resampling.core.groups import Column, Grouping
from tfx_resampling.tables.weights import (
    WEIGHINGS,
    check_weighing,
    group_name,
    group_weights,
)

from tests import plans

COUNTS = np.array([81, 16, 3])
KEYS = ("a", "b", "c")


def weigh(weighing, counts: Any = COUNTS, keys=KEYS, columns=("folder",)):
    return group_weights(weighing, np.asarray(counts), keys, columns)


def shares(*weights):
    return pytest.approx(np.array(weights) / sum(weights))


@pytest.mark.parametrize(
    "weighing, weights",
    [
        ("uniform", (1, 1, 1)),
        ("count", (81, 16, 3)),
        ("square root", (9, 4, 3**0.5)),
        ("log", (math.log(81), math.log(16), math.log(3))),
        ("logx+1", (math.log(81) + 1, math.log(16) + 1, math.log(3) + 1)),
        (np.sqrt, (9, 4, 3**0.5)),
        (lambda n: n * n, (6561, 256, 9)),
        (lambda n, group: {"a": 1, "b": 2, "c": 5}[group], (1, 2, 5)),
        (lambda n, *more: n if more == ("b",) else 0.5, (0.5, 16, 0.5)),
        # A second parameter with a default is not for the group: brevettiai put it in.
        (lambda n, power=2: n**power, (6561, 256, 9)),
        (lambda n, group=None: 1 if group == "c" else 2, (2, 2, 1)),
        (functools.partial(lambda scale, n: scale * n, 3), (81, 16, 3)),
        # Targets of the planner.
        ("natural", (81, 16, 3)),
        ("sqrt", (9, 4, 3**0.5)),
        ("log1p", (math.log(82), math.log(17), math.log(4))),
        ("power:0.25", (3, 2, 3**0.25)),
        ("effective:0", (81, 16, 3)),
        # f = 0.81, 0.16, 0.03: only the last is below 0.12, with a factor of 2.
        ("repeat_threshold:0.12", (81, 16, 6)),
        ({"a": 0.5, "b": 0.3, "c": 0.2}, (0.5, 0.3, 0.2)),
        ({"c": 0.81}, (0.19 * 81 / 97, 0.19 * 16 / 97, 0.81)),
        ({"a": 10, "c": 30}, (10, 16, 30)),
        ('{"a": 10, "b": 10, "c": 20}', (1, 1, 2)),
    ],
)
def test_weights(weighing, weights):
    assert weigh(weighing) == shares(*weights)


def test_every_target_of_the_planner_is_a_weighing():
    numbers = {"power": ":0.3", "effective": ":0.9", "repeat_threshold": ":0.1"}
    for name in targets.describe():
        target = name + numbers.get(name, "")
        expected = COUNTS.astype(float)
        if not targets.fixes_size(target):
            expected = targets.target_shares(target, KEYS, expected)
            assert weigh(target) == pytest.approx(expected)
        assert weigh(target).sum() == pytest.approx(1)
    assert set(WEIGHINGS) == {"uniform", "count", "square root", "log", "logx+1"}


def test_mappings_name_groups_as_they_are():
    assert weigh({1: 0.25, 2: 0.75}, [5, 5], (1, 2)) == shares(1, 3)
    assert weigh({None: 0.25, "x": 0.75}, [5, 5], ("x", None)) == shares(3, 1)
    sets = (("a",), ("a", "b"))
    assert weigh({("a",): 0.2, ("a", "b"): 0.8}, [5, 5], sets) == shares(1, 4)
    keys, columns = (("n", 1), ("s", None)), ("site", "view")
    assert weigh({("n", 1): 0.2, ("s", None): 0.8}, [5, 5], keys, columns) == shares(
        1, 4
    )
    named = {"site=n, view=1": 0.2, "site=s, view=(missing)": 0.8}
    assert weigh(named, [5, 5], keys, columns) == shares(1, 4)
    assert group_name(("n", None), columns) == "site=n, view=(missing)"


@pytest.mark.parametrize("weighing", ["log", np.log])
def test_groups_that_are_never_drawn_are_named(weighing):
    with pytest.warns(UserWarning, match=r"never drawn.*weight 0: 'b', 'd'\.$"):
        weights = weigh(weighing, [9, 1, 3, 1], tuple("abcd"))
    assert weights == shares(math.log(9), 0, math.log(3), 0)


def test_many_groups_that_are_never_drawn_are_counted():
    counts = [2, *[1] * 30]
    with pytest.warns(UserWarning, match=r": 1, 2.* 20 and 10 more\.$"):
        weigh("log", counts, tuple(range(31)))


def test_no_warning_without_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weigh("logx+1", [9, 1, 3])


def test_large_weights_do_not_overflow():
    assert weigh(lambda n: 1e308) == shares(1, 1, 1)


@pytest.mark.parametrize(
    "weighing, message",
    [
        ("squareroot", "weighing must be one of .*'square root'.*got 'squareroot'"),
        ("power", "target must be"),
        ("power:2", "power takes a number from 0 to 1, got 'power:2'"),
        (3, "weighing must be one of .* got 3"),
        (None, "weighing must be one of .* got None"),
        ({"x": 0.5}, r"target names \['x'\]"),
        ({"a": -1}, "must be a share or a count"),
        (lambda n: -n, "must be finite and >= 0, got -81.0 for group 'a'"),
        (lambda n: math.nan, "must be finite and >= 0, got nan for group 'a'"),
        (lambda n: math.inf, "must be finite and >= 0, got inf for group 'a'"),
        (lambda n: 0, "must not all be 0, as they are for all 3 groups"),
        (
            lambda n: "much",
            "must return a number for each group, got 'much' for .* 'a'",
        ),
        (lambda n: None, "must return a number for each group, got None"),
    ],
)
def test_bad_weighings(weighing, message):
    with pytest.raises(ValueError, match=message):
        weigh(weighing)


@pytest.mark.parametrize("weighing", ["log", np.log])
def test_log_of_groups_of_one_row_only(weighing):
    with pytest.raises(ValueError, match="not all be 0.* Use 'logx"):
        weigh(weighing, [1, 1], ("a", "b"))


def test_an_error_in_a_function_is_not_swallowed():
    def broken(count):
        raise TypeError("a bug of the caller")

    with pytest.raises(TypeError, match="a bug of the caller"):
        weigh(broken)


def test_a_mapping_needs_groups_with_names_of_their_own():
    with pytest.raises(ValueError, match="look the same"):
        weigh({"1": 0.5}, [5, 5], (1, "1"))


def test_check_weighing_accepts_what_is_known():
    for weighing in (*WEIGHINGS, "sqrt", {"a": 1}, np.sqrt):
        check_weighing(weighing)


# A plan's factors as weights of groups.

SINGLE = plans.make(
    "abc", [0.5, 2, 3], unlabeled_factor=0.25, min_factor=0.1, max_factor=2.5
)


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
    with pytest.raises(
        ValueError, match="got 'label'.*'category'.*columns of the plan"
    ):
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


class TestLossWeights:
    TABLE = pd.DataFrame(
        {"id": range(100), "kind": ["a"] * 80 + ["b"] * 15 + ["c"] * 5}
    )

    def draw(self, n, **options):
        generator = DataGenerator(
            self.TABLE,
            batch_size=n,
            repeat=True,
            seed=1,
            sampling_groupby="kind",
            output_structure=("id", "loss_weight"),
            **options,
        )
        return next(generator.get_dataset_numpy())

    def test_each_row_counts_the_same(self):
        # Groups and their rows take turns: to within one draw of each row.
        ids, w = self.draw(1_200, loss_weights="inverse_factor")
        assert w.dtype == np.float32
        largest = np.repeat([2.4, 0.45, 0.15], [80, 15, 5])
        assert (np.abs(np.bincount(ids, w) - 12) < largest).all()
        assert w.mean() == pytest.approx(1)

    def test_the_loss_may_be_of_another_weighing(self):
        options = dict(sampling_group_weighing="count")
        ids, w = self.draw(
            1_000, loss_weights={"a": 0.5, "b": 0.25, "c": 0.25}, **options
        )
        sums = [
            w[ids < 80].sum(),
            w[(ids >= 80) & (ids < 95)].sum(),
            w[ids >= 95].sum(),
        ]
        np.testing.assert_allclose(sums, [500, 250, 250], rtol=1e-5)

    def test_what_has_no_weights_is_refused(self):
        never = {"a": 0.5, "b": 0.5, "c": 0.0}
        with (
            pytest.warns(UserWarning, match="never drawn"),
            pytest.raises(ValueError, match=r"bring back groups \['c'\]"),
        ):
            self.draw(5, loss_weights="inverse_factor", sampling_group_weighing=never)
        with pytest.raises(ValueError, match="weighing must be one of"):
            self.draw(5, loss_weights="inverse")
        for options in (
            dict(repeat=True),
            dict(sampling_groupby="kind"),
            dict(sampling_groupby="kind", repeat=3),
        ):
            with pytest.raises(
                ValueError, match="need sampling_groupby and repeat=True"
            ):
                DataGenerator(self.TABLE, loss_weights="inverse_factor", **options)
        with pytest.raises(ValueError, match="no column 'loss_weight'"):
            DataGenerator(
                self.TABLE.assign(loss_weight=1.0),
                sampling_groupby="kind",
                repeat=True,
                loss_weights="inverse_factor",
            )
