"""The decision rule: nothing is lost over epochs, and the graph has the same bits."""

import collections

import numpy as np
import tensorflow as tf
from tfx_resampling.core import draws
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.decision import graph_draws
from tfx_resampling.records.reader import Shard

from tests.fuzz.fuzzing import fuzz, st

SEEDS = st.integers(0, 2**63 - 1)
KEYS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20)
FACTORS = st.floats(0, 1e6) | st.floats(0, 3)
SCHEDULES = st.sampled_from(["constant", "linear:7", "linear:1000", "step:3"])


@fuzz(100, seed=SEEDS, keys=KEYS, factor=FACTORS, schedule=SCHEDULES)
def test_copies_over_epochs_are_the_sum_of_factors(seed, keys, factor, schedule):
    schedule = Schedule.parse(schedule)
    uniforms = draws.uniforms(seed, np.array(keys, np.uint64))
    factors = draws.quantize(np.full(len(keys), factor))
    sums = [
        draws.cumulative_factors(factors, schedule.cumulative(epoch), epoch)
        for epoch in range(12)
    ]
    total = np.zeros(len(keys), np.int64)
    for before, after in zip(sums, sums[1:]):
        copies = draws.copies(uniforms, before, after)
        assert (copies >= 0).all() and (np.abs(copies - (after - before)) < 1).all()
        total += copies
        assert (np.abs(total - after) < 1).all()


@fuzz(30, seed=SEEDS, keys=KEYS, factor=FACTORS, epoch=st.integers(0, 10**6))
def test_the_graph_has_the_bits_of_numpy(seed, keys, factor, epoch):
    keys = np.array(keys, np.uint64)
    hashes = graph_draws.seeded_hash(seed, tf.constant(keys))
    assert np.array_equal(hashes, draws.seeded_hash(seed, keys))
    uniforms = draws.uniforms(seed, keys)
    assert np.array_equal(graph_draws.uniforms(hashes), uniforms)
    factors = draws.quantize(np.full(len(keys), factor))
    schedule, sums = Schedule.parse("linear:7"), []
    for each in (epoch, epoch + 1):
        cumulative = schedule.cumulative(each)
        ours = draws.cumulative_factors(factors, cumulative, each)
        sums.append(ours)
        theirs = graph_draws.cumulative_factors(
            *(tf.constant(factors), tf.constant(cumulative, tf.float64)),
            tf.constant(each, tf.int64),
        )
        assert np.array_equal(theirs, ours)
    copies = graph_draws.copies(*map(tf.constant, (uniforms, *sums)))
    assert np.array_equal(copies, draws.copies(uniforms, *sums))
    numbers = np.arange(len(keys), dtype=np.int64)
    seeds = graph_draws.sample_seeds(
        hashes, tf.constant(epoch, tf.int64), tf.constant(numbers)
    )
    assert np.array_equal(seeds, draws.sample_seeds(hashes.numpy(), epoch, numbers))


@fuzz(
    100,
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=9),
    workers=st.integers(1, 7),
    by_record=st.booleans(),
)
def test_workers_together_have_every_record_once(sizes, workers, by_record):
    found = collections.Counter()
    for index in range(workers):
        shard = Shard(workers, index, by_record)
        every, first = shard.of_records(len(sizes))
        for file in shard.files(len(sizes)):
            found.update((file, number) for number in range(first, sizes[file], every))
    assert found == {(f, n): 1 for f, size in enumerate(sizes) for n in range(size)}
