"""Label sets counted by Beam are those counted without."""

import apache_beam as beam
import pytest
from apache_beam.testing import test_pipeline, util
from tfx_resampling.beam import CountLabelSets
from tfx_resampling.core.groups import Column
from tfx_resampling.options import InputOptions
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.scan import count

from tests import tfrecords
from tests.beam import counters

pytestmark = pytest.mark.long

SPEC = count.CountSpec("label", "bytes", (Column("image/id", "int64"),))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Plain and gzip files with 0 to 2 labels per record."""
    folder = tmp_path_factory.mktemp("beam")
    parts = [["a", "ab", "", "b"] * 50, ["ab", "ba", "aa"] * 20, ["c"]]
    return [
        tfrecords.write(folder / "0.tfrecord", tfrecords.labeled(parts[0])),
        tfrecords.write(folder / "1.tfrecord.gz", tfrecords.labeled(parts[1]), "GZIP"),
        tfrecords.write(folder / "2.tfrecord", tfrecords.labeled(parts[2])),
    ]


@pytest.mark.fast
def test_counts_and_counters(files):
    spec = count.CountSpec("label", "bytes")
    truth = {
        ((b"a",), ()): 50 + 20,
        ((b"a", b"b"), ()): 50 + 40,
        ((), ()): 50,
        ((b"b",), ()): 50,
        ((b"c",), ()): 1,
    }
    pipeline = test_pipeline.TestPipeline()
    counted = pipeline | beam.Create(files) | CountLabelSets(spec)
    records = counted | beam.Map(lambda found: found.records)
    util.assert_that(records, util.equal_to([truth]))
    result = pipeline.run()
    result.wait_until_finish()
    assert counters.of(result) == {"records": 261, "files": 3}


def test_groups_are_counted_as_without_beam(files):
    truth = count.count_files(RecordFiles(tuple(files)), SPEC, InputOptions())
    assert len(truth.records) > 200
    expected = truth.records, truth.sharing.num_distinct, truth.sharing.sums()
    assert expected[1] > 200
    with test_pipeline.TestPipeline() as pipeline:
        counted = pipeline | beam.Create(files) | CountLabelSets(SPEC)
        found = counted | beam.Map(
            lambda found: (
                found.records,
                found.sharing.num_distinct,
                found.sharing.sums(),
            )
        )
        util.assert_that(found, util.equal_to([expected]))


@pytest.mark.nightly
def test_a_corrupt_file_is_named(tmp_path, files):
    with open(files[0], "rb") as file:
        content = file.read()
    broken = tmp_path / "broken.tfrecord"
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(Exception, match="broken.tfrecord: record"):
        with test_pipeline.TestPipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create([*files, str(broken)])
                | CountLabelSets(count.CountSpec("label", "bytes"))
            )
