"""The one decision rule: how many copies of a record an epoch yields.

Guarantee: the answer depends on (seed, record key, repeat factors) alone. It is the
same for any number of threads, files, shards or workers, in TensorFlow and in NumPy,
and after a restart at any epoch.

Every record has one number, uniform in [0, 1), that stays with it for all epochs: its
uniform number, which survey sampling calls a permanent random number (Ohlsson 1995,
"Coordination of samples using permanent random numbers", in Business Survey Methods).

Exactness: uniform numbers and cumulative factors are multiples of 2**-32, so that
float64 holds every sum `uniform + cumulative factor` below 2**21 without rounding. What
an epoch begins with is what the one before ended with, to the bit: over E epochs a
record is therefore seen floor or ceil of its cumulative factor, exactly, for any
schedule of factors.

Depends on this rule, and changes with it:
  - `decision.graph_draws`: its twin, the same bits in a TensorFlow graph; that of
    `content_keys` is in `records.fields`.
  - `core.factors.record_factors`: a record's repeat factor, and the graph twin of that,
    `DecisionRule` in `decision.rule`.
  - `shards.manifest.needed`, and its graph twin in `shards.selection`: which shards
    have records with copies in an epoch.
  - `shards.classes`: the ranges of uniform numbers that lie together on disk.
  - `scan.audit`: the variance of the number of copies.
"""

from collections.abc import Sequence

import numpy as np

from tfx_resampling.validate import shown

# splitmix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators",
# OOPSLA 2014): the increment, and the two multipliers of its finalizer.
GOLDEN = 0x9E3779B97F4A7C15
MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
SHIFTS = (30, 27, 31)

# Uniform numbers and factors are multiples of 2**-32 (module docstring).
RESOLUTION_BITS = 32


def mix(values: np.ndarray) -> np.ndarray:
    """Returns the splitmix64 finalizer of `values`, a bijection of uint64."""
    z = np.asarray(values, dtype=np.uint64)
    for shift, multiplier in zip(SHIFTS, MULTIPLIERS):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(multiplier)
    return z ^ (z >> np.uint64(SHIFTS[2]))


def seeded_hash(seed: int, keys: np.ndarray) -> np.ndarray:
    """Returns uint64 [n], a hash of (seed, key), uniform for distinct keys.

    Args:
      seed: integer; taken modulo 2**64.
      keys: uint64 [n], what each record is known by (`core.identity`).
    """
    return mix(np.asarray(keys, np.uint64) ^ np.uint64(hashed_seed(seed)))


def content_keys(
    entries: np.ndarray, lists: np.ndarray, rows: np.ndarray, num_rows: int
) -> np.ndarray:
    """Returns uint64 [num_rows], keys of records by their features in any order.

    The sum of the fingerprints of a record's features, which has no order: each is an
    entry of the map in tf.train.Features, in its serialized form (name and values).

    Args:
      entries: uint64 [m], FarmHash fingerprint64 of each entry.
      lists: bool [m], whether it is one of the feature_lists of a SequenceExample.
      rows: int64 [m], the record of each entry.
      num_rows: number of records.
    """
    weights = np.where(lists, np.uint64(GOLDEN), np.uint64(1))
    keys = np.zeros(num_rows, np.uint64)
    np.add.at(keys, rows, np.asarray(entries, np.uint64) * weights)
    return keys


def combined_keys(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Returns uint64 [n], keys of records by several keys of each, in their order.

    Args:
      columns: uint64 [n] each, at least one. One by itself is returned as it is.
    """
    keys, *others = (np.asarray(column, np.uint64) for column in columns)
    for other in others:
        keys = mix(keys) + other
    return keys


def position_keys(file: int, numbers: np.ndarray) -> np.ndarray:
    """Returns uint64 [n], keys of records by where they are.

    Args:
      file: FarmHash fingerprint64 of the name of the file, without its directory.
      numbers: int64 [n], number of each record within the file, from 0.
    """
    numbers = np.asarray(numbers, np.uint64)
    return combined_keys([np.full_like(numbers, file), numbers])


def hashed_seed(seed: int) -> int:
    """Returns `seed` spread over 64 bits, so that seeds 0, 1, 2... are unrelated."""
    return int(mix(np.array([(seed + GOLDEN) % 2**64], np.uint64))[0])


def uniforms(seed: int, keys: np.ndarray) -> np.ndarray:
    """Returns float64 [n] in [0, 1): uniform numbers of records, multiples of 2**-32.

    Args:
      seed: integer; taken modulo 2**64.
      keys: uint64 [n], one per record.
    """
    high = seeded_hash(seed, keys) >> np.uint64(64 - RESOLUTION_BITS)
    return high.astype(np.float64) / 2.0**RESOLUTION_BITS


def quantize(factors: np.ndarray) -> np.ndarray:
    """Returns `factors` rounded to the nearest multiple of 2**-32, float64."""
    scale = 2.0**RESOLUTION_BITS
    return np.rint(np.asarray(factors, np.float64) * scale) / scale


def cumulative_factors(
    factors: np.ndarray, cumulative: float, epoch: int
) -> np.ndarray:
    """Returns P_e, the sum of every record's repeat factors before epoch e.

    P_e = quantize(e + (r - 1) * S_e): in epoch k the repeat factor is
    (1 - a_k) + a_k * r, and S_e is the sum of the weights a_k over k < e
    (`core.schedule`). P_0 = 0; with the constant schedule, S_e = e, it is r * e exactly
    while that and e stay below 2**21.

    Args:
      factors: float64 [n], final repeat factor r of each record, >= 0 (`quantize`d).
      cumulative: S_e, `Schedule.cumulative` of the epoch, 0 to `epoch`.
      epoch: e, >= 0.

    Returns:
      float64 [n], >= 0, multiples of 2**-32.

    Raises:
      ValueError: `cumulative` is not from 0 to `epoch`.
    """
    if not 0 <= cumulative <= epoch:
        raise ValueError(
            f"cumulative must be a sum of weights from 0 to epoch {shown(epoch)}, got "
            f"{shown(cumulative)}. Use Schedule.cumulative(epoch)."
        )
    return quantize(epoch + (np.asarray(factors, np.float64) - 1) * cumulative)


def copies(uniforms: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Returns the number of copies that each record yields in one epoch.

    copies = floor(uniform + after) - floor(uniform + before). With r = after - before,
    the record's repeat factor in the epoch, that is floor(r) copies and one more with
    probability frac(r). Over epochs it rotates: a record has been seen floor or ceil of
    its cumulative factor.

    Args:
      uniforms: float64 [n] in [0, 1), one per record (`uniforms`).
      before: float64 [n], sum of the record's repeat factors of all earlier epochs, P_e
        (`cumulative_factors` of the epoch).
      after: float64 [n], the same with this epoch's, P_{e+1} (`cumulative_factors` of
        the next epoch).

    Returns:
      int64 [n], copies >= 0.

    Raises:
      ValueError: a cumulative factor is negative or not finite, or decreases.
    """
    uniforms, before, after = (
        np.asarray(a, np.float64) for a in (uniforms, before, after)
    )
    for name, values in (("before", before), ("after", after)):
        bad = ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            raise ValueError(
                f"{name} must be finite and >= 0, got {values[bad].tolist()[0]!r}. "
                "Repeat factors count copies: 0 drops a record, 1 keeps it."
            )
    factors = np.ravel(after - before)
    if (factors < 0).any():
        raise ValueError(
            f"after must be >= before, got a difference of {factors.min().item()!r}. "
            "They are the cumulative factors of the next epoch and of this one."
        )
    return (np.floor(uniforms + after) - np.floor(uniforms + before)).astype(np.int64)


def sample_seeds(hashes: np.ndarray, epoch: int, copy_index: np.ndarray) -> np.ndarray:
    """Returns int64 [n, 2], a seed per emitted sample for stateless random ops.

    Args:
      hashes: uint64 [n], `seeded_hash` of the sample's record.
      epoch: the epoch, >= 0.
      copy_index: int64 [n], which copy of its record the sample is, from 0.
    """
    base = mix(np.asarray(hashes, np.uint64) ^ np.uint64(hashed_seed(epoch)))
    first = mix(base + np.asarray(copy_index).astype(np.uint64))
    second = mix(first + np.uint64(GOLDEN))
    return np.stack([first, second], axis=-1).view(np.int64)
