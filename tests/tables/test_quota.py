"""Groups in a deterministic order: |count - k * weight| < 1 after every draw."""

import numpy as np
import pytest
from tfx_resampling.tables import order as order_lib

RNG = np.random.default_rng(20_260_111)
# 1 / 3, 1 / 5... close to each other, far apart, one that dwarfs the others, and one
# that is dwarfed by many.
WEIGHTS = {
    "one": [1],
    "equal": [1] * 7,
    "tenths": [0.1] * 10,
    "two": [2, 1],
    "halves": [0.5, 0.25, 0.25],
    "large and many small": [99, *[1] * 99],
    "half and many small": [100, *[1] * 100],
    "just under": [49, 49, 1, 1],
    "many primes": [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31],
    "harmonic": 1 / np.arange(1, 80),
    "geometric": 0.5 ** np.arange(20),
    "powers of ten": [1, 10, 100, 1000, 10_000],
    "irrational": np.sqrt([1, 2, 3, 5, 7, 1000]),
    "tiny": [1, 1e-9, 1e-13],
    "random": RNG.random(60) ** 4 + 1e-6,
    "random integers": RNG.integers(1, 1000, 40),
}


def largest_lag(weights, groups):
    """Returns the largest |count_g(k) - k w_g|, as a fraction of integers, below 1."""
    integers = [int(w) for w in order_lib.as_integers(np.asarray(weights, float))]
    total, counts, worst = sum(integers), [0] * len(integers), 0
    for k, group in enumerate(groups.tolist(), start=1):
        counts[group] += 1
        lags = [abs(c * total - k * w) for c, w in zip(counts, integers)]
        worst = max(worst, *lags)
    return worst, total


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_prefix_is_within_one_sample(name):
    weights = np.asarray(WEIGHTS[name], float)
    order = order_lib.QuotaOrder(weights)
    groups = np.concatenate([order.take(n) for n in (1, 0, 2, 700, 1300)])
    worst, total = largest_lag(weights, groups)  # Integers: no rounding hides a 1.
    assert worst < total, worst / total


def test_small_shares_of_random_weights_are_within_one_sample():
    for _ in range(200):
        weights = RNG.integers(1, 12, RNG.integers(2, 7)).astype(float)
        groups = order_lib.QuotaOrder(weights).take(3 * int(weights.sum()))
        worst, total = largest_lag(weights, groups)
        assert worst < total, (weights, worst / total)


def test_ten_thousand_groups():
    weights = 1.0 / (np.arange(10_000) + 5)
    groups = order_lib.QuotaOrder(weights).take(200_000)
    shares = weights / weights.sum()
    for k in range(1, 200_001, 9_973):
        lags = np.bincount(groups[:k], minlength=10_000) - k * shares
        assert np.abs(lags).max() < 1


def test_whole_rounds_have_exactly_their_counts():
    groups = order_lib.QuotaOrder(np.array([5.0, 3.0, 2.0])).take(1000)
    for start in range(0, 1000, 10):
        assert np.bincount(groups[start : start + 10]).tolist() == [5, 3, 2]


def test_the_order_does_not_depend_on_how_it_is_taken():
    weights = np.sqrt(np.arange(1, 30))
    at_once = order_lib.QuotaOrder(weights).take(5_000)
    order = order_lib.QuotaOrder(weights)
    parts = [order.take(n) for n in (1, 999, 3_000, 1_000)]
    assert np.array_equal(at_once, np.concatenate(parts))


def test_more_than_a_block_is_taken_in_blocks(monkeypatch):
    at_once = order_lib.QuotaOrder(np.arange(1.0, 9.0)).take(1_000)
    monkeypatch.setattr(order_lib, "_MAX_BLOCK", 7)
    assert np.array_equal(
        at_once, order_lib.QuotaOrder(np.arange(1.0, 9.0)).take(1_000)
    )


def test_integers_are_exact_and_others_close():
    assert order_lib.as_integers(np.array([3.0, 4.0])).tolist() == [3, 4]
    weights = np.sqrt([2, 3, 5])
    integers = order_lib.as_integers(weights)
    assert integers / integers.sum() == pytest.approx(weights / weights.sum(), 1e-11)
    assert order_lib.as_integers(np.array([1.0, 1e-30])).tolist()[1] == 1


def test_rounding_deadlines_alone_would_not_do():
    """What the windows are for: the order of deadlines alone runs ahead."""
    weights = np.array([99.0, *[1.0] * 99])
    shares = weights / weights.sum()
    group = np.repeat(np.arange(100), np.ceil(400 * shares).astype(int))
    number = np.concatenate(
        [np.arange(n) + 1 for n in np.ceil(400 * shares).astype(int)]
    )
    naive = group[np.argsort(number / shares[group], kind="stable")][:400]
    worst, total = largest_lag(weights, naive)
    assert worst >= total
