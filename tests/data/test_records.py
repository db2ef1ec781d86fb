"""Reading files: every record once, and errors that name the file."""

import gzip
import os
import pathlib
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.data import records
from tfx_resampling.data.features import Features
from tfx_resampling.data.options import InputOptions

from tests.data import tfrecords

# Random bytes: compression can neither shorten nor align them.
RECORDS = [np.random.default_rng(i).bytes(100) for i in range(60)]
RECORD_BYTES = 16 + 100  # A TFRecord's length and checksums, and its data.
MIDDLE = 40 * RECORD_BYTES  # Where record 40 begins.


def read_chunks(files, compression="auto", **options):
    """Returns [(file, [records])], the chunks of some files."""
    options = InputOptions(**{"chunk_size": 16, **options})
    kinds = records.compression_types(files, compression)
    chunks = records.record_chunks(tf.constant(files), tf.constant(kinds), options).map(
        records.verified
    )
    return [(name.decode(), chunk.tolist()) for name, chunk in tfrecords.read(chunks)]


def read_records(files, **options):
    return [record for _, chunk in read_chunks(files, **options) for record in chunk]


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
    assert {file for file, _ in chunks} == {name}
    assert [record for _, chunk in chunks for record in chunk] == RECORDS
    assert max(len(chunk) for _, chunk in chunks) == 16


@pytest.mark.parametrize(
    "options",
    [
        {"chunk_size": 1},
        {"chunk_size": 1_000},
        {"cycle_length": 1},
        {"cycle_length": 9, "num_parallel_calls": 3},
        {"deterministic": True},
    ],
)
def test_every_record_of_every_file_is_in_one_chunk(tmp_path, options):
    files = tfrecords.spread(tmp_path, RECORDS, files=4)
    files.append(tfrecords.write(tmp_path / "no records", []))
    assert Counter(read_records(files, **options)) == Counter(RECORDS)


def test_plain_and_gzip_files_mix(tmp_path):
    files = [
        tfrecords.write(tmp_path / "a.tfrecord", RECORDS[:20]),
        tfrecords.write(tmp_path / "b.tfrecord.gz", RECORDS[20:], "GZIP"),
    ]
    assert records.compression_types(files, "auto") == ["", "GZIP"]
    assert Counter(read_records(files)) == Counter(RECORDS)


def test_gzip_is_found_without_its_name(tmp_path):
    files = [tfrecords.write(tmp_path / name, RECORDS[:30], "GZIP") for name in "ab"]
    assert records.compression_types(files, "auto") == ["GZIP", "GZIP"]
    assert read_records(files[:1]) == RECORDS[:30]


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_compression_that_is_given_is_not_guessed(compression):
    names = ["a.gz", "does not exist"]
    assert records.compression_types(names, compression) == [compression] * 2


def assert_names_the_file(error, name):
    message = str(error.value)
    assert os.path.basename(name) in message, message


@pytest.mark.parametrize(
    "position, chunk_size",
    [
        (MIDDLE, 16),  # Length.
        (MIDDLE + 7, 16),
        (MIDDLE + 9, 16),  # Checksum of the length.
        (MIDDLE + 50, 16),  # Data.
        (MIDDLE + 50, 1),
        (MIDDLE + 50, 1_000),
        (MIDDLE + RECORD_BYTES - 1, 16),  # Checksum of the data.
        (0, 16),
        (60 * RECORD_BYTES - 1, 16),
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
        pytest.param(
            5,
            marks=pytest.mark.xfail(
                reason="TensorFlow takes a cut in a record's header for the end",
                strict=True,
            ),
        ),
        12,  # After the length and its checksum.
        60,  # In the data.
        RECORD_BYTES - 1,
    ],
)
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, plain, cut):
    broken = tmp_path / "broken.tfrecord"
    broken.write_bytes(plain[: MIDDLE + cut])
    with pytest.raises(tf.errors.InvalidArgumentError, match="record 40") as error:
        read_chunks([str(broken)])
    assert_names_the_file(error, str(broken))


@pytest.mark.parametrize("damage", ["flipped", "truncated", "header"])
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


@pytest.mark.parametrize("options", [{}, {"deterministic": True, "cycle_length": 2}])
def test_a_broken_file_among_good_ones_is_found(tmp_path, plain, options):
    files = tfrecords.spread(tmp_path, RECORDS, files=3)
    broken = tmp_path / "broken.tfrecord"
    broken.write_bytes(flipped(plain, MIDDLE + 50))
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        read_chunks([*files[:2], str(broken), files[2]], **options)
    assert_names_the_file(error, str(broken))


def test_a_file_deleted_after_building_is_an_error_that_names_it(tmp_path):
    files = tfrecords.spread(tmp_path, RECORDS, files=3)
    kinds = tf.constant([""] * 3)
    chunks = records.record_chunks(tf.constant(files), kinds, InputOptions()).map(
        records.verified
    )
    os.remove(files[1])
    with pytest.raises(tf.errors.NotFoundError) as error:
        tfrecords.read(chunks)
    assert_names_the_file(error, files[1])


def test_patterns_match_sorted_distinct_files(tmp_path):
    for name in ("b-1", "a-2", "a-1", "b[x]-*"):
        (tmp_path / name).touch()
    (tmp_path / "a-folder").mkdir()
    a1, a2, b1, odd = (str(tmp_path / n) for n in ("a-1", "a-2", "b-1", "b[x]-*"))
    assert records.match_files(str(tmp_path / "a-*")) == [a1, a2]
    assert records.match_files([str(tmp_path / "*1"), a1, a2]) == [a1, a2, b1]
    assert records.match_files(odd) == [odd]  # A name before it is a pattern.


@pytest.mark.parametrize(
    "patterns, message",
    [
        ("nothing-*.tfrecord", "nothing-.*tfrecord' matches no file"),
        (["*", "nothing"], "nothing' matches no file"),
        ("", "matches no file"),
    ],
)
def test_a_pattern_without_files_is_refused_by_name(tmp_path, patterns, message):
    (tmp_path / "there").touch()
    if isinstance(patterns, str):
        patterns = [patterns]
    with pytest.raises(ValueError, match=message):
        records.match_files([str(tmp_path / pattern) for pattern in patterns])


def test_no_pattern_at_all_is_refused():
    with pytest.raises(ValueError, match="file_pattern must name at least one"):
        records.match_files([])


@pytest.mark.parametrize(
    "name, compression, content",
    [
        ("image.png", "", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        ("text.csv", "", b"id,label\n" * 30),
        ("named.gz", "GZIP", b"id,label\n" * 30),
        ("text.zip", "", gzip.compress(b"id,label\n" * 30)),
    ],
)
def test_what_is_not_a_tfrecord_file_is_refused_by_name(
    tmp_path, name, compression, content
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}.*TFRecord"):
        records.first_records([str(tmp_path / name)], [compression], 1)


def test_first_records_skip_empty_files(tmp_path):
    empty = tfrecords.write(tmp_path / "empty", [])
    full = tfrecords.write(tmp_path / "full", RECORDS)
    assert records.first_records([empty, full], ["", ""], 3) == (full, RECORDS[:3])


def test_empty_files_only_are_refused_by_name(tmp_path):
    empty = tfrecords.write(tmp_path / "empty.tfrecord", [])
    with pytest.raises(ValueError, match="no records in .*empty.tfrecord"):
        records.first_records([empty], [""], 1)


def test_records_that_are_no_examples_are_refused_by_name(tmp_path):
    name = tfrecords.write(tmp_path / "other.tfrecord", [b"\xff\xff\xff"])
    with pytest.raises(ValueError, match="other.tfrecord.*tf.train.Example"):
        Features([name], [""])


def test_features_are_of_the_first_records_that_have_them(tmp_path):
    rows = [
        {"image/id": 1, "empty": tfrecords.NO_BYTES},
        {"image/id": 2, "label": b"a", "score": 0.5},
    ]
    name = tfrecords.write(tmp_path / "x", map(tfrecords.example, rows))
    features = Features([name], [""])
    assert features.dtype("keep", "image/id") == tf.int64
    assert features.dtype("keep", "label") == tf.string
    assert features.dtype("keep", "score") == tf.float32
    assert features.label_dtype("label") == "bytes"
    assert features.label_dtype("image/id") == "int64"
    for absent in ("empty", "other"):
        assert not features.has(absent)
        with pytest.raises(
            ValueError, match=rf"keep '{absent}' .*\['image/id', 'label', 'score'\]"
        ):
            features.dtype("keep", absent)
