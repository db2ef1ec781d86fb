"""Measures of a plan, by hand."""

import numpy as np
import pytest
from tfx_resampling.core.counts import LabelSets
from tfx_resampling.core.factors import RecordRule
from tfx_resampling.fitting import diagnostics

# a in 8 records, b in 4, c in 1: IRLbl 1, 2, 8.
SETS = LabelSets.from_sets([[0], [0, 1], [0, 2], [1], []], [5, 2, 1, 2, 3])
COUNTS = np.array([8.0, 4.0, 1.0])


def test_imbalance_ratios():
    found = diagnostics.imbalance(COUNTS)
    mean = (1 + 2 + 8) / 3
    deviation = np.sqrt(((1 - mean) ** 2 + (2 - mean) ** 2 + (8 - mean) ** 2) / 2)
    assert found == pytest.approx(
        {"max_ir": 8, "mean_ir": mean, "cvir": deviation / mean}
    )


def test_scumble_is_the_mean_over_records_with_labels():
    found = diagnostics.imbalance(COUNTS, SETS)["scumble"]
    # 1 - geometric / arithmetic mean of IRLbl; 0 for one label.
    with_b, with_c = 1 - np.sqrt(2) / 1.5, 1 - np.sqrt(8) / 4.5
    assert found == pytest.approx((2 * with_b + 1 * with_c) / 10)


def test_scumble_of_what_is_emitted():
    emitted = np.array([0.0, 0.0, 4.0, 4.0, 0.0])
    counts = np.array([4.0, 4.0, 4.0])
    assert diagnostics.imbalance(counts, SETS, emitted)["scumble"] == pytest.approx(0)


def test_labels_that_do_not_occur_do_not_count():
    assert diagnostics.imbalance(np.array([4.0, 0.0, 2.0])) == pytest.approx(
        {"max_ir": 2, "mean_ir": 1.5, "cvir": np.sqrt(0.5) / 1.5}
    )
    assert diagnostics.imbalance(np.zeros(3)) == {}


def test_concentration():
    factors = np.array([0.5, 1.0, 6.0, 1.0, 0.0])
    found = diagnostics.concentration(SETS, factors, rarest=1)
    total = 5 * 0.5 + 2 + 6 + 2
    squares = 5 * 0.25 + 2 + 36 + 2
    assert found["effective_sample_size"] == pytest.approx(total**2 / squares)
    assert found["largest_factor"] == 6
    assert found["half_of_rarest"] == 2  # Of b: four records, each once.


def test_half_of_the_rarest_label_is_counted_in_distinct_records():
    sets = LabelSets.from_sets([[0], [0, 1]], [10, 1])
    # 10 samples of ten records, 20 of one: half of 30 is within the one.
    found = diagnostics.concentration(sets, np.array([1.0, 20.0]), rarest=0)
    assert found["half_of_rarest"] == 1
    # 10 of one, 10 of ten: half is that one.
    found = diagnostics.concentration(sets, np.array([1.0, 10.0]), rarest=0)
    assert found["half_of_rarest"] == 1
    found = diagnostics.concentration(sets, np.array([1.0, 4.0]), rarest=0)
    assert found["half_of_rarest"] == 4  # 4 of one and 3 of three others.


def test_drawing_evenly_is_worth_all_records():
    found = diagnostics.concentration(SETS, np.full(5, 0.3), rarest=2)
    assert found["effective_sample_size"] == pytest.approx(13)


def test_records_at_a_bound_are_told_by_label():
    rule = RecordRule("product", 0.5, 4.0, 1.0)
    # {a} and {a, c} are at a bound: of a's 8 records 6, of c's 1 all.
    factors = np.array([0.5, 1.0, 4.0, 3.0, 1.0])
    assert diagnostics.clipped(("a", "b", "c"), SETS, factors, rule) == {
        "a": 6 / 8,
        "c": 1.0,
    }
    # 0 is what a dropped label has, and no bound.
    free = RecordRule("product", 0.0, 9.0, 1.0)
    zeros = np.zeros(len(factors))
    assert diagnostics.clipped(("a", "b", "c"), SETS, zeros, free) == {}
