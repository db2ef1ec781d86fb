"""The decision rule in NumPy: exact rotation over epochs, uniform bets, seeds."""

import math

import numpy as np
import pytest
from tfx_resampling.core import draws

FACTORS = [0, 0.01, 1 / 3, 0.5, 1, 1.7, 2, 3.25]
LARGEST_BET = 1 - 2.0**-32


def many_bets():
    """float64 [5002]: 5,000 real bets and the smallest and largest possible."""
    return np.append(draws.bets(7, np.arange(5_000, dtype=np.uint64)), [0, LARGEST_BET])


@pytest.mark.parametrize(
    "state, output",  # Of the reference implementation, seeded with 0.
    [
        (1, 0xE220A8397B1DCDAF),
        (2, 0x6E789E6AA1B965F4),
        (3, 0x06C45D188009454F),
    ],
)
def test_mix_is_splitmix64(state, output):
    values = np.array([state * draws.GOLDEN % 2**64], np.uint64)
    assert int(draws.mix(values)[0]) == output


@pytest.mark.parametrize(
    "bet, factor, spent, expected",
    [
        (0.0, 0.0, 0.0, 0),
        (LARGEST_BET, 0.0, 0.0, 0),
        (0.0, 1.0, 0.0, 1),
        (LARGEST_BET, 1.0, 0.0, 1),
        (0.5, 0.5, 0.0, 1),
        (0.5 - 2.0**-32, 0.5, 0.0, 0),
        (0.0, 1.75, 0.0, 1),
        (0.25, 1.75, 0.0, 2),
        (0.25, 0.25, 0.5, 1),
        (0.25, 0.25, 0.75, 0),  # It had its copy in the epoch before.
        (0.5, 3.25, 6.5, 3),
        (0.5, 3.25, 9.75, 3),
        (LARGEST_BET, 2.0**-32, 0.0, 1),
    ],
)
def test_copies_are_floor_differences(bet, factor, spent, expected):
    assert draws.copies([bet], [factor], [spent]).tolist() == [expected]


def test_copies_are_int64_and_take_a_scalar_spent():
    copies = draws.copies([0.0, 0.5], [1.5, 1.5], 0.0)
    assert copies.dtype == np.int64
    assert copies.tolist() == [1, 2]


@pytest.mark.parametrize("factor", FACTORS)
def test_ten_epochs_show_every_record_floor_or_ceil_times(factor):
    factor = float(draws.quantize(factor))
    bets = many_bets()
    seen = np.zeros(len(bets), np.int64)
    for epoch in range(10):
        seen += draws.copies(bets, np.full(len(bets), factor), factor * epoch)
        due = factor * (epoch + 1)  # Exact: a multiple of 2**-32 below 2**21.
        assert set(seen.tolist()) <= {math.floor(due), math.ceil(due)}
    assert seen[bets == 0].tolist() == [math.floor(10 * factor)]
    assert seen[bets == LARGEST_BET].tolist() == [math.ceil(10 * factor)]


def test_epochs_of_different_factors_still_add_up():
    bets = many_bets()
    factors = draws.quantize(np.random.default_rng(0).uniform(0, 3, [10, len(bets)]))
    spent = np.zeros(len(bets))
    seen = np.zeros(len(bets), np.int64)
    for row in factors:
        seen += draws.copies(bets, row, spent)
        spent += row
    assert np.all((seen == np.floor(spent)) | (seen == np.ceil(spent)))


def test_a_quarter_shows_every_record_once_in_four_epochs():
    bets = many_bets()
    seen = [draws.copies(bets, np.full(len(bets), 0.25), 0.25 * e) for e in range(4)]
    assert set(np.sum(seen, axis=0).tolist()) == {1}
    assert all(0 < epoch.sum() < len(bets) for epoch in seen)


@pytest.mark.parametrize("bad", [-0.5, -(2.0**-32), math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["factors", "spent"])
def test_bad_factors_are_refused(name, bad):
    arguments = {"factors": [1.0, 1.0], "spent": [0.0, 0.0], name: [1.0, bad]}
    with pytest.raises(ValueError, match=f"{name} must be finite and >= 0, got"):
        draws.copies([0.0, 0.0], **arguments)


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_bets_are_uniform(seed):
    bets = draws.bets(seed, np.arange(200_000, dtype=np.uint64))
    bins = 64
    observed = np.bincount((bets * bins).astype(int), minlength=bins)
    expected = len(bets) / bins
    chi_square = ((observed - expected) ** 2 / expected).sum()
    freedom = bins - 1  # Mean of chi-square; its variance is twice that.
    bound = 4 * math.sqrt(2 * freedom)
    assert abs(chi_square - freedom) < bound, (chi_square, freedom, bound)


def test_bets_are_multiples_of_the_resolution_below_one():
    bets = draws.bets(3, np.arange(10_000, dtype=np.uint64))
    assert bets.dtype == np.float64
    assert bets.min() >= 0 and bets.max() < 1
    assert np.array_equal(bets * 2**32, np.rint(bets * 2**32))


@pytest.mark.parametrize("one, other", [(0, 1), (1, 2), (5, 2**40 + 5)])
def test_bets_of_two_seeds_are_unrelated(one, other):
    keys = np.arange(100_000, dtype=np.uint64)
    correlation = np.corrcoef(draws.bets(one, keys), draws.bets(other, keys))[0, 1]
    bound = 4 / math.sqrt(len(keys))
    assert abs(correlation) < bound, (correlation, bound)


def test_seeds_are_taken_modulo_two_to_the_64():
    keys = np.arange(10, dtype=np.uint64)
    assert np.array_equal(draws.bets(5, keys), draws.bets(5 + 2**64, keys))


@pytest.mark.parametrize(
    "factor, expected",
    [
        (0.0, 0.0),
        (1.0, 1.0),
        (3.25, 3.25),
        (1 / 3, 1431655765 / 2**32),
        (0.6 / 2**32, 1 / 2**32),
        (0.4 / 2**32, 0.0),
        (2.5 / 2**32, 2 / 2**32),  # Ties to even, as tf.round.
        (3.5 / 2**32, 4 / 2**32),
    ],
)
def test_quantize_rounds_to_the_resolution(factor, expected):
    assert draws.quantize([factor]).tolist() == [expected]


def test_sample_seeds_are_distinct_per_record_epoch_and_copy():
    hashes = draws.seeded_hash(0, np.arange(1_000, dtype=np.uint64))
    seeds = [
        draws.sample_seeds(hashes, epoch, np.full(len(hashes), copy))
        for epoch in range(5)
        for copy in range(4)
    ]
    seeds = np.concatenate(seeds)
    assert seeds.dtype == np.int64 and seeds.shape == (20_000, 2)
    for column in (0, 1):  # Either half is enough to tell samples apart.
        assert len(np.unique(seeds[:, column])) == len(seeds)
    assert not np.any(seeds[:, 0] == seeds[:, 1])


def test_sample_seeds_differ_between_plan_seeds():
    keys, copy = np.arange(100, dtype=np.uint64), np.zeros(100, np.int64)
    one = draws.sample_seeds(draws.seeded_hash(1, keys), 0, copy)
    other = draws.sample_seeds(draws.seeded_hash(2, keys), 0, copy)
    assert not np.any(one == other)
