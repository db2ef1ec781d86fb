"""The decision rule in graph ops: the bits of `core.draws`."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.core import draws as core
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.decision import graph_draws

KEYS = np.concatenate(
    [
        np.random.default_rng(0).integers(0, 2**64, 2_000, dtype=np.uint64),
        np.array([0, 1, 2**63 - 1, 2**63, 2**64 - 1], np.uint64),
    ]
)
SEEDS = [0, 1, 12_345, 2**63 - 1]
EPOCHS = [0, 1, 9, 2**31, 2**40]


def same(tensor, array):
    assert tensor.dtype.as_numpy_dtype == array.dtype
    assert np.array_equal(tensor.numpy(), array)


def test_mix_is_the_same():
    same(graph_draws.mix(tf.constant(KEYS)), core.mix(KEYS))


@pytest.mark.parametrize("seed", SEEDS)
def test_hashes_and_bets_are_the_same(seed):
    hashes = graph_draws.seeded_hash(seed, tf.constant(KEYS))
    same(hashes, core.seeded_hash(seed, KEYS))
    same(graph_draws.uniforms(hashes), core.uniforms(seed, KEYS))


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("seed", SEEDS)
def test_sample_seeds_are_the_same(seed, epoch):
    hashes = core.seeded_hash(seed, KEYS)
    copy_index = np.arange(len(KEYS), dtype=np.int64) % 7
    result = graph_draws.sample_seeds(
        tf.constant(hashes), tf.constant(epoch, tf.int64), tf.constant(copy_index)
    )
    same(result, core.sample_seeds(hashes, epoch, copy_index))


def test_quantized_factors_are_the_same():
    halves = np.arange(0, 9) / 2.0**33  # Ties are rounded to even.
    factors = np.append(np.random.default_rng(1).uniform(0, 100, 2_000), halves)
    same(graph_draws.quantize(tf.constant(factors)), core.quantize(factors))


@pytest.mark.parametrize("text", ["constant", "linear:7", "linear:49", "step:3"])
def test_cumulative_factors_and_copies_are_the_same(text):
    schedule = Schedule.parse(text)
    rng = np.random.default_rng(2)
    factors = core.quantize(rng.uniform(0, 5, len(KEYS)))
    factors[:3] = [0, 1, 2]
    uniforms = core.uniforms(3, KEYS)

    @tf.function
    def in_graph(epoch):
        before, after = (
            graph_draws.cumulative_factors(
                tf.constant(factors), graph_draws.cumulative_weight(schedule, e), e
            )
            for e in (epoch, epoch + 1)
        )
        return before, after, graph_draws.copies(tf.constant(uniforms), before, after)

    epochs = [*range(schedule.epochs + 3), 1_000]
    of_data_set = tf.data.Dataset.from_tensor_slices(np.array(epochs)).map(in_graph)
    for epoch, mapped in zip(epochs, of_data_set):
        before, after = (
            core.cumulative_factors(factors, schedule.cumulative(e), e)
            for e in (epoch, epoch + 1)
        )
        expected = before, after, core.copies(uniforms, before, after)
        called = in_graph(tf.constant(epoch, tf.int64))
        for array, *tensors in zip(expected, mapped, called):
            for tensor in tensors:
                same(tensor, array)


def test_a_compiled_graph_gives_the_same_bits():
    @tf.function
    def decide(keys, epoch, copy_index):
        hashes = graph_draws.seeded_hash(5, keys)
        return graph_draws.uniforms(hashes), graph_draws.sample_seeds(
            hashes, epoch, copy_index
        )

    copy_index = np.ones(len(KEYS), np.int64)
    uniforms, seeds = decide(
        tf.constant(KEYS), tf.constant(3, tf.int64), tf.constant(copy_index)
    )
    same(uniforms, core.uniforms(5, KEYS))
    same(seeds, core.sample_seeds(core.seeded_hash(5, KEYS), 3, copy_index))


def test_keys_of_several_features_are_the_same():
    other = np.roll(KEYS, 1)
    combined = graph_draws.combined_keys([tf.constant(KEYS), tf.constant(other)])
    same(combined, core.combined_keys([KEYS, other]))
    same(graph_draws.combined_keys([tf.constant(KEYS)]), KEYS)
    # Neither the order of the features nor that of their values is lost.
    assert not np.isin(combined, core.combined_keys([other, KEYS])[:1_000]).any()


def test_keys_of_positions_are_the_same():
    numbers = np.array([0, 1, 2, 2**40])
    name = tf.constant("gs://bucket/examples/data-1")
    # FarmHash fingerprint64 of "data-1".
    expected = core.position_keys(0x3223B0BC9A636366, numbers)
    same(graph_draws.position_keys(name, tf.constant(numbers)), expected)
