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
      *args: other arguments of `make`.
      **kwargs: other arguments of `make`.
    """
    dataset = make(True, *args, **kwargs)
    if batch:
        return _elements(dataset)
    if all(
        isinstance(spec, tf.RaggedTensorSpec) or spec.shape[1:].is_fully_defined()
        for spec in tf.nest.flatten(dataset.element_spec)
    ):
        # NumPy takes batches apart much faster than tf.data does.
        return (sample for part in _elements(dataset) for sample in _samples(part))
    return _elements(make(False, *args, **kwargs))


def to_numpy(value: Any, spec: Any = None) -> Any:
    """Returns a tensor as NumPy: text as str, rows of different length as tuples.

    A scalar string is a str (bytes, if it is not UTF-8), an array of strings an array
    of str objects. A batch of rows of different length is a list of tuples, as a column
    of a DataFrame takes it.

    Args:
      value: the tensor.
      spec: its spec in a data set: a single row is a tensor that was ragged.
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


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _elements(dataset: tf.data.Dataset) -> Iterator[Any]:
    """Yields the elements of a data set as NumPy, in their structure."""
    specs = dataset.element_spec
    for element in dataset:
        yield tf.nest.map_structure(to_numpy, element, specs)


def _samples(batch: Any) -> Iterator[Any]:
    """Yields the samples of a batch; lists of ragged rows are leaves."""
    if isinstance(batch, dict):
        for row in zip(*map(_samples, batch.values())):
            yield dict(zip(batch, row))
    elif isinstance(batch, tuple):
        yield from zip(*map(_samples, batch))
    else:
        yield from batch
