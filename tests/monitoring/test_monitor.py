"""What the monitor reports, and that a killed job goes on as if nothing had been."""

import dataclasses
import os
import signal
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import logging as absl_logging
from tensorboard.backend.event_processing import event_accumulator
from tfx_resampling.core.groups import Column, Grouping
from tfx_resampling.core.plan import Plan
from tfx_resampling.monitoring.monitor import InputMonitor

from tests import plans, processes
from tests.conftest import run_graphs_as_written

pytestmark = pytest.mark.long

BATCH = 8
STEPS = 5  # Per epoch of training.
EPOCHS = 4
# Batches per epoch of the data, which does not start when one of training does.
DATA_STEPS = 7


def plan(labels="abc", **changes) -> Plan:
    return plans.make(labels, [1.0] * len(labels), **changes)


@tf.autograph.experimental.do_not_convert
def batch_of(i, stats=(40, 30, 1, 0)):
    """Returns batch i: x tells i, two labels of three in turn, and one in every 8th."""
    x = tf.random.stateless_normal([BATCH, 4], tf.stack([i, 5]))
    x = tf.concat([x, tf.fill([BATCH, 1], tf.cast(i % 97, tf.float32) / 97.0)], 1)
    y = tf.one_hot(tf.range(BATCH) % 2, 3)
    y += tf.one_hot([2, *[-1] * (BATCH - 1)], 3)
    labels = tf.cast(tf.reduce_sum(y, axis=0), tf.int64)
    numbers = tf.stack([i // DATA_STEPS, BATCH, *stats])
    return (x, y), tf.concat([numbers, labels], axis=0)


def endless() -> tf.data.Dataset:
    """Returns batches in an order that depends on the position, as shuffling makes."""
    order = tf.data.Dataset.range(2**40).shuffle(16, seed=7)
    return tuned(order.map(batch_of, num_parallel_calls=2).prefetch(2))


def finite(batches: int) -> tf.data.Dataset:
    return tuned(tf.data.Dataset.range(batches).map(batch_of))


def tuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the data set as `input_fn` has it.

    The end of an iterator waits for its autotuner, for seconds if that sleeps.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def build_model(**changes) -> keras.Model:
    """Returns a model whose training also draws random numbers."""
    keras.utils.set_random_seed(3)
    layers = [
        keras.Input((5,)),
        keras.layers.Dropout(0.3, seed=1),
        keras.layers.Dense(3, "sigmoid"),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", "binary_crossentropy", **changes)
    return model


def fit(monitor, training, *callbacks, model=None, **changes) -> keras.Model:
    model = model or build_model()
    settings = dict(epochs=EPOCHS, steps_per_epoch=STEPS, verbose=0)
    model.fit(training, callbacks=[*callbacks, monitor], **{**settings, **changes})
    return model


@pytest.fixture
def logged(monkeypatch) -> list:
    """The (level, line) pairs that are logged."""
    lines = []
    for level in ("info", "warning"):
        monkeypatch.setattr(
            absl_logging,
            level,
            lambda text, *values, level=level: lines.append((level, text % values)),
        )
    return lines


@pytest.mark.fast
def test_training_gets_the_same_batches_and_types():
    monitor = InputMonitor(plan())
    training = monitor.watch(finite(5))
    plain = finite(5).map(lambda batch, stats: batch)
    assert training.element_spec == plain.element_spec
    found = list(training.as_numpy_iterator())
    wanted = list(plain.as_numpy_iterator())
    assert len(found) == len(wanted) == 5
    for one, other in zip(found, wanted):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_structures_of_images_and_features_are_kept():
    x = {"image": tf.zeros([4, 2, 2, 3], tf.uint8), "id": tf.constant(["a"] * 4)}
    data = ((x, tf.ones([4, 3])), tf.zeros([9], tf.int64))
    training = InputMonitor(plan()).watch(tf.data.Dataset.from_tensors(data).repeat())
    assert training.element_spec[0] == tf.data.Dataset.from_tensors(x).element_spec
    assert next(iter(training))[0]["id"].numpy().tolist() == [b"a"] * 4


def test_an_ended_stream_starts_anew_and_another_goes_on():
    monitor = InputMonitor(plan())
    training = monitor.watch(finite(5))

    def numbers(batches):
        return [round(float(x[0, -1]) * 97) for x, _ in batches]

    assert numbers(training) == numbers(training) == [0, 1, 2, 3, 4]
    assert numbers(training.take(2)) == [0, 1]
    assert numbers(training) == [2, 3, 4]
    assert numbers(InputMonitor(plan()).watch(finite(0))) == []


def test_one_data_set_for_one_monitor():
    monitor = InputMonitor(plan())
    monitor.watch(finite(5))
    with pytest.raises(ValueError, match="watches one data set"):
        monitor.watch(finite(5))


@pytest.mark.fast
def test_a_monitor_needs_a_plan_and_a_data_set():
    with pytest.raises(ValueError, match="plan must be a Plan, got None"):
        InputMonitor(None)
    model = build_model()
    with pytest.raises(ValueError, match=r"input_fn\(..., monitor=monitor\)"):
        fit(InputMonitor(plan()), finite(5).map(lambda batch, stats: batch))
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize(
    "together", [2, *(pytest.param(n, marks=pytest.mark.nightly) for n in (1, 5))]
)
def test_as_many_batches_are_fetched_as_are_trained_on(together):
    monitor = InputMonitor(plan())
    training = monitor.watch(endless())
    fetched = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: fetched.append(
            monitor.samples_seen // BATCH
        )
    )
    model = build_model(steps_per_execution=together)
    fit(monitor, training, count, model=model, epochs=2, steps_per_epoch=10)
    assert fetched == list(range(together, 21, together))


@pytest.mark.fast
def test_history_has_what_each_epoch_took():
    monitor = InputMonitor(plan())
    training = monitor.watch(finite(2**40))
    validation = finite(9).map(lambda batch, stats: batch)
    fit(monitor, training, epochs=2, steps_per_epoch=10, validation_data=validation)
    first, second = monitor.history
    found = dataclasses.asdict(second)
    assert 0 < found.pop("wait_seconds") < found.pop("seconds")
    assert found.pop("label_counts").tolist() == [40, 40, 10]
    assert found == dict(
        epoch=1,
        data_epoch=19 // DATA_STEPS,
        batches=10,
        planned=None,
        left_out=None,
        scanned=400,
        dropped=300,
        emitted=80,
        skipped_records=10,
        skipped_images=0,
    )
    assert (first.epoch, first.data_epoch) == (0, 9 // DATA_STEPS)
    assert second.samples_per_second == pytest.approx(80 / second.seconds)
    assert monitor.label_counts.tolist() == [80, 80, 20]
    assert monitor.label_counts.dtype == np.int64
    assert monitor.samples_seen == 160


def test_keras_epochs_of_a_whole_data_set():
    monitor = InputMonitor(plan())
    training = monitor.watch(finite(6))
    fit(monitor, training, epochs=4, steps_per_epoch=None)
    assert [done.emitted for done in monitor.history] == [6 * BATCH] * 4


def test_validation_takes_no_time():
    monitor = InputMonitor(plan())
    training = monitor.watch(endless())
    slow = keras.callbacks.LambdaCallback()
    slow.on_test_batch_end = lambda batch, logs: time.sleep(0.2)
    validation = finite(5).map(lambda batch, stats: batch)
    fit(monitor, training, slow, epochs=2, validation_data=validation)
    assert monitor.history[1].seconds < 0.5


def test_a_slow_data_set_is_waited_for_and_a_fast_one_is_not():
    def shares(data_seconds, training_seconds):
        def sleep(i):
            time.sleep(data_seconds)
            return i

        def slow(i):
            return tf.ensure_shape(tf.py_function(sleep, [i], tf.int64), [])

        monitor = InputMonitor(plan())
        dataset = tf.data.Dataset.range(100).map(slow).map(batch_of).prefetch(4)
        training = monitor.watch(tuned(dataset))
        trains = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: time.sleep(training_seconds)
        )
        fit(monitor, training, trains, epochs=3)
        return [done.wait_share for done in monitor.history[1:]]

    # 1 and 0, but for a busy machine.
    assert max(shares(0.05, 0.0)) > 0.6
    assert min(shares(0.0, 0.05)) < 0.2


def test_a_loop_without_keras():
    monitor = InputMonitor(plan())
    training = iter(monitor.watch(endless()))
    for epoch in range(2):
        monitor.begin_epoch(epoch)
        for _ in range(3):
            next(training)
        monitor.end_epoch(epoch)
    assert [done.emitted for done in monitor.history] == [3 * BATCH] * 2


@pytest.mark.nightly
def test_the_log_line(logged):
    # One of "c" where eight of "a" and "b" together are seen.
    predicted = (4.0, 4.0, 2.0)
    monitor = InputMonitor(plan(predicted=predicted))
    training = monitor.watch(finite(10_000))
    fit(monitor, training, epochs=1, steps_per_epoch=1_000)
    done = monitor.history[0]
    distance = (0.2 - 1 / 9 + 2 * (4 / 9 - 0.4)) / 2
    assert logged == [
        (
            "info",
            "Input of epoch 1: scanned 40,000, dropped 30,000, emitted 8,000 samples, "
            f"{done.samples_per_second:,.0f} samples/s, waited "
            f"{100 * done.wait_share:.1f} % of the time, distance to the predicted "
            f"distribution {distance:.3f}; skipped 1,000 corrupt records.",
        ),
        ("warning", "Input of epoch 1: skipped 1,000 corrupt records."),
    ]


@pytest.mark.parametrize(
    "skipped, text",
    [
        ((0, 0), None),
        ((0, 1), "1 undecodable image"),
        ((2, 3), "2 corrupt records, 3 undecodable images"),
    ],
)
def test_what_was_skipped_is_logged(logged, skipped, text):
    monitor = InputMonitor(plan())
    data = tf.data.Dataset.range(1).map(lambda i: batch_of(i, (9, 0, *skipped)))
    list(monitor.watch(data))
    monitor.end_epoch(0)
    if text is None:
        assert "skipped" not in str(logged)
    else:
        assert logged[0][1].endswith(f"; skipped {text}.")
        assert logged[1] == ("warning", f"Input of epoch 1: skipped {text}.")


def test_what_was_seen_is_compared_to_the_epoch_of_the_data():
    class Scheduled(Plan):
        def predicted_at(self, epoch):
            return np.array([[4.0, 4.0, 1.0], [8.0, 0.0, 1.0]][epoch])

    scheduled = Scheduled(**dict(vars(plan())))
    monitor = InputMonitor(scheduled)
    training = iter(monitor.watch(finite(100)))
    for epoch in range(2):
        for _ in range(DATA_STEPS):
            next(training)
        monitor.end_epoch(epoch)
    distances = [done.distance(scheduled) for done in monitor.history]
    assert distances == pytest.approx([0.0, 4 / 9])


def test_groups_are_not_compared_to_labels(tmp_path, logged):
    grouping = Grouping((Column("site", "bytes", ("x", "y")),), ((0,), (1,)))
    monitor = InputMonitor(
        plan(grouping.names, classes=("a", "b", "c"), grouping=grouping), str(tmp_path)
    )
    list(monitor.watch(finite(3)))
    monitor.end_epoch(0)
    assert "distance" not in logged[0][1]
    tags = charts(tmp_path).Tags()
    assert "realised_share/c" in tags["tensors"]
    assert "input/realised_shares" in tags["tensors"]
    assert not [tag for tag in tags["tensors"] if "predicted" in tag]


def charts(log_dir) -> event_accumulator.EventAccumulator:
    events = event_accumulator.EventAccumulator(str(log_dir / "input"))
    return events.Reload()


def values(events, tag: str) -> dict:
    """Returns step -> value."""
    return {
        event.step: tf.make_ndarray(event.tensor_proto).item()
        for event in events.Tensors(tag)
    }


def test_charts(tmp_path):
    nasty = "c|<b>*`\n"
    monitor = InputMonitor(
        plan(("a", "b", nasty), predicted=(3.0, 2.0, 5.0)), str(tmp_path)
    )
    training = monitor.watch(endless())
    fit(monitor, training, epochs=2)
    events = charts(tmp_path)
    for name in (
        "scanned",
        "dropped",
        "emitted",
        "samples_per_second",
        "wait_share",
        "skipped_records",
        "skipped_images",
    ):
        wanted = {done.epoch: getattr(done, name) for done in monitor.history}
        assert values(events, f"input/{name}") == pytest.approx(wanted)
    shares = (4 / 9, 4 / 9, 1 / 9)
    distance = sum(abs(a - b) for a, b in zip(shares, (0.3, 0.2, 0.5))) / 2
    found = values(events, "input/distance_to_predicted")
    assert found == pytest.approx({0: distance, 1: distance})
    assert values(events, "realised_share/b") == pytest.approx({0: 4 / 9, 1: 4 / 9})
    assert values(events, "predicted_share/b") == pytest.approx({0: 0.2, 1: 0.2})
    (table, _) = events.Tensors("input/labels")
    lines = table.tensor_proto.string_val[0].decode().splitlines()
    assert lines[0] == "| label | samples | realised | predicted |"
    assert lines[2] == "| a | 20 | 44.4444% | 30.0000% |"
    assert len(lines) == 5
    assert lines[4].startswith("| c&#124;&#60;b&#62;&#42;&#96;&#92;n | 5 | 11")


def buckets(events, tag: str) -> dict:
    """Returns step -> [buckets, (left edge, right edge, count)] of a histogram."""
    return {
        event.step: tf.make_ndarray(event.tensor_proto).tolist()
        for event in events.Tensors(tag)
    }


def in_bucket(table: list, value: float) -> float:
    """Returns the count of the bucket that has the value."""
    edges = [left for left, _, _ in table[1:]]
    return table[sum(value >= edge for edge in edges)][2]


def test_histograms_are_of_all_labels_by_epoch(tmp_path):
    # The third label is emitted and not predicted: it has a share, and no ratio.
    monitor = InputMonitor(
        plan(("a", "b", "c"), predicted=(3.0, 2.0, 0.0)), str(tmp_path)
    )
    fit(monitor, monitor.watch(endless()), epochs=2)
    events = charts(tmp_path)
    shares = buckets(events, "input/realised_shares")
    ratios = buckets(events, "input/realised_over_predicted")
    assert sorted(shares) == sorted(ratios) == [0, 1]
    for table in shares.values():
        assert sum(count for _, _, count in table) == 3
        assert table[0][0] == pytest.approx(1 / 9)
        assert table[-1][1] == pytest.approx(4 / 9)
        assert [in_bucket(table, x) for x in (1 / 9, 4 / 9)] == [1, 2]
    for table in ratios.values():
        assert sum(count for _, _, count in table) == 2
        # 4/9 of 3/5 and of 2/5.
        assert table[0][0] == pytest.approx(20 / 27)
        assert table[-1][1] == pytest.approx(10 / 9)


def test_charts_are_of_the_most_and_least_frequent_labels(tmp_path):
    names = [f"l{i:03d}" for i in range(120)]
    monitor = InputMonitor(plan(names, counts=tuple(range(1, 121))), str(tmp_path))
    stats = tf.constant([0, 2, 2, 0, 0, 0, *[2] * 120], tf.int64)
    data = ((tf.zeros([2, 1]), tf.ones([2, 120])), stats)
    list(monitor.watch(tf.data.Dataset.from_tensors(data)))
    monitor.end_epoch(0)
    tags = charts(tmp_path).Tags()["tensors"]
    charted = [tag for tag in tags if tag.startswith("realised_share/")]
    wanted = [f"realised_share/{name}" for name in names[:50] + names[70:]]
    assert sorted(charted) == wanted


# Backups.


class Killed(Exception):
    """Stands for the end of the process."""


class KilledAtSave(keras.callbacks.BackupAndRestore):
    """Dies at the end of an epoch: "before", "within" or "after" its save."""

    def __init__(self, directory: str, epoch: int, when: str):
        super().__init__(directory)
        self._epoch, self._when = epoch, when

    def on_epoch_end(self, epoch, logs=None):
        if epoch != self._epoch:
            super().on_epoch_end(epoch, logs)
            return
        if self._when == "after":
            super().on_epoch_end(epoch, logs)
        if self._when == "within":
            self._training_metadata_path = None  # The weights are written before it.
            with pytest.raises(TypeError):
                super().on_epoch_end(epoch, logs)
        raise Killed


def job(backup, *, keras_backup=None, first=False, strategy=None, **changes):
    """Runs a job, or what is left of it; returns its monitor and its model."""
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model = build_model(**changes.pop("compiled", {}))
        monitor = InputMonitor(plan(), backup_dir=str(backup))
        training = monitor.watch(changes.pop("data", endless)())
    restore = keras_backup or keras.callbacks.BackupAndRestore(str(backup))
    callbacks = [*changes.pop("callbacks", ()), monitor, restore]
    if not first:
        callbacks.reverse()
    settings = dict(epochs=EPOCHS, steps_per_epoch=STEPS, verbose=0)
    model.fit(training, callbacks=callbacks, **{**settings, **changes})
    return monitor, model


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return job(tmp_path_factory.mktemp("undisturbed"))


def check_same(resumed, undisturbed) -> None:
    for mine, wanted in zip(resumed[1].get_weights(), undisturbed[1].get_weights()):
        np.testing.assert_array_equal(mine, wanted)
    assert resumed[0].samples_seen == undisturbed[0].samples_seen
    assert (resumed[0].label_counts == undisturbed[0].label_counts).all()


def test_backups_vanish_with_those_of_keras(tmp_path):
    found = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: found.append(
            sorted(os.listdir(tmp_path / "backup" / "input"))
        )
    )
    job(tmp_path / "backup", callbacks=[look])
    assert found[0] == ["epoch-000001"]
    assert found[-1] == ["epoch-000003", "epoch-000004"]
    assert not (tmp_path / "backup").exists()


def test_a_sigkill_within_an_epoch(tmp_path, undisturbed):
    done = processes.fork_server().run("-m", __name__, str(tmp_path))
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "input" / "epoch-000002" / "state.json").exists()
    resumed = job(tmp_path)
    assert [done.epoch for done in resumed[0].history] == [2, 3]
    check_same(resumed, undisturbed)


@pytest.mark.parametrize(
    "killed_epoch, first, when",
    [
        (0, True, "before"),
        pytest.param(2, False, "after", marks=pytest.mark.nightly),
        pytest.param(0, False, "after", marks=pytest.mark.nightly),
        pytest.param(2, True, "before", marks=pytest.mark.nightly),
    ],
)
def test_a_kill_between_the_two_callbacks(
    tmp_path, undisturbed, first, when, killed_epoch
):
    killed = KilledAtSave(str(tmp_path), killed_epoch, when)
    with pytest.raises(Killed):
        job(tmp_path, keras_backup=killed, first=first)
    check_same(job(tmp_path, first=first), undisturbed)


@pytest.mark.nightly
@pytest.mark.parametrize("first", [True, False])
def test_a_kill_after_both_saved(tmp_path, undisturbed, first):
    class KillsAtBegin(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise Killed

    with pytest.raises(Killed):
        job(tmp_path, callbacks=[KillsAtBegin()], first=first)
    check_same(job(tmp_path, first=first), undisturbed)


@pytest.mark.parametrize(
    "killed_epoch", [pytest.param(0, marks=pytest.mark.nightly), 2]
)
def test_a_kill_between_the_files_of_keras(tmp_path, undisturbed, killed_epoch, logged):
    killed = KilledAtSave(str(tmp_path), killed_epoch, "within")
    with pytest.raises(Killed):
        job(tmp_path, keras_backup=killed)
    # In this order nothing can be done before Keras has begun the wrong epoch.
    with pytest.raises(ValueError, match="Put InputMonitor behind BackupAndRestore"):
        job(tmp_path, first=True)
    check_same(job(tmp_path), undisturbed)
    assert "killed between its two files" in str(logged)


@pytest.mark.nightly
def test_an_interrupted_fit_goes_on_in_the_same_process(tmp_path, undisturbed):
    class Interrupts(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 2 * STEPS + 2:
                raise KeyboardInterrupt

    monitor = InputMonitor(plan(), backup_dir=str(tmp_path))
    training = monitor.watch(endless())
    restore = keras.callbacks.BackupAndRestore(str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        fit(monitor, training, restore, Interrupts())
    check_same((monitor, fit(monitor, training, restore)), undisturbed)


def test_a_second_fit_goes_on_where_the_first_ended(tmp_path, undisturbed):
    monitor = InputMonitor(plan(), backup_dir=str(tmp_path))
    training = monitor.watch(endless())
    restore = keras.callbacks.BackupAndRestore(str(tmp_path))
    model = fit(monitor, training, restore, epochs=3)
    fit(monitor, training, restore, model=model, initial_epoch=3)
    check_same((monitor, model), undisturbed)


@pytest.mark.nightly
@pytest.mark.parametrize("together", [1, 2])
def test_a_strategy_that_takes_batches_ahead(tmp_path, together):
    class Kills(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 2 * STEPS + 2:
                raise Killed

    settings = dict(
        strategy=tf.distribute.MirroredStrategy(["CPU:0"]),
        steps_per_epoch=6,
        compiled=dict(steps_per_execution=together),
    )
    wanted = job(tmp_path / "undisturbed", **settings)
    assert [done.emitted for done in wanted[0].history] == [6 * BATCH] * EPOCHS
    with pytest.raises(Killed):
        job(tmp_path / "killed", callbacks=[Kills()], **settings)
    check_same(job(tmp_path / "killed", **settings), wanted)


def test_a_strategy_needs_its_scope_around_the_input(tmp_path):
    monitor = InputMonitor(plan(), backup_dir=str(tmp_path))
    training = monitor.watch(endless())
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = build_model()
    with pytest.raises(ValueError, match=r"input_fn within strategy.scope\(\)"):
        fit(monitor, training, model=model)


def test_a_strategy_without_backups_needs_no_scope():
    monitor = InputMonitor(plan())
    training = monitor.watch(endless())
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = build_model()
    fit(monitor, training, model=model)
    assert monitor.samples_seen >= EPOCHS * STEPS * BATCH


def test_a_data_set_that_is_made_on_each_worker():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    monitor = InputMonitor(plan())
    with strategy.scope():
        batches = strategy.distribute_datasets_from_function(
            lambda context: monitor.watch(finite(20))
        )

    @tf.function
    def step(iterator):
        strategy.run(lambda batch: batch, [next(iterator)])

    iterator = iter(batches)
    for _ in range(20):
        step(iterator)
    monitor.end_epoch(0)
    assert monitor.history[0].emitted == 20 * BATCH


@pytest.mark.parametrize(
    "mirrored", [pytest.param(False, marks=pytest.mark.nightly), True]
)
def test_whole_data_sets_are_resumed_too(tmp_path, mirrored):
    def data():
        return finite(6)

    class Kills(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise Killed

    strategy = tf.distribute.MirroredStrategy(["CPU:0"]) if mirrored else None
    settings = dict(data=data, steps_per_epoch=None, strategy=strategy)
    wanted = job(tmp_path / "undisturbed", **settings)
    with pytest.raises(Killed):
        job(tmp_path / "killed", callbacks=[Kills()], **settings)
    check_same(job(tmp_path / "killed", **settings), wanted)


def test_a_loop_without_keras_is_resumed(tmp_path):
    def run(epochs, directory):
        monitor = InputMonitor(plan(), backup_dir=str(directory))
        batches = iter(monitor.watch(endless()))
        sums = []
        for epoch in epochs:
            monitor.begin_epoch(epoch)
            sums += [float(tf.reduce_sum(next(batches)[0])) for _ in range(3)]
            monitor.end_epoch(epoch)
        return sums

    wanted = run(range(4), tmp_path / "undisturbed")
    assert run(range(2), tmp_path / "killed") == wanted[:6]
    assert run(range(2, 4), tmp_path / "killed") == wanted[6:]


def test_a_look_before_training_loses_no_batch(tmp_path, undisturbed):
    monitor = InputMonitor(plan(), backup_dir=str(tmp_path))
    training = monitor.watch(endless())
    list(training.take(3))
    check_same((monitor, fit(monitor, training)), undisturbed)


def test_a_missing_backup_tells_which_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"start of epoch 3 .* those of epochs \[\]"):
        job(tmp_path, initial_epoch=3)
    keep = keras.callbacks.BackupAndRestore(str(tmp_path), delete_checkpoint=False)
    job(tmp_path, keras_backup=keep)
    with pytest.raises(ValueError, match=r"epoch 2 .* those of epochs \[3, 4\]"):
        monitor = InputMonitor(plan(), backup_dir=str(tmp_path))
        fit(monitor, monitor.watch(endless()), initial_epoch=2)


def test_an_unfinished_backup_is_none(tmp_path):
    keep = keras.callbacks.BackupAndRestore(str(tmp_path), delete_checkpoint=False)
    job(tmp_path, keras_backup=keep)
    newest = tmp_path / "input" / "epoch-000004"
    (newest / "state.json").rename(newest / "unfinished")
    with pytest.raises(ValueError, match=r"epoch 4 .* those of epochs \[3\]"):
        job(tmp_path, epochs=5)


def test_weights_of_within_an_epoch_are_refused(tmp_path):
    class Kills(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == STEPS + 4:
                raise Killed

    def keras_backup():
        return keras.callbacks.BackupAndRestore(str(tmp_path), save_freq=3)

    with pytest.raises(Killed):
        job(tmp_path, keras_backup=keras_backup(), callbacks=[Kills()])
    with pytest.raises(ValueError, match='must have save_freq="epoch"'):
        job(tmp_path, keras_backup=keras_backup())


def test_a_backup_of_another_data_set_is_refused(tmp_path):
    keep = keras.callbacks.BackupAndRestore(str(tmp_path), delete_checkpoint=False)
    job(tmp_path, keras_backup=keep)
    with pytest.raises(ValueError, match="does not fit this data set"):
        job(tmp_path, data=lambda: finite(100).cache(), epochs=5)


def test_batches_that_are_taken_ahead_are_refused(tmp_path):
    monitor = InputMonitor(plan(), backup_dir=str(tmp_path))
    training = monitor.watch(endless()).prefetch(2)
    with pytest.raises(RuntimeError, match="a prefetch behind input_fn"):
        fit(monitor, training)


def test_a_data_set_that_cannot_be_saved_is_refused(tmp_path):
    def noisy(batch, stats):
        return (batch[0] + tf.random.uniform([]), batch[1]), stats

    monitor = InputMonitor(plan(), backup_dir=str(tmp_path))
    with pytest.raises(ValueError, match="RandomUniform is stateful"):
        monitor.watch(endless().map(noisy))
    monitor.watch(endless())  # The refused one is not its data set.


def test_an_epoch_without_a_backup_directory_is_told(logged):
    monitor = InputMonitor(plan())
    fit(monitor, monitor.watch(endless()), initial_epoch=3)
    assert "its input at the beginning" in logged[0][1]


def _run_and_be_killed(directory: str) -> None:
    class Kills(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 2 * STEPS + 3:
                os.kill(os.getpid(), signal.SIGKILL)

    job(directory, callbacks=[Kills()])


if __name__ == "__main__":
    run_graphs_as_written()  # Else weights differ in their last bits.
    _run_and_be_killed(sys.argv[1])
