"""Files that change or vanish while they are read."""

import functools
import os

import pytest
import tensorflow as tf
from tfx_resampling import errors
from tfx_resampling.options import InputOptions
from tfx_resampling.stream.input_fn import input_fn

from tests import plans, tfrecords

pytestmark = pytest.mark.long

PLAN = plans.make("a", [1.0]).natural()
RECORDS = [
    tfrecords.example({"label": b"a", "x": b"." * 2_000, "id": i}) for i in range(9_000)
]


@pytest.fixture
def file(tmp_path) -> str:
    return tfrecords.write(tmp_path / "x.tfrecord", RECORDS)


def read_after(change, file, first=1, **options) -> int:
    """Returns how many batches of 100 come, if after some `change` is made.

    Files of several epochs are open at the same time; they stay there until then.
    """
    chosen = InputOptions(**{"epochs": 2, "shuffle_records": 0, **options})
    batches = iter(input_fn(file, PLAN, batch_size=100, image=None, options=chosen))
    for _ in range(first):
        next(batches)
    change()
    return first + sum(1 for _ in batches)


def message(run) -> str:
    with pytest.raises(tf.errors.OpError) as raised:
        run()
    return errors.reason(raised.value)


def test_a_file_that_vanishes_is_named_when_it_is_opened_again(file):
    change = functools.partial(os.remove, file)
    text = message(lambda: read_after(change, file, epochs=30))
    assert file in text and "No such file" in text


def test_a_file_that_vanishes_is_not_skipped_over_silently(file):
    change = functools.partial(os.remove, file)
    text = message(lambda: read_after(change, file, epochs=30, on_corrupt="skip"))
    assert file in text and "No such file" in text


def test_a_file_that_gets_shorter_is_named(file):
    size = os.path.getsize(file)
    # Within a record; what was read before stays.
    text = message(lambda: read_after(lambda: os.truncate(file, size - 70), file))
    assert f"corrupt or truncated TFRecord file {file}: record 8999 at byte" in text


def test_a_file_that_is_replaced_is_read_whole(file, tmp_path):
    """By renaming, as everything here is written: an epoch has the one or the other.

    The second epoch may be begun before the first one ends.
    """
    other = tfrecords.write(tmp_path / "other", RECORDS[:500])
    assert read_after(lambda: os.replace(other, file), file) in (90 + 5, 90 + 90)
