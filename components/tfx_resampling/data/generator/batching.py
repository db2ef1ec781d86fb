"""Batches into samples and back, where rows may have different numbers of values."""

from typing import Dict, Set, Tuple

import tensorflow as tf

# Which values of (samples, carried) are ragged: (0 or 1, key).
RaggedKeys = Set[Tuple[int, str]]


def ragged_keys(batches: tf.data.Dataset) -> RaggedKeys:
    """Returns the keys of ragged values, of which a sample has a plain tensor [k]."""
    return {
        (part, key)
        for part, specs in enumerate(batches.element_spec)
        for key, spec in specs.items()
        if isinstance(spec, tf.RaggedTensorSpec) and spec.ragged_rank == 1
    }


def batched(
    samples: tf.data.Dataset, batch_size: int, ragged: RaggedKeys
) -> tf.data.Dataset:
    """Returns pairs of dicts in batches.

    Args:
      samples: pairs (sample, carried), both dicts.
      batch_size: samples per batch.
      ragged: what was ragged before batches were taken apart, and is again unless it
        has got a static shape meanwhile. (`Dataset.batch` would not batch it.)
    """
    ragged = {
        (part, key)
        for part, key in ragged
        if isinstance(samples.element_spec[part].get(key), tf.TensorSpec)
        and not samples.element_spec[part][key].shape.is_fully_defined()
        and samples.element_spec[part][key].shape.rank
    }
    if not ragged:
        return samples.batch(batch_size)

    def wrapped(*parts):
        # A ragged tensor of one row: tf.data batches what has a ragged dimension.
        return _changed(
            parts, ragged, lambda x: tf.RaggedTensor.from_tensor(x[tf.newaxis])
        )

    def unwrapped(*parts):
        return _changed(parts, ragged, lambda x: x.values)

    return samples.map(wrapped).batch(batch_size).map(unwrapped)


def _changed(parts, keys: RaggedKeys, change) -> Tuple[Dict, ...]:
    return tuple(
        {k: change(v) if (i, k) in keys else v for k, v in part.items()}
        for i, part in enumerate(parts)
    )
