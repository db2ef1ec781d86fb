"""How many records share an identity, and with it a uniform number.

n records of one identity have all the same number of copies. A sum of copies over
records with f, the fractional part of their repeat factor, then varies by
f (1 - f) * sum of m**2 over identities of m records each, where records of different
numbers vary by f (1 - f) * sum of m: the variance grows by the ratio of these sums.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfx_resampling.core import draws
from tfx_resampling.core.identity import Identity

# Identities that are counted: all there are, or a sample. 24 bytes each.
_MOST = 1 << 20
# Records that are sorted together.
_TOGETHER = 1 << 18


@dataclasses.dataclass(frozen=True, eq=False)
class Sharing:
    """Records of each identity, of all identities or of a uniform sample of them.

    The sample are those identities whose hash begins with `bits` zeros: whichever way
    the records are split and merged, it is the same.

    Attributes:
      hashes: uint64 [m], ascending: hashes of identities.
      units: uint64 [m]: what is told apart within an identity, such as the label.
      counts: int64 [m]: records of that identity and unit.
      bits: the sample is one of 2**bits identities.
    """

    hashes: np.ndarray
    units: np.ndarray
    counts: np.ndarray
    bits: int = 0

    @classmethod
    def of(cls, keys: np.ndarray, units: np.ndarray, most: int = _MOST) -> "Sharing":
        """Returns how records share identities.

        Args:
          keys: uint64 [n], what each record is known by (`core.identity`).
          units: uint64 [n], of each record.
          most: identities that are counted.
        """
        hashes = draws.mix(np.asarray(keys, np.uint64) + np.uint64(draws.GOLDEN))
        ones = np.ones(len(hashes), np.int64)
        return _summed(hashes, np.asarray(units, np.uint64), ones, 0, most)

    @classmethod
    def merged(cls, parts: Sequence["Sharing"], most: int = _MOST) -> "Sharing":
        """Returns the sum of several, of different or the same records' identities."""
        none = np.zeros(0, np.uint64)
        hashes = np.concatenate([none, *(part.hashes for part in parts)])
        units = np.concatenate([none, *(part.units for part in parts)])
        counts = np.concatenate([np.zeros(0, np.int64), *(p.counts for p in parts)])
        bits = max((part.bits for part in parts), default=0)
        return _summed(hashes, units, counts, bits, most)

    @property
    def num_distinct(self) -> int:
        """Number of identities; an estimate where they are a sample."""
        return len(np.unique(self.hashes)) << self.bits

    def sums(self) -> dict[int, tuple[int, int]]:
        """Returns unit -> sums of m and of m**2 over identities of m of its records."""
        units, index = np.unique(self.units, return_inverse=True)
        sums, squares = np.zeros((2, len(units)), np.int64)
        np.add.at(sums, index, self.counts)
        np.add.at(squares, index, self.counts**2)
        return dict(zip(units.tolist(), zip(sums.tolist(), squares.tolist())))


def _summed(hashes, units, counts, bits: int, most: int) -> Sharing:
    if bits:
        chosen = hashes >> np.uint64(64 - bits) == 0
        hashes, units, counts = hashes[chosen], units[chosen], counts[chosen]
    order = np.lexsort((units, hashes))
    hashes, units, counts = hashes[order], units[order], counts[order]
    is_new = np.ones(len(hashes), bool)
    is_new[1:] = (hashes[1:] != hashes[:-1]) | (units[1:] != units[:-1])
    starts = np.flatnonzero(is_new)
    if len(starts):
        counts = np.add.reduceat(counts, starts)
    hashes, units = hashes[starts], units[starts]
    if len(hashes) > most:
        return _summed(hashes, units, counts, bits + 1, most)
    return Sharing(hashes, units, counts, bits)


class Collector:
    """Gathers `Sharing` of records that come in small numbers."""

    def __init__(self):
        """Makes one of no records."""
        self._sharing = Sharing.merged([])
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._num_pending = 0

    def add(self, keys: np.ndarray, units: np.ndarray) -> None:
        """Adds records; the arguments are those of `Sharing.of`."""
        self._pending.append((keys, units))
        self._num_pending += len(keys)
        if self._num_pending >= _TOGETHER:
            self._sum()

    def sharing(self) -> Sharing:
        """Returns how all records share identities."""
        self._sum()
        return self._sharing

    def _sum(self) -> None:
        if self._pending:
            keys, units = map(np.concatenate, zip(*self._pending))
            more = Sharing.of(keys, units)
            self._sharing = Sharing.merged([self._sharing, more])
            self._pending, self._num_pending = [], 0


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """How many records share an identity, in short.

    Attributes:
      known_by: what records were told apart by.
      num_distinct: number of identities; an estimate above a million of them.
      inflation: for each label (or group), by how much the variance of its number of
        samples is larger than if its records had identities of their own: the sum of
        m**2 over identities of m records each, divided by the sum of m. At least 1.
    """

    known_by: Identity
    num_distinct: int
    inflation: tuple[float, ...]
