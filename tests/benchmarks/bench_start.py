"""Measures how long `input_fn` takes to its first batch, with the default options.

    python -m tests.benchmarks.bench_start [--rounds N]

A plan that resamples, and the natural one, as validation data have. Beside them: plain
interleaved reading, and plain reading with a shuffle of as many records (10,000), which
is what one would train on. Printed are the seconds to build the data set, to make its
iterator, and from there to the first batch of 256 records of 1.3 KB; medians of rounds
in one process, after one that warms up. Goals: iterator and first batch within 0.25 s,
of the natural plan within 1.3 times plain reading; of each of both.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from tfx_resampling import InputOptions, input_fn

from tests.benchmarks import bench_data, peers

_BATCH = 256
_SECONDS = 0.25
_OF_PLAIN = 1.3


def start(build) -> tuple:
    """Returns the seconds to build, to make an iterator, and to the first batch."""
    times = [time.perf_counter()]
    dataset = build()
    times.append(time.perf_counter())
    iterator = iter(dataset)
    times.append(time.perf_counter())
    next(iterator)
    times.append(time.perf_counter())
    return tuple(later - earlier for earlier, later in zip(times, times[1:]))


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "NOT met"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        files = bench_data.build(directory, 200_000, 1_300, gzip=False)
        plan = bench_data.uniform_plan(files, size=0.1)
        natural = plan.natural()
        plain = peers.plain_read(files, "", 1, 1)
        buffer = InputOptions().shuffle_records
        builds = {
            "input_fn": lambda: input_fn(files, plan, batch_size=_BATCH, image=None),
            "natural plan": lambda: input_fn(
                files, natural, batch_size=_BATCH, image=None
            ),
            "plain read": lambda: peers.plain_read(files, "", _BATCH, 1),
            "plain read, shuffled": lambda: (
                plain.unbatch().shuffle(buffer).batch(_BATCH).prefetch(tf.data.AUTOTUNE)
            ),
        }
        runs = {name: [] for name in builds}
        for number in range(args.rounds + 1):
            for name, build in builds.items():
                found = start(build)
                if number:
                    runs[name].append(found)
        print(f"TensorFlow {tf.__version__}")
        print(
            f"{'':22}{'build':>8}{'iterator':>10}{'first':>8}{'iterator + first':>18}"
        )
        waits = {name: [sum(run[1:]) for run in own] for name, own in runs.items()}
        for name, own in runs.items():
            medians = [statistics.median(column) for column in zip(*own)]
            wait = statistics.median(waits[name])
            line = (
                f"{name:22}{medians[0]:8.3f}{medians[1]:10.3f}{medians[2]:8.3f}"
                f"{wait:18.3f}"
            )
            if name == "input_fn":
                line += f"   goal {_SECONDS} s {_verdict(wait <= _SECONDS)}"
            elif name == "natural plan":
                for other in ("plain read", "plain read, shuffled"):
                    pairs = zip(waits[name], waits[other])
                    ratio = statistics.median(ours / plain for ours, plain in pairs)
                    line += f"   {ratio:.1f} times {other}, goal {_OF_PLAIN} "
                    line += _verdict(ratio <= _OF_PLAIN)
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
