"""Which row of a table is drawn when: index arithmetic in blocks, NumPy only.

Guarantee: the sequence of rows depends on the groups, their weights and the seed alone;
it is the same in every process, and each call of `DrawOrder.blocks` starts it anew.
"""

import heapq
import math
from collections.abc import Iterator

import numpy as np

from tfx_resampling.core import draws

# Draws per block: the first small, so that the first batch is early, then large enough
# that a block costs little beside its draws.
_FIRST_BLOCK, _LARGEST_BLOCK = 1024, 2**16
# Groups of which each block takes stock: with more, blocks grow.
_MANY_GROUPS = 2**16
# Weights become integers that sum to at most this. Rounding moves a count by less than
# 2e-4 in 10**9 draws, and sums of a block of _MAX_BLOCK draws stay below 2**62.
_TOTAL = 2**42
_MAX_BLOCK = 2**19
# Deadlines beyond this many draws are as good as each other.
_HORIZON = 2**36
# Uniform numbers have the 53 bits that a float64 in [0, 1) holds.
_BITS = 53
# Luby & Rackoff (SIAM J. Comput. 1988): four rounds are a pseudorandom permutation,
# for large halves. Halves of a bit or two mix slower: of 12, 16, 20 and 24 rounds, 24
# are the first by which all orders of 5, 6 and 7 rows are equally frequent.
_ROUNDS = 24


class DrawOrder:
    """The rows of a table in the order in which they are drawn.

    Groups are drawn by weight: without shuffling by `QuotaOrder`, shuffled by
    `RandomOrder`. Each group goes through its rows again and again: without shuffling
    in input order, shuffled in a new random order on each pass, so that every row of a
    group comes once before any of them comes again.

    With `repeat` a number each row comes that often; a group whose rows are used up is
    passed over, and the others share the remaining draws by weight. (They keep to the
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
        repeat: bool | int,
        seed: int,
    ):
        counts = np.bincount(groups, minlength=len(weights))
        self._weights = np.where(counts > 0, weights, 0.0)
        self._counts, self._starts = counts, np.cumsum(counts) - counts
        self._seed = seed
        self._limits = None if repeat is True else counts * max(1, int(repeat))
        # The rows of group 0 in input order, those of group 1...; None: table order.
        self._rows = None
        if len(weights) > 1:
            self._rows = _stable_order(groups, len(weights)).astype(
                np.int32 if len(groups) < 2**31 else np.int64
            )
        self._permutations = Permutations(np.maximum(counts, 1)) if shuffle else None

    @property
    def size(self) -> int | float:
        """Number of draws, or infinity."""
        if self._limits is None:
            return math.inf
        return int(self._limits[self._weights > 0].sum())

    def blocks(self, epoch: int = 0) -> Iterator[np.ndarray]:
        """Yields the rows that are drawn, in order, as blocks int64 [n], n >= 1.

        Args:
          epoch: shuffled, each has another order; otherwise all are the same.
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
            if self._permutations is None:
                groups = QuotaOrder(self._weights[active])
            else:
                groups = RandomOrder(self._weights[active], int(seeds[0]), virtual)
            is_used_up = False
            while not is_used_up:
                count = min(size, self._useful(active, drawn))
                chosen = active[groups.take(count)]
                virtual += count
                turns = _turns(chosen, drawn)
                if self._limits is not None:
                    kept = turns < self._limits[chosen]
                    is_used_up = not kept.all()
                    chosen, turns = chosen[kept], turns[kept]
                    np.minimum(drawn, self._limits, out=drawn)
                    is_used_up |= bool((drawn[active] >= self._limits[active]).any())
                if len(chosen):
                    yield self._rows_of(chosen, turns, seeds[1])
                size = min(2 * size, largest)

    def _useful(self, active: np.ndarray, drawn: np.ndarray) -> int:
        """Returns the number of draws until groups of half the weight are used up.

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
        """Returns int64 [n], rows of the draws; `turns`: earlier draws of the group."""
        sizes = self._counts[groups]
        passes, positions = np.divmod(turns, sizes)
        if self._permutations is not None:
            keys = draws.mix(
                draws.mix(groups.astype(np.uint64) ^ seed) + passes.astype(np.uint64)
            )
            positions = self._permutations(positions, groups, keys)
        places = self._starts[groups] + positions
        return places if self._rows is None else self._rows[places].astype(np.int64)


class QuotaOrder:
    """Draws groups such that after any k draws |count_g - k w_g| < 1 for every group g.

    The j-th draw of a group is due between draws floor((j - 1) / w) + 1 and
    ceil(j / w): earlier, its count would exceed k w + 1; later, fall below k w - 1.
    Taking, of the groups that may be drawn, the one that is due first meets all of
    these windows, since shares w that sum to 1 can be scheduled (Baruah et al.,
    "Proportionate progress", Algorithmica 1996; the quota at every prefix is Tijdeman's
    chairman assignment problem, 1980). Neither rounding k w nor the order of the
    deadlines alone does. Windows are computed in integers; groups that are due at the
    same time go by their number.

    Args:
      weights: float64 [groups], > 0; they need not sum to 1. Integers that sum to at
        most 2**42 are exact, others are rounded to a share of about 2**-42.
    """

    def __init__(self, weights: np.ndarray):
        self._weights = as_integers(weights)
        self._total = int(self._weights.sum())
        # The fraction of (draws so far) * weight / total, times total.
        self._over = np.zeros(len(weights), np.int64)
        self._drawn = 0
        self._ready = []

    def take(self, count: int) -> np.ndarray:
        """Returns int64 [count], the groups of the next draws."""
        blocks = [
            self._take(min(_MAX_BLOCK, count - start))
            for start in range(0, count, _MAX_BLOCK)
        ]
        return np.concatenate(blocks) if blocks else np.zeros(0, np.int64)

    def _take(self, count: int) -> np.ndarray:
        keys, ends = self._releases(count)
        ready, chosen, start = self._ready, [], 0
        push, pop, append = heapq.heappush, heapq.heappop, chosen.append
        for end in ends:
            for key in keys[start:end]:
                push(ready, key)
            start = end
            append(pop(ready))
        return np.array(chosen, np.int64) % len(self._weights)

    def _releases(self, count: int):
        """Returns the releases of groups within the next `count` draws, as two lists.

        Returns:
          keys: deadline * groups + group, by the draw from which on they may be drawn.
          ends: [count], how many of them there are up to each draw.
        """
        weights, total, over = self._weights, self._total, self._over
        begun = (over > 0).astype(np.int64)
        after = over + count * weights
        numbers = (after + total - 1) // total - begun
        group = np.repeat(np.arange(len(weights)), numbers)
        first = np.cumsum(numbers) - numbers
        whole = np.arange(len(group)) - (first - begun)[group]
        due = whole * total - over[group]
        release = due // weights[group] + 1
        deadline = -(-(due + total) // weights[group])
        deadline = self._drawn + np.minimum(deadline, _HORIZON)
        order = np.lexsort((group, deadline, release))
        keys = (deadline * len(weights) + group)[order].tolist()
        ends = np.searchsorted(release[order], np.arange(1, count + 1), side="right")
        self._over = after % total
        self._drawn += count
        return keys, ends.tolist()


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


class Permutations:
    """Permutations of 0 to n - 1 for many sizes n at once, each by its own key.

    A Feistel network on ceil(log2 n) bits whose rounds hash half of the bits into the
    other half. It permutes 2**bits numbers; a result of n or above is permuted again
    until it is below (cycle walking: Black & Rogaway, CT-RSA 2002), fewer than two
    times on average.

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


def as_integers(weights: np.ndarray) -> np.ndarray:
    """Returns int64 [groups] in proportion to `weights`, >= 1; sum about 2**42."""
    weights = np.asarray(weights, np.float64)
    if weights.sum() <= _TOTAL and np.array_equal(weights, np.rint(weights)):
        return weights.astype(np.int64)
    scaled = np.rint(weights / weights.sum() * _TOTAL)
    return np.maximum(scaled, 1).astype(np.int64)


def _turns(chosen: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Returns int64 [n], how often the group of each draw was drawn before it.

    Args:
      chosen: int64 [n], groups in the order in which they are drawn.
      drawn: int64 [groups], how often each was drawn before; counted on in place.
    """
    if len(drawn) == 1:
        turns = drawn[0] + np.arange(len(chosen))
        drawn[0] += len(chosen)
        return turns
    order = _stable_order(chosen, len(drawn))
    counts = np.bincount(chosen, minlength=len(drawn))
    ordered = chosen[order]
    starts = np.cumsum(counts) - counts
    turns = np.empty(len(chosen), np.int64)
    turns[order] = np.arange(len(chosen)) - starts[ordered] + drawn[ordered]
    drawn += counts
    return turns


def _stable_order(groups: np.ndarray, size: int) -> np.ndarray:
    """Returns int64 [n], indices that sort groups 0 to size - 1, and keep ties."""
    # NumPy sorts 16 bits in linear time, and wider integers by comparison.
    kind = np.uint16 if size <= 2**16 else np.int64
    return np.argsort(groups.astype(kind, copy=False), kind="stable")
