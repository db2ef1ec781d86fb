"""Fits T on label sets, so that what is emitted has the target distribution.

Labels co-occur: a record is emitted for all of its labels at once.
So repeat factors r(y) of label sets y are chosen together, closest to 1 in
Kullback-Leibler divergence subject to

    sum over y of n_y r(y) y_l = S B_l   for every label l,   lo <= r(y) <= hi,

where S is such that sum of n_y r(y) is the number of records wanted. The optimum is
r(y) = clip(exp(sum of lambda_l over l in y), lo, hi): one factor per label, T_l =
exp(lambda_l), combined by product. That is bounded raking (Deville & Sarndal 1992) or
entropy balancing (Hainmueller 2012). Its dual is smooth and convex in lambda.

Where no r reaches B, the dual has no optimum: lambda runs away. Bounding |lambda| by C
bounds T, and is the dual of paying C for each occurrence that is missing or too many,
so that the result is the closest distribution in total variation but for a small share
of the divergence.
"""

import dataclasses

import numpy as np
import scipy.optimize
import scipy.sparse

from tfx_resampling.core.config import LARGEST_FACTOR
from tfx_resampling.core.counts import LabelSets
from tfx_resampling.core.factors import distance

# C of the module docstring: T lies in [1 / LARGEST_FACTOR, LARGEST_FACTOR].
_LAMBDA_BOUND = np.log(LARGEST_FACTOR)
# Projected gradient at which the dual counts as solved, relative to the records: far
# below the 1e-6 that a reachable target may be missed by.
_GRADIENT_TOLERANCE = 1e-9
# Relative error of the number of records, and a cap on the steps towards it. Each step
# starts at the solution of the last one; a handful is usual.
_SIZE_TOLERANCE = 1e-6
_SIZE_STEPS = 40
# Sizes that are tried for the smallest or largest epoch that reaches the target, and
# halvings of the last step: to within 0.2 % of the size.
_SIZES = 12
_HALVINGS = 10
# Total-variation distance up to which the target counts as reached in that search.
_REACHED = 1e-5


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Bounds of a record's repeat factor, 0 <= low <= high."""

    low: float
    high: float


def fit_factors(
    label_sets: LabelSets, target: np.ndarray, num_records: float, bounds: Bounds
) -> np.ndarray:
    """Returns T, float64 [labels], with expected emitted shares closest to `target`.

    Args:
      label_sets: the label sets with their numbers of records; the empty set is left
        out of account.
      target: float64 [labels], B, sums to 1. A label with share 0 has T = 0, a label
        that no set has has T = 1.
      num_records: labeled records that an epoch is to emit, > 0.
      bounds: bounds of the records' repeat factors.
    """
    problem = _Problem(label_sets, target, bounds)
    return problem.factors(problem.solve_for_size(num_records))


def fit_counts(label_sets: LabelSets, wanted: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Returns T, float64 [labels], with expected emitted counts closest to `wanted`.

    Args:
      label_sets: as `fit_factors`.
      wanted: float64 [labels], occurrences of each label that an epoch is to emit.
      bounds: bounds of the records' repeat factors.
    """
    total = wanted.sum()
    problem = _Problem(label_sets, wanted / total, bounds)
    return problem.factors(problem.solve(total))


def fit_extreme_size(
    label_sets: LabelSets, target: np.ndarray, bounds: Bounds, largest: bool
) -> np.ndarray:
    """Returns T for the largest (or smallest) epoch that comes closest to `target`.

    With bounds.high = 1 and `largest`, that is undersampling: no record is replicated
    and no more are dropped than B asks for. With bounds.low = 1 and not `largest`, it
    is oversampling: none is dropped.

    Args:
      label_sets: as `fit_factors`.
      target: as `fit_factors`.
      bounds: as `fit_factors`.
      largest: whether to emit as many records as possible, or as few.
    """
    problem = _Problem(label_sets, target, bounds)
    return problem.factors(problem.solve_for_extreme(largest))


class _Problem:
    """The dual of the module docstring for one set of labels and bounds."""

    def __init__(self, label_sets: LabelSets, target: np.ndarray, bounds: Bounds):
        matrix = label_sets.matrix(len(target))
        counts = matrix.T @ label_sets.weights
        self._target = target
        self._present = counts > 0
        self._fitted = self._present & (target > 0)
        # Sets with a label that is not wanted have the lowest factor there is.
        unwanted = matrix[:, self._present & (target == 0)].sum(axis=1).A1 > 0
        free = ~unwanted & (label_sets.lengths > 0)
        fixed = unwanted & (label_sets.lengths > 0)
        self._weights = label_sets.weights[free]
        self._matrix = matrix[free][:, self._fitted]
        self._transpose = self._matrix.T.tocsr()
        fixed_emitted = bounds.low * label_sets.weights[fixed]
        self._fixed_counts = matrix[fixed].T @ fixed_emitted
        self._fixed_records = fixed_emitted.sum()
        self._total = label_sets.weights.sum()
        self._labeled = label_sets.weights[label_sets.lengths > 0].sum()
        self._low = np.log(bounds.low) if bounds.low > 0 else -np.inf
        self._high = np.log(bounds.high) if bounds.high > 0 else -np.inf
        self._counts = counts

    def factors(self, exponents: np.ndarray) -> np.ndarray:
        """Returns T [labels] of lambda [fitted labels]."""
        result = np.where(self._present, 0.0, 1.0)
        result[self._fitted] = np.exp(exponents)
        return result

    def solve_for_size(self, num_records: float) -> np.ndarray:
        """Returns lambda for which the expected number of records is `num_records`."""
        occurrences = self._counts.sum() * num_records / self._labeled
        exponents = self._start(occurrences)
        below, above = 0.0, np.inf
        for _ in range(_SIZE_STEPS):
            exponents = self._solve(occurrences, exponents)
            records, _ = self._emitted(exponents)
            if abs(records - num_records) <= _SIZE_TOLERANCE * num_records:
                break
            if records < num_records:
                below = occurrences
            else:
                above = occurrences
            # Records are near proportional to occurrences; where bounds bind they are
            # not, and what is known to be too few or too many limits the step.
            occurrences *= np.clip(num_records / max(records, 1e-300), 0.1, 10.0)
            if not below < occurrences < above:
                occurrences = (below + above) / 2
        return exponents

    def solve_for_extreme(self, largest: bool) -> np.ndarray:
        """Returns lambda for the largest or smallest size that is closest to B.

        Sizes are tried from the extreme one inwards, until one reaches B; the last step
        is then halved. If none does, the closest is taken.
        """
        # Of the extreme size every factor is at its bound; inwards they may differ by
        # all that the bounds leave.
        inwards = -1.0 if largest else 1.0
        extreme = np.exp(self._high if largest else self._low)
        room = np.exp(self._high - max(self._low, -_LAMBDA_BOUND))
        steps = np.geomspace(1.0, max(room, 1.0), _SIZES) ** inwards
        natural = self._counts.sum() * extreme
        exponents = self._start(natural)
        closest = (np.inf, exponents)
        for before, step in zip([1.0, *steps], steps):
            exponents = self._solve(natural * step, exponents)
            missed = self._distance(exponents)
            if missed < closest[0]:
                closest = (missed, exponents)
            if missed <= _REACHED:
                return self._halved(natural, before, step, exponents)
        return closest[1]

    def _halved(self, natural: float, missed: float, reached: float, exponents):
        """Returns lambda for the step closest to `missed` that still reaches B."""
        for _ in range(_HALVINGS if missed != reached else 0):
            middle = np.sqrt(missed * reached)
            found = self._solve(natural * middle, exponents)
            if self._distance(found) <= _REACHED:
                reached, exponents = middle, found
            else:
                missed = middle
        return exponents

    def _start(self, occurrences: float) -> np.ndarray:
        """Returns plain B / A, its logarithm halved, because factors multiply."""
        wanted = occurrences * self._target[self._fitted]
        ratio = np.log(wanted / self._counts[self._fitted])
        return np.clip(ratio / 2, -_LAMBDA_BOUND, _LAMBDA_BOUND)

    def solve(self, occurrences: float) -> np.ndarray:
        """Returns lambda for S = `occurrences`."""
        return self._solve(occurrences, self._start(occurrences))

    def _solve(self, occurrences: float, start: np.ndarray) -> np.ndarray:
        """Returns the lambda that minimises the dual for S = `occurrences`."""
        wanted = occurrences * self._target - self._fixed_counts
        wanted = np.maximum(wanted[self._fitted], 0.0)
        # The second derivative is near S B_l, so this makes all of them near 1.
        scale = 1 / np.sqrt(np.maximum(wanted / self._total, 1e-12))

        def objective(scaled):
            exponents = scaled * scale
            raw = self._matrix @ exponents
            clipped = np.clip(raw, self._low, self._high)
            factors = np.exp(clipped)
            # The antiderivative of clip(exp(x), lo, hi), but for a constant.
            value = factors + np.where(raw == clipped, 0, factors * (raw - clipped))
            gradient = self._transpose @ (self._weights * factors) - wanted
            return (
                (self._weights @ value - wanted @ exponents) / self._total,
                gradient * scale / self._total,
            )

        bound = _LAMBDA_BOUND / scale
        solution = scipy.optimize.minimize(
            objective,
            np.clip(start / scale, -bound, bound),
            jac=True,
            method="L-BFGS-B",
            bounds=np.stack([-bound, bound], axis=1),
            options=dict(
                maxiter=3000,
                maxfun=6000,
                maxcor=20,
                ftol=0.0,
                gtol=_GRADIENT_TOLERANCE,
            ),
        )
        return solution.x * scale

    def _emitted(self, exponents: np.ndarray) -> tuple[float, np.ndarray]:
        """Returns (expected records, expected counts [labels])."""
        raw = np.clip(self._matrix @ exponents, self._low, self._high)
        emitted = self._weights * np.exp(raw)
        counts = self._fixed_counts.copy()
        counts[self._fitted] += self._transpose @ emitted
        return emitted.sum() + self._fixed_records, counts

    def _distance(self, exponents: np.ndarray) -> float:
        _, counts = self._emitted(exponents)
        return distance(counts, self._target)
