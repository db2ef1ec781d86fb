"""Which row of a table is drawn when: index arithmetic in blocks, NumPy only.

Guarantee: the sequence of rows depends on the groups, their weights and the seed alone;
it is the same in every process, and each call of `DrawOrder.blocks` starts it anew.
"""

import math
from typing import Iterator, Union

import numpy as np

from tfx_resampling.core import draws
from tfx_resampling.data.generator.permutation import Permutations
from tfx_resampling.data.generator.quota import QuotaOrder

# Draws per block: the first small, so that the first batch is early, then large enough
# that a block costs little beside its draws.
_FIRST_BLOCK, _LARGEST_BLOCK = 1024, 2**16
# Groups of which each block takes stock: with more, blocks grow.
_MANY_GROUPS = 2**16
# Uniform numbers have the 53 bits that a float64 in [0, 1) holds.
_BITS = 53


class RandomOrder:
    """Draws groups at random, each draw with the weights' shares, independently.

    Draw t takes the group in whose part of [0, 1) hash(seed, t) falls.
    """

    def __init__(self, weights: np.ndarray, seed: int, first: int = 0):
        """Makes an order of `weights` float64 [groups], > 0; `first` is the first t."""
        self._bounds = np.cumsum(weights / weights.sum())
        self._bounds[-1] = 1.0
        self._seed, self._next = seed, first

    def take(self, count: int) -> np.ndarray:
        """Returns int64 [count], the groups of the next draws."""
        numbers = np.arange(self._next, self._next + count, dtype=np.uint64)
        self._next += count
        bits = draws.seeded_hash(self._seed, numbers) >> np.uint64(64 - _BITS)
        uniform = bits.astype(np.float64) / 2.0**_BITS
        return np.searchsorted(self._bounds, uniform, side="right")


class DrawOrder:
    """The rows of a table in the order in which they are drawn.

    Groups are drawn by weight: without shuffling by `QuotaOrder`, shuffled by
    `RandomOrder`. Each group goes through its rows again and again: without shuffling
    in input order, shuffled in a new random order on each pass, so that every row of a
    group comes once before any of them comes again.

    With `repeat` a number each row comes that often; a group whose rows are used up is
    passed over, and the others share by their weights what is left. (They keep to the
    quota among themselves from then on; it starts anew at the end of a block in which a
    group was used up.)

    Args:
      groups: int [rows], the group of each row.
      weights: float64 [groups], >= 0, not all 0. Rows of a group of weight 0 never
        come.
      shuffle: whether the order is random.
      repeat: True (without end), False (each row once), or how often each row comes.
      seed: 0 to 2**63 - 1.
    """

    def __init__(
        self,
        groups: np.ndarray,
        weights: np.ndarray,
        shuffle: bool,
        repeat: Union[bool, int],
        seed: int,
    ):
        counts = np.bincount(groups, minlength=len(weights))
        self._weights = np.where(counts > 0, weights, 0.0)
        self._counts, self._starts = counts, np.cumsum(counts) - counts
        self._seed, self._shuffle = seed, shuffle
        self._limits = None if repeat is True else counts * max(1, int(repeat))
        # The rows of group 0 in input order, those of group 1...; None: as they are.
        self._rows = None
        if len(weights) > 1:
            self._rows = stable_order(groups, len(weights)).astype(
                np.int32 if len(groups) < 2**31 else np.int64
            )
        self._permutations = Permutations(np.maximum(counts, 1)) if shuffle else None

    @property
    def size(self) -> Union[int, float]:
        """Number of draws, or infinity."""
        if self._limits is None:
            return math.inf
        return int(self._limits[self._weights > 0].sum())

    def blocks(self, epoch: int = 0) -> Iterator[np.ndarray]:
        """Yields the rows that are drawn, in order, as blocks int64 [n], n >= 1.

        Args:
          epoch: each has an order of its own if shuffled; otherwise they are the same.
        """
        # Seeds of groups, of the order within groups; hashed, so that no two meet.
        seeds = draws.mix(
            np.arange(2, dtype=np.uint64)
            + draws.seeded_hash(self._seed, np.array([epoch]))
        )
        drawn = np.zeros(len(self._weights), np.int64)
        virtual, size = 0, _FIRST_BLOCK
        largest = _LARGEST_BLOCK * max(1, len(self._weights) // _MANY_GROUPS)
        while True:
            active = np.flatnonzero(self._weights)
            if self._limits is not None:
                active = active[drawn[active] < self._limits[active]]
            if not len(active):
                return
            groups = self._groups(self._weights[active], int(seeds[0]), virtual)
            is_used_up = False
            while not is_used_up:
                count = min(size, self._useful(active, drawn))
                chosen = active[groups.take(count)]
                virtual += count
                turns = turns_of(chosen, drawn)
                if self._limits is not None:
                    kept = turns < self._limits[chosen]
                    is_used_up = not kept.all()
                    chosen, turns = chosen[kept], turns[kept]
                    np.minimum(drawn, self._limits, out=drawn)
                    is_used_up |= bool((drawn[active] >= self._limits[active]).any())
                if len(chosen):
                    yield self._rows_of(chosen, turns, seeds[1])
                size = min(2 * size, largest)

    def _groups(self, weights, seed, first):
        if self._shuffle:
            return RandomOrder(weights, seed, first)
        return QuotaOrder(weights)

    def _useful(self, active: np.ndarray, drawn: np.ndarray) -> int:
        """Returns after how many draws groups of half the weight are used up.

        More would mostly be draws of groups that have no rows left.
        """
        if self._limits is None:
            return np.iinfo(np.int64).max
        weights = self._weights[active] / self._weights[active].sum()
        ends = (self._limits - drawn)[active] / weights
        order = np.argsort(ends, kind="stable")
        half = np.searchsorted(np.cumsum(weights[order]), 0.5)
        end = ends[order[min(half, len(order) - 1)]]
        return int(min(np.ceil(end) + _FIRST_BLOCK, 2**62))

    def _rows_of(self, groups, turns, seed) -> np.ndarray:
        """Returns int64 [n], rows; `turns`: how often their group was drawn before."""
        sizes = self._counts[groups]
        passes, positions = np.divmod(turns, sizes)
        if self._shuffle:
            keys = draws.mix(
                draws.mix(groups.astype(np.uint64) ^ seed) + passes.astype(np.uint64)
            )
            positions = self._permutations(positions, groups, keys)
        places = self._starts[groups] + positions
        return places if self._rows is None else self._rows[places].astype(np.int64)


def turns_of(chosen: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Returns int64 [n], how often the group of each draw was drawn before it.

    Args:
      chosen: int64 [n], groups in the order in which they are drawn.
      drawn: int64 [groups], how often each was drawn before; counted on in place.
    """
    if len(drawn) == 1:
        turns = drawn[0] + np.arange(len(chosen))
        drawn[0] += len(chosen)
        return turns
    order = stable_order(chosen, len(drawn))
    counts = np.bincount(chosen, minlength=len(drawn))
    ordered = chosen[order]
    starts = np.cumsum(counts) - counts
    turns = np.empty(len(chosen), np.int64)
    turns[order] = np.arange(len(chosen)) - starts[ordered] + drawn[ordered]
    drawn += counts
    return turns


def stable_order(groups: np.ndarray, size: int) -> np.ndarray:
    """Returns int64 [n], what sorts groups 0 to size - 1, equal ones in order."""
    # NumPy sorts 16 bits in linear time, and wider integers by comparison.
    kind = np.uint16 if size <= 2**16 else np.int64
    return np.argsort(groups.astype(kind, copy=False), kind="stable")
