"""A generator of images in memory, and a model for them."""

import keras
import numpy as np
from tfx_resampling import DataGenerator, OneHotEncoder


def in_memory(batch_size=16, **options):
    """Returns a generator of 40 images and their classes that needs no files."""
    images = np.random.default_rng(3).random((40, 6, 8, 3), np.float32)
    samples = [
        {"path": f"{i}.png", "category": "ab"[i % 4 == 0], "id": i, "img": images[i]}
        for i in range(40)
    ]
    generator = DataGenerator(
        samples, batch_size, output_structure=("img", "onehot"), **options
    )
    return generator.map(OneHotEncoder("ab"))


def make_model(**options):
    """Returns a compiled model of the images of `in_memory`."""
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
