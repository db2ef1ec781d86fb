"""What is counted of the batches that training takes."""

import pytest
import tensorflow as tf
from tfx_resampling.monitoring.watched import WatchedDataset


@pytest.mark.parametrize("step", [1.0, -100.0])
def test_a_clock_that_goes_backwards_takes_nothing_from_the_wait(monkeypatch, step):
    clock = tf.Variable(1e9, dtype=tf.float64)
    monkeypatch.setattr(tf, "timestamp", lambda: clock.assign_add(step).read_value())
    stats = tf.zeros([7], tf.int64)
    batches = tf.data.Dataset.range(3).map(lambda i: (i, stats))
    watched = WatchedDataset(batches, 1, gated=False)
    assert list(watched.dataset.as_numpy_iterator()) == [0, 1, 2]
    seconds = watched.read().wait_seconds
    assert seconds is not None
    # The end is waited for like a batch.
    assert seconds == pytest.approx(4 * max(step, 0))
