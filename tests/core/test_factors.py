"""From A and B to T, from T to records: hand-computed answers."""

import dataclasses

import numpy as np
import pytest
from tfx_resampling.core.counts import LabelSets
from tfx_resampling.core.factors import (
    RecordRule,
    emission,
    emission_of_marginals,
    emission_of_sets,
    label_factors,
    labeled_records,
    record_factors,
)

from tests import plans

RULE = RecordRule("product", min_factor=0.0, max_factor=100.0, unlabeled_factor=1.0)


# A = (0.8, 0.2), B = (0.5, 0.5): B / A = (0.625, 2.5).
@pytest.mark.parametrize(
    "size, expected",
    [
        (None, [0.625, 2.5]),
        ("preserve", [0.625, 2.5]),
        ("undersample", [0.25, 1.0]),
        ("oversample", [1.0, 4.0]),
        (0.4, [0.25, 1.0]),
        (2.0, [1.25, 5.0]),
        (50, [0.3125, 1.25]),  # 50 of 100 labeled records.
        (200, [1.25, 5.0]),
    ],
)
def test_factors_of_every_size(size, expected):
    scale = labeled_records(size, 100, 0.0) / 100
    factors = label_factors(np.array([80.0, 20.0]), np.array([0.5, 0.5]), size, scale)
    assert factors == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "size, expected",
    [
        ("preserve", [0.0, 5.0, 1.0]),
        ("undersample", [0.0, 1.0, 1.0]),
        ("oversample", [0.0, 1.0, 1.0]),  # The smallest factor above 0 is 1.
    ],
)
def test_labels_without_share_get_0_and_without_records_1(size, expected):
    factors = label_factors(
        np.array([80.0, 20.0, 0.0]), np.array([0.0, 1.0, 0.0]), size, scale=1.0
    )
    assert factors == pytest.approx(expected, rel=1e-12)


def test_a_number_of_records_leaves_room_for_unlabeled_ones():
    counts, target = np.array([80.0, 20.0]), np.array([0.5, 0.5])
    scale = labeled_records(90, 100, 40.0) / 100
    factors = label_factors(counts, target, 90, scale)
    assert factors == pytest.approx([0.3125, 1.25], rel=1e-12)  # s = (90 - 40) / 100.


@pytest.mark.parametrize("size", [30, 40])
def test_a_number_of_records_below_the_unlabeled_ones_is_refused(size):
    with pytest.raises(
        ValueError, match=f"exceed the 40 unlabeled .* got {size}.*drop"
    ):
        labeled_records(size, 100, 40.0)


@pytest.mark.parametrize(
    "combine, expected",  # Of a, ab, abc, bc, and no label.
    [
        ("product", [0.5, 1.0, 4.0, 8.0, 0.75]),
        ("max", [0.5, 2.0, 4.0, 4.0, 0.75]),
        ("min", [0.5, 0.5, 0.5, 2.0, 0.75]),
        ("mean", [0.5, 1.25, 6.5 / 3, 3.0, 0.75]),
    ],
)
def test_record_factors_of_every_rule(combine, expected):
    sets = plans.label_sets("abc", {"a": 1, "ab": 1, "abc": 1, "bc": 1, "": 1})
    rule = dataclasses.replace(RULE, combine=combine, unlabeled_factor=0.75)
    result = record_factors(np.array([0.5, 2.0, 4.0]), sets, rule)
    assert result == pytest.approx(expected, abs=2.0**-32)


@pytest.mark.parametrize(
    "combine, expected", [("product", 2.0), ("max", 2.0), ("min", 1.0), ("mean", 1.5)]
)
def test_a_label_twice_in_a_record_counts_once(combine, expected):
    sets = LabelSets.from_sets([[0, 0, 1, 0]], [1])
    rule = dataclasses.replace(RULE, combine=combine)
    result = record_factors(np.array([2.0, 1.0]), sets, rule)
    assert result.tolist() == [expected]


@pytest.mark.parametrize("combine", ["product", "max", "min", "mean"])
def test_empty_sets_do_not_disturb_their_neighbours(combine):
    sets = LabelSets.from_sets([[], [0], [], [], [1], []], np.ones(6))
    rule = dataclasses.replace(RULE, combine=combine, unlabeled_factor=0.25)
    result = record_factors(np.array([2.0, 3.0]), sets, rule)
    assert result.tolist() == [0.25, 2.0, 0.25, 0.25, 3.0, 0.25]


def test_only_empty_sets_are_allowed():
    sets = LabelSets.from_sets([[]], [5])
    assert record_factors(np.array([2.0]), sets, RULE).tolist() == [1.0]


def test_bounds_clip_the_record_and_not_the_labels_or_the_unlabeled():
    # Of the labels c alone is out of bounds; of the records ab, c and ac.
    sets = plans.label_sets("abc", {"a": 1, "ab": 1, "c": 1, "ac": 1, "": 1})
    rule = dataclasses.replace(
        RULE, min_factor=0.5, max_factor=3.0, unlabeled_factor=0.125
    )
    result = record_factors(np.array([2.0, 2.0, 0.1]), sets, rule)
    assert result.tolist() == [2.0, 3.0, 0.5, 0.5, 0.125]


def test_record_factors_are_multiples_of_the_resolution():
    sets = plans.label_sets("abc", {"a": 1, "ab": 1, "abc": 1, "": 1})
    rule = dataclasses.replace(RULE, unlabeled_factor=1 / 7)
    result = record_factors(np.array([1 / 3, 0.7, 1.1]), sets, rule)
    assert np.array_equal(result * 2**32, np.rint(result * 2**32))
    assert result == pytest.approx([1 / 3, 0.7 / 3, 0.77 / 3, 1 / 7], abs=2.0**-32)


@pytest.mark.parametrize(
    "combine, counts, records",
    # 40 a, 20 b, 10 ab, 5 bc and 25 unlabeled records; T = 0.5, 2, 4.
    [
        ("product", [20 + 10, 40 + 10 + 40, 40], 20 + 40 + 10 + 40),
        ("max", [20 + 20, 40 + 20 + 20, 20], 20 + 40 + 20 + 20),
        ("min", [20 + 5, 40 + 5 + 10, 10], 20 + 40 + 5 + 10),
        ("mean", [20 + 12.5, 40 + 12.5 + 15, 15], 20 + 40 + 12.5 + 15),
    ],
)
def test_prediction_is_exact_on_label_sets(combine, counts, records):
    sets = plans.label_sets("abc", {"a": 40, "b": 20, "ab": 10, "bc": 5, "": 25})
    rule = dataclasses.replace(RULE, combine=combine)
    result = emission_of_sets(np.array([0.5, 2.0, 4.0]), sets, rule)
    assert result.counts.tolist() == counts
    assert result.records == records
    assert result.kind == "exact"


def independent_sets(probabilities, num_records, seed):
    """Returns label sets of records whose labels are drawn independently."""
    rng = np.random.default_rng(seed)
    hot = rng.random((num_records, len(probabilities))) < probabilities
    rows, weights = np.unique(hot, axis=0, return_counts=True)
    return LabelSets.from_sets([np.flatnonzero(row) for row in rows], weights)


@pytest.mark.long
@pytest.mark.parametrize("combine", ["product", "max", "min", "mean"])
@pytest.mark.parametrize(
    "probabilities",
    [
        [0.9, 0.8, 0.7, 0.6],  # Nearly every record has a label.
        [0.5, 0.4, 0.3, 0.2],  # A sixth has none.
        [0.2, 0.1, 0.05, 0.02],  # Most have none, and those with one have just one.
    ],
)
def test_independent_prediction_is_close_where_labels_are_independent(
    combine, probabilities
):
    sets = independent_sets(np.array(probabilities), 100_000, seed=0)
    factors = np.array([0.3, 0.6, 1.2, 3.0])
    rule = dataclasses.replace(RULE, combine=combine, max_factor=2.5)
    counts = sets.label_totals(sets.weights, 4)
    num_labeled = int(sets.weights[sets.lengths > 0].sum())
    exact = emission_of_sets(factors, sets, rule)
    near = emission_of_marginals(factors, counts, num_labeled, rule)
    assert near.counts == pytest.approx(exact.counts, rel=0.04)
    assert near.records == pytest.approx(exact.records, rel=0.02)


@pytest.mark.parametrize(
    "counts, num_labeled",
    [
        ([500, 400, 300, 200], 1_000),
        ([50, 40, 30, 20], 135),  # Few records have a second label.
        ([60, 40], 100),  # None has.
        ([100, 40], 100),  # Every record has the first.
    ],
)
def test_independent_prediction_without_resampling_is_the_data(counts, num_labeled):
    counts = np.array(counts, float)
    near = emission_of_marginals(np.ones(len(counts)), counts, num_labeled, RULE)
    assert near.counts == pytest.approx(counts, rel=1e-9)
    assert near.records == pytest.approx(num_labeled, rel=0.02)


def test_independent_prediction_repeats_itself():
    arguments = (np.array([0.5, 2.0, 1.0]), np.array([60.0, 30.0, 20.0]), 90, RULE)
    one, other = (emission_of_marginals(*arguments) for _ in "12")
    assert np.array_equal(one.counts, other.counts) and one.records == other.records


def test_emission_takes_the_best_that_is_known():
    factors = np.array([0.5, 2.0])
    exact = emission(factors, plans.set_counts("ab", {"a": 4, "ab": 2, "": 1}), RULE)
    assert (exact.kind, exact.counts.tolist()) == ("exact", [4.0, 2.0])
    assert exact.per_set is not None and exact.per_set.tolist() == [0.5, 1.0, 1.0]
    single = emission(factors, plans.counts({"a": 6, "b": 3}, 2), RULE)
    assert (single.kind, single.counts.tolist()) == ("exact", [3.0, 6.0])
    assert single.records == 9.0
    marginal = plans.counts({"a": 6, "b": 3}, num_records=8, multi_label=True)
    assert emission(factors, marginal, RULE).kind == "independent"
    pairs = np.array([[6.0, 1.0], [1.0, 3.0]])
    pairwise = emission(factors, dataclasses.replace(marginal, pairs=pairs), RULE)
    assert (pairwise.kind, pairwise.per_set) == ("pairwise", None)
