"""Beam's steps on a Flink cluster of two task managers: `make engine-test`."""

import glob
import os
from collections import Counter

import apache_beam as beam
import pytest
import tensorflow as tf
import tfx_resampling as tr
from tfx_resampling.beam import ReadResampled, split
from tfx_resampling.beam.write import write_resampled

from tests import tfrecords
from tests.beam import counters
from tests.beam.engines.cluster import WORKERS
from tests.beam.engines.steps import assert_label_sets_are_counted
from tests.beam.test_runners import NUM_FILES, PLAN, RECORDS
from tests.beam.test_write import contents, online
from tests.conftest import run_local

pytestmark = pytest.mark.nightly


@pytest.fixture
def files(tmp_path):
    """Files of one test, which are known by their names in logs."""
    return tfrecords.spread(tmp_path, RECORDS, NUM_FILES)


@pytest.fixture
def make_pipeline(flink):
    return lambda: beam.Pipeline(argv=flink.arguments())


def assert_both_read(flink, files):
    """Fails unless each file was read by a worker, and both read files."""
    read = flink.files_read(files)
    assert set().union(*read.values()) == set(files)
    # Dealt out in turn; a try that was repeated may have read more.
    assert all(len(names) >= len(files) // 4 for names in read.values()), read


def test_label_sets(flink, files, make_pipeline, tmp_path):
    pipeline = make_pipeline()
    assert_label_sets_are_counted(pipeline, files, tmp_path / "counted")
    assert_both_read(flink, files)


@pytest.mark.parametrize("mode", ["materialize", "stratify"])
def test_the_same_bytes(flink, files, make_pipeline, tmp_path, mode):
    options = tr.ResampleOptions(mode=mode)
    folders = {"here": beam.Pipeline, "flink": make_pipeline}
    manifests = [
        write_resampled({str(tmp_path / name): files}, PLAN, options, make)
        for name, make in folders.items()
    ]
    here, there = (contents(tmp_path / name) for name in folders)
    assert there == here
    assert list(manifests[0].values()) == list(manifests[1].values())
    assert_both_read(flink, files)


def test_one_large_file(flink, make_pipeline, tmp_path, monkeypatch):
    file = tfrecords.write(tmp_path / "large.tfrecord", RECORDS)
    folders = {"here": beam.Pipeline, "flink": make_pipeline}
    for name, make in folders.items():
        write_resampled(
            {str(tmp_path / name): [file]}, PLAN, tr.ResampleOptions(), make
        )
        # On Flink it has several parts.
        monkeypatch.setattr(split, "_MOST_BYTES", os.path.getsize(file) // NUM_FILES)
    here, there = (contents(tmp_path / name) for name in folders)
    assert there == here
    read = flink.files_read([file])
    assert all(read.values()), read


def test_records_as_elements(flink, files, make_pipeline, tmp_path):
    written = str(tmp_path / "records")
    pipeline = make_pipeline()
    _ = (
        pipeline
        | beam.Create(files)
        | ReadResampled(PLAN)
        | beam.io.WriteToTFRecord(written)
    )
    result = pipeline.run()
    result.wait_until_finish()
    found = Counter(
        tf.data.TFRecordDataset(glob.glob(f"{written}*")).as_numpy_iterator()
    )
    expected = online(files, PLAN)
    assert found == expected
    assert counters.of(result) == {
        "read": len(RECORDS),
        "dropped": len(RECORDS) - len(expected),
        "emitted": expected.total(),
        "corrupt": 0,
    }
    assert_both_read(flink, files)


@pytest.fixture
def run_pipeline(demo_data, tmp_path):
    """Runs the pipeline of `make run`; returns the directory of its artifacts."""

    def run(name, *arguments):
        code, output, errors = run_local(
            *("--runs", str(tmp_path / name), "--data", demo_data, "--seed", "3"),
            *("--target", "sqrt", "--resample", "stratify", "--train-steps", "5"),
            *arguments,
        )
        assert code == 0, output + errors
        return tmp_path / name / "artifacts" / "tfx-resampling"

    return run


def test_the_pipeline(flink, run_pipeline):
    here = run_pipeline("here", "--workers", "1")
    there = run_pipeline("flink", *(f"--beam-arg={x}" for x in flink.arguments()))
    pattern = "ResamplePlanner/resample_plan/*/plan.json"
    plans = [next(folder.glob(pattern)).read_text() for folder in (here, there)]
    # A plan names the files that it was made of.
    assert plans[0] == plans[1].replace(str(there), str(here))
    pattern = "Resampler/examples/*/Split-train"
    shards = [next(folder.glob(pattern)) for folder in (here, there)]
    assert contents(shards[0]) == contents(shards[1])
    manifests = [path.with_name(f"{path.name}.manifest.json") for path in shards]
    assert manifests[0].read_text() == manifests[1].read_text()
    found = flink.files_read(glob.glob(f"{there}/ImportExampleGen/examples/*/*/*"))
    assert all(found.values()), found
    # TFX had one of them read all records of a split; both merge what was counted.
    found = flink.subtasks("GenerateStatistics")
    assert len(found) == WORKERS and all(found.values()), found
