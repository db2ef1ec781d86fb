"""Finding files, and what is in the first records."""

import gzip

import pytest
import tensorflow as tf
from tfx_resampling.core.identity import Identity
from tfx_resampling.records.files import (
    RecordFiles,
    check_positions,
    first_records,
    match_files,
)

from tests import tfrecords

RECORDS = [f"record {i}".encode() for i in range(5)]


def test_gzip_is_found_without_its_name(tmp_path):
    files = [tfrecords.write(tmp_path / name, RECORDS, "GZIP") for name in "ab"]
    assert RecordFiles(tuple(files)).compressions == ["GZIP", "GZIP"]


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_compression_that_is_given_is_not_guessed(compression):
    files = RecordFiles(("a.gz", "does not exist"), compression)
    assert files.compressions == [compression] * 2


def test_patterns_match_sorted_distinct_files(tmp_path):
    for name in ("b-1", "a-2", "a-1", "b[x]-*"):
        (tmp_path / name).touch()
    (tmp_path / "a-folder").mkdir()
    a1, a2, b1, odd = (str(tmp_path / n) for n in ("a-1", "a-2", "b-1", "b[x]-*"))
    assert RecordFiles.open(str(tmp_path / "a-*")).names == (a1, a2)
    assert match_files([str(tmp_path / "*1"), a1, a2]) == [a1, a2, b1]
    assert match_files(odd) == [odd]  # A name before it is a pattern.


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
        match_files([str(tmp_path / pattern) for pattern in patterns])


def test_no_pattern_at_all_is_refused():
    with pytest.raises(ValueError, match="file_pattern must name at least one"):
        match_files([])


@pytest.mark.parametrize(
    "name, compression, content",
    [
        ("image.png", "", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        ("text.csv", "", b"id,label\n" * 30),
        ("named.gz", "GZIP", b"id,label\n" * 30),
        ("text.zip", "", gzip.compress(b"id,label\n" * 30, mtime=0)),
    ],
)
def test_what_is_not_a_tfrecord_file_is_refused_by_name(
    tmp_path, name, compression, content
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}.*TFRecord"):
        first_records(RecordFiles((str(tmp_path / name),), compression), 1)


def test_first_records_skip_empty_files(tmp_path):
    empty = tfrecords.write(tmp_path / "empty", [])
    full = tfrecords.write(tmp_path / "full", RECORDS)
    assert first_records(RecordFiles((empty, full)), 3) == (full, RECORDS[:3])


def test_empty_files_only_are_refused_by_name(tmp_path):
    empty = tfrecords.write(tmp_path / "empty.tfrecord", [])
    with pytest.raises(ValueError, match="no records in .*empty.tfrecord"):
        first_records(RecordFiles((empty,)), 1)


def test_records_that_are_no_examples_are_refused_by_name(tmp_path):
    name = tfrecords.write(tmp_path / "other.tfrecord", [b"\xff\xff\xff"])
    with pytest.raises(ValueError, match="other.tfrecord.*tf.train.Example"):
        _ = RecordFiles((name,)).features


def test_features_are_of_the_first_records_that_have_them(tmp_path):
    rows = [
        {"image/id": 1, "empty": tfrecords.NO_BYTES},
        {"image/id": 2, "label": b"a", "score": 0.5},
    ]
    name = tfrecords.write(tmp_path / "x", map(tfrecords.example, rows))
    features = RecordFiles((name,)).features
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


def test_keys_are_of_any_type(tmp_path):
    row = {"id": 1, "name": b"a", "score": 0.5}
    features = RecordFiles(
        (tfrecords.write(tmp_path / "x", [tfrecords.example(row)]),)
    ).features
    types = {"id": tf.int64, "name": tf.string, "score": tf.float32}
    assert features.key_dtypes(list(types)) == types
    assert features.key_dtypes(()) == {}
    with pytest.raises(ValueError, match="key feature 'nothing' is not .*'id', 'name'"):
        features.key_dtypes(["id", "nothing"])


def test_positions_need_files_of_names_of_their_own():
    names = ["/a/x", "/a/y", "/b/x"]
    check_positions(names, Identity())
    check_positions(names[:2], Identity("position"))
    with pytest.raises(ValueError, match="'position', got 'x' in '/a' and in '/b'"):
        check_positions(names, Identity("position"))


@pytest.mark.parametrize("size, wanted", [(10, 1_024), (13_000, 100), (10**6, 16)])
def test_chunks_have_as_many_bytes_whatever_the_size_of_records(tmp_path, size, wanted):
    record = tfrecords.example({"x": bytes(size)})
    files = RecordFiles((tfrecords.write(tmp_path / "x", [record]),))
    assert files.chunk_size == pytest.approx(wanted, rel=0.02)
