"""Parts of files: every record in one of them, wherever they are cut."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.records import parts
from tfx_resampling.records.files import open_part

from tests import tfrecords

# Some are larger than a block that is read, some empty.
RECORDS = [bytes([i % 251]) * (i**2 % 397) for i in range(60)]
FRAMING = 16


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(parts, "_BLOCK_BYTES", 100)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tfrecords.write(tmp_path_factory.mktemp("parts") / "file", RECORDS)


def read(part) -> list[bytes]:
    return list(open_part(part, "").as_numpy_iterator())


@pytest.mark.parametrize("most_bytes", [1, 1_000, 4_000, 1 << 20])
def test_every_record_is_in_one_part(file, most_bytes):
    found = list(parts.split(file, most_bytes))
    records = [read(part) for part in found]
    assert list(itertools.chain.from_iterable(records)) == RECORDS
    sizes = [sum(map(len, some)) + FRAMING * len(some) for some in records]
    largest = max(map(len, RECORDS)) + FRAMING
    assert max(sizes) < most_bytes + largest
    numbers = [0, *itertools.accumulate(map(len, records))][:-1]
    places = [0, *itertools.accumulate(sizes)][:-1]
    assert [part.first for part in found] == numbers
    assert [part.offset for part in found] == places
    # The last goes to the end, wherever that is.
    lengths = [*map(len, records[:-1]), -1]
    assert [part.num_records for part in found] == lengths
    assert len(found) == 1 or most_bytes < sum(sizes)


def test_parts_are_alike(tmp_path):
    name = tfrecords.write(tmp_path / "file", [b"x" * 84] * 100)
    lengths = [len(read(part)) for part in parts.split(name, 4_000)]
    assert lengths == [34, 34, 32]


@pytest.mark.parametrize("record", [0, 3, 50])
@pytest.mark.parametrize("byte", [0, 6, 9])
def test_the_last_part_begins_before_a_bad_length(file, tmp_path, record, byte):
    place = sum(map(len, RECORDS[:record])) + FRAMING * record
    contents = bytearray(open(file, "rb").read())
    contents[place + byte] ^= 1
    (tmp_path / "bad").write_bytes(contents)
    found = list(parts.split(str(tmp_path / "bad"), 1_000))
    assert found[-1].num_records == -1 and found[-1].first <= record
    whole = itertools.chain.from_iterable(map(read, found[:-1]))
    assert list(whole) == RECORDS[: found[-1].first]
    with pytest.raises(tf.errors.DataLossError):
        read(found[-1])


@pytest.mark.parametrize("contents", [b"", b"some", b"no TFRecords at all" * 100])
def test_other_files_are_one_part(tmp_path, contents):
    (tmp_path / "file").write_bytes(contents)
    name = str(tmp_path / "file")
    assert list(parts.split(name, 50)) == [parts.Part(name)]


def test_checksums_are_those_that_tensorflow_writes(tmp_path):
    sizes = [0, 1, 255, 256, 65_535, 70_000]
    name = tfrecords.write(tmp_path / "file", [bytes(size) for size in sizes])
    contents, place, heads = open(name, "rb").read(), 0, []
    for size in sizes:
        heads.append(int.from_bytes(contents[place + 8 : place + 12], "little"))
        place += size + FRAMING
    assert parts._checksums(np.array(sizes, np.uint64)).tolist() == heads
