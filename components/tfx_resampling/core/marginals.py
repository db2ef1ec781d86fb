"""What factors emit where only the counts of single labels, or of pairs, are known.

Which labels a record has is then a matter of chance: given a label l, every other label
k is there with the chance p_kl, independently of the rest, where

    p_kl = q_k            of marginal counts alone (`independent_chances`),
    p_kl = n_kl / n_l     where the number of records with both labels is known.

E[r | l] is computed from these chances, not sampled: for "max" and "min" over the
labels in order of their factors; for "product" from the distribution of the sum of
log T, for "mean" from that of the number of labels and the sum of T, by Fourier
transforms on a grid. Records are counted by 1 / m = integral of u^(m - 1) over u from 0
to 1: a record of m labels is among those of m labels, and so 1 / m of a record in each.
"""

import numpy as np
import scipy.optimize

# Points of the grid of sums of log T, and its length in standard deviations of a sum
# on either side of its mean. Mass between two points is split so that means are exact;
# what is left is an error of some 1e-5 of r.
_POINTS = 8_192
_FEWER_POINTS = 2_048  # Of very many labels.
_MANY_LABELS = 300
_DEVIATIONS = 12.0
# Labels times numbers of labels times points of sums, of means.
_SUMS = 4_000_000
# Nodes of Gauss-Legendre integrals: exact for records of up to twice as many labels.
_NODES = 24
_FEWER_NODES = 6
# Chances up to which a logarithm is the first three terms of its series: an error of
# at most (2 * 0.02)^4 / 4 each.
_SMALL = 0.02


def independent_chances(fractions: np.ndarray) -> np.ndarray:
    """Returns the chance q_l of each label, records without any not yet left aside.

    fractions_l = q_l / P, where P = 1 - prod(1 - q_k) is the chance of any label.

    Args:
      fractions: float64 [labels], fraction of the labeled records with each label.
    """
    fractions = np.minimum(fractions, 1.0)

    def excess(any_label):
        return 1 - np.prod(1 - fractions * any_label) - any_label

    # With one label per record the only solution is the limit, in which a record never
    # has a second one.
    low = 1e-9
    if excess(low) <= 0:
        return np.zeros_like(fractions)
    if excess(1.0) >= 0:
        return fractions
    return fractions * scipy.optimize.brentq(excess, low, 1.0)


def expected(
    factors: np.ndarray,
    counts: np.ndarray,
    num_labeled: int,
    pairs: np.ndarray | None,
    combine: str,
    bounds: tuple[float, float],
) -> tuple[np.ndarray, float]:
    """Returns what an epoch emits on average: (counts [labels], labeled records).

    Exact for labels that are independent of each other, given (of pairs) one of them.

    Args:
      factors: float64 [labels], T, >= 0.
      counts: float64 [labels], natural counts.
      num_labeled: records with at least one label.
      pairs: float64 [labels, labels], records that have both labels, if known.
      combine: "product", "max", "min" or "mean".
      bounds: lowest and highest repeat factor of a record.
    """
    if pairs is None:
        shared = independent_chances(counts / num_labeled)
        chances = np.broadcast_to(shared, (len(counts), len(counts))).copy()
    else:
        chances = np.minimum(pairs / np.maximum(counts, 1.0)[:, np.newaxis], 1.0)
    np.fill_diagonal(chances, 0.0)
    if combine == "product":
        given = _products(factors, chances, bounds, pairs is None)
    elif combine == "mean":
        given = _means(factors, chances, bounds, pairs is None)
    else:
        given = _extremes(factors, chances, bounds, combine == "max")
    mean, shared_out, share = given
    # Records: those of each label, shared out among the labels that they have.
    records = num_labeled * (counts @ shared_out) / (counts @ share)
    return counts * mean, float(records)


def _nodes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns nodes and weights of an integral from 0 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1) / 2, weights / 2


def _extremes(factors, chances, bounds, largest: bool):
    """Returns E[r], E[r / m] and E[1 / m] given each label, r of the extreme factor."""
    bounded = np.clip(factors, *bounds)
    # From the factor that decides wherever it is there to the one that never does.
    order = np.argsort(-bounded if largest else bounded, kind="stable")
    chances, bounded = chances[np.ix_(order, order)], bounded[order]
    nodes, weights = _nodes(_NODES)
    result = np.zeros([3, len(factors)])
    for own, row in enumerate(chances):
        # What decides is the first that is there; at the latest the label itself.
        none_before = np.concatenate([[1.0], np.cumprod(1 - row[:own])])
        first = np.append(row[:own], 1.0) * none_before
        thinned = 1 - row + row * nodes[:, np.newaxis]  # [nodes, labels]
        after = np.cumprod(thinned[:, ::-1], axis=1)[:, ::-1]
        after = np.concatenate([after, np.ones([len(nodes), 1])], axis=1)[:, 1:]
        # Beside the label itself there are the one that decides and what comes after.
        after = after[:, : own + 1]
        after[:, :own] *= nodes[:, np.newaxis]
        result[:, order[own]] = (
            first @ bounded[: own + 1],
            weights @ after @ (first * bounded[: own + 1]),
            weights @ thinned.prod(axis=1),
        )
    return result


def _means(factors, chances, bounds, is_independent: bool):
    """Returns E[r], E[r / m] and E[1 / m] given each label, r of the bounded mean.

    The sum of T and the number of labels beside l have, at (v, w), the transform:
    product over k of 1 - p_kl (1 - w z_k(v)), with z_k that of T_k. Its inverse is the
    chance of each number and sum.
    """
    low, high = bounds
    count = len(factors)
    deviations = np.sqrt((chances * (1 - chances)).sum(axis=1))
    others = chances.sum(axis=1) + _DEVIATIONS * deviations
    numbers = min(int(others.max()) + 4, count)
    # A larger factor than this gives the upper bound, whatever is beside it.
    values = np.minimum(factors, high * numbers)
    points = 2 ** int(np.clip(np.log2(_SUMS / (count * numbers)), 7, 11))
    deviations = np.sqrt((chances * (1 - chances)) @ values**2)
    most = (chances @ values + _DEVIATIONS * deviations).max() + 3 * values.max()
    # Splitting mass between points adds up to a step per label.
    step = max(min(most, values.sum()), 1e-9) / (points - numbers - 1)
    turned = _transforms(values, step, points)
    roots = np.exp(-2j * np.pi * np.arange(numbers) / numbers)
    turned = (roots[:, np.newaxis] * turned[:, np.newaxis]).reshape(count, -1)
    transforms = _exp_logs(chances, turned, is_independent)
    sums = step * np.arange(points)
    of_all = np.arange(1, numbers + 1)[:, np.newaxis]
    result = np.zeros([3, count])
    for label, transform in enumerate(transforms):
        # [numbers, points]: the chance of so many labels beside l, of such a sum.
        by_number = np.fft.ifft(transform.reshape(numbers, -1), axis=0)
        mass = np.fft.irfft(by_number, points, axis=1)
        repeat = np.clip((values[label] + sums) / of_all, low, high)
        result[:, label] = (
            (mass * repeat).sum(),
            (mass * repeat / of_all).sum(),
            (mass / of_all).sum(),
        )
    return result


def _products(factors, chances, bounds, is_independent: bool):
    """Returns E[r], E[r / m] and E[1 / m] given each label, r of the bounded product.

    The sum of log T of the labels beside l has, at u = 1, the transform: product over k
    of 1 - p_kl (1 - z_k), with z_k that of log T_k. For another u, p u / (1 - p + p u)
    stands for p, and the product of the denominators comes before it.
    """
    low, high = bounds
    zero = factors <= 0
    logs = np.log(np.where(zero, 1.0, factors))
    points = _POINTS
    if len(factors) > _MANY_LABELS:
        points = _FEWER_POINTS
    # With a label of factor 0, r is the lower bound.
    none_lost = np.prod(1 - chances[:, zero], axis=1)
    kept = np.where(zero, 0.0, chances)
    first, step = _grid(logs, kept, points)
    turned = _transforms(logs, step, points)
    sums = step * (first + np.arange(points))
    with np.errstate(over="ignore"):
        # [labels, points]: of the label itself and each sum of the others.
        repeat = np.clip(np.exp(logs[:, np.newaxis] + sums), low, high)

    def bounded(node):
        """Returns E[r u^(m - 1)] given each label, for u = `node`."""
        thinned = 1 - chances + chances * node
        before = np.prod(1 - kept + kept * node, axis=1)
        tilted = kept * node / (1 - kept + kept * node)
        mass = np.fft.irfft(_exp_logs(tilted, turned, is_independent), points)
        mass = np.roll(mass, -first, axis=1)  # Sums below 0 come in at the end.
        value = before * none_lost * np.einsum("lp,lp->l", mass, repeat)
        value += low * (np.prod(thinned, axis=1) - before * none_lost)
        return np.where(zero, low * np.prod(thinned, axis=1), value)

    if is_independent:
        # All labels are alike: of any labeled record, E[r] and 1 for each record.
        shared = kept.max(axis=0)
        every = np.exp(
            np.log(_away_from_0(1 - shared[:, np.newaxis] * (1 - turned))).sum(0)
        )
        mass = np.roll(np.fft.irfft(every, points), -first)
        with np.errstate(over="ignore"):
            mean = mass @ np.clip(np.exp(sums), low, high)
        lost = np.prod(1 - chances.max(axis=0)[zero])
        none = np.prod(1 - chances.max(axis=0))
        mean = lost * mean + (1 - lost) * low - none * np.clip(1.0, low, high)
        each = np.ones(len(factors))
        return bounded(1.0), each * mean / (1 - none), each
    nodes, weights = _nodes(_FEWER_NODES)
    share = sum(
        weight * np.prod(1 - chances + chances * node, axis=1)
        for node, weight in zip(nodes, weights)
    )
    shared_out = sum(w * bounded(node) for node, w in zip(nodes, weights))
    return bounded(1.0), shared_out, share


def _grid(logs, chances, points) -> tuple[int, float]:
    """Returns the first point, in steps, and the step of a grid for sums of `logs`."""
    mean = chances @ logs
    deviation = np.sqrt((chances * (1 - chances)) @ logs**2)
    span = _DEVIATIONS * deviation.max() + 3 * np.abs(logs).max()
    least = max(logs[logs < 0].sum(), mean.min() - span)
    most = min(logs[logs > 0].sum(), mean.max() + span)
    # Zero is among the points: most often no other label is there. Splitting mass
    # between points adds up to a step per label at both ends.
    spare = min(len(logs), 64) + 2
    step = max(most - least, 1e-9) / (points - 2 * spare)
    return int(np.floor(least / step)) - spare, step


def _transforms(logs, step, points) -> np.ndarray:
    """Returns complex [labels, points / 2 + 1], the transform of each of `logs`."""
    angles = -2j * np.pi * np.arange(points // 2 + 1) / points
    whole = np.floor(logs / step)[:, np.newaxis]
    part = logs[:, np.newaxis] / step - whole
    return np.exp(angles * whole) * ((1 - part) + part * np.exp(angles))


def _exp_logs(chances, turned, is_independent: bool) -> np.ndarray:
    """Returns for each label the product of 1 - p_k (1 - z_k) over all others."""
    beside = 1 - turned
    if is_independent:
        # The same chances beside each label: all of them, but its own.
        shared = chances.max(axis=0)[:, np.newaxis]
        each = np.log(_away_from_0(1 - shared * beside))
        return np.exp(each.sum(axis=0) - each)
    # For small p the logarithm is a series, which products of matrices add up.
    small = np.where(chances <= _SMALL, chances, 0.0)
    logs = sum(-(small**n / n) @ beside**n for n in (1, 2, 3))
    result = np.exp(logs)
    for label, row in enumerate(chances):
        for other in np.flatnonzero(row > _SMALL):
            result[label] *= 1 - row[other] * beside[other]
    return result


def _away_from_0(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) < 1e-12, 1e-12, values)
