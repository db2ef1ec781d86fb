"""Resampled offline: the samples that `input_fn` emits, whole or not at all."""

import glob
import os
import pathlib
from collections import Counter

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.testing import test_pipeline, util
from tfx_resampling.beam import (
    ReadResampled,
    ResampleOptions,
    WriteResampled,
    external_sort,
    shard_files,
)
from tfx_resampling.beam.write import write_resampled
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.groups import Column, Grouping
from tfx_resampling.fitting.planning import make_plan
from tfx_resampling.options import InputOptions
from tfx_resampling.shards.manifest import manifest_path, read_manifest
from tfx_resampling.stream.input_fn import input_fn

from tests import plans, tfrecords
from tests.beam import counters

pytestmark = pytest.mark.long

PLAN = plans.make("abc", [0.1, 1.5, 3.2], seed=6, unlabeled_factor=0.5)
# Of 1,000 records: 800 have a, 150 b, 50 c.
NATURAL = tfrecords.labeled(["a"] * 800 + ["b"] * 150 + ["c"] * 50)
SKEWED = make_plan(plans.counts({"a": 800, "b": 150, "c": 50}), PlannerConfig("label"))
RECORDS = tfrecords.labeled(["", "a", "a", "a", "b", "c", "ab", "bc", "abc"] * 60)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of different sizes, one of them empty."""
    folder = tmp_path_factory.mktemp("files")
    names = tfrecords.spread(folder, RECORDS[:-40], files=3)
    names.append(tfrecords.write(folder / "few.tfrecord", RECORDS[-40:]))
    return [*names, tfrecords.write(folder / "none.tfrecord", [])]


def write(files, output_dir, plan=PLAN, **options):
    """Writes a directory and returns its layout."""
    output_dir = str(output_dir)
    found = write_resampled(
        {output_dir: files}, plan, ResampleOptions(**options), beam.Pipeline
    )
    return found[output_dir]


@pytest.mark.parametrize(
    "mode", ["materialize", pytest.param("stratify", marks=pytest.mark.nightly)]
)
def test_no_files_are_an_error_and_no_directory(tmp_path, mode):
    target = str(tmp_path / "out")
    with pytest.raises(Exception, match="there are no names of files"):
        with beam.Pipeline() as pipeline:
            names = pipeline | beam.Create([])
            _ = names | WriteResampled(PLAN, target, ResampleOptions(mode=mode))
    assert not os.path.exists(target)


def read(directory) -> list:
    """Returns the records of all shards, in order."""
    found = []
    for name in sorted(glob.glob(f"{directory}/*")):
        kind = "GZIP" if name.endswith(".gz") else ""
        found += tf.data.TFRecordDataset(name, kind).as_numpy_iterator()
    return found


def online(files, plan=PLAN, **options) -> Counter:
    """Returns how many copies of each record `input_fn` emits."""
    dataset = input_fn(
        files,
        plan,
        batch_size=1000,
        image=None,
        options=InputOptions(**{"epochs": 1, **options}),
    )
    return Counter(record for x, _ in tfrecords.read(dataset) for record in x["record"])


@pytest.fixture(scope="module")
def emitted(files) -> Counter:
    """How many copies of each of RECORDS epoch 0 has, in whatever files they are."""
    return online(files)


def contents(directory) -> dict:
    return {path.name: path.read_bytes() for path in pathlib.Path(directory).iterdir()}


@pytest.mark.parametrize(
    "epochs, schedule",
    [
        ((0, 1), "constant"),
        pytest.param((7, 3), "constant", marks=pytest.mark.nightly),
        pytest.param((1, 4), "linear:3", marks=pytest.mark.nightly),
    ],
)
def test_materialized_is_what_input_fn_emits(files, tmp_path, epochs, schedule):
    plan = PLAN.scheduled(schedule)
    which = dict(start_epoch=epochs[0], epochs=epochs[1])
    layout = write(files, tmp_path / "out", plan, num_shards=4, **which)
    found = read(tmp_path / "out")
    expected = online(files, plan, **which)
    assert Counter(found) == expected
    assert sorted(os.listdir(tmp_path)) == ["out", "out.manifest.json"]
    assert len(layout.names) == 4 and sum(layout.records) == len(found)
    assert layout == read_manifest(str(tmp_path / "out"))
    assert layout.counts == {
        "read": len(RECORDS),
        "dropped": len(RECORDS) - len(expected),
        "emitted": len(found),
        "corrupt": 0,
    }
    # Nearly as many in each shard: a bound of 5 standard deviations of a binomial.
    for number in layout.records:
        assert abs(number - len(found) / 4) < 5 * np.sqrt(len(found) * 3 / 16)


@pytest.mark.nightly
def test_groups_and_a_key_feature(files, tmp_path):
    plan = plans.make(
        [f"image/id={i}" for i in range(200)],
        np.linspace(0, 4, 200),
        classes=("a", "b", "c"),
        grouping=Grouping(
            (Column("image/id", "int64", tuple(str(i) for i in range(200))),),
            tuple((i,) for i in range(200)),
        ),
        seed=3,
        key_features=("image/id",),
        unknown_labels=0.3,
    )
    for mode in ("materialize", "stratify"):
        write(files, tmp_path / mode, plan, mode=mode)
    expected = online(files, plan)
    assert Counter(read(tmp_path / "materialize")) == expected
    stratified = str(tmp_path / "stratify" / "*")
    assert online(stratified, plan) == expected


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_shards_of_no_samples_are_there(tmp_path, compression):
    """Five shards of two records: as many as were asked for, three of them empty."""
    records = tfrecords.labeled("ab")
    name = tfrecords.write(tmp_path / "few.tfrecord", records)
    plan = plans.make("ab", [1, 1])
    layout = write(
        [name], tmp_path / "out", plan, num_shards=5, compression=compression
    )
    assert sorted(layout.records)[:3] == [0, 0, 0] and sum(layout.records) == 2
    assert sorted(os.listdir(tmp_path / "out")) == sorted(layout.names)
    assert Counter(read(tmp_path / "out")) == Counter(records)
    again = online(str(tmp_path / "out" / "*"), plan.natural())
    assert again == Counter(records)


def test_copies_lie_apart(files, tmp_path):
    plan = plans.make("abc", [0.1, 1.0, 6.0], max_factor=6.0)
    write(files, tmp_path / "out", plan, num_shards=3)
    found = read(tmp_path / "out")
    places = {}
    for place, record in enumerate(found):
        places.setdefault(record, []).append(place)
    gaps = [
        np.diff([*found, found[0] + len(places_)]).min()
        for places_, found in ((found, p) for p in places.values() if len(p) == 6)
    ]
    assert len(gaps) > 50
    # A sixth of all apart, in a random order: 5 standard deviations of a binomial.
    n = len(found)
    assert min(gaps) > n / 6 - 5 * np.sqrt(n * 5 / 36)


@pytest.mark.parametrize(
    "mode", ["materialize", pytest.param("stratify", marks=pytest.mark.nightly)]
)
def test_the_same_bytes_from_other_files_in_other_runs(
    files, tmp_path, mode, monkeypatch, small_shards
):
    first = write(files, tmp_path / "first", mode=mode)
    # One file with everything, runs of few records.
    everything = tfrecords.write(tmp_path / "all.tfrecord", RECORDS[::-1])
    monkeypatch.setattr(external_sort, "_RUN_BYTES", 2_000)
    second = write([everything], tmp_path / "second", mode=mode)
    assert len(first.names) > 5
    assert second == first
    assert contents(tmp_path / "second") == contents(tmp_path / "first")


@pytest.mark.parametrize(
    "mode", [pytest.param("materialize", marks=pytest.mark.nightly), "stratify"]
)
def test_many_runs_are_merged_before_they_are_read(
    files, tmp_path, mode, monkeypatch, small_shards
):
    most, opened, merged = 6, [], []

    class Counting(tf.io.gfile.GFile):
        def __init__(self, name, mode):
            super().__init__(name, mode)
            if os.path.basename(name).startswith(("run-", "merged-")) and mode == "rb":
                opened[-1] += 1

    def counted(process):
        def run(self, element):
            opened.append(0)
            return list(process(self, element))

        return run

    def merge(path, *arguments):
        merged.append(path)
        return external_sort.merge_runs(path, *arguments)

    write(files, tmp_path / "first", mode=mode)
    many = tfrecords.spread(tmp_path, RECORDS, 20)
    monkeypatch.setattr(external_sort, "_RUN_BYTES", 2_000)
    monkeypatch.setattr(external_sort, "_MOST_RUNS", most)
    monkeypatch.setattr(shard_files, "merge_runs", merge)
    for step in (shard_files.MergeRuns, shard_files.WriteShard):
        monkeypatch.setattr(step, "process", counted(step.process))
    monkeypatch.setattr(tf.io.gfile, "GFile", Counting)
    write(many, tmp_path / "second", mode=mode)
    monkeypatch.undo()
    # Several groups, and several parts of each.
    names = {os.path.basename(path)[:12] for path in merged}
    assert 1 < len(names) <= most and len(merged) > 2 * len(names)
    # A file and its index each.
    assert max(opened) <= 2 * most
    assert contents(tmp_path / "second") == contents(tmp_path / "first")


@pytest.mark.parametrize(
    "written, compression, expected",
    [
        pytest.param("", "auto", "", marks=pytest.mark.nightly),
        ("GZIP", "auto", ".gz"),
        pytest.param("", "GZIP", ".gz", marks=pytest.mark.nightly),
        pytest.param("GZIP", "", "", marks=pytest.mark.nightly),
    ],
)
@pytest.mark.parametrize(
    "mode", [pytest.param("materialize", marks=pytest.mark.nightly), "stratify"]
)
def test_compression(tmp_path, written, compression, expected, mode, emitted):
    source = tfrecords.spread(tmp_path, RECORDS, 2, written)
    layout = write(source, tmp_path / "out", compression=compression, mode=mode)
    assert {os.path.splitext(name)[1] for name in layout.names} == {expected}
    found = read(tmp_path / "out")
    assert Counter(found) == (Counter(RECORDS) if mode == "stratify" else emitted)


def test_stratified_has_every_record_once_beside_its_like(
    files, tmp_path, small_shards
):
    layout = write(files, tmp_path / "out", mode="stratify")
    assert Counter(read(tmp_path / "out")) == Counter(RECORDS)
    # Unlabeled, a, ab, abc; and all that are read in every epoch.
    assert len(set(layout.classes)) == 4
    assert len(layout.names) > 20
    assert layout.counts["read"] == len(RECORDS)
    for name, low, high in zip(layout.names, layout.lows, layout.highs):
        records = list(tf.data.TFRecordDataset(str(tmp_path / "out" / name)))
        _, copies = tfrecords.decide([r.numpy() for r in records], PLAN)
        assert np.all(copies <= np.ceil(high)) and np.all(copies >= np.floor(low))


@pytest.mark.fast
def test_records_as_elements(files):
    options = ResampleOptions(start_epoch=2)
    pipeline = test_pipeline.TestPipeline()
    found = pipeline | beam.Create(files) | ReadResampled(PLAN, options)
    expected = online(files, start_epoch=2)
    util.assert_that(found, util.equal_to(list(expected.elements())))
    result = pipeline.run()
    result.wait_until_finish()
    assert counters.of(result) == {
        "read": len(RECORDS),
        "dropped": len(RECORDS) - len(expected),
        "emitted": expected.total(),
        "corrupt": 0,
    }


@pytest.mark.parametrize(
    "mode", [pytest.param("materialize", marks=pytest.mark.nightly), "stratify"]
)
def test_counters_count_each_record_once(files, tmp_path, mode, emitted):
    pipeline = test_pipeline.TestPipeline()
    options = ResampleOptions(mode=mode)
    _ = (
        pipeline
        | beam.Create(files)
        | WriteResampled(PLAN, str(tmp_path / "out"), options)
    )
    result = pipeline.run()
    result.wait_until_finish()
    assert counters.of(result)["read"] == len(RECORDS)
    assert counters.of(result)["emitted"] == emitted.total()


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


def changed(content: bytes) -> bytes:
    return content[:3000] + b"x" + content[3001:]


class TestBad:
    """Bad input, and what is left of it: nothing."""

    @pytest.mark.parametrize(
        "mode, damage",
        [
            ("stratify", changed),
            pytest.param("materialize", cut_off, marks=pytest.mark.nightly),
            pytest.param("materialize", changed, marks=pytest.mark.nightly),
            pytest.param("stratify", cut_off, marks=pytest.mark.nightly),
        ],
    )
    def test_corrupt(self, files, tmp_path, mode, damage):
        bad = tmp_path / "bad.tfrecord"
        bad.write_bytes(damage(pathlib.Path(files[0]).read_bytes()))
        (tmp_path / "to").mkdir()
        message = "corrupt or truncated TFRecord file .*bad.*: record"
        with pytest.raises(ValueError, match=message):
            write([*files, str(bad)], tmp_path / "to" / "out", mode=mode)
        assert os.listdir(tmp_path / "to") == []

    @pytest.mark.nightly
    @pytest.mark.parametrize("mode", ["materialize", "stratify"])
    def test_corrupt_is_skipped_and_counted(self, files, tmp_path, mode):
        broken = [*RECORDS[:50], b"no example", *RECORDS[50:60]]
        source = tfrecords.write(tmp_path / "bad.tfrecord", broken)
        with pytest.raises(ValueError, match="record 50 of .*bad.tfrecord cannot be"):
            write([source], tmp_path / "out", mode=mode)
        layout = write([source], tmp_path / "out", mode=mode, on_corrupt="skip")
        assert layout.counts["corrupt"] == 1 and layout.counts["read"] == 60
        plan = PLAN if mode == "stratify" else PLAN.natural()
        expected = online([source], on_corrupt="skip")
        assert online(str(tmp_path / "out" / "*"), plan) == expected

    def test_an_unknown_label(self, files, tmp_path):
        plan = plans.make("ab", [1.0, 2.0])
        with pytest.raises(ValueError, match="label feature label of .* has .*c"):
            write(files, tmp_path / "out", plan)
        assert os.listdir(tmp_path) == []

    def test_a_missing_file(self, files, tmp_path):
        with pytest.raises(ValueError, match="absent.tfrecord"):
            write([*files, "/absent.tfrecord"], tmp_path / "out")

    @pytest.mark.parametrize(
        "mode", [pytest.param("materialize", marks=pytest.mark.nightly), "stratify"]
    )
    def test_no_records(self, tmp_path, mode):
        empty = tfrecords.write(tmp_path / "empty.tfrecord", [])
        with pytest.raises(ValueError, match="n(o records|othing) to write to .*out"):
            write([empty], tmp_path / "out", mode=mode)

    def test_records_without_the_label_key(self, tmp_path):
        records = [tfrecords.example({"label_xf": i % 3, "id": i}) for i in range(50)]
        source = tfrecords.write(tmp_path / "xf.tfrecord", records)
        with pytest.raises(ValueError, match="'label' has no value .*'label_xf'"):
            write([source], tmp_path / "out", SKEWED)
        half = tfrecords.write(tmp_path / "half", [*records, *NATURAL])
        with pytest.raises(ValueError, match="label has no value in 50 of 1050"):
            write([half], tmp_path / "out", SKEWED, mode="stratify")
        assert sorted(os.listdir(tmp_path)) == ["half", "xf.tfrecord"]

    @pytest.mark.nightly
    def test_samples_are_not_resampled_again(self, tmp_path):
        natural = tfrecords.write(tmp_path / "natural", NATURAL)
        write([natural], tmp_path / "out", SKEWED)
        # As after a component such as Transform: the manifest and the names are gone.
        again = tfrecords.write(tmp_path / "again", read(tmp_path / "out"))
        for mode in ("materialize", "stratify"):
            with pytest.raises(ValueError, match="are resampled already.*applied"):
                write([again], tmp_path / "twice", SKEWED, mode=mode)
        with pytest.raises(Exception, match="are resampled already.*applied"):
            with test_pipeline.TestPipeline() as pipeline:
                _ = pipeline | beam.Create([again]) | ReadResampled(SKEWED)
        write([again], tmp_path / "applied", SKEWED.applied())
        assert sorted(read(tmp_path / "applied")) == sorted(read(tmp_path / "out"))

    def test_labels_of_another_type(self, tmp_path):
        source = tfrecords.write(
            tmp_path / "int.tfrecord", [tfrecords.example({"label": 7})]
        )
        with pytest.raises(ValueError, match="is bytes in the plan but int64 in .*int"):
            write([source], tmp_path / "out")

    def test_an_output_that_is_there(self, files, tmp_path):
        (tmp_path / "out").mkdir()
        with pytest.raises(ValueError, match="output_dir must not be there yet"):
            write(files, tmp_path / "out")
        assert os.listdir(tmp_path) == ["out"]

    def test_what_a_killed_run_left_is_removed(self, files, tmp_path):
        left = tmp_path / "out.partial-0123456789ab"
        left.mkdir()
        (left / "run").write_bytes(b"half")
        write(files, tmp_path / "out")
        assert sorted(os.listdir(tmp_path)) == ["out", "out.manifest.json"]

    def test_one_bad_output_of_two(self, files, tmp_path):
        empty = tfrecords.write(tmp_path / "empty.tfrecord", [])
        outputs = {str(tmp_path / "to" / x): f for x, f in zip("ab", (files, [empty]))}
        with pytest.raises(ValueError, match="nothing to write to .*b'"):
            write_resampled(outputs, PLAN, ResampleOptions(), beam.Pipeline)
        assert os.listdir(tmp_path / "to") == []

    @pytest.mark.fast
    @pytest.mark.parametrize(
        "options, message",
        [
            ({"mode": "both"}, r"mode must be one of \['materialize', 'stratify'\]"),
            ({"compression": "ZLIB"}, "compression must be one of .*, got 'ZLIB'"),
            ({"num_shards": 0}, "num_shards must be an integer >= 1"),
            ({"epochs": None}, "epochs must be an integer >= 1"),
            ({"start_epoch": -1}, "start_epoch must be an integer >= 0"),
            ({"on_corrupt": "ignore"}, "on_corrupt must be one of"),
            ({"mode": "stratify", "epochs": 2}, "epochs must be left out with mode="),
            ({"mode": "stratify", "num_shards": 2}, "num_shards must be left out"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            ResampleOptions(**options)


class TestRuns:
    """Sorted runs on disk."""

    def test_what_is_read_back(self, tmp_path):
        rng = np.random.default_rng(4)
        records = np.array([rng.bytes(n) for n in rng.integers(0, 50, 300)], object)
        buckets = rng.integers(0, 9, 300)
        buckets[buckets == 4] = 5  # One that is empty.
        orders = rng.permutation(300).astype(np.uint64) + np.uint64(2**63)
        paths = []
        for i in range(3):
            path = str(tmp_path / f"run-{i}.tfrecord")
            mine = slice(i * 100, (i + 1) * 100)
            paths.append(path)
            run = external_sort.write_run(
                path, records[mine], buckets[mine], orders[mine], 9
            )
            assert run.num_bytes == sum(map(len, records[mine])) + 1_600
            assert run.num_bytes == os.path.getsize(path)
        for first, after in ((0, 9), (0, 1), (3, 6), (4, 5), (8, 9)):
            pieces, count = external_sort.read_buckets(paths, 9, first, after)
            mine = np.flatnonzero((buckets >= first) & (buckets < after))
            assert count == len(mine)
            joined = tmp_path / "joined.tfrecord"
            joined.write_bytes(b"".join(pieces))
            found = list(tf.data.TFRecordDataset(str(joined)).as_numpy_iterator())
            assert found == records[mine[np.argsort(orders[mine])]].tolist()

    def test_a_failed_write_leaves_nothing(self, tmp_path):
        def fail(path):
            pathlib.Path(path).write_bytes(b"half")
            raise OSError("broken")

        with pytest.raises(OSError, match="broken"):
            external_sort.write_whole(str(tmp_path / "a"), fail)
        assert os.listdir(tmp_path) == []


@pytest.mark.nightly
def test_the_manifest_is_beside_the_directory(files, tmp_path):
    write(files, f"{tmp_path}/out/")
    assert os.path.exists(manifest_path(str(tmp_path / "out")))
