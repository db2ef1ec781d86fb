"""A Transform module: labels become integers by a vocabulary."""

import tensorflow_transform as tft


def preprocessing_fn(inputs):
    """Integerises `labels`, most frequent first; leaves the rest alone."""
    return {
        "labels": tft.compute_and_apply_vocabulary(
            inputs["labels"], vocab_filename="labels"
        ),
        "image/id": inputs["image/id"],
    }
