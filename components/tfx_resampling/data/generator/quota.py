"""A deterministic order of groups that keeps to their weights at every prefix."""

import heapq

import numpy as np

# Weights become integers that sum to at most this. Rounding moves a count by less than
# 2e-4 in 10**9 draws, and sums of a block of _MAX_BLOCK draws stay below 2**62.
_TOTAL = 2**42
_MAX_BLOCK = 2**19
# Deadlines beyond this many draws are as good as each other.
_HORIZON = 2**36


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
        # Of (draws so far) * weight / total: what is over a whole number, times total.
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
        """Returns what may be drawn from when on, within the next `count` draws.

        Returns:
          keys: list of deadline * groups + group, by the draw from which they may be
            drawn.
          ends: list [count], how many of them there are up to each draw.
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


def as_integers(weights: np.ndarray) -> np.ndarray:
    """Returns int64 [groups] in proportion to `weights`, >= 1; sum about 2**42."""
    weights = np.asarray(weights, np.float64)
    if weights.sum() <= _TOTAL and np.array_equal(weights, np.rint(weights)):
        return weights.astype(np.int64)
    scaled = np.rint(weights / weights.sum() * _TOTAL)
    return np.maximum(scaled, 1).astype(np.int64)
