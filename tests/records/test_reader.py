"""Reading files: every record once, and errors that name the file."""

import gzip
import os
import pathlib
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.options import InputOptions
from tfx_resampling.records.fields import Parsing
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.reader import Reader, Shard

from tests import tfrecords

pytestmark = pytest.mark.long

# Random bytes: compression can neither shorten nor align them.
RECORDS = [np.random.default_rng(i).bytes(100) for i in range(60)]
RECORD_BYTES = 16 + 100  # A TFRecord's length and checksums, and its data.
MIDDLE = 40 * RECORD_BYTES  # Where record 40 begins.


def read_chunks(files, compression="auto", shard=None, features=(), **options):
    """Returns the chunks of some files, as (file, numbers, records, skipped)."""
    options = InputOptions(**{"chunk_size": 16, **options})
    skip = options.on_corrupt == "skip"
    found = RecordFiles(tuple(files), compression, skip)
    features = {name: tf.io.RaggedFeature(tf.string) for name in features}
    reader = Reader(found, Parsing(features), options, shard or Shard())
    chunks = reader.read_all(
        lambda c: (c.file, c.name, c.numbers, c.serialized, c.skipped)
    )
    found = []
    for file, name, numbers, serialized, skipped in tfrecords.read(chunks):
        assert name.decode() == files[file]
        found.append((files[file], numbers.tolist(), serialized.tolist(), skipped))
    return found


def read_records(files, **options):
    return [
        record for _, _, chunk, _ in read_chunks(files, **options) for record in chunk
    ]


def flipped(content: bytes, position: int) -> bytes:
    """Returns `content` with one byte changed."""
    byte = bytes([content[position] ^ 0xFF])
    return content[:position] + byte + content[position + 1 :]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("plain") / "a.tfrecord"
    return pathlib.Path(tfrecords.write(path, RECORDS)).read_bytes()


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_a_file_is_read_in_order_and_in_chunks(tmp_path, compression):
    name = tfrecords.write(tmp_path / "x", RECORDS, compression)
    chunks = read_chunks([name], compression=compression)
    assert {file for file, *_ in chunks} == {name}
    assert [number for _, numbers, *_ in chunks for number in numbers] == list(
        range(60)
    )
    assert [record for _, _, chunk, _ in chunks for record in chunk] == RECORDS
    assert max(len(chunk) for _, _, chunk, _ in chunks) == 16


@pytest.mark.parametrize(
    "options",
    [
        {"chunk_size": 1},
        {"cycle_length": 9, "num_parallel_calls": 3},
        *(
            pytest.param(more, marks=pytest.mark.nightly)
            for more in (
                {"chunk_size": 1_000},
                {"cycle_length": 1},
                {"deterministic": True},
            )
        ),
    ],
)
def test_every_record_of_every_file_is_in_one_chunk(tmp_path, options):
    files = tfrecords.spread(tmp_path, RECORDS, files=4)
    files.append(tfrecords.write(tmp_path / "no records", []))
    assert Counter(read_records(files, **options)) == Counter(RECORDS)


@pytest.mark.fast
def test_plain_and_gzip_files_mix(tmp_path):
    files = [
        tfrecords.write(tmp_path / "a.tfrecord", RECORDS[:20]),
        tfrecords.write(tmp_path / "b.tfrecord.gz", RECORDS[20:], "GZIP"),
    ]
    assert RecordFiles(tuple(files)).compressions == ["", "GZIP"]
    assert Counter(read_records(files)) == Counter(RECORDS)


def assert_names_the_file(error, name):
    message = str(error.value)
    assert os.path.basename(name) in message, message


@pytest.mark.parametrize(
    "position, chunk_size",
    [
        (MIDDLE, 16),  # Length.
        (MIDDLE + 9, 16),  # Checksum of the length.
        (MIDDLE + 50, 1_000),  # Data.
        (MIDDLE + RECORD_BYTES - 1, 16),  # Checksum of the data.
        *(
            pytest.param(*more, marks=pytest.mark.nightly)
            for more in (
                (MIDDLE + 7, 16),
                (MIDDLE + 50, 16),
                (MIDDLE + 50, 1),
                (0, 16),
                (60 * RECORD_BYTES - 1, 16),
            )
        ),
    ],
)
def test_a_flipped_byte_is_an_error_that_names_file_and_place(
    tmp_path, plain, position, chunk_size
):
    broken = tmp_path / "broken.tfrecord"
    broken.write_bytes(flipped(plain, position))
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        read_chunks([str(broken)], chunk_size=chunk_size)
    assert_names_the_file(error, str(broken))
    number = position // RECORD_BYTES
    assert f"record {number} at byte {number * RECORD_BYTES}" in str(error.value)


@pytest.mark.parametrize(
    "cut",
    [
        1,  # In its length, which TensorFlow takes for the end.
        60,  # In the data.
        *(
            pytest.param(cut, marks=pytest.mark.nightly)
            # 12 is after the length and its checksum.
            for cut in (5, 11, 12, RECORD_BYTES - 1)
        ),
    ],
)
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, plain, cut):
    broken = tmp_path / "broken.tfrecord"
    broken.write_bytes(plain[: MIDDLE + cut])
    with pytest.raises(tf.errors.InvalidArgumentError, match="record 40") as error:
        read_chunks([str(broken)])
    assert_names_the_file(error, str(broken))


@pytest.mark.parametrize(
    "num_records, cut",
    [
        (16, 3),
        (0, 0),
        pytest.param(0, 3, marks=pytest.mark.nightly),
        pytest.param(60, 0, marks=pytest.mark.nightly),
    ],
)
def test_the_end_of_a_file(tmp_path, plain, num_records, cut, capfd):
    """Also where a chunk ends with it, or it has no records at all."""
    path = tmp_path / "x.tfrecord"
    path.write_bytes((plain + plain)[: num_records * RECORD_BYTES + cut])
    chunks = read_chunks([str(path)], on_corrupt="skip", compression="")
    found = [record for _, _, records, _ in chunks for record in records]
    assert found == RECORDS[:num_records]
    said = f"record {num_records} cannot be read: the file ends within the 12 bytes"
    assert (said in capfd.readouterr().err) == (cut > 0)


def test_gzip_is_found_to_be_cut_wherever_it_is(tmp_path, plain, capfd):
    """TensorFlow takes some of these for whole: what is left ends between records."""
    content = gzip.compress(plain[: 2 * RECORD_BYTES])
    cuts = range(1, len(content))
    names = [str(tmp_path / f"{cut}.tfrecord.gz") for cut in cuts]
    for cut, name in zip(cuts, names):
        pathlib.Path(name).write_bytes(content[:cut])
    assert set(read_records(names, on_corrupt="skip")) == set(RECORDS[:2])
    said = capfd.readouterr().err
    said = [name for name in names if f"TFRecord file {name}: record" in said]
    assert said == names
    with pytest.raises(tf.errors.InvalidArgumentError, match="the file ends.*Write it"):
        read_chunks(names[-1:])


def test_gzip_of_several_members_is_whole(tmp_path, plain):
    members = [gzip.compress(plain[:MIDDLE]), gzip.compress(plain[MIDDLE:])]
    name = str(tmp_path / "x.tfrecord.gz")
    pathlib.Path(name).write_bytes(b"".join(members))
    assert read_records([name]) == RECORDS
    pathlib.Path(name).write_bytes(b"".join(members)[:-9])
    with pytest.raises(tf.errors.InvalidArgumentError, match="corrupt or truncated"):
        read_records([name])


@pytest.mark.parametrize(
    "damage",
    ["flipped", pytest.param("truncated", marks=pytest.mark.nightly), "header"],
)
def test_broken_gzip_is_an_error_that_names_the_file(tmp_path, plain, damage):
    content = gzip.compress(plain)
    middle = len(content) // 2
    broken = tmp_path / "broken.tfrecord.gz"
    broken.write_bytes(
        {
            "flipped": flipped(content, middle),
            "truncated": content[:middle],
            "header": flipped(content, 0),
        }[damage]
    )
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        read_chunks([str(broken)])
    assert_names_the_file(error, str(broken))


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param(
            {"deterministic": True, "cycle_length": 2}, marks=pytest.mark.nightly
        ),
    ],
)
def test_a_broken_file_among_good_ones_is_found(tmp_path, plain, options):
    files = tfrecords.spread(tmp_path, RECORDS, files=3)
    broken = tmp_path / "broken.tfrecord"
    broken.write_bytes(flipped(plain, MIDDLE + 50))
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        read_chunks([*files[:2], str(broken), files[2]], **options)
    assert_names_the_file(error, str(broken))


def test_a_file_deleted_after_building_is_an_error_that_names_it(tmp_path):
    files = tfrecords.spread(tmp_path, RECORDS, files=3)
    os.remove(files[1])
    with pytest.raises(tf.errors.NotFoundError) as error:
        read_chunks(files, compression="")
    assert_names_the_file(error, files[1])


@pytest.mark.parametrize(
    "num_shards, num_files",
    [
        (2, 1),
        (2, 3),
        *(
            pytest.param(*numbers, marks=pytest.mark.nightly)
            for numbers in ((2, 2), (2, 4), (3, 1), (3, 2), (3, 3), (3, 4))
        ),
    ],
)
def test_shards_together_have_every_record_once(tmp_path, num_files, num_shards):
    files = tfrecords.spread(tmp_path, RECORDS, num_files)
    found = []
    for index in range(num_shards):
        shard = Shard(num_shards, index)
        mine = [files[i] for i in shard.files(num_files)]
        # Of whole files where there are enough of them.
        assert len(mine) == num_files or num_files >= num_shards
        reader_files = mine if num_files >= num_shards else files
        if num_files >= num_shards:
            shard = Shard()
        for name, numbers, records, _ in read_chunks(reader_files, shard=shard):
            start = files.index(name)
            assert [RECORDS[start + n * num_files] for n in numbers] == records
            found += records
    assert Counter(found) == Counter(RECORDS)


def examples(count):
    return [
        tfrecords.example({"label": b"a", "image/encoded": RECORDS[i]})
        for i in range(count)
    ]


@pytest.mark.fast
def test_a_record_that_is_no_example_is_an_error_that_names_it(tmp_path):
    good = examples(40)
    name = tfrecords.write(
        tmp_path / "x", [*good[:37], b"\xff\xfe no example", *good[37:]]
    )
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="record 37 of .*x "
    ) as error:
        read_chunks([name], features=["label"])
    assert "cannot be parsed" in str(error.value)


def test_a_feature_of_another_type_is_an_error_that_names_the_record(tmp_path):
    good = examples(20)
    name = tfrecords.write(tmp_path / "x", [*good, tfrecords.example({"label": 7})])
    with pytest.raises(tf.errors.InvalidArgumentError, match="record 20 of .*label"):
        read_chunks([name], features=["label"])


@pytest.mark.parametrize(
    "chunk_size",
    [7, *(pytest.param(size, marks=pytest.mark.nightly) for size in (1, 16, 1_000))],
)
def test_skipping_leaves_out_what_cannot_be_parsed(tmp_path, chunk_size, capfd):
    good = examples(40)
    bad = b"\xff\xfe no example"
    name = tfrecords.write(tmp_path / "x", [bad, *good[:20], bad, bad, *good[20:], bad])
    chunks = read_chunks(
        [name], features=["label"], on_corrupt="skip", chunk_size=chunk_size
    )
    found = {n: r for _, ns, rs, _ in chunks for n, r in zip(ns, rs)}
    assert [found[n] for n in sorted(found)] == good
    assert sorted(found) == [*range(1, 21), *range(23, 43)]
    assert sum(len(records) for _, _, records, _ in chunks) == 40
    assert sum(skipped for *_, skipped in chunks) == 4
    assert f"record 0 of {name} cannot be parsed" in capfd.readouterr().err


@pytest.mark.parametrize(
    "num_shards, chunk_size",
    [
        (1, 16),
        (2, 1_000),
        *(
            pytest.param(*numbers, marks=pytest.mark.nightly)
            for numbers in ((1, 1), (1, 1_000), (2, 1), (2, 16))
        ),
    ],
)
def test_skipping_leaves_out_the_rest_of_a_file(
    tmp_path, plain, chunk_size, num_shards, capfd
):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    broken.write_bytes(flipped(plain, MIDDLE + 50))
    whole.write_bytes(plain)
    found, skipped = [], 0
    for index in range(num_shards):
        chunks = read_chunks(
            [str(broken)],
            shard=Shard(num_shards, index),
            on_corrupt="skip",
            chunk_size=chunk_size,
        )
        found += [record for _, _, chunk, _ in chunks for record in chunk]
        skipped += sum(n for *_, n in chunks)
    if num_shards == 1:
        assert found == RECORDS[:40]
    else:  # The shard without record 40 steps over it, and goes on.
        assert Counter(found) == Counter(RECORDS[:40] + RECORDS[41::2])
    assert skipped == 1
    printed = capfd.readouterr().err
    assert "record 40" in printed and "nor what follows" in printed
    both = read_records([str(broken), str(whole)], on_corrupt="skip")
    assert Counter(both) == Counter(RECORDS[:40] + RECORDS)
