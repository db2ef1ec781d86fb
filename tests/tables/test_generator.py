"""DataGenerator and StratifiedSampler: what is drawn, and in which form."""

import itertools
import logging as python_logging
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tfx_resampling import DataGenerator, StratifiedSampler

from tests import processes

SAMPLES = pd.DataFrame(
    {
        "path": [f"p{i}" for i in range(100)],
        "folder": ["a"] * 81 + ["b"] * 16 + ["c"] * 3,
        "id": range(100),
        "labels": [("x", "y")[: 1 + i % 2] for i in range(100)],
    }
)
GROUPED: Any = dict(sampling_groupby=["folder"], sampling_group_weighing="square root")


def ids(generator, count=None):
    samples = generator.get_samples_numpy(batch=False)
    return [sample["id"] for sample in itertools.islice(samples, count)]


@pytest.mark.nightly
def test_the_example():
    sampler = StratifiedSampler(
        batch_size=4, groupby=["folder"], group_weighing="square root", seed=1
    )
    generator = sampler.get(SAMPLES, shuffle=True, repeat=True)
    for batch in generator.get_dataset().take(2):
        assert batch["path"].shape == [4] and batch["path"].dtype == tf.string
    rows = itertools.islice(generator.get_dataset_numpy(batch=False), 10_000)
    drawn = pd.DataFrame(rows)
    counts = drawn.groupby("folder").count()["path"]
    shares = np.array([9, 4, 3**0.5]) / (13 + 3**0.5)
    # Four standard deviations of a binomial.
    bounds = 4 * np.sqrt(10_000 * shares * (1 - shares))
    assert (np.abs(counts - 10_000 * shares) < bounds).all(), counts
    assert drawn.groupby("labels").size().sum() == 10_000  # Tuples can be grouped.


def test_every_row_once_in_input_order_by_default():
    generator = DataGenerator(SAMPLES)
    assert ids(generator) == list(range(100))
    assert [len(b["id"]) for b in generator] == [32, 32, 32, 4]
    assert len(generator) == 4 and generator.get_dataset().cardinality() == 4


def test_shuffled_every_row_once():
    generator = DataGenerator(SAMPLES, shuffle=True, seed=5)
    found = ids(generator)
    assert sorted(found) == list(range(100)) and found != list(range(100))


@pytest.mark.long
@pytest.mark.parametrize(
    "shuffle", [pytest.param(False, marks=pytest.mark.nightly), True]
)
def test_repeat_is_a_number_or_endless(shuffle):
    twice = DataGenerator(SAMPLES, repeat=2, shuffle=shuffle, seed=1, **GROUPED)
    assert sorted(ids(twice)) == sorted([*range(100)] * 2)
    assert len(twice) == 4 and twice.get_dataset().cardinality() == 7
    for repeat in (True, -1):
        endless = DataGenerator(
            SAMPLES, repeat=repeat, shuffle=shuffle, seed=1, **GROUPED
        )
        assert len(ids(endless, 1_000)) == 1_000
        assert endless.get_dataset().cardinality() == tf.data.INFINITE_CARDINALITY


@pytest.mark.long
def test_every_data_set_starts_anew_and_samples_match():
    generator = DataGenerator(SAMPLES, shuffle=True, repeat=True, **GROUPED)
    first = ids(generator, 300)
    assert ids(generator, 300) == first
    mapped = generator.map(lambda x: {**x, "more": x["id"] + 1})
    samples = mapped.get_dataset_numpy(batch=False)
    assert [s["id"] for s in itertools.islice(samples, 300)] == first


def test_counts_follow_the_weights_at_every_prefix():
    generator = DataGenerator(SAMPLES, repeat=True, **GROUPED)
    weights = generator.get_debug_info()["sample_weight"]
    groups = SAMPLES["folder"].to_numpy()[ids(generator, 2_000)]
    for name, weight in weights.items():
        lags = np.cumsum(groups == name) - np.arange(1, 2_001) * weight
        assert np.abs(lags).max() < 1


@pytest.mark.nightly
@pytest.mark.long
def test_a_process_ends_whose_iterator_is_global():
    code = (
        "from tests.tables.test_generator import *;"
        "iterator = iter(DataGenerator(SAMPLES, batch_size=4, repeat=True));"
        "print(next(iterator)['id'].shape)"
    )
    # Without its end at exit, one of two hangs.
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        said = [process.communicate(timeout=120)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert said == [b"(4,)\n"] * 2
    assert [process.returncode for process in running] == [0] * 2


@pytest.mark.long  # test_order has it for the order alone.
def test_the_same_seed_in_a_new_process():
    code = (
        "from tests.tables.test_generator import *;"
        "print(ids(DataGenerator(SAMPLES, shuffle=True, seed=9, repeat=True, "
        "**GROUPED), 200))"
    )
    run = processes.fork_server().run("-c", code)
    options: Any = dict(shuffle=True, repeat=True, **GROUPED)
    assert run.stdout.split("\n")[-2] == str(
        ids(DataGenerator(SAMPLES, seed=9, **options), 200)
    )
    assert ids(DataGenerator(SAMPLES, seed=8, **options), 200) != ids(
        DataGenerator(SAMPLES, seed=9, **options), 200
    )


@pytest.mark.long
@pytest.mark.parametrize("seed", [None, pytest.param(-1, marks=pytest.mark.nightly)])
def test_a_random_seed_is_told_and_repeats(seed, caplog):
    with caplog.at_level(python_logging.INFO, logger="absl"):
        one = DataGenerator(SAMPLES, shuffle=True, seed=seed)
    other = DataGenerator(SAMPLES, shuffle=True, seed=seed)
    assert one.seed != other.seed and ids(one) != ids(other)
    assert str(one.seed) in caplog.text
    assert one.get_debug_info()["seed"] == one.seed and f"seed={one.seed}" in repr(one)
    assert ids(DataGenerator(SAMPLES, shuffle=True, seed=one.seed)) == ids(one)


def test_seeds_of_numpy():
    for make in (np.random.RandomState, np.random.default_rng):
        seeds = [DataGenerator(SAMPLES, seed=make(1)).seed for _ in range(2)]
        assert seeds[0] == seeds[1] != DataGenerator(SAMPLES, seed=make(2)).seed
    assert DataGenerator(SAMPLES, seed=np.int64(7)).seed == 7


def test_samples_are_not_modified():
    before = SAMPLES.copy(deep=True)
    generator = DataGenerator(SAMPLES, shuffle=True, seed=1, **GROUPED)
    list(generator.map(lambda x: {**x, "id": x["id"] * 0}).get_dataset())
    pd.testing.assert_frame_equal(SAMPLES, before)
    rows = [{"a": [1]}, {"a": [2]}]
    list(DataGenerator(rows, shuffle=True, seed=1))
    assert rows == [{"a": [1]}, {"a": [2]}]


def test_structures():
    generator = DataGenerator(SAMPLES, output_structure=("id", {"f": "folder"}))
    number, rest = next(iter(generator))
    assert number.shape == [32] and list(rest) == ["f"]
    assert set(next(iter(generator.get_dataset(structure=None)))) == set(SAMPLES)
    assert next(iter(generator.get_dataset(structure="id"))).dtype == tf.int64
    # Without mapped functions: everything, unless asked for.
    assert set(next(iter(generator.get_samples()))) == set(SAMPLES)
    pair = next(iter(generator.get_samples(structure="__default__")))
    assert isinstance(pair, tuple)
    one = next(generator.get_dataset_numpy(batch=False, structure=["path", "id"]))
    assert list(one) == ["p0", 0]
    with pytest.raises(ValueError, match="keys of samples, got 'img'. Keys: .'folder'"):
        generator.get_dataset(structure=("img", "id"))


@pytest.mark.long
@pytest.mark.parametrize(
    "mapped, batch",
    [
        (True, True),
        (False, False),
        pytest.param(True, False, marks=pytest.mark.nightly),
        pytest.param(False, True, marks=pytest.mark.nightly),
    ],
)
def test_batches_and_samples(batch, mapped):
    generator = DataGenerator(SAMPLES, batch_size=8)
    if mapped:
        generator = generator.map(lambda x: x)
    dataset = generator.get_dataset(batch=batch)
    first = next(iter(dataset))
    assert first["id"].shape == ([8] if batch else [])
    array = next(generator.get_dataset_numpy(batch=batch))
    if batch:
        assert array["path"].tolist() == [f"p{i}" for i in range(8)]
        assert array["labels"][:2] == [("x",), ("x", "y")]
    else:
        assert array["path"] == "p0" and array["labels"] == ("x",)
        assert len(list(generator.get_dataset_numpy(batch=False))) == 100


@pytest.mark.long
def test_images_of_different_sizes_come_one_by_one():
    class Square:
        apply_unbatched = True

        def __call__(self, x):
            side = tf.cast(x["id"] % 3 + 1, tf.int32)
            return {**x, "img": tf.zeros([side, side])}

    generator = DataGenerator(SAMPLES).map(Square())
    shapes = [s["img"].shape for s in generator.get_dataset_numpy(batch=False)]
    assert shapes[:4] == [(1, 1), (2, 2), (3, 3), (1, 1)]


@pytest.mark.parametrize("prefetch", [True, False, 3])
def test_prefetch_changes_nothing_else(prefetch):
    dataset = DataGenerator(SAMPLES).get_dataset(prefetch=prefetch)
    assert sum(len(b["id"]) for b in dataset) == 100


@pytest.mark.long
def test_build_dataset_is_overridden():
    class Doubled(DataGenerator):
        def build_dataset(self, ds):
            return ds.map(lambda x: {**x, "twice": 2 * x["id"]})

    generator = Doubled(SAMPLES)
    assert next(iter(generator))["twice"].numpy().tolist()[:3] == [0, 2, 4]
    mapped = generator.map(lambda x: {**x, "thrice": x["twice"] + x["id"]})
    assert isinstance(mapped, Doubled)
    assert next(iter(mapped))["thrice"].numpy().tolist()[:3] == [0, 3, 6]
    assert "twice" not in next(iter(mapped.get_samples()))

    class Nothing(DataGenerator):
        def build_dataset(self, ds) -> Any:
            return None

    with pytest.raises(TypeError, match="must return a tf.data.Dataset, got None"):
        Nothing(SAMPLES).get_dataset()

    class Tuples(DataGenerator):
        def build_dataset(self, ds):
            return ds.map(lambda x: (x["id"], x["path"]))

    assert next(iter(Tuples(SAMPLES)))[0].shape == [32]
    with pytest.raises(TypeError, match="must yield dicts"):
        Tuples(SAMPLES).map(lambda x: x).get_dataset()


def test_epochs_have_at_most_so_many_samples():
    assert len(DataGenerator(SAMPLES, max_epoch_samples=33)) == 2
    assert len(DataGenerator(SAMPLES, batch_size=100)) == 1
    # Of what is drawn once, rows of weight 0 are no part.
    options: Any = dict(
        sampling_groupby="id", sampling_group_weighing=lambda n, g: g < 10
    )
    with pytest.warns(UserWarning, match="never drawn"):
        assert len(DataGenerator(SAMPLES, batch_size=1, **options)) == 10
        assert len(DataGenerator(SAMPLES, batch_size=1, repeat=True, **options)) == 100


def test_weights_are_told():
    info = DataGenerator(SAMPLES, seed=3, **GROUPED).get_debug_info()
    total = 13 + 3**0.5
    assert info == {
        "seed": 3,
        "sample_weight": pytest.approx(
            {"a": 9 / total, "b": 4 / total, "c": 3**0.5 / total}
        ),
    }
    assert DataGenerator(SAMPLES, seed=3).get_debug_info() == {"seed": 3}


@pytest.mark.long
def test_many_groups_draw():
    samples = pd.DataFrame({"id": range(20_000), "group": np.arange(20_000) // 2})
    for shuffle in (False, True):
        generator = DataGenerator(
            samples, 512, shuffle, True, "group", "uniform", seed=1
        )
        found = np.array(ids(generator, 10_000)) // 2
        if not shuffle:
            assert np.array_equal(found, np.arange(10_000))
        assert len(set(found)) > 6_000


def test_sampler_hands_its_options_on():
    sampler = StratifiedSampler()
    assert sampler == StratifiedSampler(32, None, "uniform", 10**9, -1)
    generator = sampler.get(SAMPLES)
    assert ids(generator) == list(range(100)) and generator.batch_size == 32
    generator = StratifiedSampler(16, "folder", "log", 50, 7).get(SAMPLES, repeat=True)
    assert (generator.batch_size, generator.seed, len(generator)) == (16, 7, 4)
    assert set(generator.get_debug_info()["sample_weight"]) == set("abc")
    changed = StratifiedSampler(16, seed=7).get(
        SAMPLES, batch_size=8, seed=9, max_epoch_samples=8, output_structure="id"
    )
    assert (changed.batch_size, changed.seed, len(changed)) == (8, 9, 1)
    assert next(iter(changed)).shape == [8]


def test_no_repetition_and_no_limit_as_brevettiai_writes_them():
    for generator in (
        DataGenerator(SAMPLES, repeat=0, max_epoch_samples=np.inf),
        StratifiedSampler(max_epoch_samples=np.inf).get(SAMPLES, repeat=np.int64(0)),
    ):
        assert generator.repeat is False and generator.epoch_samples == len(SAMPLES)
        assert ids(generator) == list(range(len(SAMPLES)))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "batch_size"),
        ({"max_epoch_samples": -1}, "max_epoch_samples"),
        ({"group_weighing": "cube"}, "weighing must be one of"),
    ],
)
def test_a_sampler_checks_its_options(options, message):
    with pytest.raises(ValueError, match=message):
        StratifiedSampler(**options)
