"""`tfx_resampling.core.draws` in TensorFlow graph ops: the same bits.

Every function here mirrors the NumPy function of the same name; a test compares them.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfx_resampling.core import draws
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.records.fields import fingerprints


def mix(values: tf.Tensor) -> tf.Tensor:
    """Returns the splitmix64 finalizer of `values`: uint64 in, uint64 out."""
    z = values
    for shift, multiplier in zip(draws.SHIFTS, draws.MULTIPLIERS):
        z = _xor_shift(z, shift) * tf.constant(multiplier, tf.uint64)
    return _xor_shift(z, draws.SHIFTS[2])


def _xor_shift(z: tf.Tensor, shift: int) -> tf.Tensor:
    shifted = tf.bitwise.right_shift(z, tf.constant(shift, tf.uint64))
    return tf.bitwise.bitwise_xor(z, shifted)


def combined_keys(columns: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns uint64 [n], keys of records by several keys of each, uint64 [n]."""
    keys, *others = columns
    for other in others:
        keys = mix(keys) + other
    return keys


def position_keys(name: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Returns uint64 [n], keys of records by where they are.

    Args:
      name: string scalar, name of the file, of which the directory does not count.
      numbers: int64 [n], number of each record within the file.
    """
    base_name = tf.strings.regex_replace(name, ".*/", "")
    numbers = tf.cast(numbers, tf.uint64)
    return combined_keys([fingerprints(base_name[tf.newaxis]), numbers])


def seeded_hash(seed: int, keys: tf.Tensor) -> tf.Tensor:
    """Returns uint64 [n], a hash of (seed, key). `keys`: uint64 [n]."""
    mask = tf.constant(draws.hashed_seed(seed), tf.uint64)
    return mix(tf.bitwise.bitwise_xor(keys, mask))


def uniforms(hashes: tf.Tensor) -> tf.Tensor:
    """Returns float64 [n] in [0, 1) from `seeded_hash` values, uint64 [n]."""
    shift = tf.constant(64 - draws.RESOLUTION_BITS, tf.uint64)
    return from_units(tf.bitwise.right_shift(hashes, shift))


def from_units(values: tf.Tensor) -> tf.Tensor:
    """Returns float64 of integers that count units of 2**-32."""
    return tf.cast(values, tf.float64) / 2.0**draws.RESOLUTION_BITS


def quantize(factors: tf.Tensor) -> tf.Tensor:
    """Returns float64 `factors` rounded to the nearest multiple of 2**-32."""
    scale = 2.0**draws.RESOLUTION_BITS
    return tf.round(factors * scale) / scale


def cumulative_weight(schedule: Schedule, epoch: tf.Tensor) -> tf.Tensor:
    """Returns S_e, float64 like `Schedule.cumulative`; `epoch`: int64, of any shape."""
    epoch, last = tf.cast(epoch, tf.float64), float(schedule.epochs)
    if schedule.kind == "linear":
        # Not "/": within a tf.function, to divide by a constant becomes to multiply by
        # its reciprocal, which gives another last bit.
        double = tf.constant(2.0 * last, tf.float64)
        rising = tf.math.divide_no_nan(epoch * (epoch - 1.0), double)
        return tf.where(epoch <= last, rising, (last - 1.0) / 2.0 + (epoch - last))
    return tf.maximum(epoch - last, 0.0) if schedule.kind == "step" else epoch


def cumulative_factors(
    factors: tf.Tensor, cumulative: tf.Tensor, epoch: tf.Tensor
) -> tf.Tensor:
    """Returns P_e, float64 [n]: the copies due before an epoch.

    Args:
      factors: float64 [n], final repeat factors.
      cumulative: float64 scalar, `cumulative_weight` of the epoch.
      epoch: int64 scalar.
    """
    return quantize(tf.cast(epoch, tf.float64) + (factors - 1.0) * cumulative)


def copies(uniforms: tf.Tensor, before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """Returns int64 [n], the copies of each record in one epoch; all float64 [n]."""
    return tf.cast(tf.floor(uniforms + after) - tf.floor(uniforms + before), tf.int64)


def shuffled(
    values: tf.Tensor, seed: int, epoch: tf.Tensor, part: tf.Tensor
) -> tf.Tensor:
    """Returns `values` [n] in another order, the same whenever it is asked for.

    Args:
      values: of any type.
      seed: the plan's seed.
      epoch: int64 scalar.
      part: int64 scalar; each part of an epoch has an order of its own.
    """
    start = np.array(draws.hashed_seed(seed), np.uint64).view(np.int64)
    # TensorFlow's stubs do not have it.
    shuffle = tf.random.experimental.stateless_shuffle  # pyright: ignore[reportAttributeAccessIssue]
    return shuffle(values, tf.stack([epoch + start, part]))


def sample_seeds(
    hashes: tf.Tensor, epoch: tf.Tensor, copy_index: tf.Tensor
) -> tf.Tensor:
    """Returns int64 [n, 2]: a seed per emitted sample for stateless random ops.

    Args:
      hashes: uint64 [n], `seeded_hash` of the sample's record.
      epoch: int64, scalar or [n].
      copy_index: int64 [n], which copy of its record the sample is, from 0.
    """
    spread = mix(tf.cast(epoch, tf.uint64) + tf.constant(draws.GOLDEN, tf.uint64))
    base = mix(tf.bitwise.bitwise_xor(hashes, spread))
    first = mix(base + tf.cast(copy_index, tf.uint64))
    second = mix(first + tf.constant(draws.GOLDEN, tf.uint64))
    return tf.bitcast(tf.stack([first, second], axis=-1), tf.int64)
