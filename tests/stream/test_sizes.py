"""Many files, a file of one record, a record beside which all others are small."""

import numpy as np
import pytest
import tfx_resampling as tr
from tfx_resampling.scan.audit import check_plan

from tests import tfrecords

pytestmark = pytest.mark.long


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


def full(make, size):
    return pytest.param(make, size, marks=pytest.mark.nightly)


@pytest.mark.parametrize(
    "make, size",
    [
        (one_record, 1),
        (many_files, 60),
        full(many_files, 10_000),
        (a_large_record, 20_000_000),
        full(a_large_record, 200_000_000),
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
