"""Tensors as NumPy arrays with text as str, and batches as single samples."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf


def iterate(
    make: Callable[..., tf.data.Dataset], batch: bool = True, *args, **kwargs
) -> Iterator[Any]:
    """Returns an iterator over NumPy of the data set that `make` makes.

    Args:
      make: (batch, *args, **kwargs) -> data set of batches, or of samples.
      batch: whether in batches.
      *args, **kwargs: of `make`.
    """
    dataset = make(True, *args, **kwargs)
    if batch:
        return elements(dataset)
    if has_equal_shapes(dataset):
        # Batches are taken apart by NumPy, which is much quicker than by tf.data.
        return samples_of(dataset)
    return elements(make(False, *args, **kwargs))


def to_numpy(value: Any, spec: Any = None) -> Any:
    """Returns a tensor as NumPy: text as str, rows of different length as tuples.

    A scalar string is a str (bytes, if it is not UTF-8), an array of strings an array
    of str objects. A batch of rows of different length is a list of tuples, as a column
    of a DataFrame takes it.

    Args:
      value: the tensor.
      spec: its spec in a data set. A single row there is a tensor that was ragged.
    """
    if isinstance(value, tf.RaggedTensor):
        return [_as_tuple(row) for row in value.to_list()]
    if isinstance(spec, tf.RaggedTensorSpec):
        return _as_tuple(value.numpy().tolist())
    if not isinstance(value, tf.Tensor):
        return value
    array = value.numpy()
    if value.dtype != tf.string:
        return array
    if isinstance(array, bytes):
        return _text(array)
    texts = np.empty(array.shape, object)
    texts.ravel()[:] = [_text(item) for item in array.ravel()]
    return texts


def _as_tuple(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_as_tuple(item) for item in value)
    return _text(value) if isinstance(value, bytes) else value


def _text(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def elements(dataset: tf.data.Dataset) -> Iterator[Any]:
    """Yields the elements of a data set as NumPy, in their structure."""
    specs = dataset.element_spec
    for element in dataset:
        yield tf.nest.map_structure(to_numpy, element, specs)


def has_equal_shapes(batches: tf.data.Dataset) -> bool:
    """Returns whether samples have known shapes or are ragged, and can be batched."""
    return all(
        isinstance(spec, tf.RaggedTensorSpec) or spec.shape[1:].is_fully_defined()
        for spec in tf.nest.flatten(batches.element_spec)
    )


def samples_of(batches: tf.data.Dataset) -> Iterator[Any]:
    """Yields the samples of batches as NumPy; much quicker than `unbatch`."""
    for batch in elements(batches):
        # Lists of ragged rows are leaves here.
        parts = _leaves(batch)
        for row in zip(*parts):
            yield _packed(batch, iter(row))


def _leaves(batch: Any) -> list:
    if isinstance(batch, dict):
        return [leaf for key in batch for leaf in _leaves(batch[key])]
    if isinstance(batch, tuple):
        return [leaf for part in batch for leaf in _leaves(part)]
    return [batch]


def _packed(batch: Any, row: Iterator) -> Any:
    if isinstance(batch, dict):
        return {key: _packed(part, row) for key, part in batch.items()}
    if isinstance(batch, tuple):
        return tuple(_packed(part, row) for part in batch)
    return next(row)
