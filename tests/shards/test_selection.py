"""Stratified shards: the samples of the original files, from a part of them."""

import dataclasses
import os
import pathlib
import shutil

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.beam import ResampleOptions
from tfx_resampling.beam.write import write_resampled
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.decision.rule import DecisionRule
from tfx_resampling.options import InputOptions
from tfx_resampling.scan.audit import check_plan
from tfx_resampling.shards import classes, manifest
from tfx_resampling.shards.manifest import read_manifest, read_manifests
from tfx_resampling.shards.selection import Selection, select
from tfx_resampling.stream.input_fn import input_fn

from tests import plans, tfrecords
from tests.tfrecords import samples

pytestmark = pytest.mark.long

PLAN = plans.make("abcd", [0.02, 0.1, 0.45, 2.5], seed=5, unlabeled_factor=0.25)
RECORDS = tfrecords.labeled(["a"] * 3000 + ["b"] * 600 + ["ab", "c", "d", ""] * 60)


def batches(files, plan=PLAN, **options):
    return tfrecords.batches(files, plan, **options)


def stratify(files, output_dir, plan=PLAN, **options) -> manifest.Manifest:
    found = write_resampled(
        {str(output_dir): files},
        plan,
        ResampleOptions(mode="stratify", **options),
        beam.Pipeline,
    )
    return found[str(output_dir)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    order = np.random.default_rng(1).permutation(len(RECORDS))
    records = [RECORDS[i] for i in order]
    return tfrecords.spread(tmp_path_factory.mktemp("files"), records, files=5)


@pytest.fixture(scope="module")
def stratified(files, tmp_path_factory):
    """Directory with shards of a few records each."""
    output_dir = tmp_path_factory.mktemp("stratified") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classes, "MIN_SHARD_BYTES", 600)
        patch.setattr(classes, "MAX_SHARD_BYTES", 6_000)
        stratify(files, output_dir)
    return str(output_dir)


@pytest.mark.parametrize(
    "schedule, options",
    [
        ("constant", dict(epochs=3)),
        pytest.param(
            "constant",
            dict(epochs=2, start_epoch=90, shuffle_records=0),
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            "linear:4",
            dict(epochs=3, start_epoch=2, deterministic=True),
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            "step:1",
            dict(epochs=3, num_parallel_calls=1, chunk_size=7),
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_the_samples_of_the_original_files(files, stratified, schedule, options):
    plan = PLAN.scheduled(schedule)
    expected = samples(batches(files, plan=plan, **options))
    found = samples(batches(f"{stratified}/*", plan=plan, **options))
    assert found == expected
    assert found.total() > 300


def test_what_is_not_needed_is_not_read(files, stratified, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(stratified, copy)
    shutil.copy(manifest.manifest_path(stratified), manifest.manifest_path(str(copy)))
    layout = read_manifest(str(copy))
    chosen = manifest.needed(layout, Schedule(), 11)
    records = np.array(layout.records)
    emitted = samples(batches(files, epochs=1, start_epoch=11)).total()
    assert records[chosen].sum() < 2 * emitted < len(RECORDS) / 2
    chosen[0] = True  # Looked into for the types of features.
    for name, is_needed in zip(layout.names, chosen):
        if not is_needed:
            (copy / name).write_bytes(b"not a TFRecord")
    found = samples(batches(f"{copy}/*", epochs=1, start_epoch=11))
    assert found == samples(batches(files, epochs=1, start_epoch=11))
    with pytest.raises(tf.errors.InvalidArgumentError, match="corrupt or truncated"):
        batches(f"{copy}/*", epochs=1, start_epoch=12)


@pytest.fixture
def short(tmp_path) -> str:
    """Directory of shards, of which the last one was cut between two records."""
    directory = tmp_path / "shards"
    directory.mkdir()
    names = [os.path.basename(x) for x in tfrecords.spread(directory, RECORDS[:90], 3)]
    made = manifest.Manifest("materialize", "rule", "content", {}, names, [30, 30, 32])
    path = manifest.manifest_path(str(directory))
    pathlib.Path(path).write_text(made.to_json())
    return str(directory)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.nightly), 4])
def test_a_shard_cut_between_two_records_is_named(short, workers):
    """Also where each worker reads every n-th record."""
    context = None if workers == 1 else tf.distribute.InputContext(workers, 3, workers)
    words = f"{short}/part-2.tfrecord: record .* the file has .* records. Write it"
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        batches(f"{short}/*", PLAN.applied(), input_context=context)


def test_a_shard_cut_between_two_records_is_found_by_check(short):
    words = f"{short}/part-2.tfrecord: it has 30 of its 32 records"
    with pytest.raises(ValueError, match=words):
        check_plan(f"{short}/*", PLAN)


@pytest.mark.fast
@pytest.mark.parametrize("schedule", ["constant", "linear:9", "step:2"])
def test_the_graph_chooses_as_numpy_does(stratified, schedule):
    plan = PLAN.scheduled(schedule)
    layout = read_manifest(stratified)
    names = [os.path.join(stratified, name) for name in layout.names]
    options = InputOptions()
    selection = Selection(names, {stratified: layout}, layout.rule, options)
    rule = DecisionRule(plan)
    for epoch in (0, 1, 2, 7, 50, 1001):
        expected = manifest.needed(layout, Schedule.parse(schedule), epoch)
        found = selection.needed(rule, tf.constant(epoch, tf.int64)).numpy()
        assert np.array_equal(found, expected)
        one = selection.needed(
            rule, tf.constant(epoch, tf.int64), tf.constant(7, tf.int64)
        )
        assert bool(one) == expected[7]


@pytest.mark.nightly
def test_groups_are_mixed(tmp_path, monkeypatch):
    # Four groups of 1000 samples per epoch each, one of them copies of few records.
    plan = plans.make("abcd", [0.1, 0.2, 0.5, 10.0], seed=2)
    counts = dict(zip("abcd", (10_000, 5_000, 2_000, 100)))
    records = tfrecords.labeled([l for l, n in counts.items() for _ in range(n)])
    files = tfrecords.spread(tmp_path, records, files=2)
    monkeypatch.setattr(classes, "MIN_SHARD_BYTES", 5_000)
    stratify(files, tmp_path / "out", plan)
    dataset = input_fn(
        f"{tmp_path}/out/*",
        plan,
        batch_size=1000,
        image=None,
        options=InputOptions(epochs=1, shuffle_records=500),
    )
    shares = [y.mean(axis=0) for x, y in tfrecords.read(dataset) if len(y) == 1000]
    assert len(shares) in (3, 4)
    for share in shares:
        # A quarter each, but for what the edges of blocks and shards leave over.
        assert np.all((share > 0.08) & (share < 0.5)), shares


@pytest.mark.parametrize("num_workers", [2, pytest.param(3, marks=pytest.mark.nightly)])
def test_workers_have_every_sample_once_and_alike(files, stratified, num_workers):
    expected = samples(batches(files, epochs=1, start_epoch=3))
    parts = []
    for i in range(num_workers):
        context = tf.distribute.InputContext(num_workers, i, num_workers)
        found = batches(
            f"{stratified}/*", epochs=1, start_epoch=3, input_context=context
        )
        parts.append(samples(found))
    assert sum(parts, start=type(expected)()) == expected
    totals = [part.total() for part in parts]
    # Five standard deviations of a binomial; a record has up to three copies.
    mean = expected.total() / num_workers
    assert max(abs(total - mean) for total in totals) < 5 * 3 * np.sqrt(mean)


@pytest.mark.nightly
def test_beside_files_that_are_not_stratified(files, stratified, tmp_path):
    more = tfrecords.spread(tmp_path, tfrecords.labeled(["abcd", "d"] * 50), 3)
    expected = samples(batches([*files, *more], epochs=2))
    assert samples(batches([f"{stratified}/*", *more], epochs=2)) == expected


@pytest.mark.nightly
def test_by_a_service(files, stratified):
    expected = samples(batches(files, epochs=2))
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.split("://")[1]
    workers = [
        tf.data.experimental.service.WorkerServer(
            tf.data.experimental.service.WorkerConfig(dispatcher_address=address)
        )
        for _ in range(2)
    ]
    found = batches(f"{stratified}/*", epochs=2, service=dispatcher.target)
    assert samples(found) == expected
    del workers


@pytest.mark.nightly
def test_an_iterator_is_restored(stratified, tmp_path):
    def begin():
        options = InputOptions(epochs=3, deterministic=True, shuffle_records=50)
        dataset = input_fn(
            f"{stratified}/*",
            PLAN,
            batch_size=20,
            image=None,
            keep=("image/id",),
            options=options,
        )
        iterator = iter(dataset)
        return iterator, tf.train.Checkpoint(iterator=iterator)

    iterator, position = begin()
    for _ in range(10):
        next(iterator)
    path = position.write(str(tmp_path / "position"))
    rest = [x["image/id"].numpy().tolist() for x, _ in iterator]
    assert len(rest) > 20
    other, position = begin()
    position.read(path).assert_consumed()
    assert [x["image/id"].numpy().tolist() for x, _ in other] == rest


@pytest.mark.nightly
def test_another_plan_reads_everything(files, stratified, caplog):
    changed = plans.make("abcd", [0.5, 0.1, 0.3, 1.0], seed=5)
    expected = samples(batches(files, plan=changed, epochs=1, start_epoch=4))
    found = batches(f"{stratified}/*", plan=changed, epochs=1, start_epoch=4)
    assert samples(found) == expected
    assert "was stratified by another plan" in caplog.text


@pytest.mark.fast
@pytest.mark.parametrize(
    "changed", [dataclasses.replace(PLAN, seed=6), PLAN.natural()], ids=["seed", "rule"]
)
def test_another_plan_needs_every_file(stratified, caplog, changed):
    names = [os.path.join(stratified, name) for name in read_manifest(stratified).names]
    for plan in (PLAN, changed):
        selection = select(names, read_manifests(names), plan, InputOptions())
        found = selection.needed(DecisionRule(plan), tf.constant(4, tf.int64)).numpy()
        assert found.all() == (plan is changed)
    assert "was stratified by another plan" in caplog.text


@pytest.mark.fast
def test_a_missing_shard_is_named(stratified, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(stratified, copy)
    shutil.copy(manifest.manifest_path(stratified), manifest.manifest_path(str(copy)))
    gone = sorted(os.listdir(copy))[3]
    (copy / gone).unlink()
    with pytest.raises(ValueError, match=f"must match all .* 1 are missing.*{gone}"):
        batches(f"{copy}/*")
    with pytest.raises(ValueError, match="must match all"):
        batches(f"{stratified}/*-0000*")


def test_a_damaged_manifest_is_named(stratified, tmp_path):
    shutil.copytree(stratified, tmp_path / "copy")
    pathlib.Path(f"{tmp_path}/copy.manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="copy.manifest.json': manifest is not valid"):
        batches(f"{tmp_path}/copy/*")


@pytest.mark.nightly
def test_resampled_samples_are_not_resampled_again(files, tmp_path):
    output_dir = str(tmp_path / "out")
    write_resampled({output_dir: files}, PLAN, ResampleOptions(), beam.Pipeline)
    with pytest.raises(ValueError, match="resampled already.* plan.applied"):
        batches(f"{output_dir}/*")
    # Nor where they were copied to without what is beside them.
    shutil.copytree(output_dir, tmp_path / "copy")
    with pytest.raises(ValueError, match="resampled already"):
        batches(f"{tmp_path}/copy/*")
    with pytest.raises(ValueError, match="resampled already"):
        stratify([f"{output_dir}/{name}" for name in os.listdir(output_dir)], "again")
    found = batches(f"{output_dir}/*", plan=PLAN.applied(), epochs=1)
    expected = batches(files, epochs=1)
    assert sorted(i for ids, _ in found for i in ids) == sorted(
        i for ids, _ in expected for i in ids
    )
