"""TFRecord files and the Examples in them."""

import gzip
import os

from tfx_resampling.options import InputOptions
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.scan.audit import check_plan
from tfx_resampling.scan.count import count_labels
from tfx_resampling.stream.input_fn import input_fn

from tests import plans, tfrecords
from tests.bad_input.rows import Row, given

_GOOD = tfrecords.labeled("aabab" * 8)
_NO_EXAMPLE = b"\xff\xfe no example"


def _contents(folder, records=_GOOD) -> bytes:
    return open(tfrecords.write(folder / "whole", records), "rb").read()


def _flipped(folder) -> bytes:
    contents = bytearray(_contents(folder))
    contents[-3] ^= 1
    return bytes(contents)


def _with(*records):
    return lambda folder: _contents(folder, [*_GOOD, *records])


# Contents of a file, the label that is counted, what comes out.
_FILES = [
    ("nothing in them", lambda folder: b"", "label", "no records in .*files are empty"),
    (
        "text",
        lambda folder: b"id,label\n" * 30,
        "label",
        "file' is no uncompressed TFR",
    ),
    ("a flipped bit", _flipped, "label", "corrupt or truncated.*file: record 39 at by"),
    (
        "a cut within a record",
        lambda folder: _contents(folder)[:-3],
        *("label", "corrupt or truncated.*file: record 39 at byte"),
    ),
    (
        "half of a gzip",
        lambda folder: gzip.compress(_contents(folder))[:-20],
        *("label", "corrupt or truncated.*file"),
    ),
    (
        "a gzip without its last byte",
        lambda folder: gzip.compress(_contents(folder))[:-1],
        *("label", "corrupt or truncated.*file: record 40 cannot be read: .*gzip"),
    ),
    (
        "no Example first",
        lambda folder: _contents(folder, [_NO_EXAMPLE]),
        *("label", "file' does not hold tf.train.Example records"),
    ),
    (
        "no Example in the midst",
        _with(*_GOOD, _NO_EXAMPLE),
        *("label", "record 80 of .*file cannot be parsed"),
    ),
    ("another label", _with(), "lable", "'lable' has no labels in 40 records"),
    (
        "labels of floats",
        lambda folder: _contents(folder, [tfrecords.example({"label": 0.5})]),
        *("label", "'label' of .*file' has floats"),
    ),
    (
        "labels of another type",
        _with(*_GOOD, tfrecords.example({"label": 7})),
        *("label", "record 80 of .*file cannot be parsed"),
    ),
    (
        "labels that are no text",
        _with(tfrecords.example({"label": b"\xff\xfe"})),
        *("label", "not UTF-8|no UTF-8"),
    ),
]


def _row(name: str, make, label_key: str, message: str) -> Row:
    def run(folder):
        place = given(folder)
        path = place / "file"
        path.write_bytes(make(place))
        return count_labels(str(path), label_key)

    return Row(f"records: {name}", run, message, is_long=True)


def _checked(name: str, make, message: str) -> Row:
    """Returns a row of `tfx-resampling check`, which reads files one by one."""

    def run(folder):
        place = given(folder)
        path = place / "file"
        path.write_bytes(make(place))
        return check_plan(str(path), plans.make("ab", [1.0, 0.5]))

    return Row(f"check: {name}", run, message, is_long=True)


def _vanishing(folder):
    files = tfrecords.spread(given(folder), _GOOD, 2)
    plan = plans.make("ab", [1.0, 0.5])

    def vanish(count):
        if os.path.exists(files[1]):
            os.remove(files[1])

    return check_plan(files, plan, progress=vanish)


def _emitted(name: str, labels: list, message: str, **plan) -> Row:
    def run(folder):
        path = tfrecords.write(given(folder) / "file", tfrecords.labeled(labels))
        made = plans.make("ab", [1.0, 0.5], **plan)
        options = InputOptions(epochs=1)
        data = input_fn(path, made, batch_size=8, image=None, options=options)
        return tfrecords.read(data)

    return Row(f"input_fn: {name}", run, message, is_long=True)


ROWS = [
    *(_row(*row) for row in _FILES),
    _checked(
        "a cut within the head of a record",
        lambda folder: _contents(folder) + b"\7\0\0",
        "corrupt or truncated.*file: record 40 cannot be read: .* within the 12 bytes",
    ),
    _checked(
        "a gzip without its last byte",
        lambda folder: gzip.compress(_contents(folder))[:-1],
        "corrupt or truncated.*file: record 40 cannot be read: .* gzip",
    ),
    Row(
        "check: a file that vanishes meanwhile",
        _vanishing,
        "part-1.tfrecord.*No such file",
        is_long=True,
    ),
    _emitted(
        "an unknown label",
        ["a"] * 40 + ["z"],
        "label .*file has the label 'z', which the plan does not know",
    ),
    _emitted(
        "a plan of other records",
        ["a"] * 9,
        "'label' is int64 in the plan but bytes in .*file",
        **dict(label_dtype="int64", groups=("1", "2")),
    ),
    Row(
        "a pattern of nothing",
        lambda folder: RecordFiles.open(f"{folder}/*.tfrecord"),
        "file_pattern .*/\\*.tfrecord' matches no file",
    ),
    Row(
        "a directory",
        lambda folder: RecordFiles.open(str(given(folder))),
        "file_pattern .*given' matches no file",
    ),
    Row("no pattern", lambda folder: RecordFiles.open([]), "must name at least one"),
]
