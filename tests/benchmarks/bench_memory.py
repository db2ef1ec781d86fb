"""Measures the peak memory of `input_fn` against its shuffle buffer and prefetch.

    python -m tests.benchmarks.bench_memory

Each case is a process of its own, which reads 60,000 records of 8.5 KB twice (10 % or
all of them emitted, batches of 64) and prints by how much its resident memory has grown
at the most, in MB, and how many records that is. README has the formula.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_RECORDS, _BYTES, _BATCH = 60_000, 8_500, 64


def resident() -> int:
    """Returns the resident memory of this process in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(directory: str, size: float, shuffle_records: int) -> None:
    """Reads two epochs and prints the growth of memory in bytes."""
    from tfx_resampling import InputOptions, input_fn

    from tests.benchmarks import bench_data

    files = bench_data.build(directory, _RECORDS, _BYTES, gzip=False)
    plan = bench_data.uniform_plan(files, size)

    def dataset(shuffle_records):
        options = InputOptions(epochs=2, shuffle_records=shuffle_records)
        return input_fn(files, plan, batch_size=_BATCH, image=None, options=options)

    for _ in dataset(64).take(50):  # Memory that any use of TensorFlow takes once.
        pass
    before, peak, done = resident(), 0, threading.Event()

    def watch():
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident())
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in dataset(shuffle_records):
        pass
    done.set()
    watcher.join()
    print("grown", peak - before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        directory, size, shuffle_records = args.case
        measure(directory, float(size), int(shuffle_records))
        return 0
    print("emitted  shuffle_records  grown MB  in records  beyond shuffle_records = 0")
    with tempfile.TemporaryDirectory() as directory:
        for size in (0.1, 1.0):
            least = None
            for shuffle_records in (0, 2_500, 5_000, 10_000, 20_000):
                case = [directory, str(size), str(shuffle_records)]
                ran = subprocess.run(
                    [sys.executable, "-m", __spec__.name, "--case", *case],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    check=True,
                )
                (line,) = [x for x in ran.stdout.splitlines() if x.startswith("grown")]
                grown = int(line.split()[1])
                least = grown if least is None else least
                beyond = (grown - least) / _BYTES / max(shuffle_records, 1)
                print(
                    f"{size:7.0%}  {shuffle_records:15,d}  {grown / 1e6:8.0f}  "
                    f"{grown / _BYTES:10,.0f}  "
                    f"{f'{beyond:.1f} x shuffle_records' if shuffle_records else ''}",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
