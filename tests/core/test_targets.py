"""Targets: hand-computed shares and factors, and what is refused."""

import json
import math

import numpy as np
import pytest
from tfx_resampling.core import config, targets

NEAR_ONE = 1 - 1e-12


@pytest.mark.parametrize(
    "target, counts, shares",
    [
        ("natural", [70, 20, 10], [0.7, 0.2, 0.1]),
        ("uniform", [70, 20, 10], [1 / 3, 1 / 3, 1 / 3]),
        ("uniform", [70, 0, 10], [0.5, 0.0, 0.5]),  # Nothing to draw b from.
        ("sqrt", [100, 25, 25], [0.5, 0.25, 0.25]),
        ("log", [100, 10], [2 / 3, 1 / 3]),
        ("log", [8, 2, 1], [3 / 4, 1 / 4, 0.0]),  # log 1 = 0.
        ("log1p", [3, 1], [2 / 3, 1 / 3]),
        ("log1p", [3, 1, 0], [2 / 3, 1 / 3, 0.0]),
        ("power:0", [70, 20, 0], [0.5, 0.5, 0.0]),
        ("power:0.25", [16, 1], [2 / 3, 1 / 3]),
        ("power:0.5", [100, 25, 25], [0.5, 0.25, 0.25]),
        ("power:1", [70, 20, 10], [0.7, 0.2, 0.1]),
        ("effective:0", [70, 20, 10], [0.7, 0.2, 0.1]),
        # n (1 - 1/2) / (1 - (1/2)**n): 1 for n = 1 and 4/3 for n = 2.
        ("effective:0.5", [1, 2], [3 / 7, 4 / 7]),
        (f"effective:{NEAR_ONE!r}", [70, 20, 10], [1 / 3, 1 / 3, 1 / 3]),
        ({"a": 0.5, "b": 0.25, "c": 0.25}, [70, 20, 10], [0.5, 0.25, 0.25]),
        # What is left goes to the labels left out, in proportion to their counts.
        ({"a": 0.4}, [70, 20, 10], [0.4, 0.4, 0.2]),
        ({"a": 0.4, "b": 0.0}, [70, 20, 10], [0.4, 0.0, 0.6]),
        ({"b": 1.0}, [70, 20, 10], [0.0, 1.0, 0.0]),
        ({"a": 0.5}, [70, 30, 0], [0.5, 0.5, 0.0]),
        ({"a": 0.5, "b": 0.5, "c": 0.0}, [70, 30, 0], [0.5, 0.5, 0.0]),
        # Integers among shares are shares.
        ({"a": 0.0, "b": 1, "c": 0}, [70, 20, 10], [0.0, 1.0, 0.0]),
        # Rounded shares are normalised.
        ({"a": 0.333, "b": 0.333, "c": 0.333}, [70, 20, 10], [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_shares_have_hand_computed_answers(target, counts, shares):
    labels = ("a", "b", "c")[: len(counts)]
    result = targets.target_shares(
        targets.parse(target), labels, np.array(counts, float)
    )
    assert result == pytest.approx(shares, abs=1e-4 if "eff" in target else 1e-12)
    assert result.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("beta", [0.9, 0.999, 0.9999])
def test_effective_is_between_natural_and_uniform(beta):
    counts = np.array([1000.0, 10.0])
    rare = targets.target_shares(f"effective:{beta}", ("a", "b"), counts)[1]
    assert 10 / 1010 < rare < 0.5


@pytest.mark.parametrize(
    "target, counts, num_records, factors",
    [
        # LVIS: max(1, sqrt(t / f)), f = n / num_records.
        ("repeat_threshold:0.16", [1, 4, 64], 100, [4.0, 2.0, 1.0]),
        ("repeat_threshold:0.16", [1, 16, 0], 100, [4.0, 1.0, 1.0]),
        ("repeat_threshold:1", [25, 100, 50], 100, [2.0, 1.0, math.sqrt(2)]),
        ({"a": 35, "b": 40, "c": 30}, [70, 20, 10], 100, [0.5, 2.0, 3.0]),
        ({"a": 35}, [70, 20, 10], 100, [0.5, 1.0, 1.0]),  # The rest as it is.
        ({"a": 0, "b": 20}, [70, 20, 10], 100, [0.0, 1.0, 1.0]),
        ({"a": 7, "c": 0}, [70, 20, 0], 90, [0.1, 1.0, 1.0]),
    ],
)
def test_fixed_factors_have_hand_computed_answers(target, counts, num_records, factors):
    target = targets.parse(target)
    assert targets.fixes_size(target)
    result = targets.fixed_factors(
        target, ("a", "b", "c"), np.array(counts, float), num_records
    )
    assert result == pytest.approx(factors, abs=1e-12)


@pytest.mark.parametrize(
    "target, fixes, counts",
    [
        ("uniform", False, False),
        ("effective:0.9", False, False),
        ("repeat_threshold:0.1", True, False),
        ({"a": 3, "b": 4}, True, True),
        ({"a": 0.5, "b": 0.5}, False, False),
        ({"a": 1, "b": 0.0}, False, False),  # One float makes them shares.
    ],
)
def test_integer_mappings_are_counts_and_fix_the_size(target, fixes, counts):
    assert targets.fixes_size(target) is fixes
    assert targets.is_counts(target) is counts


@pytest.mark.parametrize(
    "target", [{"a": 0.25, "b": 0.75}, {"a": 10, "b": 20}, {"é": 0.5}]
)
def test_a_mapping_can_be_a_json_object_in_a_string(target):
    assert targets.parse("  " + json.dumps(target)) == target


@pytest.mark.parametrize(
    "target, message",
    [
        ("unifrom", "one of .*'uniform'.* got 'unifrom'"),
        ("", "got ''"),
        (None, "got None"),
        (3, "got 3"),
        (["a"], "got \\['a'\\]"),
        ("uniform:2", "got 'uniform:2'"),
        ("power", "got 'power'"),
        ("power:", "got 'power:'"),
        ("power:x", "got 'power:x'"),
        ("power:1.5", "power takes a number from 0 to 1, got 'power:1.5'"),
        ("power:-0.1", "power takes a number from 0 to 1"),
        ("power:nan", "power takes a number from 0 to 1"),
        ("effective:1", "effective takes a number from 0 to below 1"),
        ("effective:-1", "effective takes a number"),
        ("effective:inf", "effective takes a number"),
        ("repeat_threshold:0", "repeat_threshold takes a number above 0, at most 1"),
        ("repeat_threshold:1.1", "repeat_threshold takes a number"),
        ('{"a": 0.5', "not a JSON object"),
        ('{"a": NaN}', "label 'a' must be .*finite.* got nan"),
        ({"a": -0.1, "b": 0.5}, "label 'a' must be .*>= 0, got -0.1"),
        ({"a": math.nan}, "label 'a' .*got nan"),
        ({"a": math.inf}, "label 'a' .*got inf"),
        ({"a": 5e-324}, "label 'a' must be 0 or a share of at least 1e-12, got 5e-324"),
        ({"a": True}, "label 'a' .*got True"),
        ({"a": "3"}, "label 'a' .*got '3'"),
        ({"a": None}, "label 'a' .*got None"),
        ({1: 0.5}, "labels must be strings, got 1"),
        ({}, "at least one label"),
    ],
)
def test_bad_targets_are_refused(target, message):
    with pytest.raises(ValueError, match=message):
        targets.parse(target)


@pytest.mark.parametrize(
    "target, counts, message",
    [
        ({"a": 0.5, "z": 0.5}, [70, 20, 10], r"names \['z'\].*Labels: \['a', 'b', 'c'"),
        ({"a": 35, "z": 5}, [70, 20, 10], r"names \['z'\]"),
        ({"a": 0.5, "c": 0.5}, [70, 20, 0], r"asks for \['c'\], which have no records"),
        ({"a": 5, "c": 5}, [70, 20, 0], r"asks for \['c'\], which have no records"),
        ({"a": 0.5, "b": 0.2, "c": 0.2}, [70, 20, 10], r"must sum to 1, got 0\.9\."),
        ({"a": 0.5, "b": 0.5, "c": 0.5}, [70, 20, 10], "must sum to 1, got 1.5"),
        ({"a": 0.8, "b": 0.7}, [70, 20, 10], "must sum to at most 1, got 1.5"),
        ({"a": 0.5}, [70, 0, 0], "must sum to 1, got 0.5"),
    ],
)
def test_mappings_that_do_not_fit_the_data_are_refused(target, counts, message):
    labels, counts = ("a", "b", "c"), np.array(counts, float)
    with pytest.raises(ValueError, match=message):
        if targets.fixes_size(target):
            targets.fixed_factors(target, labels, counts, 100)
        else:
            targets.target_shares(target, labels, counts)


def test_log_of_single_records_only_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match="'log1p' or 'uniform'"):
        targets.target_shares("log", ("a", "b"), np.array([1.0, 1.0]))


def test_a_rule_gives_either_shares_or_factors():
    shares, factors = (lambda counts, _: counts), (lambda counts, n, _: counts)
    for given in ({}, dict(shares=shares, factors=factors)):
        with pytest.raises(ValueError, match="'new' must give shares or factors"):
            targets.Rule("new", "a new one", **given)


def test_a_new_rule_is_one_entry(monkeypatch):
    half = targets.Interval("from 0 to 1", lambda number: 0 <= number <= 1)
    for rule in (
        targets.Rule("twice", "twice each", factors=lambda counts, n, _: 2 * counts),
        targets.Rule("part", "a part", half, shares=lambda counts, part: part * counts),
    ):
        monkeypatch.setitem(targets.RULES, rule.name, rule)
    counts = np.array([3.0, 1.0])
    assert targets.fixes_size(targets.parse("twice"))
    assert targets.fixed_factors("twice", ("a", "b"), counts, 4).tolist() == [6, 2]
    assert not targets.fixes_size(targets.parse("part:0.5"))
    assert targets.target_shares("part:0.5", ("a", "b"), counts).tolist() == [
        0.75,
        0.25,
    ]
    with pytest.raises(ValueError, match="part takes a number from 0 to 1"):
        targets.parse("part:2")
    assert targets.describe()["part"] == "a part"


@pytest.mark.parametrize(
    "function, target",
    [("target_shares", "repeat_threshold:1"), ("fixed_factors", "sqrt")],
)
def test_shares_and_factors_are_not_taken_for_each_other(function, target):
    arguments = [target, ("a",), np.array([3.0]), 3][
        : 3 + (function == "fixed_factors")
    ]
    with pytest.raises(ValueError, match="fixes"):
        getattr(targets, function)(*arguments)


def test_every_named_target_is_described():
    help_of_target = config.option_fields(config.PlannerConfig)[1].help
    assert all(f'"{name}' in help_of_target for name in targets.describe())
    assert set(targets.describe()) == {
        "natural",
        "uniform",
        "sqrt",
        "log",
        "log1p",
        "power",
        "effective",
        "repeat_threshold",
    }


@pytest.mark.parametrize("zero", [0, 0.0])
def test_a_label_can_be_left_out_and_the_others_kept(zero):
    labels, totals = ("a", "b", "c"), np.array([5.0, 3.0, 1.0])
    target = targets.parse({"b": zero})
    if targets.is_counts(target):
        factors = targets.fixed_factors(target, labels, totals, 9)
        assert factors == pytest.approx([1, 0, 1])
    else:
        shares = targets.target_shares(target, labels, totals)
        assert shares == pytest.approx([5 / 6, 0, 1 / 6])


@pytest.mark.parametrize("zero", [0, 0.0])
def test_not_all_labels_can_be_left_out(zero):
    labels, totals = ("a", "b"), np.array([5.0, 3.0])
    target = targets.parse({"a": zero, "b": zero})
    with pytest.raises(ValueError, match="must leave some label more than 0|sum to 1"):
        if targets.is_counts(target):
            targets.fixed_factors(target, labels, totals, 8)
        else:
            targets.target_shares(target, labels, totals)


@pytest.mark.parametrize(
    "target, shares",
    [
        ("uniform", [0.25, 0.5, 0.25]),
        # Of what b leaves, as the target has it for the others alone.
        ({"a": 0.8}, [0.4, 0.5, 0.1]),
        ("natural", [0.4, 0.5, 0.1]),
    ],
)
def test_kept_labels_have_their_natural_share(target, shares):
    counts = np.array([40.0, 50.0, 10.0])
    kept = targets.kept_labels(["b"], target, ("a", "b", "c"))
    found = targets.target_shares(target, ("a", "b", "c"), counts, kept)
    assert found == pytest.approx(shares)


def test_kept_labels_have_factor_1_where_factors_are_fixed():
    labels, counts = ("a", "b", "c"), np.array([1.0, 1.0, 98.0])
    kept = targets.kept_labels(["b"], "repeat_threshold:0.16", labels)
    found = targets.fixed_factors("repeat_threshold:0.16", labels, counts, 100, kept)
    assert found.tolist() == [4, 1, 1]


@pytest.mark.parametrize(
    "names, target, message",
    [
        (["d"], "uniform", r"keep_natural names \['d'\], which the data does not have"),
        (["a"], {"a": 0.5}, r"must not name the same labels, got \['a'\] in both"),
        (["a", "b", "c"], "uniform", "keep_natural must leave a label with records"),
    ],
)
def test_labels_that_cannot_be_kept(names, target, message):
    labels = ("a", "b", "c")
    with pytest.raises(ValueError, match=message):
        kept = targets.kept_labels(names, target, labels)
        targets.target_shares(target, labels, np.array([40.0, 50.0, 10.0]), kept)
