"""The input pipeline once through: from files to batches and the monitor's report."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.monitoring.monitor import InputMonitor
from tfx_resampling.options import ImageOptions, InputOptions
from tfx_resampling.scan.audit import check_plan
from tfx_resampling.stream.input_fn import input_fn

from tests import plans, tfrecords

PLAN = plans.make("ab", [1.0, 2.0], num_records=6, predicted_records=9.0)
BAD = b"\xff\xfe no example"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    png = tf.io.encode_png(np.full([2, 2, 3], 51, np.uint8)).numpy()
    records = [
        tfrecords.example({"image/encoded": png, "label": label, "id": i})
        for i, label in enumerate([b"a", b"b"] * 3)
    ]
    records.insert(3, BAD)
    return tfrecords.write(tmp_path_factory.mktemp("x") / "x.tfrecord", records)


def test_files_to_batches_with_a_report(file, capfd):
    monitor = InputMonitor(PLAN)
    options = InputOptions(epochs=1, chunk_size=2, on_corrupt="skip")
    dataset = input_fn(
        file,
        PLAN,
        batch_size=4,
        keep=("id", "label"),
        drop_remainder=True,
        image=ImageOptions(size=(2, 2)),
        options=options,
        monitor=monitor,
    )
    batches = tfrecords.read(dataset)
    monitor.end_epoch(0)
    x = {name: np.concatenate([x[name] for x, _ in batches]) for name in batches[0][0]}
    assert x["image"].shape == (8, 2, 2, 3)
    assert x["image"] == pytest.approx(np.full([8, 2, 2, 3], 0.2))
    assert len(set(map(tuple, x["seed"].tolist()))) == 8
    y = np.concatenate([y for _, y in batches])
    assert [b"ab"[i : i + 1] for i in y.argmax(axis=1)] == x["label"].tolist()
    (done,) = monitor.history
    assert (done.emitted, done.skipped_records, done.planned) == (8, 1, 9)
    assert done.left_out == "drop_remainder leaves out up to 3 samples"
    assert "record 3 of" in capfd.readouterr().err


@pytest.mark.long
def test_a_record_that_cannot_be_parsed_is_an_error_that_names_it(tmp_path):
    # Behind the first records, which are looked at when the data set is made.
    records = [*tfrecords.labeled("ab" * 20), BAD, *tfrecords.labeled("ab")]
    name = tfrecords.write(tmp_path / "y.tfrecord", records)
    options = InputOptions(epochs=1, chunk_size=4)
    dataset = input_fn(name, PLAN, batch_size=4, image=None, options=options)
    with pytest.raises(tf.errors.InvalidArgumentError, match="record 40 of .*y.tfr"):
        tfrecords.read(dataset)


@pytest.mark.long
def test_what_the_plan_does_is_what_it_predicts(file):
    plan = plans.make(
        "ab", [1.0, 2.0], counts=(3, 3), predicted=(3.0, 6.0), predicted_records=9.0
    )
    found = check_plan(file, plan, InputOptions(on_corrupt="skip", chunk_size=2))
    assert found.natural.tolist() == [3, 3, 6]
    assert found.emitted.tolist() == [3, 6, 9]
    assert found.num_corrupt == 1 and not found.is_outside.any()
