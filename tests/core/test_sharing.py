"""How many records share an identity, against a Counter, and what that does."""

import math
from collections import Counter

import numpy as np
import pytest
from tfx_resampling.core import draws
from tfx_resampling.core.sharing import Collector, Sharing

RNG = np.random.default_rng(0)
KEYS = np.uint64(10) * RNG.integers(0, 3_000, 10_000).astype(np.uint64)
UNITS = (KEYS // np.uint64(10)) % np.uint64(3)
# Unit -> sums of m and m**2 over identities of m records.
TRUTH = {}
for (_, unit), m in Counter(zip(KEYS.tolist(), UNITS.tolist())).items():
    records, squares = TRUTH.get(unit, (0, 0))
    TRUTH[unit] = (records + m, squares + m * m)


def test_all_identities_are_counted():
    found = Sharing.of(KEYS, UNITS)
    assert found.num_distinct == len(set(KEYS.tolist()))
    assert found.sums() == TRUTH and found.bits == 0


@pytest.mark.parametrize("most", [1_000, 10**6])
def test_parts_add_up_to_the_whole(most):
    whole = Sharing.of(KEYS, UNITS, most)
    parts = [Sharing.of(KEYS[i::7], UNITS[i::7], most) for i in range(7)]
    for order in (parts, parts[::-1]):
        found = Sharing.merged(order, most)
        assert (found.num_distinct, found.bits) == (whole.num_distinct, whole.bits)
        assert found.sums() == whole.sums()


def test_a_collector_adds_up():
    collector = Collector()
    for i in range(0, len(KEYS), 1_000):
        collector.add(KEYS[i : i + 1_000], UNITS[i : i + 1_000])
    assert collector.sharing().sums() == TRUTH
    assert Collector().sharing().num_distinct == 0


def test_a_sample_estimates_the_whole():
    found = Sharing.of(KEYS, UNITS, most=1_000)
    assert 500 < len(found.hashes) <= 1_000 and found.bits == 2
    # Four standard deviations of a sample of one in four.
    distinct = len(set(KEYS.tolist()))
    bound = 4 * math.sqrt(distinct * 3)
    assert abs(found.num_distinct - distinct) < bound, (found.num_distinct, bound)
    for unit, (records, squares) in found.sums().items():
        true_records, true_squares = TRUTH[unit]
        assert squares / records == pytest.approx(true_squares / true_records, rel=0.1)


def test_the_variance_of_counts_grows_by_the_ratio_of_the_sums():
    sizes = np.array([1] * 50 + [2] * 25 + [30] * 2)
    keys = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
    (records, squares), *_ = Sharing.of(keys, np.zeros_like(keys)).sums().values()
    emitted = [
        draws.copies(draws.uniforms(seed, keys), *np.full((2, len(keys)), [[0], [0.3]]))
        for seed in range(4_000)
    ]
    variance = np.var(np.sum(emitted, axis=1))
    expected = records * 0.3 * 0.7 * squares / records
    # The deviation of a variance of 4,000 numbers is about 2.5 %.
    assert variance == pytest.approx(expected, rel=0.1)
