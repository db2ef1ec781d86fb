"""Mapped functions: what they get, seeds above all, and what they must return."""

import warnings
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling import DataGenerator, DataGeneratorMap, OneHotEncoder
from tfx_resampling.core import draws
from tfx_resampling.tables import mapping

SAMPLES = [
    {"id": i, "group": "ab"[i % 5 == 0], "set": tuple("xyz"[: i % 4])}
    for i in range(40)
]


class SampleSeed(DataGeneratorMap):
    """Puts the seed of each sample at a key; called with single samples."""

    apply_unbatched = True

    def __init__(self, key="seed"):
        self.key = key

    def __call__(self, x, seed):
        return {**x, self.key: seed}


def batch_seed(x, seed):
    x["seed"] = seed
    return x


def columns(generator, *keys, count=None):
    """Returns what an epoch, or `count` batches, has at keys."""
    dataset = generator.get_dataset()
    batches = list(dataset if count is None else dataset.take(count))
    return [np.concatenate([b[key].numpy() for b in batches]) for key in keys]


@pytest.mark.parametrize("function", [batch_seed, SampleSeed()])
def test_each_draw_has_a_seed_of_its_own(function):
    generator = DataGenerator(SAMPLES, 16, shuffle=True, repeat=True, seed=4)
    ids, found = columns(generator.map(function), "id", "seed", count=10)
    assert found.shape == (160, 2) and found.dtype == np.int64
    assert len(np.unique(found, axis=0)) == 160
    assert len(np.unique(ids)) == 40  # Each row four times: with four seeds.
    assert len(np.unique(found[:, 0])) == len(np.unique(found[:, 1])) == 160


def test_an_epoch_leaves_nothing_in_the_default_graph():
    def functions():
        graph = tf.compat.v1.get_default_graph()
        return len(graph.as_graph_def().library.function)

    generator = DataGenerator(SAMPLES, 16, shuffle=True, seed=4).map(batch_seed)
    before = functions()
    for epoch in range(2):
        generator.epoch_dataset(epoch)
    assert functions() == before


@pytest.mark.long
def test_batches_and_single_samples_get_the_same_seeds():
    generator = DataGenerator(SAMPLES, 16, shuffle=True, seed=4)
    (one,) = columns(generator.map(batch_seed), "seed")
    (other,) = columns(generator.map(SampleSeed()), "seed")
    assert np.array_equal(one, other)
    # Nor does the size of batches matter.
    small = DataGenerator(SAMPLES, 3, shuffle=True, seed=4).map(batch_seed)
    assert np.array_equal(one, columns(small, "seed")[0])


@pytest.mark.long
@pytest.mark.parametrize("calls", [pytest.param(None, marks=pytest.mark.nightly), 4])
def test_seeds_do_not_depend_on_the_number_of_threads(calls):
    generator = DataGenerator(SAMPLES, 8, shuffle=True, repeat=2, seed=4)
    expected = columns(generator.map([batch_seed, SampleSeed("own")]), "id", "own")
    mapped = generator.map([batch_seed, SampleSeed("own")], num_parallel_calls=calls)
    found = columns(mapped, "id", "own")
    assert all(np.array_equal(*pair) for pair in zip(found, expected))


@pytest.mark.long
def test_each_map_has_seeds_of_its_own_by_its_place():
    generator = DataGenerator(SAMPLES, seed=4)
    two = generator.map([SampleSeed("one"), SampleSeed("two")])
    one, other = columns(two, "one", "two")
    assert not (one == other).any()
    chained = generator.map(SampleSeed("one")).map(SampleSeed("two"))
    assert np.array_equal(columns(chained, "two")[0], other)
    another = DataGenerator(SAMPLES, seed=5).map(SampleSeed("one"))
    assert not (columns(another, "one")[0] == one).any()


def test_seeds_are_those_of_the_formula():
    (found,) = columns(DataGenerator(SAMPLES, seed=4).map(batch_seed), "seed")
    first = draws.seeded_hash(mapping.map_seed(4, 0), np.arange(40))
    second = draws.mix(first + np.uint64(draws.GOLDEN))
    assert np.array_equal(found.view(np.uint64), np.stack([first, second], axis=1))


def test_actions_are_told():
    generator = DataGenerator(SAMPLES, seed=4)

    def plain(x):
        return x

    mapped = generator.map([plain, None, batch_seed], num_parallel_calls=2)
    first, second = mapped.get_dataset_actions()
    assert first == (plain, {}, {"num_parallel_calls": 2})
    assert second == (
        batch_seed,
        {"seed": mapping.map_seed(4, 1)},
        {"num_parallel_calls": 2},
    )
    assert generator.get_dataset_actions() == []


@pytest.mark.parametrize(
    "function, takes",
    [
        (lambda x: x, False),
        (lambda x, seed: x, True),
        (lambda x, seed=None: x, True),
        (lambda x, **kwargs: x, True),
        (lambda x, *args: x, False),
        (SampleSeed(), True),
        (OneHotEncoder(["a"]), False),
        (dict, False),  # Has no signature.
    ],
)
def test_who_gets_a_seed(function, takes):
    (action,) = DataGenerator(SAMPLES).map(function).get_dataset_actions()
    assert bool(action.func_kwargs) == takes


def test_a_function_may_change_the_dict_that_it_gets():
    def change(x):
        x["new"] = x.pop("id")
        return x

    generator = DataGenerator(SAMPLES)
    mapped = generator.map(change)
    assert set(next(iter(mapped))) == {"new", "group", "set"}
    assert set(next(iter(generator))) == {"id", "group", "set"}


@pytest.mark.long
def test_label_sets_pass_through_single_samples():
    """Rows of different lengths are batched again as they were."""

    class Count(DataGeneratorMap):
        apply_unbatched = True

        def __call__(self, x):
            return {**x, "size": tf.size(x["set"])}

    def after(x):
        assert isinstance(x["set"], tf.RaggedTensor)
        return x

    generator = DataGenerator(SAMPLES, 16).map([Count(), SampleSeed(), after, Count()])
    batches = list(generator.get_dataset())
    sets = [row for batch in batches for row in batch["set"].to_list()]
    assert sets == [[c.encode() for c in s["set"]] for s in SAMPLES]
    sizes = np.concatenate([batch["size"] for batch in batches])
    assert sizes.tolist() == [len(s["set"]) for s in SAMPLES]
    # Also if the last function yields single samples, and all of them are taken.
    rows = list(generator.get_dataset_numpy(batch=False))
    assert [row["set"] for row in rows] == [s["set"] for s in SAMPLES]


@pytest.mark.long
def test_samples_that_a_map_marks_are_left_out():
    class Even(DataGeneratorMap):
        apply_unbatched = True
        skip_key = "odd"

        def __call__(self, x):
            return {**x, "odd": x["id"] % 2 == 1}

    generator = DataGenerator(SAMPLES, 16).map([Even(), batch_seed])
    ids, found = columns(generator, "id", "seed")
    assert ids.tolist() == list(range(0, 40, 2))
    assert [len(b["id"]) for b in generator.get_dataset()] == [16, 4]
    # A sample keeps its seed, whatever is left out before it.
    (every,) = columns(
        DataGenerator(SAMPLES, seed=generator.seed).map([lambda x: x, batch_seed]),
        "seed",
    )
    assert np.array_equal(found, every[::2])


class Unbatched:
    apply_unbatched = True

    def __init__(self, result):
        self.result = result

    def __call__(self, x):
        return self.result(x)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda x: (x["id"], x["id"]), "must return a dict name -> tensor.*output_str"),
        (lambda x: None, "must return a dict name -> tensor.*got None"),
        (lambda x: x["id"], "must return a dict name -> tensor"),
        (lambda x: {**x, 3: x["id"]}, "must return a dict name -> tensor"),
        (lambda x: {**x, "y": None}, "must return a dict of tensors, got None for 'y'"),
        (
            lambda x: {**x, "y": tf.reduce_sum(x["id"])},
            "got a scalar for 'y'.*apply_unb",
        ),
        (Unbatched(lambda x: None), "'Unbatched' must return a dict name -> tensor"),
    ],
)
def test_a_function_that_changes_the_structure(function, message):
    with pytest.raises((TypeError, ValueError), match=message):
        DataGenerator(SAMPLES).map(function).get_dataset()


def test_a_function_that_changes_the_number_of_samples():
    generator = DataGenerator(SAMPLES, 16).map(lambda x: {**x, "id": x["id"][:5]})
    message = "must return as many samples as it gets, 16, got 5 for id"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(generator.get_dataset())


def test_what_is_mapped_must_be_a_function():
    wrong: Any = (3, None, [3])
    for function in wrong:
        with pytest.raises(TypeError, match="map_func must be a function, got"):
            DataGenerator(SAMPLES).map(function)


def test_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(DataGenerator(SAMPLES).map([batch_seed, SampleSeed()]).get_dataset())
