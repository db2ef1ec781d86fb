"""Seeds: of a generator, of its maps, and of each sample that a map sees."""

import secrets
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_resampling.core import draws as core_draws
from tfx_resampling.data import draws

_LARGEST = 2**63


def resolve(seed: Any) -> int:
    """Returns a seed from 0 to 2**63 - 1; of None or a negative one, a random one.

    Args:
      seed: an integer, None, or a NumPy random generator that is asked for one.

    Raises:
      ValueError: anything else, or too large.
    """
    if isinstance(seed, np.random.RandomState):
        return int(seed.randint(0, _LARGEST - 1, dtype=np.int64))
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(0, _LARGEST - 1))
    is_integer = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if seed is not None and (not is_integer or seed >= _LARGEST):
        raise ValueError(
            f"seed must be an integer below 2**63, or None (random), got {seed!r}."
        )
    if seed is None or seed < 0:
        return secrets.randbelow(_LARGEST)
    return int(seed)


def is_given(seed: Any) -> bool:
    """Says whether `seed` is one, and not a wish for a random one."""
    return isinstance(seed, (int, np.integer)) and seed >= 0


def map_seed(seed: int, number: int) -> int:
    """Returns the seed, 0 to 2**63 - 1, of map `number` (from 0) of a generator."""
    numbers = np.array([number], np.uint64)
    return int(core_draws.seeded_hash(seed, numbers)[0] >> np.uint64(1))


def sample_seeds(seed: int, numbers: tf.Tensor) -> tf.Tensor:
    """Returns int64 [..., 2], a seed per sample for stateless random ops.

    Args:
      seed: of the map (`map_seed`).
      numbers: int64 [...], which draw of the generator each sample is, from 0.
    """
    first = draws.seeded_hash(seed, tf.cast(numbers, tf.uint64))
    second = draws.mix(first + tf.constant(core_draws.GOLDEN, tf.uint64))
    return tf.bitcast(tf.stack([first, second], axis=-1), tf.int64)
