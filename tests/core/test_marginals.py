"""What is emitted by chances of single labels, beside all label sets there are."""

import itertools

import numpy as np
import pytest
from tfx_resampling.core import marginals

COMBINE = {"product": np.prod, "max": np.max, "min": np.min, "mean": np.mean}


def all_sets(chances):
    """Returns every label set of independent labels, and its number of records."""
    sets = np.array(list(itertools.product([0, 1], repeat=len(chances))), bool)
    weights = 1e6 * np.where(sets, chances, 1 - np.array(chances)).prod(axis=1)
    weights[0] = 0.0  # Records without a label are left aside.
    return sets, weights


def by_hand(sets, weights, factors, combine, low, high):
    repeat = np.array(
        [
            np.clip(COMBINE[combine](factors[row]), low, high) if row.any() else 0
            for row in sets
        ]
    )
    return sets.T @ (weights * repeat), weights @ repeat


@pytest.mark.parametrize("bounds", [(0.0, 100.0), (0.2, 5.0)])
@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("num_labels, zero", [(2, False), (8, True), (10, False)])
def test_independent_labels_are_as_summed_over_all_label_sets(
    num_labels, zero, combine, bounds
):
    rng = np.random.default_rng(num_labels)
    chances = rng.random(num_labels) * 0.5
    factors = np.exp(rng.normal(0, 2, num_labels))
    factors[1] *= not zero
    sets, weights = all_sets(chances)
    counts, records = by_hand(sets, weights, factors, combine, *bounds)
    found = marginals.expected(
        factors, sets.T @ weights, weights.sum(), None, combine, bounds
    )
    assert found[0] == pytest.approx(counts, rel=1e-5, abs=1e-3)
    assert found[1] == pytest.approx(records, rel=1e-5)


@pytest.mark.parametrize("combine", COMBINE)
def test_pairs_of_independent_labels_say_the_same(combine):
    chances = np.array([0.4, 0.01, 0.2, 0.005, 0.3])
    factors = np.array([0.3, 4.0, 1.0, 9.0, 0.9])
    sets, weights = all_sets(chances)
    both = sets.T @ (sets * weights[:, np.newaxis])
    counts, records = by_hand(sets, weights, factors, combine, 0.0, 100.0)
    found = marginals.expected(
        factors, sets.T @ weights, weights.sum(), both, combine, (0.0, 100.0)
    )
    # Given one label, the others are as independent as they were.
    assert found[0] == pytest.approx(counts, rel=1e-5)
    assert found[1] == pytest.approx(records, rel=2e-3)


def test_labels_of_equal_count_are_emitted_equally_often():
    counts = np.maximum(1e5 / np.arange(1, 401) ** 1.1, 150.0)
    factors = np.clip(counts.sum() / 400 / counts, 0, 100)
    emitted, _ = marginals.expected(
        factors, counts, 150_000, None, "product", (0.0, 100.0)
    )
    alike = emitted[counts == 150.0]
    assert len(alike) > 3 and alike == pytest.approx(alike[0], rel=1e-9)


def test_labels_that_exclude_each_other_are_known_exactly():
    counts = np.array([60.0, 30.0, 10.0])
    factors = np.array([0.5, 1.0, 4.0])
    for combine in COMBINE:
        emitted, records = marginals.expected(
            factors, counts, 100, None, combine, (0.0, 100.0)
        )
        assert emitted == pytest.approx(counts * factors)
        assert records == pytest.approx(100)
