"""Resampling end to end: through files and the graph, against the arithmetic.

Statistical tests are of a fixed seed. A record with repeat factor r yields
floor(r) copies or one more, with variance f (1 - f) for f = r - floor(r): the bound
of a sum over records is four of its standard deviations.
"""

import dataclasses
import functools
import math
import os
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.core import draws
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.counts import LabelSets
from tfx_resampling.core.factors import emission_of_sets, record_factors
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.decision.rule import DecisionRule
from tfx_resampling.fitting.planning import make_plan
from tfx_resampling.options import InputOptions
from tfx_resampling.records import fields
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.parts import Part
from tfx_resampling.scan.count import count_labels
from tfx_resampling.scan.decide import Scanner, decided
from tfx_resampling.stream.epochs import Epochs

from tests import plans, tfrecords

pytestmark = pytest.mark.long

SIGMAS = 4


def assert_as_predicted(plan, hot, ids):
    """Compares the emitted ids with what `plan` predicts for records of labels `hot`.

    Args:
      plan: the plan.
      hot: bool [records, labels], labels of the record of each id.
      ids: int64 [samples], the emitted ids.
    """
    rows, of_record, numbers = np.unique(
        hot, axis=0, return_inverse=True, return_counts=True
    )
    sets = LabelSets.from_sets([np.flatnonzero(row) for row in rows], numbers)
    factors = np.array(plan.factors)
    set_factors = record_factors(factors, sets, plan.rule)
    final = set_factors[of_record.ravel()]
    copies = np.bincount(ids, minlength=len(hot))
    assert np.all(copies >= np.floor(final))
    assert np.all(copies <= np.ceil(final))
    emitted = emission_of_sets(factors, sets, plan.rule)
    predicted, num_labeled = emitted.counts, emitted.records
    unlabeled = ~hot.any(axis=1)
    fraction = final - np.floor(final)
    groups = [*zip(plan.groups, hot.T, predicted)]
    groups += [("any label", ~unlabeled, num_labeled)]
    groups += [("no label", unlabeled, unlabeled.sum() * plan.unlabeled_factor)]
    for name, members, expected in groups:
        observed = copies[members].sum()
        deviation = math.sqrt((fraction * (1 - fraction))[members].sum())
        numbers = f"{name}: {observed} observed, {expected} expected, sd {deviation}"
        # Without any chance in it the count is exact.
        assert abs(observed - expected) <= SIGMAS * deviation + 1e-3, numbers


@pytest.mark.parametrize(
    "factors, unlabeled",
    [
        pytest.param([0.05, 1.0, 1.7, 7.3], 1.0, marks=pytest.mark.nightly),
        ([1 / 3, 0.0, 2.0, 40.5], 0.25),
    ],
)
def test_single_label_counts_are_as_predicted(corpus, factors, unlabeled):
    plan = plans.make("abcd", factors, unlabeled_factor=unlabeled, seed=1)
    assert_as_predicted(plan, corpus.single, tfrecords.emitted(corpus.files, plan))


@pytest.mark.parametrize(
    "combine",
    [
        "product",
        *(pytest.param(c, marks=pytest.mark.nightly) for c in ("mean", "max", "min")),
    ],
)
def test_multi_label_counts_are_as_predicted(corpus, combine):
    plan = plans.make(
        "pqrst",
        [0.3, 0.8, 1.0, 2.5, 6.0],
        label_key="labels",
        combine=combine,
        min_factor=0.25,
        max_factor=4.0,
        unlabeled_factor=0.4,
        seed=2,
    )
    assert_as_predicted(plan, corpus.multi, tfrecords.emitted(corpus.files, plan))


@pytest.mark.parametrize(
    "feature, target",
    [
        pytest.param("label", "uniform", marks=pytest.mark.nightly),
        ("labels", "sqrt"),
    ],
)
def test_a_plan_made_from_the_files_reaches_its_target(corpus, feature, target):
    hot = corpus.single if feature == "label" else corpus.multi
    counts = count_labels(corpus.files, feature)
    config = PlannerConfig(
        feature, target=target, size=30_000, unlabeled="drop", seed=3
    )
    plan = make_plan(counts, config)
    ids = tfrecords.emitted(corpus.files, plan)
    assert_as_predicted(plan, hot, ids)
    shares = hot[ids].sum(axis=0) / hot[ids].sum()
    assert shares == pytest.approx(plan.target, abs=0.01)
    assert len(ids) == pytest.approx(30_000, rel=0.02)


LADDER = {
    "a": 0.0,
    "b": 0.01,
    "c": 1 / 3,
    "d": 0.5,
    "e": 1.0,
    "f": 1.7,
    "g": 2.0,
    "h": 3.25,
}


def test_ten_epochs_show_every_record_floor_or_ceil_times(tmp_path):
    labels = "".join(LADDER) * 400
    files = tfrecords.spread(tmp_path, tfrecords.labeled(labels), files=3)
    plan = plans.make(LADDER, LADDER.values(), seed=4, key_features=("image/id",))
    ids = tfrecords.emitted(files, plan, epochs=10)
    seen = np.bincount(ids, minlength=len(labels))
    of_record = np.array(list(labels))
    for label, factor in LADDER.items():
        due = 10 * float(draws.quantize(factor))
        found = seen[of_record == label]
        assert set(found.tolist()) <= {math.floor(due), math.ceil(due)}, label
        fraction = due - math.floor(due)
        deviation = math.sqrt(len(found) * fraction * (1 - fraction))
        difference = found.sum() - len(found) * due
        assert abs(difference) <= SIGMAS * deviation + 1e-3, (label, found.sum())


@pytest.mark.parametrize(
    "schedule",
    [
        "linear:5",
        *(pytest.param(s, marks=pytest.mark.nightly) for s in ("constant", "step:3")),
    ],
)
def test_graph_and_numpy_decide_alike(tmp_path, schedule):
    # Of integer keys NumPy knows all that the graph knows: copies and seeds.
    labels = ["", "a", "b", "c", "ab", "bc", "abc"] * 300
    files = tfrecords.spread(tmp_path, tfrecords.labeled(labels), files=2)
    plan = plans.make(
        "abc",
        [0.3, 1.9, 1.2],
        seed=5,
        unlabeled_factor=0.6,
        max_factor=2.1,
        schedule=schedule,
        key_features=("image/id",),
    )
    epoch = 3
    emitted = samples(files, plan, start_epoch=epoch)
    rows = [["abc".index(letter) for letter in letters] for letters in labels]
    sets = LabelSets.from_sets(rows, np.ones(len(rows)))
    factors = record_factors(np.array(plan.factors), sets, plan.rule)
    keys = np.arange(len(labels), dtype=np.uint64)
    before, after = (
        draws.cumulative_factors(factors, Schedule.parse(schedule).cumulative(e), e)
        for e in (epoch, epoch + 1)
    )
    copies = draws.copies(draws.uniforms(5, keys), before, after)
    hashes = draws.seeded_hash(5, keys)
    expected = Counter()
    for copy in range(copies.max()):
        seeds = draws.sample_seeds(hashes, epoch, np.full(len(keys), copy))
        for i in np.flatnonzero(copies > copy):
            expected[(i, *seeds[i].tolist())] += 1
    found = Counter((image_id(record), *seed) for record, *seed in emitted)
    assert found == expected


@pytest.mark.nightly
@pytest.mark.parametrize("schedule", ["linear:4", "step:2"])
def test_a_schedule_goes_from_natural_to_the_plan(corpus, schedule):
    # Of single labels, with predictions that are exact.
    counts = count_labels(corpus.files, "label")
    plan = make_plan(counts, PlannerConfig("label", target="sqrt", seed=8))
    plan = plan.scheduled(schedule)
    seen = np.zeros(len(corpus.single), int)
    due = np.zeros(len(corpus.single))
    found = tfrecords.emitted_in_epochs(corpus.files, plan, epochs=6)
    assert len(found) == 6
    for epoch, ids in enumerate(found):
        copies = np.bincount(ids, minlength=len(seen))
        weight = Schedule.parse(schedule).weight(epoch)
        factors = np.append(plan.factors, plan.unlabeled_factor)
        of_record = np.where(
            corpus.single.any(axis=1), corpus.single.argmax(axis=1), -1
        )
        repeat = 1 + weight * (factors[of_record] - 1)
        fraction = repeat - np.floor(repeat)
        for label, expected in enumerate(plan.predicted_at(epoch)):
            members = corpus.single[:, label]
            observed = copies[members].sum()
            deviation = math.sqrt((fraction * (1 - fraction))[members].sum())
            assert abs(observed - expected) <= SIGMAS * deviation + 1e-3
        seen += copies
        due += repeat
    # Over all epochs, floor or ceil of what was due (to within rounding of factors).
    assert np.all(np.abs(seen - due) < 1 + 1e-6)


def image_id(record: bytes) -> int:
    features = tf.train.Example.FromString(record).features.feature
    return features["image/id"].int64_list.value[0]


def samples(files, plan, compression="", finish=None, **options) -> list:
    """Returns [(record, seed, seed)] of `Epochs`, in order.

    With `finish` one element of its data set stays one element: a list of these.
    """
    options = InputOptions(**{"epochs": 1, **options})
    rule = DecisionRule(plan, {"image/id": tf.int64})
    epochs = Epochs(RecordFiles(tuple(files), compression), rule, options)
    dataset = epochs.each(finish or (lambda epoch: epoch))
    batches = [
        [(record, *seed) for record, seed in zip(found[0].tolist(), found[1].tolist())]
        for found in tfrecords.read(dataset)
    ]
    return batches if finish else [sample for batch in batches for sample in batch]


# What follows is of one small data set, its plan, and what epoch 0 of it emits.
SMALL = tfrecords.labeled(["", "a", "b", "c", "ab", "bc", "abc"] * 200)
PLAN = plans.make("abc", [0.4, 1.5, 2.2], seed=6, unlabeled_factor=0.5)
KEYED = dataclasses.replace(PLAN, key_features=("key",))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return tfrecords.spread(tmp_path_factory.mktemp("small"), SMALL, files=1)


@pytest.fixture(scope="module")
def expected(small):
    found = samples(small, PLAN)
    assert len(set(found)) == len(found) > 1_000  # Every sample has its own seed.
    return Counter(found)


@pytest.mark.parametrize(
    "files, compression, options",
    [
        (9, "", {"chunk_size": 1, "shuffle_records": 7}),
        (5, "GZIP", {"deterministic": True, "chunk_size": 100}),
        *(
            pytest.param(*more, marks=pytest.mark.nightly)
            for more in (
                (5, "", {"num_parallel_calls": 8, "cycle_length": 3}),
                (1, "", {"num_parallel_calls": 1, "cycle_length": 1}),
                (2, "", {"shuffle_records": 0}),
                (1, "", {"shuffle_records": 1, "chunk_size": 9_999}),
            )
        ),
    ],
    ids=str,
)
def test_options_of_speed_and_order_change_no_sample(
    tmp_path, expected, files, compression, options
):
    names = tfrecords.spread(tmp_path, SMALL, files, compression)
    assert Counter(samples(names, PLAN, compression, **options)) == expected


@pytest.mark.fast
def test_undersampling_alone_keeps_what_the_rule_keeps(tmp_path):
    # Where no record has two copies the graph has a shorter path.
    plan = plans.make("abc", [0.4, 0.9, 1.0], seed=6, unlabeled_factor=0.5)
    names = tfrecords.spread(tmp_path, SMALL, files=3)
    hashes, copies = tfrecords.decide(SMALL, plan)
    seeds = draws.sample_seeds(hashes, 0, np.zeros_like(copies))
    assert set(copies.tolist()) == {0, 1}
    kept = [(SMALL[i], *seeds[i].tolist()) for i in np.flatnonzero(copies)]
    assert Counter(samples(names, plan, chunk_size=64)) == Counter(kept)


def test_another_plan_seed_gives_other_samples(small, expected):
    other = plans.make("abc", [0.4, 1.5, 2.2], seed=7, unlabeled_factor=0.5)
    found = Counter(samples(small, other))
    assert not set(found) & set(expected)
    records, others = (Counter(r for r, *_ in c.elements()) for c in (found, expected))
    assert records != others


def whole(epoch: tf.data.Dataset) -> tf.data.Dataset:
    """All samples of an epoch as one element, for `finish`."""
    return epoch.rebatch(1_000_000)


@pytest.fixture
def set_global_seed():
    yield tf.random.set_seed
    tf.random.set_seed(None)


@pytest.mark.nightly
def test_deterministic_order_repeats_whatever_the_global_seed(small, set_global_seed):
    options = dict(deterministic=True, epochs=2, shuffle_records=500)
    set_global_seed(7)
    first = samples(small, PLAN, finish=whole, **options)
    set_global_seed(0)
    assert samples(small, PLAN, finish=whole, **options) == first
    orders = [[image_id(record) for record, *_ in epoch] for epoch in first]
    for order in orders:
        assert order != sorted(order)
    # Epochs are shuffled differently: of records in both, the order is not the same.
    both = set(orders[0]) & set(orders[1])
    ranks = [list(dict.fromkeys(i for i in order if i in both)) for order in orders]
    assert ranks[0] != ranks[1]


def test_shuffles_reach_across_files_and_part_copies(tmp_path):
    records = tfrecords.labeled("a" * 1_000)
    names = tfrecords.spread(tmp_path, records, files=2)
    plan = plans.make("a", [3])
    order = [
        image_id(record)
        for record, *_ in samples(names, plan, deterministic=True, cycle_length=1)
    ]
    adjacent = np.mean(np.array(order[1:]) == np.array(order[:-1]))
    assert adjacent < 0.05  # 2/3 without the small shuffle.
    # File 0 has the even ids: halves of the epoch have as many of either file.
    evens = np.mean(np.array(order[: len(order) // 2]) % 2 == 0)
    bound = SIGMAS * 0.5 / math.sqrt(500)
    assert abs(evens - 0.5) < bound, evens


@pytest.mark.nightly
def test_an_epoch_is_the_same_whenever_it_is_asked_for(small, expected):
    stream = samples(small, PLAN, epochs=3)
    third = Counter(samples(small, PLAN, start_epoch=2))
    # Epochs follow each other without mixing.
    assert Counter(stream[: expected.total()]) == expected
    assert Counter(stream[-third.total() :]) == third
    assert len(set(stream)) == len(stream)  # No seed comes twice.


@pytest.mark.parametrize(
    "values, key_dtype, keys",
    [
        ([0, 7, -1, 2**62], tf.int64, [0, 7, 2**64 - 1, 2**62]),
        ([b"", b"a"], tf.string, [0x9AE16A3B2F90404F, 0xB3454265B6DF75E3]),
    ],
)
def test_a_key_feature_stands_for_the_record(values, key_dtype, keys):
    hashes = draws.seeded_hash(6, np.array(keys, np.uint64)).tolist()
    for content in (b"as it was", b"encoded anew"):
        records = [
            tfrecords.example({"key": value, "label": b"a", "image": content})
            for value in values
        ]
        found, _ = tfrecords.decide(records, KEYED, key=key_dtype)
        assert found.tolist() == hashes


def test_without_a_key_feature_any_change_makes_another_record():
    records = [
        tfrecords.example({"label": b"a", "image": content})
        for content in (b"x", b"y", b"x")
    ]
    one, other, same = tfrecords.decide(records, PLAN)[0].tolist()
    assert one != other and one == same


@pytest.mark.parametrize("key", [None, [1, 2], tfrecords.NO_INTEGERS])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_record_without_one_key_is_an_error(key, position):
    values = [5, 6]
    values.insert(position, key)
    records = [tfrecords.example({"key": v, "label": b"a"}) for v in values]
    with pytest.raises(tf.errors.InvalidArgumentError, match="key.*one value.*part-0"):
        tfrecords.decide(records, KEYED, key=tf.int64)


def test_keys_that_only_add_up_are_an_error():
    values = [5, None, [6, 7]]  # Three values for three records.
    records = [tfrecords.example({"key": v, "label": b"a"}) for v in values]
    with pytest.raises(tf.errors.InvalidArgumentError, match="key"):
        tfrecords.decide(records, KEYED, key=tf.int64)


def test_positions_are_the_same_in_the_stream_and_file_by_file(tmp_path):
    files = tfrecords.spread(tmp_path, tfrecords.labeled("ab" * 60), files=2)
    plan = dataclasses.replace(plans.make("ab", [0.4, 0.6]), identity="position")
    scanner = Scanner(plan, InputOptions(chunk_size=16))
    use = functools.partial(decided, epochs=1, dropped=True)
    kept = []
    for index, name in enumerate(files):
        found = list(scanner.scan(Part(name), use))
        assert len(found) == 4
        copies = np.concatenate([each.copies for each in found])
        kept += (np.flatnonzero(copies) * 2 + index).tolist()
        keys = fields.fingerprints(tf.constant([os.path.basename(name)])).numpy()
        keys = draws.position_keys(keys[0], np.arange(60))
        hashes = np.concatenate([each.hashes for each in found])
        assert hashes.tolist() == draws.seeded_hash(plan.seed, keys).tolist()
    assert 30 < len(kept) < 90
    assert sorted(tfrecords.emitted(files, plan, chunk_size=16).tolist()) == sorted(
        kept
    )


@pytest.mark.nightly
def test_a_record_that_is_cut_off_is_named(tmp_path):
    # tf.io.parse_example takes it as it is.
    whole = tfrecords.labeled("ab" * 20)
    cut = tfrecords.example({"image/id": 1, "label": b"a"})[:-3]
    files = tfrecords.spread(tmp_path, [*whole, cut], files=1)
    plan = plans.make("ab", [0.4, 0.6])
    message = "record 40 of .*part-0.* cannot be parsed"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tfrecords.emitted(files, plan)
    scanner = Scanner(plan, InputOptions())
    use = functools.partial(decided, epochs=1, dropped=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(scanner.scan(Part(files[0]), use))
