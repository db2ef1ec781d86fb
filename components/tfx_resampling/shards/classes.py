"""Records of like repeat factor, cut by their uniforms: what lies together on disk.

The decision rule keeps a record of factor r < 1 in an epoch if its uniform number lies
in a window of width r, which moves on by r with every epoch. Where records of one
factor are sorted by their uniforms, an epoch therefore needs one stretch of them and
nothing else. Factors that are nearly the same may share a class; their windows then
drift apart by the difference of the factors in every epoch.
"""

import dataclasses

import numpy as np

from tfx_resampling.core import draws

# Factors in a class differ by at most so much, relatively: the windows of a class are
# then together at most twice as wide as one after 50 epochs.
_TOLERANCE = 0.02
# Half of the records or more are read anyway, so there is nothing to skip.
_ALWAYS = 0.5
# Ranges per window: an epoch reads at most (1 + 1 / this) times what it needs.
_RANGES_PER_WINDOW = 2
# Bytes that a shard has at least, if its class has as many: fewer are not worth opening
# a file. And at most: a shard is sorted in memory.
MIN_SHARD_BYTES = 1 << 20
MAX_SHARD_BYTES = 64 << 20
_RESOLUTION = 1 << draws.RESOLUTION_BITS


@dataclasses.dataclass(frozen=True)
class FactorClasses:
    """Classes of like factors, each cut into ranges of uniforms; a cell is one range.

    Attributes:
      lows: smallest repeat factor of each class, ascending.
      highs: largest repeat factor of each class.
      ranges: into how many equal ranges of uniforms each class is cut.
    """

    lows: tuple[float, ...]
    highs: tuple[float, ...]
    ranges: tuple[int, ...]

    @property
    def num_cells(self) -> int:
        """Number of all ranges of all classes."""
        return sum(self.ranges)

    def cells(self, factors: np.ndarray, hashes: np.ndarray) -> np.ndarray:
        """Returns int64 [n], the cell of each record; cells run class by class.

        Args:
          factors: float64 [n], repeat factors among those the classes were made of.
          hashes: uint64 [n], `draws.seeded_hash` of each record.
        """
        classes = np.searchsorted(self.lows, factors, side="right") - 1
        ranges = np.array(self.ranges, np.int64)
        first = np.cumsum(ranges) - ranges
        return first[classes] + in_ranges(hashes, ranges[classes])

    def describe(self, cell: int) -> tuple[int, float, float, int, int]:
        """Returns class, lowest and highest factor, first and last uniform of a cell.

        Uniforms are in units of 2**-32; both ends are part of the cell.
        """
        ends = np.cumsum(self.ranges)
        number = int(np.searchsorted(ends, cell, side="right"))
        count = self.ranges[number]
        index = cell - (int(ends[number]) - count)
        first, after = (-(-i * _RESOLUTION // count) for i in (index, index + 1))
        return number, self.lows[number], self.highs[number], first, after - 1


def in_ranges(hashes: np.ndarray, ranges) -> np.ndarray:
    """Returns int64 [n]: which of `ranges` equal ranges each hash's uniform is in.

    Args:
      hashes: uint64 [n], of which a uniform is the upper 32 bits.
      ranges: integer or [n], below 2**31.
    """
    high = hashes >> np.uint64(64 - draws.RESOLUTION_BITS)
    scaled = high * np.asarray(ranges, np.uint64)
    return (scaled >> np.uint64(draws.RESOLUTION_BITS)).astype(np.int64)


def make(factors: np.ndarray, num_bytes: np.ndarray) -> FactorClasses:
    """Returns classes such that an epoch reads little more than what it emits.

    Args:
      factors: float64 [m], the distinct repeat factors of the records, at least one.
      num_bytes: int64 [m], bytes of the records of each.
    """
    order = np.argsort(factors)
    factors, num_bytes = np.asarray(factors)[order], np.asarray(num_bytes)[order]
    found = []  # of [low, high, bytes]
    for factor, size in zip(factors.tolist(), num_bytes.tolist()):
        if found and _belongs(factor, size, found[-1]):
            found[-1][1] = factor
            found[-1][2] += size
        else:
            found.append([factor, factor, size])
    return FactorClasses(
        tuple(low for low, _, _ in found),
        tuple(high for _, high, _ in found),
        tuple(_num_ranges(high, size) for _, high, size in found),
    )


def _belongs(factor: float, size: int, found: list) -> bool:
    """Returns whether a larger factor still belongs to a class."""
    low, _, before = found
    if low == 0 or factor >= _ALWAYS > low:
        return False
    if low >= _ALWAYS:
        return True
    if before < MIN_SHARD_BYTES and factor <= 2 * low:
        return True
    # What has ranges enough of its own is better off by itself.
    many = _RANGES_PER_WINDOW / factor * MIN_SHARD_BYTES
    return factor <= (1 + _TOLERANCE) * low and max(before, size) < many


def _num_ranges(high: float, size: int) -> int:
    needed = max(1, -(-size // MAX_SHARD_BYTES))
    if not 0 < high < _ALWAYS:
        return needed
    wanted = int(np.ceil(_RANGES_PER_WINDOW / high))
    return max(needed, min(wanted, size // MIN_SHARD_BYTES))
