"""Permutations are bijections, and all orders are equally frequent."""

import collections
import itertools
import math

import numpy as np
import pytest
from scipy import stats
from tfx_resampling.core import draws
from tfx_resampling.tables.order import Permutations

# Below this a chi-square test fails: seeds are fixed, so it is no chance per run.
P_VALUE = 1e-4


def orders(size, count):
    """Returns int64 [count, size], permutations by keys 0, 1, 2... hashed."""
    keys = draws.mix(np.arange(count, dtype=np.uint64))
    permutations = Permutations(np.array([size]))
    zeros = np.zeros(count, np.int64)
    return np.stack(
        [permutations(np.full(count, i), zeros, keys) for i in range(size)], axis=1
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 17, 100, 1000])
def test_every_place_is_taken_once(size):
    for row in orders(size, 5):
        assert np.array_equal(np.sort(row), np.arange(size))


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
def test_all_orders_are_equally_frequent(size):
    count = 200 * math.factorial(size)
    found = collections.Counter(map(tuple, orders(size, count).tolist()))
    frequencies = [found[o] for o in itertools.permutations(range(size))]
    assert stats.chisquare(frequencies).pvalue > P_VALUE


@pytest.mark.parametrize("size", [7, 8, 9, 31, 64, 100])
def test_places_and_distances_are_uniform(size):
    found = orders(size, 4_000)
    first = np.bincount(found[:, 0], minlength=size)
    steps = np.bincount((found[:, 1] - found[:, 0]) % size, minlength=size)[1:]
    assert stats.chisquare(first).pvalue > P_VALUE
    assert stats.chisquare(steps).pvalue > P_VALUE


def test_sizes_and_keys_are_of_each_group():
    permutations = Permutations(np.array([3, 50]))
    groups = np.repeat([0, 1], [3, 50])
    positions = np.concatenate([np.arange(3), np.arange(50)])
    keys = np.where(groups == 0, 5, 6).astype(np.uint64)
    found = permutations(positions, groups, keys)
    assert sorted(found[:3]) == list(range(3))
    assert sorted(found[3:]) == list(range(50))
    alone = Permutations(np.array([50]))
    same = alone(np.arange(50), np.zeros(50, int), np.full(50, 6, np.uint64))
    assert np.array_equal(found[3:], same)


def test_a_million_places():
    size = 1_000_000
    zeros = np.zeros(size, np.int64)
    found = Permutations(np.array([size]))(
        np.arange(size), zeros, np.full(size, 7, np.uint64)
    )
    assert np.array_equal(np.sort(found), np.arange(size))
    # Neighbours are torn apart: the rank correlation of a random order is about
    # normal, with variance 1 / (n - 1).
    assert abs(np.corrcoef(np.arange(size), found)[0, 1]) < 4 / math.sqrt(size)
