"""Classes of like factors, and their cells of uniforms."""

import numpy as np
import pytest
from tfx_resampling.core import draws
from tfx_resampling.shards import classes as classes_lib
from tfx_resampling.shards.classes import MAX_SHARD_BYTES, MIN_SHARD_BYTES

MB = 1 << 20


def make(sizes: dict) -> classes_lib.FactorClasses:
    return classes_lib.make(
        np.array(list(sizes)), np.array(list(sizes.values()), np.int64)
    )


@pytest.mark.parametrize(
    "sizes, lows, ranges",
    [
        # Two ranges per window of 1/100, and one more shard of what is always read.
        ({0.01: 1000 * MB, 3.0: 10 * MB}, (0.01, 3.0), (200, 1)),
        # No shard is smaller than the least, for all the ranges that one would like.
        ({0.01: 20 * MB}, (0.01,), (20,)),
        # Nor larger than the most.
        ({0.4: 6400 * MB}, (0.4,), (100,)),
        ({0.9: 6400 * MB}, (0.9,), (100,)),
        # What is never read is apart from what seldom is.
        ({0.0: MB, 1e-6: 1}, (0.0, 1e-6), (1, 1)),
        # Factors of half a copy or more are read in every epoch.
        ({0.5: MB, 0.9: MB, 40.0: MB, 1e6: MB}, (0.5,), (1,)),
        # Within 2 % is like, if each alone has too little to be cut.
        ({0.1: MB, 0.101: MB, 0.103: MB}, (0.1, 0.103), (2, 1)),
        # What can be cut as finely as one likes is better off alone.
        ({0.1: 100 * MB, 0.101: 100 * MB}, (0.1, 0.101), (20, 20)),
        # Less than a shard's least is joined, but not beyond twice the factor.
        ({0.1: 1, 0.15: 1, 0.19: 1, 0.21: 1}, (0.1, 0.21), (1, 1)),
    ],
)
def test_classes(sizes, lows, ranges):
    classes = make(sizes)
    assert classes.lows == lows
    assert classes.ranges == ranges


def test_bounds_of_many_factors():
    rng = np.random.default_rng(1)
    factors = np.exp(rng.uniform(np.log(1e-3), np.log(10), 20_000))
    sizes = rng.integers(1_000, 200_000, 20_000)
    classes = classes_lib.make(factors, sizes)
    members = np.searchsorted(classes.lows, factors, side="right") - 1
    for i, (low, high) in enumerate(zip(classes.lows, classes.highs)):
        mine = factors[members == i]
        assert (mine.min(), mine.max()) == (low, high)
        if high < 0.5:
            assert high <= 2 * low
        num_bytes = sizes[members == i].sum()
        assert num_bytes / classes.ranges[i] <= MAX_SHARD_BYTES
        assert classes.ranges[i] == 1 or num_bytes / classes.ranges[i] >= (
            MIN_SHARD_BYTES
        )
    # 2 % from 1e-3 to 0.5, and what is always read.
    assert len(classes.lows) <= np.log(500) / np.log(1.02) + 2


def test_cells_are_described_as_they_are_filled():
    classes = make({0.013: 5 * MB, 0.2: 7 * MB, 2.0: 3})
    rng = np.random.default_rng(2)
    factors = rng.choice([0.013, 0.2, 2.0], 10_000)
    hashes = rng.integers(0, 2**64, 10_000, np.uint64)
    uniforms = hashes >> np.uint64(32)
    cells = classes.cells(factors, hashes)
    assert set(cells) == set(range(classes.num_cells)) == set(range(13))
    for cell in range(classes.num_cells):
        number, low, high, first, last = classes.describe(cell)
        mine = cells == cell
        assert np.all((factors[mine] >= low) & (factors[mine] <= high))
        assert np.all((uniforms[mine] >= first) & (uniforms[mine] <= last))
        # And nothing else belongs there.
        like = (
            (factors >= low)
            & (factors <= high)
            & (uniforms >= first)
            & (uniforms <= last)
        )
        assert np.array_equal(like, mine)
        assert classes.lows[number] == low


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1000])
def test_edges_of_ranges(count):
    classes = classes_lib.FactorClasses((0.1,), (0.1,), (count,))
    _, _, _, first, last = zip(*map(classes.describe, range(count)))
    assert first[0] == 0 and last[-1] == 2**draws.RESOLUTION_BITS - 1
    assert all(b == a + 1 for a, b in zip(last, first[1:]))
    for uniforms in (first, last):
        hashes = np.array(uniforms, np.uint64) << np.uint64(32)
        found = classes_lib.in_ranges(hashes, count)
        assert found.tolist() == list(range(count))
