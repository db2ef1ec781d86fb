"""How near plans come to targets out of reach, and what that takes: `make bench`.

Per case the floor, which HiGHS finds over a factor of its own for every label set at
the size of the plan, and the same where no label may come less often than naturally if
its share is to rise, nor more often if it is to fall; the best of many starts of
factors of the plan's form (one per label, product, clipped), by the same search; the
plan; its effective sample size; labels on the wrong side; and seconds. Goals: within
0.01 of the floor wherever the form can be; 1,200 labels and 100,000 label sets (the
last line, without a floor) in 10 s.
"""

import argparse
import time

import numpy as np
import scipy.optimize
import scipy.sparse
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.fitting.closest import Closest
from tfx_resampling.fitting.planning import make_plan

from tests.plans import row_counts


def long_tailed(num_labels: int, num_records: int, seed: int) -> LabelCounts:
    """Returns label sets of a few labels around scenes, with a long tail of labels."""
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, num_labels + 1) ** 1.3
    popularity /= popularity.sum()
    num_scenes = max(2, num_labels // 6)
    scenes = rng.dirichlet(np.full(num_labels, 0.05), num_scenes) + popularity
    scenes = np.cumsum(scenes / scenes.sum(axis=1, keepdims=True), axis=1)
    rows: dict[tuple[int, ...], int] = {}
    for scene in rng.integers(0, num_scenes, num_records):
        drawn = np.searchsorted(scenes[scene], rng.random(1 + rng.poisson(2)))
        key = tuple(sorted({min(int(i), num_labels - 1) for i in drawn}))
        rows[key] = rows.get(key, 0) + 1
    return row_counts(list(rows), list(rows.values()), num_labels)


def floor(
    counts: LabelCounts, target: np.ndarray, low: float, high: float, sides: bool
) -> float:
    """Returns the least distance of any factors per label set that keep the size.

    With `sides`, no label comes less often than naturally if its share is to rise, nor
    more often if it is to fall.

    A linear-fractional program, made linear by Charnes and Cooper's (1962) scaling: the
    variables are the factors times t, t, and the distance of each label, with t such
    that occurrences sum to 1.
    """
    sets = counts.label_sets
    assert sets is not None
    num_sets, num_labels = len(sets.weights), len(target)
    emitted = (sets.matrix(num_labels).T @ scipy.sparse.diags(sets.weights)).tocsr()
    one, each = scipy.sparse.eye(num_sets), scipy.sparse.eye(num_labels)
    none = scipy.sparse.csr_matrix((num_labels, 1))
    apart = scipy.sparse.csr_matrix((num_sets, num_labels))

    def column(value):
        return scipy.sparse.csr_matrix(np.full((num_sets, 1), value))

    natural = np.array(counts.counts, np.float64)
    side = np.sign(target - natural / natural.sum()) * sides
    on_side = [
        -scipy.sparse.diags(side) @ emitted,
        scipy.sparse.csr_matrix((side * natural)[:, np.newaxis]),
        scipy.sparse.csr_matrix((num_labels, num_labels)),
    ]
    solution = scipy.optimize.linprog(
        np.concatenate([np.zeros(num_sets + 1), np.full(num_labels, 0.5)]),
        A_ub=scipy.sparse.bmat(
            [
                [emitted, none, -each],
                [-emitted, none, -each],
                [one, column(-high), apart],
                [-one, column(low), apart],
                on_side,
            ],
            format="csr",
        ),
        b_ub=np.concatenate([target, -target, np.zeros(2 * num_sets + num_labels)]),
        A_eq=scipy.sparse.bmat(
            [
                [scipy.sparse.csr_matrix(emitted.sum(axis=0)), None, None],
                [
                    scipy.sparse.csr_matrix(sets.weights),
                    scipy.sparse.csr_matrix([[-sets.weights.sum()]]),
                    scipy.sparse.csr_matrix((1, num_labels)),
                ],
            ],
            format="csr",
        ),
        b_eq=[1, 0],
    )
    assert solution.success, solution.message
    return float(solution.fun)


def best_of_starts(
    counts: LabelCounts, target: np.ndarray, low: float, high: float, starts: int
) -> float:
    """Returns the least distance that the search finds from random factors."""
    sets, rng = counts.label_sets, np.random.default_rng(0)
    assert sets is not None
    search = Closest(sets, target, low, high, float(sets.weights.sum()))
    drawn = np.exp(rng.normal(0, 2, (starts, len(target))))
    return min(c.distance for start in drawn for c in search.trade_off(start))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=10)
    args = parser.parse_args()
    print(
        "labels records target  bounds      floor  sides   form   plan  ess wrong "
        "seconds"
    )
    for num_labels, num_records in (
        *((20, 1_100), (80, 1_900), (80, 12_000)),
        (1_200, 160_000),
    ):
        counts = long_tailed(num_labels, num_records, seed=0)
        for kind, low, high in (
            *(("uniform", 0.1, 10.0), ("uniform", 0.2, 5.0), ("uniform", 0.0, 100.0)),
            ("sqrt", 0.2, 5.0),
        ):
            config = PlannerConfig("y", target=kind, min_factor=low, max_factor=high)
            start = time.perf_counter()
            plan = make_plan(counts, config)
            seconds = time.perf_counter() - start
            target = np.array(plan.target)
            natural = plan.natural_shares
            wrong = np.sign(target - natural) * (1 - plan.emission_ratios) > 1e-6
            bounds = (counts, target, low, high)
            peers = ["     -"] * 3
            if num_labels < 1_000:
                peers = [
                    f"{found:6.4f}"
                    for found in (
                        floor(*bounds, sides=False),
                        floor(*bounds, sides=True),
                        best_of_starts(*bounds, args.starts),
                    )
                ]
            print(
                f"{num_labels:6d} {num_records:7d} {kind:7s} [{low:g}, {high:g}]".ljust(
                    35
                ),
                *peers,
                f"{plan.distance:6.4f}",
                f"{plan.diagnostics['effective_sample_size']:5.0f}",
                f"{int(wrong.sum()):5d} {seconds:7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
