"""Generators of images and classes, Keras, and predictions."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tfx_resampling import (
    DataGenerator,
    FileLoader,
    ImageAugmenter,
    ImageLoader,
    OneHotEncoder,
    build_image_data_generator,
    predict_dataset,
)

from tests.images import image_files

pytestmark = pytest.mark.long

IMAGE = dict(size=(6, 8))


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rows = []
    for i in range(40):
        path = folder / f"{i}.png"
        path.write_bytes(image_files.png(np.roll(image_files.COLOURS, i, axis=1)))
        rows.append({"path": str(path), "category": "ab"[i % 4 == 0], "id": i})
    return pd.DataFrame(rows)


def in_memory(samples, batch_size=16, **options):
    """Returns a generator like those of image files, which takes less to start."""
    rng = np.random.default_rng(3)
    frame = samples.assign(img=list(rng.random((40, 6, 8, 3), np.float32)))
    generator = DataGenerator(
        frame, batch_size, output_structure=("img", "onehot"), **options
    )
    return generator.map(OneHotEncoder("ab"))


def make_model(**options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6, 8, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax", name="scores"),
        ]
    )
    model.compile("sgd", "categorical_crossentropy", **options)
    return model


class Seen(keras.callbacks.Callback):
    """Counts the steps of each epoch."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_epoch_begin(self, epoch, logs=None):
        self.steps.append(0)

    def on_train_batch_end(self, batch, logs=None):
        self.steps[-1] += 1


def test_images_and_classes(samples):
    generator = build_image_data_generator(samples, image=IMAGE, batch_size=16)
    image, hot = next(iter(generator))
    assert image.shape == [16, 6, 8, 3] and hot.shape == [16, 2]
    assert hot.numpy()[:5].tolist() == [[0, 1], [1, 0], [1, 0], [1, 0], [0, 1]]
    assert float(tf.reduce_max(image)) <= 1


@pytest.mark.parametrize(
    "categories, classes",
    [
        (["dog", "cat"], ["cat", "dog"]),  # brevettiai took letters for classes.
        ([("b", "a"), ("c",)], ["a", "b", "c"]),
        ([("b", "__UNLABELED__"), None], ["b"]),
        ([["b", "a"], ["c"]], ["a", "b", "c"]),
        ([2, 1], [1, 2]),
        (pd.Categorical([("x",), ("y", "z")]), ["x", "y", "z"]),
    ],
    ids=str,
)
def test_classes_are_found(categories, classes):
    frame = pd.DataFrame({"path": ["x", "y"], "category": categories})
    encoder = build_image_data_generator(frame).get_dataset_actions()[-1].function
    assert encoder.classes == classes


def test_options_reach_their_maps(samples):
    loader, augmenter = ImageLoader(size=(3, 3)), ImageAugmenter(noise=0)
    generator = build_image_data_generator(samples, ["b"], loader, augmenter, 8, seed=1)
    functions = [action.function for action in generator.get_dataset_actions()]
    assert functions[:2] == [loader, augmenter] and generator.batch_size == 8
    made = build_image_data_generator(samples, image=IMAGE, augmentation={"crop": 0.3})
    assert made.get_dataset_actions()[1].function == ImageAugmenter(crop=0.3)
    plain = build_image_data_generator(samples, image=IMAGE)
    assert len(plain.get_dataset_actions()) == 2
    with pytest.raises(
        ValueError, match="columns 'path' and 'category'.*to 'category'"
    ):
        build_image_data_generator([{"path": "x"}])


@pytest.mark.parametrize("repeat", [False, True])
def test_fit_takes_a_generator(samples, repeat):
    generator = in_memory(samples, shuffle=True, repeat=repeat, seed=1)
    seen, model = Seen(), make_model()
    history = model.fit(generator, epochs=3, verbose=0, callbacks=[seen])
    assert seen.steps == [3, 3, 3] and len(history.history["loss"]) == 3
    seen = Seen()
    model.fit(
        generator.get_dataset(),
        steps_per_epoch=len(generator),
        epochs=3 if repeat else 1,
        verbose=0,
        callbacks=[seen],
    )
    assert seen.steps == ([3, 3, 3] if repeat else [3])
    assert model.evaluate(generator, verbose=0) > 0


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
    model.fit(generator, verbose=0, **options)
    return model.take()


def test_fit_goes_on_where_an_epoch_ended_and_starts_anew():
    generator = DataGenerator(
        [{"id": i} for i in range(10)], 4, True, True, seed=2,
        output_structure=("id", "id"),
    )  # fmt: skip
    expected = [x.numpy().tolist() for x, _ in generator.get_dataset().take(9)]
    for _ in range(2):  # Each time from the start.
        assert trained_on(generator, epochs=3) == expected


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


def test_epochs_of_a_number_of_repeats_go_on_to_its_end_and_start_again():
    generator = DataGenerator(
        [{"id": i} for i in range(10)], 4, repeat=2, output_structure=("id", "id")
    )
    batches = trained_on(generator, epochs=2)  # Of 5 batches, and the first again.
    assert sum(batches, []) == [*range(10), *range(10), *range(4)]


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


@pytest.mark.parametrize("taken", [0, 2, 3, 4, 5])
def test_an_epoch_that_was_broken_off_does_not_matter(taken):
    """As Keras asks: two batches for their shapes, then those of the epoch."""
    generator = DataGenerator(
        [{"id": i} for i in range(10)], 2, True, True, seed=2, output_structure="id"
    )
    expected = [x.numpy().tolist() for x in generator.get_dataset().take(5)]
    _ = generator[0], generator[1]
    generator.on_epoch_begin()
    _ = [generator[4 - i] for i in range(taken)]
    _ = generator[0], generator[1]  # The next fit.
    generator.on_epoch_begin()
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
            self.model.stop_training = batch == 1

    assert len(trained_on(generator, epochs=2, callbacks=[Stop()])) == 2
    expected = [x.numpy().tolist() for x, _ in generator.get_dataset().take(5)]
    assert trained_on(generator, epochs=1) == expected


@pytest.mark.long
def test_validation_and_prediction_are_in_order(samples):
    generator = in_memory(samples)
    model = make_model(metrics=["accuracy"])
    history = model.fit(generator, validation_data=generator, epochs=2, verbose=0)
    assert len(history.history["val_loss"]) == 2
    images = np.concatenate([x for x, _ in generator])
    expected = model.predict(images, verbose=0)
    for _ in range(2):
        assert model.predict(generator, verbose=0) == pytest.approx(expected, abs=1e-5)


def test_batches_by_number_between_epochs():
    generator = DataGenerator([{"id": i} for i in range(10)], 4, output_structure="id")
    assert generator[2].tolist() == [8, 9] and generator[0].tolist() == [0, 1, 2, 3]
    with pytest.raises(IndexError, match="from 0 to 2, got 3"):
        generator[3]


def test_predictions_come_with_their_samples(samples, capsys):
    generator = in_memory(samples)
    model = make_model()
    batches = list(predict_dataset(model, generator))
    assert "100%" in capsys.readouterr().err  # A bar.
    assert set(batches[0]) == {"path", "category", "id", "img", "scores"}
    ids = np.concatenate([b["id"] for b in batches])
    assert ids.tolist() == list(range(40))
    images = np.concatenate([x for x, _ in generator])
    found = np.concatenate([b["scores"] for b in batches])
    assert found == pytest.approx(model.predict(images, verbose=0), abs=1e-5)


@pytest.mark.long
def test_predictions_are_of_one_epoch_and_mapped(samples):
    generator = in_memory(samples, repeat=True)
    batches = predict_dataset(
        make_model(), generator, lambda y: {"best": y["scores"].argmax(axis=1)}
    )
    batches = list(batches)
    assert sum(len(b["id"]) for b in batches) == 48 and "best" in batches[0]


@pytest.mark.long
def test_predictions_of_functions(samples):
    one = in_memory(samples, 32)
    one.output_structure = "img"
    batch = next(predict_dataset(lambda x: tf.reduce_mean(x, axis=(1, 2, 3)), one))
    assert batch["output"].shape == [32]
    several = next(predict_dataset(lambda x: (x, x), one))
    assert {"output_0", "output_1"} <= set(several)
    named = in_memory(samples, 32)
    named.output_structure = {"x": "img"}
    batch = next(predict_dataset(lambda x: {"y": x}, named))
    assert batch["y"].shape == [32, 6, 8, 3]


def test_predictions_stay_with_their_samples_where_some_are_skipped(samples):
    missing = samples.copy()
    missing.loc[3, "path"] = "nowhere.png"
    generator = DataGenerator(missing, 16, output_structure="data").map(
        FileLoader(on_error="skip")
    )
    batches = list(predict_dataset(lambda x: x, generator))
    ids = np.concatenate([b["id"] for b in batches])
    assert ids.tolist() == [i for i in range(40) if i != 3]
    expected = np.concatenate(list(generator))
    assert np.array_equal(np.concatenate([b["output"] for b in batches]), expected)
