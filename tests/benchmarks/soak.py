"""Epochs over epochs: nothing may grow, and each has the samples that it should have.

    python -m tests.benchmarks.soak --minutes 30

Three processes run side by side for that time: `input_fn`, a DataGenerator, and `fit`
with an InputMonitor. After each epoch its counts are compared with those that were
decided beforehand, and resident memory, descriptors and threads are noted. What is
printed is the median of each right after the warm-up (a quarter of the time) and at the
end. Memory is what is left when the allocator has given back what is free, which that
of glibc keeps else. The exit code is 1 if memory grew by more than 1 %, a descriptor or
thread was leaked, or a count was wrong.
"""

import argparse
import contextlib
import ctypes
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_RECORDS, _BYTES, _BATCH, _EPOCHS = 8_000, 1_300, 64, 2
_GROWTH = 0.01
# Parts of the time: before the first is warm-up; medians are of the second and the
# last of as long a part.
_WARM_UP, _PART = 0.25, 0.15


class Sample(NamedTuple):
    """What a process has after an epoch; `seconds` since the first one began."""

    seconds: float
    resident: int
    descriptors: int
    threads: int


def sample(started: float) -> Sample:
    """Returns what this process has."""
    gc.collect()
    _give_back()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Sample(
        time.monotonic() - started,
        resident,
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
    )


def _give_back() -> None:
    with contextlib.suppress(OSError, AttributeError):  # Of another C library.
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class Judged(NamedTuple):
    """Medians after the warm-up and at the end, and what is wrong with them."""

    epochs: int
    before: Sample
    after: Sample
    faults: list[str]

    @property
    def growth(self) -> float:
        """Growth of resident memory, as a ratio."""
        return self.after.resident / self.before.resident - 1


def judge(samples: Sequence[Sample]) -> Judged:
    """Compares the samples right after the warm-up with the last ones.

    Raises:
      ValueError: there are too few of them.
    """
    total = samples[-1].seconds
    early = [s for s in samples if _WARM_UP <= s.seconds / total <= _WARM_UP + _PART]
    late = [s for s in samples if s.seconds / total >= 1 - _PART]
    if not early or len(late) < 2:
        raise ValueError(f"too few epochs in {total:.0f} seconds: {len(samples)}.")
    before, after = (
        Sample(*(statistics.median(column) for column in zip(*part)))
        for part in (early, late)
    )
    faults = [
        f"{name} grew from {old:g} to {new:g}"
        for name, old, new in (
            ("descriptors", before.descriptors, after.descriptors),
            ("threads", before.threads, after.threads),
        )
        if new > old
    ]
    if after.resident > before.resident * (1 + _GROWTH):
        faults.append(f"memory grew by more than {_GROWTH:.0%}")
    return Judged(len(samples), before, after, faults)


def _files(directory: str) -> list[str]:
    from tests.benchmarks import bench_data

    return bench_data.build(directory, _RECORDS, _BYTES, gzip=False)


def _decided(files, plan, epochs: int) -> list[int]:
    """Returns the occurrences of each label that some epochs are to have."""
    from tfx_resampling import InputOptions
    from tfx_resampling.scan.audit import check_plan

    found = check_plan(files, plan, InputOptions(epochs=epochs), lambda count: None)
    return [int(n) for n in found.emitted[:-1]]


def of_input_fn(directory: str) -> Iterator[bool]:
    """Yields after every pass over two epochs whether its counts were right."""
    import numpy as np
    from tfx_resampling import InputOptions, input_fn

    from tests.benchmarks import bench_data

    files = _files(directory)
    plan = bench_data.uniform_plan(files, 0.3)
    expected = _decided(files, plan, _EPOCHS)
    options = InputOptions(epochs=_EPOCHS)
    data = input_fn(files, plan, batch_size=_BATCH, image=None, options=options)
    while True:
        counts = sum(
            y.sum(axis=0).astype(np.int64) for _, y in data.as_numpy_iterator()
        )
        yield counts.tolist() == expected


def of_generator(directory: str) -> Iterator[bool]:
    """Yields after every epoch of a table whether it had each row once."""
    import numpy as np
    import pandas as pd
    from tfx_resampling import DataGenerator, OneHotEncoder

    del directory
    size = 5_000
    table = pd.DataFrame(
        {"id": np.arange(size), "kind": [f"k{i % 7}" for i in range(size)]}
    )
    kinds = [f"k{i}" for i in range(7)]
    generator = DataGenerator(
        *(table, _BATCH),
        shuffle=True,
        sampling_groupby="kind",
        seed=1,
        output_structure=("id", "hot"),
    ).map(OneHotEncoder(kinds, "kind", "hot"))
    while True:
        _ = generator.workers  # As Keras does before an epoch.
        generator.on_epoch_begin()
        ids = np.concatenate([generator[i][0] for i in range(len(generator))])
        generator.on_epoch_end()
        yield np.array_equal(np.sort(ids), np.arange(size))


def of_monitor(directory: str) -> Iterator[bool]:
    """Yields after every epoch of `fit` whether the monitor's counts were right."""
    import keras
    import tensorflow as tf
    from tfx_resampling import InputMonitor, InputOptions, input_fn

    from tests.benchmarks import bench_data

    files = _files(directory)
    plan = bench_data.uniform_plan(files, 0.3)
    expected = _decided(files, plan, 1)
    monitor = InputMonitor(plan)
    spec = {"image/id": tf.io.FixedLenFeature([], tf.string)}
    data = input_fn(
        *(files, plan),
        batch_size=_BATCH,
        parse=spec,
        options=InputOptions(epochs=1),
        monitor=monitor,
    ).map(lambda x, y: (tf.strings.length(x["image/id"])[:, tf.newaxis], y))
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(len(plan.classes))])
    model.compile("sgd", "mse")
    while True:
        model.fit(data, epochs=1, verbose=0, callbacks=[monitor])
        yield monitor.history[-1].label_counts.tolist() == expected


SUBJECTS: dict[str, Callable[[str], Iterator[bool]]] = {
    "input_fn": of_input_fn,
    "DataGenerator": of_generator,
    "InputMonitor": of_monitor,
}


def soak(name: str, directory: str, seconds: float) -> bool:
    """Runs a subject for some time, prints what came of it; returns whether well."""
    samples, wrong, started = [], 0, None
    for is_right in SUBJECTS[name](directory):
        started = started or time.monotonic()  # The first epoch has the start in it.
        samples.append(sample(started))
        wrong += not is_right
        if samples[-1].seconds > seconds:
            break
    found = judge(samples)
    faults = [*found.faults, *([f"{wrong} epochs of wrong counts"] if wrong else [])]
    before, after = found.before, found.after
    print(
        f"{name:13}  {found.epochs:6,} passes  "
        f"{before.resident / 1e6:7,.1f} to {after.resident / 1e6:7,.1f} MB "
        f"({found.growth:+.2%})  "
        f"{before.descriptors:g} to {after.descriptors:g} descriptors  "
        f"{before.threads:g} to {after.threads:g} threads  "
        f"{'; '.join(faults) or 'as it should be'}",
        flush=True,
    )
    return not faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--only", choices=SUBJECTS, help="this one")
    parser.add_argument("--data", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.data:
        return 0 if soak(args.only, args.data, 60 * args.minutes) else 1
    with tempfile.TemporaryDirectory() as directory:
        _files(directory)
        shared = ["--minutes", str(args.minutes), "--data", directory]
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.soak", "--only", name, *shared]
            )
            for name in ([args.only] if args.only else SUBJECTS)
        ]
        return max(abs(process.wait()) for process in running)


if __name__ == "__main__":
    sys.exit(main())
