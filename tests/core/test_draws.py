"""The decision rule in NumPy: exact rotation over epochs, uniform uniforms, seeds."""

import math

import numpy as np
import pytest
from tfx_resampling.core import draws
from tfx_resampling.core.schedule import Schedule

FACTORS = [0, 0.01, 1 / 3, 0.5, 1, 1.7, 2, 3.25]
LARGEST_BET = 1 - 2.0**-32
SCHEDULES = ["constant", "linear:1", "linear:3", "linear:7", "step:1", "step:4"]


def many_bets():
    """float64 [5002]: 5,000 real uniforms and the smallest and largest possible."""
    return np.append(
        draws.uniforms(7, np.arange(5_000, dtype=np.uint64)), [0, LARGEST_BET]
    )


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
    "uniform, before, after, expected",
    [
        (0.0, 0.0, 0.0, 0),
        (LARGEST_BET, 0.0, 0.0, 0),
        (0.0, 0.0, 1.0, 1),
        (LARGEST_BET, 0.0, 1.0, 1),
        (0.5, 0.0, 0.5, 1),
        (0.5 - 2.0**-32, 0.0, 0.5, 0),
        (0.0, 0.0, 1.75, 1),
        (0.25, 0.0, 1.75, 2),
        (0.25, 0.5, 0.75, 1),
        (0.25, 0.75, 1.0, 0),  # It had its copy in the epoch before.
        (0.5, 6.5, 9.75, 3),
        (0.5, 9.75, 13.0, 3),
        (LARGEST_BET, 0.0, 2.0**-32, 1),
    ],
)
def test_copies_are_floor_differences(uniform, before, after, expected):
    assert draws.copies([uniform], [before], [after]).tolist() == [expected]


def test_copies_are_int64_and_take_a_scalar():
    copies = draws.copies([0.0, 0.5], 0.0, [1.5, 1.5])
    assert copies.dtype == np.int64
    assert copies.tolist() == [1, 2]


def drawn(uniforms, factors, schedule, epoch):
    """Returns int64 [n], the copies of an epoch, and float64 [n], P at its end."""
    before, after = (
        draws.cumulative_factors(factors, schedule.cumulative(e), e)
        for e in (epoch, epoch + 1)
    )
    return draws.copies(uniforms, before, after), after


@pytest.mark.parametrize("text", SCHEDULES)
@pytest.mark.parametrize("factor", FACTORS)
def test_ten_epochs_show_every_record_floor_or_ceil_times(factor, text):
    factor, schedule = float(draws.quantize(factor)), Schedule.parse(text)
    uniforms = many_bets()
    seen = np.zeros(len(uniforms), np.int64)
    exact = 0.0
    for epoch in range(10):
        copies, due = drawn(uniforms, np.full(len(uniforms), factor), schedule, epoch)
        seen += copies
        (due,) = set(due.tolist())
        exact += 1 - schedule.weight(epoch) * (1 - factor)
        assert due == pytest.approx(exact, abs=2.0**-32)
        assert set(seen.tolist()) <= {math.floor(due), math.ceil(due)}
    assert seen[uniforms == 0].tolist() == [math.floor(due)]
    assert seen[uniforms == LARGEST_BET].tolist() == [math.ceil(due)]


@pytest.mark.parametrize("text", SCHEDULES)
def test_copies_of_an_epoch_have_the_expected_number_and_range(text):
    schedule = Schedule.parse(text)
    uniforms = draws.uniforms(11, np.arange(20_000, dtype=np.uint64))
    for factor in FACTORS:
        factors = draws.quantize(np.full(len(uniforms), factor))
        for epoch in range(10):
            copies, _ = drawn(uniforms, factors, schedule, epoch)
            mean = 1 - schedule.weight(epoch) * (1 - factor)
            # Up to 2**-32 off the mean, for which the range has room.
            assert math.floor(mean - 1e-9) <= copies.min(), (factor, epoch)
            assert copies.max() <= math.ceil(mean + 1e-9), (factor, epoch)
            if factor <= 1:  # No schedule replicates what the plan does not.
                assert copies.max() <= 1
            fraction = mean - math.floor(mean)
            deviation = math.sqrt(len(uniforms) * fraction * (1 - fraction))
            difference = copies.sum() - len(uniforms) * mean
            bound = 4 * deviation + 1e-3
            assert abs(difference) <= bound, (factor, epoch, difference, bound)


@pytest.mark.parametrize("text", SCHEDULES)
def test_epochs_of_different_factors_add_up(text):
    schedule, uniforms = Schedule.parse(text), many_bets()
    factors = draws.quantize(np.random.default_rng(0).uniform(0, 3, len(uniforms)))
    seen = np.zeros(len(uniforms), np.int64)
    for epoch in range(10):
        copies, due = drawn(uniforms, factors, schedule, epoch)
        seen += copies
        assert np.all((seen == np.floor(due)) | (seen == np.ceil(due)))


@pytest.mark.parametrize("epoch", [0, 1, 2, 9, 1_000, 100_000])
def test_constant_schedule_is_the_sum_of_equal_factors_to_the_bit(epoch):
    uniforms = many_bets()
    rng = np.random.default_rng(0)
    factors = draws.quantize(rng.uniform(0, 20, len(uniforms)))
    factors[:5] = [0, 1, 2.0**-32, 1 - 2.0**-32, 20]
    cumulative = draws.cumulative_factors(factors, float(epoch), epoch)
    assert np.array_equal(cumulative, factors * epoch)
    expected = np.floor(uniforms + factors * epoch + factors)
    expected -= np.floor(uniforms + factors * epoch)
    copies, _ = drawn(uniforms, factors, Schedule.parse("constant"), epoch)
    assert np.array_equal(copies, expected.astype(np.int64))


@pytest.mark.parametrize(
    "factor, cumulative, epoch, expected",
    [
        (3.0, 0.0, 0, 0.0),
        (0.0, 0.0, 0, 0.0),
        (3.0, 0.0, 4, 4.0),  # Natural so far.
        (3.0, 4.0, 4, 12.0),
        (3.0, 1.5, 4, 7.0),
        (0.0, 4.0, 4, 0.0),
        (0.0, 1.0, 4, 3.0),
        (1.0, 2.7, 4, 4.0),
        (2.0, 1 / 3, 2, 2 + 1431655765 / 2**32),
    ],
)
def test_cumulative_factors(factor, cumulative, epoch, expected):
    result = draws.cumulative_factors([factor], cumulative, epoch)
    assert result.dtype == np.float64
    assert result.tolist() == [expected]


@pytest.mark.parametrize("text", ["linear:7", "linear:1000", "step:5"])
@pytest.mark.parametrize("start", [0, 3, 990, 5_000])
def test_cumulative_factors_never_decrease(text, start):
    schedule = Schedule.parse(text)
    factors = np.array([0, 2.0**-32, 3 * 2.0**-32, 0.5, 1 - 2.0**-32, 1, 7.3, 1e6])
    factors, epochs = draws.quantize(factors), range(start, start + 30)
    sums = [
        draws.cumulative_factors(factors, schedule.cumulative(e), e) for e in epochs
    ]
    steps = np.diff(sums, axis=0)
    assert steps.min() >= 0
    assert steps[:, factors <= 1].max() <= 1


@pytest.mark.parametrize("cumulative", [-0.5, 3.5, math.nan, math.inf])
def test_bad_sums_of_weights_are_refused(cumulative):
    with pytest.raises(
        ValueError, match="cumulative must be .* from 0 to epoch 3, got"
    ):
        draws.cumulative_factors([1.0], cumulative, 3)


def test_a_quarter_shows_every_record_once_in_four_epochs():
    uniforms = many_bets()
    factors = np.full(len(uniforms), 0.25)
    seen = [draws.copies(uniforms, factors * e, factors * (e + 1)) for e in range(4)]
    assert set(np.sum(seen, axis=0).tolist()) == {1}
    assert all(0 < epoch.sum() < len(uniforms) for epoch in seen)


@pytest.mark.parametrize("bad", [-0.5, -(2.0**-32), math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["before", "after"])
def test_bad_cumulative_factors_are_refused(name, bad):
    arguments = {"before": [0.0, 0.0], "after": [1.0, 1.0]}
    arguments[name] = [1.0, bad]
    with pytest.raises(ValueError, match=f"{name} must be finite and >= 0, got"):
        draws.copies([0.0, 0.0], **arguments)


def test_cumulative_factors_that_decrease_are_refused():
    with pytest.raises(ValueError, match="after must be >= before, got .*-0.5"):
        draws.copies([0.0, 0.0], [1.0, 2.0], [1.0, 1.5])


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_bets_are_uniform(seed):
    uniforms = draws.uniforms(seed, np.arange(200_000, dtype=np.uint64))
    bins = 64
    observed = np.bincount((uniforms * bins).astype(int), minlength=bins)
    expected = len(uniforms) / bins
    chi_square = ((observed - expected) ** 2 / expected).sum()
    freedom = bins - 1  # Mean of chi-square; its variance is twice that.
    bound = 4 * math.sqrt(2 * freedom)
    assert abs(chi_square - freedom) < bound, (chi_square, freedom, bound)


def test_bets_are_multiples_of_the_resolution_below_one():
    uniforms = draws.uniforms(3, np.arange(10_000, dtype=np.uint64))
    assert uniforms.dtype == np.float64
    assert uniforms.min() >= 0 and uniforms.max() < 1
    assert np.array_equal(uniforms * 2**32, np.rint(uniforms * 2**32))


@pytest.mark.parametrize("one, other", [(0, 1), (1, 2), (5, 2**40 + 5)])
def test_bets_of_two_seeds_are_unrelated(one, other):
    keys = np.arange(100_000, dtype=np.uint64)
    correlation = np.corrcoef(draws.uniforms(one, keys), draws.uniforms(other, keys))[
        0, 1
    ]
    bound = 4 / math.sqrt(len(keys))
    assert abs(correlation) < bound, (correlation, bound)


def test_seeds_are_taken_modulo_two_to_the_64():
    keys = np.arange(10, dtype=np.uint64)
    assert np.array_equal(draws.uniforms(5, keys), draws.uniforms(5 + 2**64, keys))


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
