"""Many files, labels and label sets; one record; one that is larger than all others."""

import numpy as np
import pytest
import tfx_resampling as tr
from tfx_resampling.scan.audit import check_plan

from tests import tfrecords

pytestmark = pytest.mark.nightly


def one_record(folder, size):
    tfrecords.write(folder / "one", tfrecords.labeled(["a"] * size))


def many_files(folder, size):
    for number in range(size):
        records = tfrecords.labeled("aab"[number % 3 :])
        tfrecords.write(folder / f"part-{number:05d}", records)


def a_large_record(folder, size):
    records = tfrecords.labeled("aab" * 500)
    large = np.random.default_rng(1).bytes(size)
    records.insert(700, tfrecords.example({"image/id": -1, "label": b"b", "x": large}))
    tfrecords.write(folder / "large", records)


@pytest.mark.parametrize(
    "make, size",
    [
        (one_record, 1),
        (many_files, 60),
        (many_files, 10_000),
        (a_large_record, 20_000_000),
        (a_large_record, 200_000_000),
    ],
)
def test_counted_planned_read_and_checked(tmp_path, make, size):
    make(tmp_path, size)
    pattern = str(tmp_path / "*")
    counts = tr.count_labels(pattern, "label")
    plan = tr.make_plan(counts, tr.PlannerConfig("label", target="sqrt"))
    found = check_plan(pattern, plan)
    assert found.natural[-1] == counts.num_records
    # What was emitted is what the check said.
    assert len(tfrecords.emitted(pattern, plan)) == found.emitted[-1]


@pytest.mark.parametrize("size", [2_000, 100_000])
def test_many_labels(tmp_path, size):
    # Each label once, and the first ones by Zipf's law.
    few = np.random.default_rng(2).zipf(2.0, size) % size
    labels = [*range(size), *few.tolist()]
    tfrecords.write(
        tmp_path / "labels",
        (
            tfrecords.example({"image/id": i, "label": f"label {k}".encode()})
            for i, k in enumerate(labels)
        ),
    )
    pattern = str(tmp_path / "*")
    counts = tr.count_labels(pattern, "label")
    of_label = dict(zip(counts.classes, counts.counts))
    assert len(of_label) == size and of_label["label 1"] == labels.count(1)
    plan = tr.make_plan(counts, tr.PlannerConfig("label", target="sqrt"))
    found = check_plan(pattern, plan)
    options = tr.InputOptions(epochs=1, deterministic=True)

    def batches(labels):
        data = tr.input_fn(
            pattern, plan, batch_size=64, image=None, labels=labels, options=options
        )
        return (y for _, y in data.as_numpy_iterator())

    emitted = sum(np.bincount(y, minlength=size) for y in batches("index"))
    assert emitted.tolist() == list(found.emitted[:-1])
    # 64 * 100,000 numbers each: one is enough.
    first, hot = next(batches("index")), next(batches("multi_hot"))
    assert hot.sum() == 64 and np.array_equal(hot.argmax(axis=1), first)


@pytest.mark.parametrize("size", [5_000, 1_000_000])
def test_many_label_sets(tmp_path, size):
    step = 7_919  # A prime, so that no two sets of three are alike but a few.
    sets = [{i % 1000, i // 1000 % 1000, i * step // 1000 % 1000} for i in range(size)]
    tfrecords.write(
        tmp_path / "sets",
        (
            tfrecords.example(
                {"image/id": i, "label": [b"%d" % one for one in sorted(each)]}
            )
            for i, each in enumerate(sets)
        ),
    )
    pattern = str(tmp_path / "*")
    counts = tr.count_labels(pattern, "label")
    assert len(counts.label_sets.weights) == len(set(map(frozenset, sets)))
    plan = tr.make_plan(counts, tr.PlannerConfig("label", target="sqrt"))
    found = check_plan(pattern, plan)
    assert len(tfrecords.emitted(pattern, plan)) == found.emitted[-1]
