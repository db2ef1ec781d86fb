"""Generators in `fit`, `evaluate` and `predict` of Keras."""

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from tfx_resampling import DataGenerator

from tests.tables.image_tables import in_memory, make_model

QUIET: Any = 0  # Keras' own type for `verbose` is str.


class Seen(keras.callbacks.Callback):
    """Counts the steps of each epoch."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_epoch_begin(self, epoch, logs=None):
        self.steps.append(0)

    def on_train_batch_end(self, batch, logs=None):
        self.steps[-1] += 1


@pytest.mark.long
@pytest.mark.parametrize(
    "repeat", [pytest.param(False, marks=pytest.mark.nightly), True]
)
def test_fit_takes_a_generator(repeat):
    generator = in_memory(shuffle=True, repeat=repeat, seed=1)
    seen, model = Seen(), make_model()
    history = model.fit(generator, epochs=3, verbose=QUIET, callbacks=[seen])
    assert seen.steps == [3, 3, 3] and len(history.history["loss"]) == 3
    seen = Seen()
    model.fit(
        generator.get_dataset(),
        steps_per_epoch=len(generator),
        epochs=3 if repeat else 1,
        verbose=QUIET,
        callbacks=[seen],
    )
    assert seen.steps == ([3, 3, 3] if repeat else [3])
    assert model.evaluate(generator, verbose=QUIET) > 0


class Recorder(keras.Model):
    """Remembers the samples that it was trained on, in order."""

    def __init__(self):
        super().__init__()
        self.weight = self.add_weight(shape=(), initializer="zeros")
        self.seen = []

    def train_step(self, data):
        self.seen.append(data[0].numpy().ravel().tolist())
        return {"loss": 0.0}

    def call(self, x):
        return x

    def take(self):
        seen, self.seen = self.seen, []
        return seen


def trained_on(generator, **options):
    model = Recorder()
    model.compile(run_eagerly=True)
    model.fit(generator, verbose=QUIET, **options)
    return model.take()


@pytest.mark.long
def test_fit_goes_on_where_an_epoch_ended_and_starts_anew():
    generator = DataGenerator(
        [{"id": i} for i in range(10)], 4, True, True, seed=2,
        output_structure=("id", "id"),
    )  # fmt: skip
    expected = [x.numpy().tolist() for x, _ in generator.get_dataset().take(9)]
    for _ in range(2):  # Each time from the start.
        assert trained_on(generator, epochs=3) == expected


@pytest.mark.long
def test_without_repeat_each_epoch_has_every_row_in_an_order_of_its_own():
    generator = DataGenerator(
        [{"id": i} for i in range(10)], 4, True, seed=2, output_structure=("id", "id")
    )
    batches = trained_on(generator, epochs=3)
    assert [len(batch) for batch in batches] == [4, 4, 2] * 3
    epochs = [sum(batches[i : i + 3], []) for i in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 3
    plain = DataGenerator(
        [{"id": i} for i in range(10)], 4, output_structure=("id", "id")
    )
    batches = trained_on(plain, epochs=2)
    assert sum(batches, []) == [*range(10), *range(10)]


@pytest.mark.long
def test_epochs_of_a_number_of_repeats_go_on_to_its_end_and_start_again():
    generator = DataGenerator(
        [{"id": i} for i in range(10)], 4, repeat=2, output_structure=("id", "id")
    )
    batches = trained_on(generator, epochs=2)  # Of 5 batches, and the first again.
    assert sum(batches, []) == [*range(10), *range(10), *range(4)]


@pytest.mark.long
def test_steps_per_epoch_go_on_within_an_epoch():
    generator = DataGenerator(
        [{"id": i} for i in range(40)], 4, repeat=True, output_structure=("id", "id")
    )
    batches = trained_on(generator, epochs=3, steps_per_epoch=2)
    assert sum(batches, []) == list(range(24))


@pytest.mark.long
def test_without_repeat_each_epoch_has_seeds_of_its_own():
    generator = DataGenerator([{"id": i} for i in range(8)], 4, seed=2)
    generator.output_structure = ("seed", "seed")
    mapped = generator.map(lambda x, seed: {**x, "seed": seed})
    batches = trained_on(mapped, epochs=3)
    numbers = sum(batches, [])
    assert len(numbers) == len(set(numbers)) == 3 * 8 * 2


@pytest.mark.long
@pytest.mark.parametrize(
    "taken, ends_first",  # ends_first: from Keras 3.15 on.
    [
        (3, False),
        (5, True),
        *(
            pytest.param(*more, marks=pytest.mark.nightly)
            for more in itertools.product((0, 2, 3, 4, 5), (False, True))
            if more not in ((3, False), (5, True))
        ),
    ],
)
def test_an_epoch_that_was_broken_off_does_not_matter(taken, ends_first):
    """As Keras asks: two batches for their shapes, then those of the epoch."""
    generator = DataGenerator(
        [{"id": i} for i in range(10)], 2, True, True, seed=2, output_structure="id"
    )
    expected = [x.numpy().tolist() for x in generator.get_dataset().take(5)]

    def fit_begins():
        _ = generator.workers, generator[0], generator[1]
        if ends_first:
            generator.on_epoch_end()
        generator.on_epoch_begin()

    fit_begins()
    _ = [generator[4 - i] for i in range(taken)]
    fit_begins()
    assert [generator[i].tolist() for i in (3, 0, 1, 2, 4)] == expected
    generator.on_epoch_end()


@pytest.mark.long
def test_a_fit_that_was_broken_off_does_not_matter():
    generator = DataGenerator(
        [{"id": i} for i in range(10)], 2, True, True, seed=2,
        output_structure=("id", "id"),
    )  # fmt: skip

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert self.model is not None
            self.model.stop_training = batch == 1

    assert len(trained_on(generator, epochs=2, callbacks=[Stop()])) == 2
    expected = [x.numpy().tolist() for x, _ in generator.get_dataset().take(5)]
    assert trained_on(generator, epochs=1) == expected


@pytest.mark.long
def test_validation_and_prediction_are_in_order():
    generator = in_memory()
    model = make_model(metrics=["accuracy"])
    history = model.fit(generator, validation_data=generator, epochs=2, verbose=QUIET)
    assert len(history.history["val_loss"]) == 2
    images = np.concatenate([x for x, _ in generator])
    expected = model.predict(images, verbose=QUIET)
    for _ in range(2):
        assert model.predict(generator, verbose=QUIET) == pytest.approx(
            expected, abs=1e-5
        )


def test_batches_by_number_between_epochs():
    generator = DataGenerator([{"id": i} for i in range(10)], 4, output_structure="id")
    assert generator[2].tolist() == [8, 9] and generator[0].tolist() == [0, 1, 2, 3]
    with pytest.raises(IndexError, match="from 0 to 2, got 3"):
        generator[3]
