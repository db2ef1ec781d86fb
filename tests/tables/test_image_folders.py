"""Generators of images and classes, and predictions."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tfx_resampling import (
    DataGenerator,
    FileLoader,
    ImageAugmenter,
    ImageLoader,
    build_image_data_generator,
    predict_dataset,
)

from tests.images import image_files
from tests.tables.image_tables import in_memory, make_model

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


@pytest.mark.long
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
    encoder: Any = build_image_data_generator(frame).get_dataset_actions()[-1].function
    assert encoder.classes == classes


@pytest.mark.long
def test_options_reach_their_maps(samples):
    loader, augmenter = ImageLoader(size=(3, 3)), ImageAugmenter(noise=0)
    generator = build_image_data_generator(samples, ["b"], loader, augmenter, 8, seed=1)
    functions = [action.function for action in generator.get_dataset_actions()]
    assert functions[:2] == [loader, augmenter] and generator.batch_size == 8
    made = build_image_data_generator(
        samples, image=IMAGE, augmentation={"crop": (0.5, 1)}
    )
    assert made.get_dataset_actions()[1].function == ImageAugmenter(crop=(0.5, 1))
    plain = build_image_data_generator(samples, image=IMAGE)
    assert len(plain.get_dataset_actions()) == 2
    with pytest.raises(
        ValueError, match="columns 'path' and 'category'.*to 'category'"
    ):
        build_image_data_generator([{"path": "x"}])


@pytest.mark.long
def test_predictions_come_with_their_samples(capsys):
    generator = in_memory()
    model = make_model()
    batches = list(predict_dataset(model, generator))
    assert "100%" in capsys.readouterr().err  # A bar.
    assert set(batches[0]) == {"path", "category", "id", "img", "scores"}
    ids = np.concatenate([b["id"] for b in batches])
    assert ids.tolist() == list(range(40))
    images = np.concatenate([x for x, _ in generator])
    found = np.concatenate([b["scores"] for b in batches])
    assert found == pytest.approx(model.predict_on_batch(images), abs=1e-5)


@pytest.mark.long
def test_predictions_are_of_one_epoch_and_mapped():
    generator = in_memory(repeat=True)
    batches = predict_dataset(
        make_model(), generator, lambda y: {"best": y["scores"].argmax(axis=1)}
    )
    batches = list(batches)
    assert sum(len(b["id"]) for b in batches) == 48 and "best" in batches[0]


@pytest.mark.long
def test_predictions_of_functions():
    one = in_memory(32)
    one.output_structure = "img"
    batch = next(predict_dataset(lambda x: tf.reduce_mean(x, axis=(1, 2, 3)), one))
    assert batch["output"].shape == [32]
    several = next(predict_dataset(lambda x: (x, x), one))
    assert {"output_0", "output_1"} <= set(several)
    named = in_memory(32)
    named.output_structure = {"x": "img"}
    batch = next(predict_dataset(lambda x: {"y": x}, named))
    assert batch["y"].shape == [32, 6, 8, 3]


@pytest.mark.nightly
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
