"""What chance allows: against exact probabilities of SciPy."""

import math

import numpy as np
import pytest
from scipy import stats
from tfx_resampling.core import chances


@pytest.mark.parametrize(
    "counts, expected",
    [
        ((3, 10, 3, 10), 0.0),
        ((3, 10, 30, 100), 0.0),
        # All of one and none of the other: each is certain, or has a chance of half.
        ((10, 10, 0, 10), 20 * math.log(2)),
        ((0, 5, 0, 7), 0.0),
    ],
)
def test_log_likelihood_ratio(counts, expected):
    assert chances.log_likelihood_ratio(*counts) == pytest.approx(expected)


@pytest.mark.parametrize("count", [0, 1, 20, 500])
@pytest.mark.parametrize("of", [1_000, 1_000_000])
def test_no_second_sample_has_more_than_the_largest_count(count, of):
    largest = chances.largest_count(count, of)
    # Fisher's exact test: what one sample has of those that both have together.
    chance = stats.hypergeom.sf(largest, 2 * of, largest + 1 + count, of)
    assert 1e-9 < chance < 1e-6
    assert chances.largest_count(0, 1_000_000) == 20  # 20 * log(2) < 14.


def test_of_few_records_all_may_be():
    assert [chances.largest_count(0, of) for of in (1, 3, 10)] == [1, 3, 10]
    assert chances.largest_count(7, 7) == 7


def test_deviation_bounds_the_tail_of_a_mean():
    share, count = 0.1, 500
    for more in (5, 20, 40, 80):
        mean = more / count
        variance = share * (1 - share)
        bound = math.exp(-chances.deviation(mean, variance, 1 - share, count))
        exact = stats.binom.sf(count * share + more - 1, count, share)
        assert exact <= bound <= max(1000 * np.sqrt(exact), exact), (more, exact, bound)
