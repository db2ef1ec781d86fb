"""Label counts: what is refused, and label sets in sparse rows."""

import dataclasses

import numpy as np
import pytest
from tfx_resampling.core.counts import LabelCounts, LabelSets, label_order

from tests import plans


@pytest.mark.parametrize(
    "totals, changes, message",
    [
        ({"a": 0, "b": 0}, {"num_records": 9}, "has no labels: 9 records"),
        ({}, {"num_records": 9}, "has no labels"),
        ({"a": -1}, {}, "counts must be >= 0"),
        ({"a": 1}, {"counts": (1, 2)}, "1 labels but 2 counts"),
        ({"a": 1}, {"groups": ("a", "a"), "counts": (1, 2)}, "must be distinct"),
        ({"a": 5}, {"num_unlabeled": 5, "num_records": 5}, "num_unlabeled must be"),
        ({"a": 5}, {"num_unlabeled": -1}, "num_unlabeled must be"),
        ({"a": 5}, {"label_dtype": "float"}, r"label_dtype must be one of \['bytes'"),
    ],
)
def test_counts_that_do_not_fit_together_are_refused(totals, changes, message):
    with pytest.raises(ValueError, match=message):
        plans.counts(totals, **changes)


def test_further_labels_have_count_0_and_their_place():
    counts = plans.set_counts("bd", {"b": 5, "bd": 2, "": 1})
    more = counts.with_labels(["c", "d", "a"])
    assert more.groups == ("a", "b", "c", "d")
    assert more.counts == (0, 7, 0, 2)
    assert more.label_sets.indices.tolist() == [1, 1, 3]
    assert more.num_records == 8
    assert counts.with_labels(["b"]) is counts


def test_counts_of_two_splits_are_added():
    one = plans.counts({"a": 5, "c": 2}, num_unlabeled=3, source={"split": "x"})
    two = plans.counts({"b": 4, "c": 1}, num_unlabeled=1, source={"split": "y"})
    both = one.plus(two)
    assert both.groups == ("a", "b", "c") and both.counts == (5, 4, 3)
    assert (both.num_records, both.num_unlabeled) == (16, 4)
    assert both.source == {"together": [{"split": "x"}, {"split": "y"}]}
    # Of single labels it is known which are together: none.
    several = dataclasses.replace(
        two, multi_label=True, pairs=np.array([[4.0, 1.0], [1.0, 1.0]])
    )
    pairs = one.plus(several).pairs
    assert pairs.tolist() == [[5, 0, 0], [0, 4, 1], [0, 1, 3]]
    assert one.plus(dataclasses.replace(several, pairs=None)).pairs is None
    with pytest.raises(ValueError, match="label_dtype must be the same in all splits"):
        one.plus(plans.counts({"1": 5}, label_dtype="int64"))


def test_labeled_records_are_the_rest():
    assert plans.counts({"a": 5, "b": 2}, num_unlabeled=3).num_labeled == 7


def test_a_label_twice_in_a_set_counts_once():
    sets = LabelSets.from_sets([[1, 0, 1], [], [2, 2]], [10, 3, 4])
    assert sets.indptr.tolist() == [0, 2, 2, 3]
    assert sets.indices.tolist() == [1, 0, 2]
    assert sets.lengths.tolist() == [2, 0, 1]
    assert sets.label_totals(sets.weights, 4).tolist() == [10, 10, 4, 0]


def test_no_sets_at_all_are_empty_rows():
    sets = LabelSets.from_sets([[]], [3])
    assert sets.label_totals(sets.weights, 2).tolist() == [0, 0]
    assert sets.weights.dtype == np.float64


@pytest.mark.parametrize(
    "dtype, labels, ordered",
    [
        ("bytes", ["b", "a", "10", "9"], ["10", "9", "a", "b"]),
        ("int64", ["10", "9", "-1"], ["-1", "9", "10"]),
    ],
)
def test_labels_are_ordered_by_name_or_number(dtype, labels, ordered):
    assert sorted(labels, key=label_order(dtype)) == ordered


def test_together_counts_records_with_both_labels():
    counts = plans.set_counts("abc", {"a": 60, "ab": 30, "b": 10, "abc": 10, "": 7})
    expected = [[100, 40, 10], [40, 50, 10], [10, 10, 10]]
    assert counts.together([0, 1, 2]).tolist() == expected
    assert counts.together([2, 0]).tolist() == [[10, 10], [10, 100]]


def test_together_is_read_from_pairs():
    pairs = np.array([[0, 4, 0], [4, 0, 1], [0, 1, 0]])
    counts = LabelCounts(
        "label", ("a", "b", "c"), (9, 5, 1), 10, multi_label=True, pairs=pairs
    )
    assert counts.together([1, 0]).tolist() == [[5, 4], [4, 9]]


def test_together_is_unknown_of_single_labels_and_marginal_counts():
    assert plans.counts({"a": 3, "b": 2}).together([0, 1]) is None
    marginal = plans.counts({"a": 3, "b": 2}, multi_label=True)
    assert marginal.together([0, 1]) is None


def test_label_sets_as_a_mapping():
    sets = LabelSets.from_sets([[3, 0], [1], []], [2.0, 5.0, 0.123456789])
    table = {"1": 5, "0 3": 2, "": 0.123457}
    assert sets.to_mapping() == table
    assert list(sets.to_mapping()) == list(table)
    assert LabelSets.from_mapping(table).to_mapping() == table


def test_a_sample_of_label_sets_stands_for_all():
    rng = np.random.default_rng(3)
    often = np.geomspace(0.6, 0.03, 12)
    rows, weights = np.unique(
        (rng.random((20_000, 12)) < often).astype(int), axis=0, return_counts=True
    )
    counts = (weights @ rows).astype(float)
    members = [np.flatnonzero(row) for row in rows]
    sets = LabelSets.from_sets(members, weights)
    assert len(weights) > 500
    found = sets.sampled(150, counts)
    assert 148 <= len(found.weights) <= 150
    totals = found.label_totals(found.weights, 12)
    assert totals == pytest.approx(counts, rel=0.2)
    assert found.weights.sum() == pytest.approx(weights.sum(), rel=0.05)
    assert found.to_mapping()[""] == weights[(rows == 0).all(axis=1)][0]
    assert sets.sampled(len(weights), counts) is sets
