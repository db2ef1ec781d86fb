"""Factors of the plan's form that come closest to a target that is out of reach.

The fit (`fitting.exact`) is exact where some repeat factors within the bounds emit the
target. Where none do, its optimum is not that of the distance, because the sum of
occurrences that it aims for is not the sum that it gets. Here the total-variation
distance of the emitted shares itself is minimised, over T alone:

    r(y) = clip(product of T_l over l in y, lo, hi),    e_l = sum of n_y r(y) y_l,
    minimise  1/2 sum |e_l / sum(e) - B_l|  +  concentration * log(records / effective)

where `effective` is Kish's effective sample size, (sum r)^2 / sum r^2. Two conditions
hold besides: the number of records emitted is the one asked for, and no label is
emitted less often per record than naturally if B raises its share, nor more often if B
lowers it.

The problem is neither convex nor smooth. It is solved by L-BFGS on smoothed versions,
|x| as sqrt(x^2 + d^2) and the bounds of log r as hyperbolas, that get sharper step by
step, from the exact fit's factors on. A linear program over all r(y), under the same
conditions, gives the floor: on the label sets of VOC-LT and COCO-LT (Wu et al., ECCV
2020) plans ended 0.002 to 0.005 above it (`tests/benchmarks/bench_closest.py` has
made-up ones).
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import scipy.optimize

from tfx_resampling.core.counts import LabelSets

# Widths of the smoothing: of the bounds in units of log r, and of shares in units of
# the mean share. The last step has the bounds as they are.
_WIDTHS = (
    *((1.0, 0.5), (0.3, 0.1), (0.1, 0.03)),
    *((0.03, 0.01), (0.01, 0.003), (0.0, 1e-3)),
)
# Iterations of each of them.
_ITERATIONS = 150
# Evaluations that a label matrix gets, in numbers times label sets: what keeps 100,000
# label sets under 10 s on one core of 2024.
_WORK = 50_000_000
# |log T|: farther than any bound of r is from 1, so that one label's factor can undo
# another's.
_LARGEST_EXPONENT = 30.0
# |log T| at most, where a search goes on from another one's end.
_START = 3.0
# Weight of the number of records beside the distance, which is at most 1.
_SIZE_WEIGHT = 1.0
# Relative to its natural rate, by how much a label is beyond it that is astray.
_ASTRAY = 1e-6
# Fewer evaluations than this are for fewer weights of concentration.
_FEW_EVALUATIONS = 500
# Weights of concentration (module docstring): of the closest plan, and of those that
# are tried for a larger effective sample size.
_CONCENTRATIONS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 1.0)
# What e times as many records are worth in distance, where their number is open.
_REWARDS = (0.1, 0.05, 0.03, 0.015, 0.005)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One plan of the trade-off between distance and effective sample size.

    Attributes:
      factors: float64 [labels], T.
      distance: total-variation distance of the emitted shares to the target.
      effective_sample_size: Kish's, of the labeled records.
      records: labeled records that an epoch emits.
      astray: indices of the labels that are emitted less often per record than
        naturally though the target raises their share, or more often though it lowers
        it.
    """

    factors: np.ndarray
    distance: float
    effective_sample_size: float
    records: float
    astray: tuple[int, ...]


class _Sides(NamedTuple):
    """How labels are kept on their side of their natural rate.

    Attributes:
      weight: of how far they are beyond it; more than they can ever gain.
      margin: by how much of it they are to stay away from it, so that what is smoothed
        holds exactly.
    """

    weight: float
    margin: float


# The next one where that of before does not do.
_SIDES = (_Sides(4.0, 2e-3), _Sides(40.0, 1e-2), _Sides(400.0, 5e-2))


class _Task(NamedTuple):
    """Weights of what is minimised beside the distance.

    Attributes:
      concentration: of log(records / effective sample size).
      reward: of log(records), where their number is open; negative for small epochs.
      sides: how labels are kept on their side.
    """

    concentration: float
    reward: float
    sides: _Sides


class Closest:
    """Searches the factors for one set of label sets, target and bounds."""

    def __init__(
        self,
        label_sets: LabelSets,
        target: np.ndarray,
        low: float,
        high: float,
        num_records: float | None,
    ):
        """Makes a search.

        Args:
          label_sets: the label sets; the empty one is left out of account.
          target: float64 [labels], B, sums to 1. A label with share 0 has T = 0.
          low: lower bound of a record's repeat factor.
          high: upper bound of it.
          num_records: labeled records to emit; None leaves it open.
        """
        filled = label_sets.lengths > 0
        self._matrix = label_sets.matrix(len(target))[filled]
        self._transpose = self._matrix.T.tocsr()
        self._weights = label_sets.weights[filled]
        self._lengths = label_sets.lengths[filled].astype(np.float64)
        self._target = target
        counts = self._transpose @ self._weights
        self._present = counts > 0
        self._unwanted = self._present & (target == 0)
        self._natural = counts / counts.sum()
        self._side = np.sign(target - self._natural)
        # Occurrences of a label per record, in units of how many labels a record has
        # naturally: then the natural rates are the natural shares.
        self._rate = self._weights.sum() / counts.sum()
        self._low = np.log(low) if low > 0 else -np.inf
        self._high = np.log(high) if high > 0 else -np.inf
        self._num_records = num_records
        most = int(_WORK / max(self._matrix.nnz + 4 * len(self._weights), 1))
        self._evaluations = max(120, min(6000, most))

    def trade_off(self, factors: np.ndarray) -> list[Candidate]:
        """Returns what was found: the closest, then ones with less concentration.

        Args:
          factors: float64 [labels], T to begin with.
        """
        # Where a step takes long, only a few are weighed.
        is_large = self._evaluations < _FEW_EVALUATIONS
        first, *others = _CONCENTRATIONS[:: 3 if is_large else 1]
        # All factors 1 keep every label on its side.
        starts = [factors] if is_large else [factors, np.ones(len(factors))]
        found = []
        budget = self._evaluations // (2 * len(starts))
        for start in map(self._exponents, starts):
            found.append(self._solved(start, _Task(first, 0.0, _SIDES[0]), budget))
            latest = found[-1:]
            for sides in _SIDES[1:]:
                if not all(each.astray for each in latest):
                    break
                begin = [self._exponents(latest[-1].factors), start]
                task = _Task(first, 0.0, sides)
                latest = [self._solved(each, task, budget) for each in begin]
                found += latest
        last = min(found, key=lambda each: each.distance)
        for concentration in others:
            # Far beyond the bounds nothing changes with the exponents: those of the
            # last solution are drawn in to begin with.
            start = np.clip(self._exponents(last.factors), -_START, _START)
            task = _Task(concentration, 0.0, _SIDES[0])
            last = self._solved(start, task, self._evaluations // (2 * len(others)))
            found.append(last)
        return found

    def _solved(self, exponents: np.ndarray, task: _Task, budget: int) -> Candidate:
        """Returns what comes of log T by ever less smoothed versions of a task."""
        for number, width in enumerate(_WIDTHS):
            iterations = max(10, min(_ITERATIONS, budget // (len(_WIDTHS) - number)))
            exponents, used = self._minimise(exponents, task, *width, iterations)
            budget -= used
        return self._candidate(self._sized(exponents))

    def sizes(self, factors: np.ndarray, is_smallest: bool) -> list[Candidate]:
        """Returns what was found for epochs of several sizes.

        Args:
          factors: float64 [labels], T to begin with; so are all factors 1.
          is_smallest: whether small epochs are wanted, and not large ones.
        """
        sign = -1.0 if is_smallest else 1.0
        starts = [self._exponents(each) for each in (np.ones(len(factors)), factors)]
        budget = self._evaluations // (len(_REWARDS) * len(starts))
        found = []
        for reward in _REWARDS:
            task = _Task(_CONCENTRATIONS[0], sign * reward, _SIDES[1])
            ends = [self._solved(start, task, budget) for start in starts]

            def loss(end, task=task):
                return end.distance - task.reward * np.log(end.records)

            found.append(min(ends, key=lambda end: (len(end.astray), loss(end))))
        return found

    def given(self, factors: np.ndarray) -> Candidate:
        """Returns what factors that come from elsewhere give."""
        return self._candidate(self._exponents(factors))

    def _exponents(self, factors: np.ndarray) -> np.ndarray:
        exponents = np.clip(
            np.log(np.maximum(factors, 1e-300)), -_LARGEST_EXPONENT, _LARGEST_EXPONENT
        )
        exponents[self._unwanted] = -_LARGEST_EXPONENT
        return exponents

    def _candidate(self, exponents: np.ndarray) -> Candidate:
        factors = np.where(self._present, np.exp(exponents), 1.0)
        factors[self._unwanted] = 0.0
        repeat, _ = self._factors(exponents, 0.0)
        emitted = self._weights * repeat
        counts = self._transpose @ emitted
        shares = counts / counts.sum()
        rates = counts / emitted.sum() * self._rate
        beyond = self._side * (self._natural - rates)
        return Candidate(
            factors=factors,
            distance=float(np.abs(shares - self._target).sum() / 2),
            effective_sample_size=float(emitted.sum() ** 2 / (emitted @ repeat)),
            records=float(emitted.sum()),
            astray=tuple(np.flatnonzero(beyond > _ASTRAY * self._natural).tolist()),
        )

    def _factors(self, exponents: np.ndarray, width: float):
        """Returns r [sets] with smoothed bounds, and d log r / d sum of exponents."""
        raw = self._matrix @ exponents
        if not width:
            inside = np.clip(raw, self._low, self._high)
            return np.exp(inside), (raw == inside).astype(np.float64)
        slope = 1.0
        for bound, sign in ((self._low, 1.0), (self._high, -1.0)):
            if np.isfinite(bound):
                over = sign * (raw - bound)
                root = np.sqrt(over * over + 4 * width * width)
                raw = bound + sign * 0.5 * (over + root)
                slope = slope * 0.5 * (1 + over / root)
        return np.exp(raw), slope

    def _minimise(self, start, task: _Task, width, share_width, iterations: int):
        weight, reward, (side_weight, margin) = task
        limit = self._natural + self._side * np.minimum(
            margin * self._natural, np.abs(self._target - self._natural) / 2
        )
        smoothing = share_width / len(self._target)
        total = self._weights.sum()

        def objective(exponents):
            repeat, slope = self._factors(exponents, width)
            emitted = self._weights * repeat
            counts = self._transpose @ emitted
            records, occurrences = emitted.sum(), counts.sum()
            shares = counts / occurrences
            gap = shares - self._target
            root = np.sqrt(gap * gap + smoothing * smoothing)
            value = 0.5 * (root - smoothing).sum()
            by_share = 0.5 * gap / root
            # How far a label is beyond its natural rate, x: x^2 / (x + smoothing).
            rates = counts / records * self._rate
            over = np.maximum(0.0, self._side * (limit - rates))
            value += side_weight * (over * over / (over + smoothing)).sum()
            by_rate = (
                -side_weight
                * self._side
                * (over * over + 2 * over * smoothing)
                / (over + smoothing) ** 2
            )
            by_count = (by_share - by_share @ shares) / occurrences
            by_count += by_rate * self._rate / records
            by_record = -(by_rate @ rates) / records
            if self._num_records is not None:
                missed = np.log(records / self._num_records)
                value += _SIZE_WEIGHT * missed * missed
                by_record += 2 * _SIZE_WEIGHT * missed / records
            elif reward:
                value -= reward * np.log(records / total)
                by_record -= reward / records
            squares = emitted @ repeat
            value += weight * np.log(squares * total / records**2)
            by_emitted = self._matrix @ by_count + by_record
            by_emitted += weight * (2 * repeat / squares - 2 / records)
            return value, self._transpose @ (by_emitted * emitted * slope)

        bounds = np.full((len(start), 2), [-_LARGEST_EXPONENT, _LARGEST_EXPONENT])
        bounds[self._unwanted] = -_LARGEST_EXPONENT
        solution = scipy.optimize.minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options=dict(maxiter=iterations, maxcor=20, ftol=1e-10, gtol=1e-8),
        )
        return solution.x, solution.nfev

    def _sized(self, exponents: np.ndarray) -> np.ndarray:
        """Returns the exponents shifted such that the number of records is right."""
        if self._num_records is None:
            return exponents
        raw = self._matrix @ exponents

        def excess(shift):
            inside = np.clip(raw + shift * self._lengths, self._low, self._high)
            return self._weights @ np.exp(inside) - self._num_records

        ends = (-_LARGEST_EXPONENT, _LARGEST_EXPONENT)
        if not excess(ends[0]) < 0 < excess(ends[1]):
            return exponents
        return exponents + scipy.optimize.brentq(excess, *ends, xtol=1e-13)
