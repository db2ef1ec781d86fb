"""However files are split, what comes out is the same."""

import dataclasses
import logging
import pathlib
import re

import apache_beam as beam
import pytest
from apache_beam.testing import test_pipeline, util
from tfx_resampling.beam import CountLabelSets, ReadResampled, ResampleOptions, split
from tfx_resampling.beam.read import check_read
from tfx_resampling.beam.write import write_resampled
from tfx_resampling.options import InputOptions
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.parts import Part
from tfx_resampling.scan import count

from tests import plans, tfrecords
from tests.beam import counters
from tests.beam.test_write import contents, online

pytestmark = pytest.mark.long

# Several have one "group": known by it, they are sorted by nothing but their places.
RECORDS = [
    tfrecords.example({"id": i, "group": i % 7, "label": [x.encode() for x in letters]})
    for i, letters in enumerate(["a", "a", "b", "ab", ""] * 24)
]
PLAN = plans.make("ab", [0.4, 2.5], seed=3, unlabeled_factor=0.5)
BY_GROUP = dataclasses.replace(PLAN, key_features=("group",))
BY_POSITION = dataclasses.replace(PLAN, identity="position")
WHOLE = 1 << 20


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file that is split, and one that is not."""
    folder = tmp_path_factory.mktemp("files")
    return [
        tfrecords.write(folder / "large.tfrecord", RECORDS),
        tfrecords.write(folder / "small.tfrecord", RECORDS[:5]),
    ]


@pytest.fixture
def set_most_bytes(monkeypatch):
    return lambda most_bytes: monkeypatch.setattr(split, "_MOST_BYTES", most_bytes)


def write(files, folder, plan=PLAN, **options) -> dict:
    """Returns the contents of what is written."""
    output = {str(folder): files}
    write_resampled(output, plan, ResampleOptions(**options), beam.Pipeline)
    return contents(folder)


@pytest.mark.parametrize(
    "plan, mode, sizes",
    [
        (BY_GROUP, "stratify", [1_500]),
        (BY_POSITION, "materialize", [1_500]),
        pytest.param(BY_GROUP, "stratify", [1, 5_000], marks=pytest.mark.nightly),
        pytest.param(BY_GROUP, "materialize", [1, 1_500], marks=pytest.mark.nightly),
        pytest.param(BY_POSITION, "materialize", [1, 5_000], marks=pytest.mark.nightly),
        pytest.param(PLAN, "stratify", [1, 1_500, 5_000], marks=pytest.mark.nightly),
    ],
)
def test_the_same_bytes(files, tmp_path, set_most_bytes, plan, mode, sizes):
    whole = write(files, tmp_path / "whole", plan, mode=mode)
    for most_bytes in sizes:
        set_most_bytes(most_bytes)
        assert write(files, tmp_path / str(most_bytes), plan, mode=mode) == whole


@pytest.mark.fast
def test_counts(files, set_most_bytes, caplog):
    set_most_bytes(4_000)
    caplog.set_level(logging.INFO, "tfx_resampling")
    spec = count.CountSpec("label", "bytes")
    truth = count.count_files(RecordFiles(tuple(files)), spec, InputOptions())
    pipeline = test_pipeline.TestPipeline()
    counted = pipeline | beam.Create(files) | CountLabelSets(spec)
    records = counted | beam.Map(lambda found: found.records)
    util.assert_that(records, util.equal_to([truth.records]))
    result = pipeline.run()
    result.wait_until_finish()
    assert counters.of(result) == {"records": len(RECORDS) + 5, "files": 2}
    assert len(re.findall(r"large\S* from byte \d+ on: \d+ records", caplog.text)) == 1


@pytest.mark.nightly
def test_records_as_elements(files, set_most_bytes):
    expected = online(files, BY_POSITION)
    set_most_bytes(1_500)
    pipeline = test_pipeline.TestPipeline()
    found = pipeline | beam.Create(files) | ReadResampled(BY_POSITION)
    util.assert_that(found, util.equal_to(list(expected.elements())))
    result = pipeline.run()
    result.wait_until_finish()
    assert counters.of(result)["emitted"] == expected.total()


def changed_at(place):
    def change(contents):
        return contents[:place] + b"\xff" + contents[place + 1 :]

    return change


SIZE = sum(map(len, RECORDS)) + 16 * len(RECORDS)
# The last but one begins here.
START = SIZE - sum(map(len, RECORDS[-2:])) - 2 * 16
UNREADABLE = f" at byte {START} (uncompressed) cannot be read, nor what follows it."
IN_HEAD = " cannot be read: the file ends within the 12 bytes that begin it."


@pytest.mark.parametrize(
    "damage, message",
    [
        pytest.param(changed_at(START + 20), UNREADABLE, marks=pytest.mark.nightly),
        pytest.param(changed_at(START + 1), UNREADABLE, marks=pytest.mark.nightly),
        (lambda contents: contents[: START + 30], UNREADABLE),
        pytest.param(
            lambda contents: contents[: START + 5], IN_HEAD, marks=pytest.mark.nightly
        ),
    ],
    ids=["data", "length", "cut in data", "cut in a head"],
)
def test_errors_have_the_number_and_byte_of_the_file(
    files, tmp_path, set_most_bytes, damage, message
):
    bad = tmp_path / "bad.tfrecord"
    bad.write_bytes(damage(pathlib.Path(files[0]).read_bytes()))
    place = f"{bad}: record {len(RECORDS) - 2}{message}"
    set_most_bytes(4_000)
    with pytest.raises(Exception, match=re.escape(place)):
        with test_pipeline.TestPipeline() as pipeline:
            names = pipeline | beam.Create([str(bad)])
            _ = names | CountLabelSets(count.CountSpec("label", "bytes"))
    with pytest.raises(ValueError) as error:
        write([str(bad)], tmp_path / "out")
    assert str(error.value) == (
        f"corrupt or truncated TFRecord file {place} Write it again, or set on_corrupt "
        "to skip."
    )


@pytest.mark.fast
@pytest.mark.parametrize(
    "kind, on_corrupt, message",
    [
        ("GZIP", "error", "as GZIP cannot be split: write more files, or uncompressed"),
        ("", "skip", "as on_corrupt='skip' may leave out all that follows a record"),
    ],
)
def test_what_is_not_split_says_so(tmp_path, caplog, kind, on_corrupt, message):
    name = tfrecords.write(tmp_path / "file", RECORDS, kind)
    few = tfrecords.write(tmp_path / "few", RECORDS[:1], kind)
    step = split._SplitFile(500, on_corrupt)
    assert list(step.process((name, [None]))) == [Part(name)]
    # Named twice, it is read twice.
    assert list(step.process((few, [None, None]))) == [Part(few)] * 2
    assert f"{name}: one worker reads its 0 MB, {message}" in caplog.text
    assert f"{few}: one" not in caplog.text


@pytest.mark.nightly
def test_the_same_where_what_is_corrupt_is_skipped(files, tmp_path, set_most_bytes):
    bad = tmp_path / "bad.tfrecord"
    bad.write_bytes(changed_at(SIZE // 3)(pathlib.Path(files[0]).read_bytes()))
    found = []
    for most_bytes in (WHOLE, 700):
        set_most_bytes(most_bytes)
        output = tmp_path / str(most_bytes)
        found.append(write([str(bad), files[1]], output, on_corrupt="skip"))
    assert found[0] == found[1]


def test_a_part_that_has_changed_is_refused():
    check_read(Part("file", 30, 3, 7), 7)
    check_read(Part("file"), 7)
    with pytest.raises(ValueError, match="'file' had 7 .* from byte 30 on, and 6 when"):
        check_read(Part("file", 30, 3, 7), 6)
