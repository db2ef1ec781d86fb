"""Features and labels of records without images, as a spec or a function has them."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.monitoring.monitor import InputMonitor
from tfx_resampling.options import ImageOptions, InputOptions
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.stream.blocks import Samples
from tfx_resampling.stream.input_fn import input_fn
from tfx_resampling.stream.parsing import LabelEncoder, RecordParser

from tests import plans, tfrecords

# Labels of the records 0, 1, 2...; columns in the order of the plan.
SPECIES = [7, 7, 3, 7, 5, 7, 3] * 4
PLAN = plans.make(["7", "3", "5"], [1, 1, 1], label_dtype="int64", label_key="species")
PLACES = [{7: 0, 3: 1, 5: 2}[species] for species in SPECIES]
ORDERED: dict[str, Any] = dict(epochs=1, shuffle_records=0, deterministic=True)
SPEC = {
    "mass": tf.io.FixedLenFeature([], tf.float32, default_value=-1.0),
    "bill": tf.io.FixedLenFeature([2], tf.float32),
    "rings": tf.io.VarLenFeature(tf.int64),
    "sites": tf.io.RaggedFeature(tf.string),
    "species": tf.io.FixedLenFeature([1], tf.int64),
}


def row(number: int, species: int | list | None, **changes) -> bytes:
    """Returns a record: of every 3rd the mass is missing, of every 2nd the rings."""
    features = {
        "mass": None if number % 3 == 0 else float(number),
        "bill": [float(number), 1.0],
        "rings": [number] if number % 2 else None,
        "sites": [b"a"] * (number % 4),
        "species": species,
    }
    return tfrecords.example({**features, **changes})


ROWS = [row(i, species) for i, species in enumerate(SPECIES)]


@pytest.fixture
def table(tmp_path):
    return tfrecords.write(tmp_path / "table.tfrecord", ROWS)


def parser_of(folder, records=tuple(ROWS), parse: Any = SPEC, labels="raw"):
    """Returns a parser, and samples of the records of a file."""
    name = tfrecords.write(folder / "t.tfrecord", records)
    files = RecordFiles.open(name)
    encoder = LabelEncoder(PLAN, labels, files.names)
    numbers = tf.range(len(records), dtype=tf.int64)
    origins = tf.pad(numbers[:, tf.newaxis], [[0, 0], [2, 0]])
    samples = Samples(tf.constant(records), origins[:, :2], origins, origins)
    return RecordParser(parse, labels, encoder, files, counts=True), samples


def batches_of(files, plan=PLAN, monitor=None, labels="raw", parse: Any = SPEC, **more):
    """Returns the batches that `input_fn` gives."""
    dataset = input_fn(
        files,
        plan,
        batch_size=8,
        parse=parse,
        labels=labels,
        options=InputOptions(**{**ORDERED, **more}),
        monitor=monitor,
    )
    return tfrecords.read(dataset)


@pytest.mark.long
def test_a_spec_gives_features_and_the_label_as_it_is(table):
    new = {"new": tf.io.FixedLenFeature([], tf.int64, 4)}
    batches = batches_of(table, parse={**SPEC, **new})
    x, y = batches[0]
    assert set(x) == {"mass", "bill", "rings", "sites", "new"}
    assert y.dtype == np.int64 and y.tolist() == [[n] for n in SPECIES[:8]]
    # What is missing, and what has any number of values.
    assert x["new"].tolist() == [4] * 8
    assert x["mass"].tolist() == [-1, 1, 2, -1, 4, 5, -1, 7]
    assert x["bill"].shape == (8, 2)
    assert x["rings"][:, 0].tolist() == [0, 1, 0, 3, 0, 5, 0, 7]
    assert [len(sites) for sites in x["sites"]] == [0, 1, 2, 3] * 2
    assert sum(len(y) for _, y in batches) == len(SPECIES)


@pytest.mark.parametrize(
    "labels, wanted",
    [
        ("raw", [[n] for n in SPECIES]),
        ("index", PLACES),
        ("multi_hot", np.eye(3)[PLACES].tolist()),
    ],
)
def test_labels_are_as_they_are_or_places_in_the_plan_or_columns(
    tmp_path, labels, wanted
):
    parser, samples = parser_of(tmp_path, labels=labels)
    (x, y), counts = parser.element(samples)
    assert set(x) == {"mass", "bill", "rings", "sites"}
    assert isinstance(x["sites"], tf.RaggedTensor)
    assert isinstance(x["rings"], tf.SparseTensor)
    assert y.numpy().tolist() == wanted
    assert counts.numpy().tolist() == [16, 8, 4]


@pytest.mark.nightly
def test_images_take_places_too(tmp_path):
    encoded = tf.io.encode_png(np.zeros([4, 4, 3], np.uint8)).numpy()
    records = [row(i, n, image=encoded) for i, n in enumerate(SPECIES)]
    name = tfrecords.write(tmp_path / "images", records)
    image, options = ImageOptions(key="image"), InputOptions(**ORDERED)
    dataset = input_fn(
        name, PLAN, batch_size=28, image=image, labels="index", options=options
    )
    ((_, y),) = tfrecords.read(dataset)
    assert y.dtype == np.int64 and y.tolist() == PLACES


@pytest.mark.nightly
def test_the_same_samples_come_as_with_records(table):
    plan = plans.make(
        ["7", "3", "5"], [0.5, 1.7, 3], label_dtype="int64", label_key="species"
    )
    options: dict[str, Any] = dict(epochs=3, shuffle_records=10, deterministic=True)
    batches = batches_of(table, plan, **options)
    plain = input_fn(
        table,
        plan,
        batch_size=8,
        image=None,
        keep=("species",),
        options=InputOptions(**options),
    )
    for (_, y), (x, _) in zip(batches, tfrecords.read(plain), strict=True):
        assert y[:, 0].tolist() == x["species"].tolist()


def bills(serialized):
    """A function: refuses records without two numbers each."""
    parsed: Any = tf.io.parse_example(serialized, {"bill": SPEC["bill"]})
    return parsed["bill"]


def few(serialized):
    """A function: refuses a whole batch."""

    def check(records):
        if len(records) > 20:
            raise ValueError("more than 20")
        return records

    return tf.numpy_function(check, [serialized], tf.string)


@pytest.mark.long
def test_a_function_makes_the_batch_and_a_monitor_counts_it(table):
    plan = plans.make(
        ["7", "3", "5"], [1, 0, 3], label_dtype="int64", label_key="species"
    )
    monitor = InputMonitor(plan)
    batches = batches_of(table, plan, monitor, "multi_hot", bills, epochs=2)
    assert [len(batch) for batch in batches] == [8, 8, 8, 4] * 2
    kept = [i for i, n in enumerate(SPECIES) for _ in range({7: 1, 3: 0, 5: 3}[n])]
    assert batches[0][:, 0].tolist() == kept[:8]
    monitor.end_epoch(0)
    (done,) = monitor.history
    assert (done.scanned, done.dropped, done.emitted) == (56, 16, 2 * 28)
    assert done.label_counts.tolist() == [32, 0, 24]


@pytest.mark.parametrize(
    "unlike, message",
    [
        ({"bill": None}, "Name: record 5 of .*t.tfrecord, Feature: bill .*required"),
        ({"bill": [1.0] * 3}, "Name: record 5 of .*t.tfrecord, Key: bill"),
        ({"rings": b"none"}, "Name: record 5 of .*t.tfrecord, Key: rings.*string"),
    ],
)
def test_an_error_names_file_record_and_feature(tmp_path, unlike, message):
    records = [*ROWS[:5], row(5, 7, **unlike), *ROWS[6:]]
    parser, samples = parser_of(tmp_path, records)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        parser.element(samples)


@pytest.mark.parametrize(
    "parse, message",
    [
        (bills, "record 5 of .*t.tfrecord cannot be parsed by the function parse"),
        # Of a batch as a whole, it stays what it is.
        (few, "more than 20"),
    ],
)
def test_an_error_of_a_function_names_file_and_record(tmp_path, parse, message):
    records = [*ROWS[:5], row(5, 7, bill=[1.0] * 3), *ROWS[6:]]
    parser, samples = parser_of(tmp_path, records, parse, "multi_hot")
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tfrecords.read(parser.elements(samples))


@pytest.mark.long
@pytest.mark.parametrize(
    "labels, parse",
    [
        ("index", SPEC),
        pytest.param("multi_hot", bills, marks=pytest.mark.nightly),
    ],
)
def test_records_that_cannot_be_parsed_can_be_skipped(tmp_path, labels, parse, capfd):
    monitor = InputMonitor(PLAN)
    files = [
        tfrecords.write(tmp_path / "a.tfrecord", ROWS[:14]),
        tfrecords.write(
            tmp_path / "b.tfrecord", [*ROWS[14:], row(9, 7, bill=[1.0] * 3)]
        ),
    ]
    batches = batches_of(files, PLAN, monitor, labels, parse, on_corrupt="skip")
    sizes = [len(batch if parse is bills else batch[1]) for batch in batches]
    assert sizes == [8, 8, 8, 4]
    assert "record 14 of" in capfd.readouterr().err
    monitor.end_epoch(0)
    (done,) = monitor.history
    assert (done.skipped_records, done.emitted, done.scanned) == (1, 28, 29)
    assert done.label_counts.tolist() == [16, 8, 4]


@pytest.mark.parametrize("number, species", [(0, None), (2, [7, 3]), (0, 9)])
def test_a_place_takes_exactly_one_label(tmp_path, number, species):
    records = [*ROWS[:3], row(3, species), *ROWS[3:]]
    parser, samples = parser_of(tmp_path, records, labels="index")
    message = f"record 3 of .*t.tfrecord has {number} labels that the plan knows in sp"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        parser.element(samples)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"labels": "one_hot"}, r"labels must be one of \['multi_hot', 'index', 'raw"),
        (
            {"parse": None, "labels": "raw"},
            "labels='raw' takes a feature spec as parse",
        ),
        ({"parse": 3}, "parse must be a feature spec .*or a function.*got 3"),
        ({"parse": {"bill": tf.float32}}, "parse must be a feature spec"),
        ({"parse": {"species": SPEC["species"]}}, "parse must name a feature besides"),
        (
            {"parse": {"bill": SPEC["bill"]}, "labels": "raw"},
            r"label feature 'species' as parse has it, which has \['bill'\]",
        ),
        ({"parse": bills, "labels": "raw"}, "labels must be left out with a function"),
        ({"keep": ["mass"]}, "image and keep must be left out with parse"),
        ({"image": ImageOptions()}, "image and keep must be left out with parse"),
        (
            {"parse": {"nothing": tf.io.FixedLenFeature([], tf.int64)}},
            "parse 'nothing' is not a feature of the first.*table.tfrecord.*'rings'",
        ),
        (
            {"parse": {"rings": tf.io.VarLenFeature(tf.string)}},
            "parse must take feature 'rings' as int64, .*table.tfrecord",
        ),
        (
            {
                "parse": {"bill": tf.io.FixedLenFeature([3], tf.float32)},
                "options": InputOptions(on_corrupt="skip"),
            },
            "parse cannot take any of the first 28 records of .*table.tfrecord",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(table, arguments, message):
    with pytest.raises(ValueError, match=message):
        input_fn(table, PLAN, batch_size=8, **{"parse": SPEC, **arguments})


@pytest.mark.nightly
def test_a_job_is_not_started_again_with_other_features(table, tmp_path):
    def begin(epoch, parse):
        monitor = InputMonitor(PLAN, backup_dir=str(tmp_path / "backup"))
        dataset = input_fn(table, PLAN, batch_size=8, parse=parse, monitor=monitor)
        monitor.begin_epoch(epoch, 1)
        return monitor, iter(dataset)

    monitor, batches = begin(0, SPEC)
    next(batches)
    monitor.end_epoch(0)
    with pytest.raises(ValueError, match="parse .* is now"):
        begin(1, {**SPEC, "more": tf.io.VarLenFeature(tf.int64)})
