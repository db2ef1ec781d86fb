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

# Text -> FarmHash fingerprint64, as pyfarmhash gives it.
FINGERPRINTS = {
    "": 0x9AE16A3B2F90404F,
    "a": 0xB3454265B6DF75E3,
    "é€": 0xCEDFD2B67E2A22C8,
}


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


@pytest.mark.parametrize("text", FINGERPRINTS)
def test_fingerprints_have_known_values(text):
    assert graph_draws.fingerprints(tf.constant([text])).numpy() == FINGERPRINTS[text]


def test_fingerprints_are_those_of_pyfarmhash():
    farmhash = pytest.importorskip("farmhash")
    texts = ["x" * n + chr(33 + n) for n in range(90)] + ["é", "€uro", "日本"]
    expected = [farmhash.fingerprint64(text) for text in texts]
    same(graph_draws.fingerprints(tf.constant(texts)), np.array(expected, np.uint64))


def test_fingerprints_take_any_bytes_and_none():
    values = [b"a\x00b", b"a\x00c", b"\xff\xfe", b""]
    assert len(set(graph_draws.fingerprints(tf.constant(values)).numpy().tolist())) == 4
    assert graph_draws.fingerprints(tf.constant([], tf.string)).shape == [0]
