"""Beam's steps on a Spark cluster of two workers: `make engine-test`."""

import apache_beam as beam
import pytest
import tfx_resampling as tr
from tfx_resampling.beam.write import write_resampled

from tests import tfrecords
from tests.beam.engines.steps import assert_label_sets_are_counted
from tests.beam.test_runners import NUM_FILES, PLAN, RECORDS
from tests.beam.test_write import contents

pytestmark = pytest.mark.nightly


@pytest.fixture
def files(tmp_path):
    """Files of one test, which are known by their names in logs."""
    return tfrecords.spread(tmp_path, RECORDS, NUM_FILES)


def assert_both_read(spark, files):
    read = spark.files_read(files)
    assert set().union(*read.values()) == set(files)
    assert all(read.values()), read


def test_label_sets(spark, files, tmp_path):
    pipeline = beam.Pipeline(argv=spark.arguments())
    assert_label_sets_are_counted(pipeline, files, tmp_path / "counted")
    assert_both_read(spark, files)


@pytest.mark.parametrize("mode", ["materialize", "stratify"])
def test_the_same_bytes(spark, files, tmp_path, mode):
    options = tr.ResampleOptions(mode=mode)
    makes = {
        "here": beam.Pipeline,
        "spark": lambda: beam.Pipeline(argv=spark.arguments()),
    }
    for name, make in makes.items():
        write_resampled({str(tmp_path / name): files}, PLAN, options, make)
    assert contents(tmp_path / "spark") == contents(tmp_path / "here")
    assert_both_read(spark, files)
