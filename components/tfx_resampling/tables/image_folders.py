"""A generator of image files and classes in one call, and predictions for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import pandas as pd

from tfx_resampling.tables.frame import as_frame
from tfx_resampling.tables.generator import DataGenerator
from tfx_resampling.tables.mapping import structured
from tfx_resampling.tables.maps import ImageAugmenter, ImageLoader, OneHotEncoder
from tfx_resampling.tables.row_groups import plain, sort_order

# The category of images without one.
UNLABELED = "__UNLABELED__"
_PATH, _CATEGORY = "path", "category"


def build_image_data_generator(
    samples: Any,
    classes: Sequence[str | int] | None = None,
    image: None | Mapping[str, Any] | Callable = None,
    augmentation: None | Mapping[str, Any] | Callable = None,
    *args,
    **kwargs,
) -> DataGenerator:
    """Returns a generator of (images, one-hot or multi-hot classes) of image files.

    Args:
      samples: a table with the columns "path" and "category": a class, or a tuple of
        classes.
      classes: the classes, in the order of columns; None: those that occur, sorted,
        without "__UNLABELED__".
      image: options of `ImageLoader`, or a function instead of one. It must put images
        at "img".
      augmentation: options of `ImageAugmenter` ({} for its defaults), or a function
        instead of one; None: images stay as they are.
      *args: of `DataGenerator`, from `batch_size` on.
      **kwargs: of `DataGenerator`.

    Raises:
      ValueError: a column is missing, there are no classes, or an option is not valid.
    """
    frame = as_frame(samples)
    for name in (_PATH, _CATEGORY):
        if name not in frame.columns:
            raise ValueError(
                f"samples must have the columns 'path' and 'category', got "
                f"{list(frame.columns)!r}. Rename a column to {name!r}."
            )
    if classes is None:
        classes = _classes(frame[_CATEGORY])
    if image is None or isinstance(image, Mapping):
        image = ImageLoader(**(image or {}))
    if isinstance(augmentation, Mapping):
        augmentation = ImageAugmenter(**augmentation)
    kwargs.setdefault("output_structure", ("img", "onehot"))
    generator = DataGenerator(frame, *args, **kwargs)
    return generator.map([image, augmentation, OneHotEncoder(classes)])


def _classes(categories) -> list[str | int]:
    """Returns the classes in a column of classes, or of tuples of classes; sorted."""
    found = set()
    for value in {plain(value) for value in categories.astype(object)}:
        found |= set(value) if isinstance(value, tuple) else {value}
    found = [v for v in found if not pd.isna(v) and v != UNLABELED]
    return [found[place] for place in sort_order(found)]


def predict_dataset(
    model: keras.Model | Callable,
    dataset: DataGenerator,
    map_output: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yields each batch of an epoch as it was drawn, with the predictions for it.

    A bar shows the progress. A sample and its prediction belong together even where
    samples are skipped.

    Args:
      model: a Keras model, or a function of images (of keywords, where the input is a
        dict) that returns predictions or a dict of them.
      dataset: the generator. The first part of its output structure is the input of the
        model, all of it if it is not a tuple.
      map_output: changes the predictions of a batch, a dict.

    Yields:
      {column: tensor [batch, ...], name of an output: array [batch, ...]}. Outputs have
      the names that the model gives them; of a function, "output", or "output_0",
      "output_1"... of several.
    """
    from tqdm import tqdm  # Nothing else needs it.

    is_model = isinstance(model, keras.Model)
    batches = dataset.epoch_dataset(0, structure=None, keep=True).take(len(dataset))
    for sample, drawn in tqdm(batches, total=len(dataset), mininterval=2):
        x = structured(sample, dataset.output_structure)
        x = x[0] if isinstance(x, (tuple, list)) else x
        if is_model:
            predicted = model.predict_on_batch(x)
        else:
            predicted = model(**x) if isinstance(x, dict) else model(x)
        outputs = _named(predicted, model if is_model else None)
        if map_output is not None:
            outputs = map_output(outputs)
        yield {**drawn, **outputs}


def _named(predicted: Any, model: keras.Model | None) -> dict[str, Any]:
    if isinstance(predicted, Mapping):
        return dict(predicted)
    parts = predicted if isinstance(predicted, (tuple, list)) else [predicted]
    names = getattr(model, "output_names", None)
    if isinstance(model, keras.Sequential):
        names = [model.layers[-1].name]
    if not names or len(names) != len(parts):
        several = len(parts) > 1
        names = [f"output_{i}" if several else "output" for i in range(len(parts))]
    return dict(zip(names, parts))
