"""How long a fitted plan takes, and how close it comes: `make bench`.

Random joint tables with a long tail: 20 labels with 2,000 label sets, and 1,200 labels
with 100,000 label sets (the size of LVIS). Prints per case the median seconds of
`make_plan`, the distance to the target, and the peak memory of the process so far.
Goals: under 0.05 s for 20 labels; under 10 s and 2 GB for 1,200.
"""

import argparse
import resource
import statistics
import time

import numpy as np
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.fitting.planning import make_plan

from tests.plans import row_counts


def random_counts(num_labels: int, num_sets: int, mean_labels: float) -> LabelCounts:
    """Returns distinct label sets, Zipf-distributed labels, geometric weights."""
    rng = np.random.default_rng(0)
    popularity = 1 / np.arange(1, num_labels + 1)
    popularity /= popularity.sum()
    rows = set()
    while len(rows) < num_sets:
        sizes = 1 + rng.poisson(mean_labels, num_sets)
        labels = rng.choice(num_labels, sizes.sum(), p=popularity)
        parts = np.split(labels, np.cumsum(sizes)[:-1])
        rows.update(tuple(sorted(set(part.tolist()))) for part in parts)
    rows = sorted(rows)[:: max(1, len(rows) // num_sets)][:num_sets]
    return row_counts(rows, rng.geometric(0.05, num_sets).tolist(), num_labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print("labels  label sets  options                     seconds  distance  peak MB")
    for shape in ((20, 2_000, 2.0), (1_200, 100_000, 4.0)):
        counts = random_counts(*shape)
        for options in (
            dict(target="sqrt"),
            dict(target="uniform"),
            dict(target="sqrt", size="undersample"),
            dict(target="sqrt", size="oversample"),
        ):
            seconds = []
            for _ in range(args.rounds):
                start = time.perf_counter()
                plan = make_plan(counts, PlannerConfig("y", **options))
                seconds.append(time.perf_counter() - start)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            words = ", ".join(options.values())
            print(
                f"{shape[0]:6d}  {shape[1]:10d}  {words:24s}  "
                f"{statistics.median(seconds):9.3f}  {plan.distance:8.1e}  {peak:7d}"
            )


if __name__ == "__main__":
    main()
