"""The one decision rule: how many copies of a record an epoch yields.

Guarantee: the answer depends on (seed, record key, repeat factors) alone. It is the
same for any number of threads, files, shards or workers, in TensorFlow
(`tfx_resampling.data.draws` computes the same bits in graph) and in NumPy, and after
a restart at any epoch.

Exactness: bets and repeat factors are multiples of 2**-32, so that float64 holds every
sum `bet + spent + factor` below 2**21 without rounding. Over E epochs a record is
therefore seen floor or ceil of the sum of its factors, exactly.
"""

import numpy as np

# splitmix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators",
# OOPSLA 2014): the increment, and the two multipliers of its finalizer.
GOLDEN = 0x9E3779B97F4A7C15
MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
SHIFTS = (30, 27, 31)

# Bets and factors are multiples of 2**-RESOLUTION_BITS (module docstring).
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
      keys: uint64 [n], one per record, e.g. FarmHash fingerprint64 of its bytes.
    """
    return mix(np.asarray(keys, np.uint64) ^ np.uint64(hashed_seed(seed)))


def hashed_seed(seed: int) -> int:
    """Returns `seed` spread over 64 bits, so that seeds 0, 1, 2... are unrelated."""
    return int(mix(np.array([(seed + GOLDEN) % 2**64], np.uint64))[0])


def bets(seed: int, keys: np.ndarray) -> np.ndarray:
    """Returns float64 [n] in [0, 1): the bet of every record, a multiple of 2**-32.

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


def copies(bets: np.ndarray, factors: np.ndarray, spent: np.ndarray) -> np.ndarray:
    """Returns the number of copies that each record yields in one epoch.

    copies = floor(bet + spent + factor) - floor(bet + spent). In one epoch that is
    floor(factor) copies and one more with probability frac(factor). Over epochs it
    rotates: a record has been seen floor or ceil of the sum of its factors.

    Args:
      bets: float64 [n] in [0, 1), one per record (`bets`).
      factors: float64 [n], repeat factor of each record in this epoch, >= 0
        (`quantize`d, for the exactness that the module docstring states).
      spent: float64 [n] or scalar, sum of the record's factors of all earlier epochs.

    Returns:
      int64 [n], copies >= 0.

    Raises:
      ValueError: a factor or a sum of factors is negative or not finite.
    """
    bets, factors, spent = (np.asarray(a, np.float64) for a in (bets, factors, spent))
    for name, values in (("factors", factors), ("spent", spent)):
        bad = ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            raise ValueError(
                f"{name} must be finite and >= 0, got {values[bad].ravel()[0]!r}. "
                "Repeat factors count copies: 0 drops a record, 1 keeps it."
            )
    start = np.floor(bets + spent)
    return (np.floor(bets + spent + factors) - start).astype(np.int64)


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
