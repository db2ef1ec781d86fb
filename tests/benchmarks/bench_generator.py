"""Measures drawing from a sample table beside one data set per group.

    python -m tests.benchmarks.bench_generator [--rows N] [--rounds N] [--batch N]

A table of 10 million rows (path, category, folder; groups of long-tailed sizes) is
drawn from with weights of "square root", without maps:

- construction: seconds from the DataFrame to the first batch, with the import of the
  package, and peak memory of a process that makes the table and two generators, one
  after the other (what it takes without them is told, too);
- draws per second on one core (the process is bound to it), at 10 and at 10,000 groups,
  shuffled and not, beside `tf.data.Dataset.sample_from_datasets` over one data set per
  group, made as its documentation says: from_tensor_slices of the group's rows,
  shuffled, repeated. Both yield batches of the same columns and weights; in turns, in
  one process; the first round warms up. Ratios are of single rounds.

The peer gets a table of --peer-rows, since it needs a data set with a shuffle buffer
for each group; ours draws from the same table there, so that both gather from memory of
the same size. At 10,000 groups the peer takes minutes to make and to start, which is
told apart and is not part of its draws per second.
"""

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

_GOAL_SECONDS, _GOAL_GIB = 20, 4e9 / 2**30
_GOAL_DRAWS, _GOAL_RATIO = 500_000, 5
_WEIGHING = "square root"


def table(rows: int, groups: int) -> pd.DataFrame:
    """Returns a table whose group sizes fall as 1 / (rank + 5); each has a row."""
    rng = np.random.default_rng(0)
    shares = 1 / (np.arange(groups) + 5.0)
    ids = rng.choice(groups, rows, p=shares / shares.sum())
    ids[:groups] = np.arange(groups)
    folders = np.array([f"folder-{i:05d}" for i in range(groups)], object)
    return pd.DataFrame(
        {
            "path": [f"images/{i:08d}.jpg" for i in range(rows)],
            "category": rng.integers(0, 10, rows),
            "folder": folders[ids],
        }
    )


def ours(frame: pd.DataFrame, shuffle: bool, batch: int):
    """Returns our data set of batches."""
    from tfx_resampling import StratifiedSampler

    sampler = StratifiedSampler(
        batch, groupby=["folder"], group_weighing=_WEIGHING, seed=1
    )
    return sampler.get(frame, shuffle=shuffle, repeat=True).get_dataset()


def peer(frame: pd.DataFrame, batch: int):
    """Returns the data set of `sample_from_datasets` of the same draws."""
    import tensorflow as tf

    datasets, counts = [], []
    for _, group in frame.groupby("folder"):
        columns = {name: group[name].to_numpy() for name in group.columns}
        dataset = tf.data.Dataset.from_tensor_slices(columns)
        dataset = dataset.shuffle(min(len(group), 1024), seed=1).repeat()
        datasets.append(dataset)
        counts.append(len(group))
    weights = np.sqrt(counts)
    dataset = tf.data.Dataset.sample_from_datasets(
        datasets, (weights / weights.sum()).tolist(), seed=1
    )
    return dataset.batch(batch).prefetch(tf.data.AUTOTUNE)


class Run:
    """An iterator that is measured in parts."""

    def __init__(self, name, make, batch):
        self.name, self.batch, self.rates = name, batch, []
        start = time.perf_counter()
        self._iterator = iter(make())
        next(self._iterator)
        self.seconds_to_start = time.perf_counter() - start

    def round(self, seconds: float) -> None:
        """Draws for a while."""
        draws, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            next(self._iterator)
            draws += self.batch
        self.rates.append(draws / (time.perf_counter() - start))


def compare(frame: pd.DataFrame, batch: int, rounds: int, seconds: float) -> None:
    """Prints ours and the peer on one table."""
    runs = [
        Run("shuffled", lambda: ours(frame, True, batch), batch),
        Run("not shuffled", lambda: ours(frame, False, batch), batch),
        Run("sample_from_datasets", lambda: peer(frame, batch), batch),
    ]
    for _, run in itertools.product(range(rounds + 1), runs):
        run.round(seconds)
    theirs = runs[-1].rates[1:]
    for run in runs:
        rates = run.rates[1:]
        line = (
            f"  {run.name:22}{statistics.median(rates):12,.0f} draws/s "
            f"({min(rates):,.0f} to {max(rates):,.0f}), first batch after "
            f"{run.seconds_to_start:.1f} s"
        )
        if run is not runs[-1]:
            ratios = [one / other for one, other in zip(rates, theirs)]
            median = statistics.median(ratios)
            line += (
                f"; {median:.1f} times the peer ({min(ratios):.1f} to "
                f"{max(ratios):.1f}), goal {_GOAL_RATIO} "
                f"{'met' if median >= _GOAL_RATIO else 'NOT met'}"
            )
        print(line, flush=True)


def construct(rows: int, groups: int, batch: int, rounds: int) -> None:
    """Prints what a large table takes, in this process alone."""
    frame = table(rows, groups)
    import tensorflow as tf

    tf.constant(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    for shuffle in (True, False):
        start = time.perf_counter()
        dataset = ours(frame, shuffle, batch)
        made = time.perf_counter() - start
        iterator = iter(dataset)
        next(iterator)
        first = time.perf_counter() - start
        rates = []
        for _ in range(rounds):
            draws, start = 0, time.perf_counter()
            while time.perf_counter() - start < 2:
                next(iterator)
                draws += batch
            rates.append(draws / (time.perf_counter() - start))
        rate = statistics.median(rates)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        is_met = first < _GOAL_SECONDS and peak < _GOAL_GIB and rate >= _GOAL_DRAWS
        print(
            f"  {groups:6,} groups, {'shuffled' if shuffle else 'not shuffled':12}: "
            f"made in {made:.1f} s, first batch after {first:.1f} s; peak {peak:.2f} "
            f"GiB (table and TensorFlow alone {before:.2f}); {rate:,.0f} draws/s "
            f"({min(rates):,.0f} to {max(rates):,.0f}); goals {_GOAL_SECONDS} s, "
            f"{_GOAL_GIB:.2f} GiB, {_GOAL_DRAWS:,} draws/s "
            f"{'met' if is_met else 'NOT met'}",
            flush=True,
        )
        del iterator, dataset


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--peer-rows", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--groups", type=int, help="measure construction only")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        # Before TensorFlow starts its threads, which it does by the cores it sees.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if args.groups:
        construct(args.rows, args.groups, args.batch, args.rounds)
        return 0
    print(f"{args.rows:,} rows, batches of {args.batch}, one core:")
    for groups in (10, 10_000):
        # In processes of their own: peak memory is of a process.
        command = [sys.executable, "-m", __spec__.name, "--groups", str(groups)]
        for name in ("rows", "batch", "rounds"):
            command += [f"--{name}", str(getattr(args, name))]
        subprocess.run(command, check=True)
    for groups, batch in ((10, args.batch), (10, 32), (10_000, args.batch)):
        print(f"{args.peer_rows:,} rows, {groups:,} groups, batches of {batch}:")
        compare(table(args.peer_rows, groups), batch, args.rounds, args.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
