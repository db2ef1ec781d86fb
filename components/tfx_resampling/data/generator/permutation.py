"""Random permutations that are computed where they are needed, and never stored."""

import numpy as np

from tfx_resampling.core import draws

# Luby & Rackoff (SIAM J. Comput. 1988): four rounds are a pseudorandom permutation,
# for large halves. Halves of a bit or two mix slower: of 12, 16, 20 and 24 rounds, 24
# are the first by which all orders of 5, 6 and 7 rows are equally frequent.
_ROUNDS = 24


class Permutations:
    """Permutations of 0 to n - 1 for many sizes n at once, each by a key of its own.

    A Feistel network on ceil(log2 n) bits whose rounds hash half of the bits into the
    other half. It permutes 2**bits numbers; what comes out as n or above is put in
    again until it does not (cycle walking: Black & Rogaway, CT-RSA 2002), fewer than
    two times on average.

    Args:
      sizes: int64 [groups], the sizes n, >= 1.
    """

    def __init__(self, sizes: np.ndarray):
        self._sizes = np.asarray(sizes, np.uint64)
        bits = np.array([int(size - 1).bit_length() for size in sizes.tolist()])
        self._shifts = (bits - bits // 2).astype(np.uint64)

        def mask(bits):
            return (np.uint64(1) << bits.astype(np.uint64)) - np.uint64(1)

        self._low, self._high = mask(bits - bits // 2), mask(bits // 2)

    def __call__(
        self, positions: np.ndarray, groups: np.ndarray, keys: np.ndarray
    ) -> np.ndarray:
        """Returns int64 [n], where the permutation of each key moves each position.

        Args:
          positions: int64 [n], 0 to size - 1 of their group.
          groups: int64 [n], which of the sizes.
          keys: uint64 [n], which permutation.
        """
        values = positions.astype(np.uint64)
        outside = np.arange(len(values))
        while len(outside):
            values[outside] = self._rounds(
                values[outside], groups[outside], keys[outside]
            )
            outside = outside[values[outside] >= self._sizes[groups[outside]]]
        return values.astype(np.int64)

    def _rounds(self, values, groups, keys):
        shift, low, high = self._shifts[groups], self._low[groups], self._high[groups]
        left, right = values >> shift, values & low
        for number in range(0, _ROUNDS, 2):
            left ^= draws.mix(keys + (right << np.uint64(8)) + np.uint64(number)) & high
            left_key = (left << np.uint64(8)) + np.uint64(number + 1)
            right ^= draws.mix(keys + left_key) & low
        return (left << shift) | right
