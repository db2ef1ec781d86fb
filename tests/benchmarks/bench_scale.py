"""Cost per record of writing stratified shards of 1 to 10 GB, in two Beam processes.

    python -m tests.benchmarks.bench_scale [--gigabytes 1 3 10] [--one-file]

Records of 10 kB, in 8 files or in one, that no compression shortens. Needs room for
three times as many bytes; sizes for which there is no room are left out, and said. Not
in `make bench`, as it takes longer than all of that.

For each size: seconds and records per second and process, which depend on what else the
machine does; processor time per record of all processes, which hardly does; the most
memory of a process. Starting Beam's processes is part of it: "more" has what each
record costs beyond those of the smallest size.
"""

import argparse
import contextlib
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_BYTES = 10_000
_GIGABYTES = (1.0, 3.0, 10.0)
# Input, sorted runs and shards.
_ROOM = 3.1
_SECONDS_BETWEEN_LOOKS = 0.2


class Cost(NamedTuple):
    """What writing took.

    Attributes:
      seconds: from the start of the process to its end.
      processor: seconds of all processes.
      most: bytes that one process had resident at most.
    """

    seconds: float
    processor: float
    most: int


def write(folder: str, workers: int, split: bool) -> None:
    """Writes stratified shards of the files in a folder."""
    import logging

    import apache_beam as beam
    from tfx_resampling.beam import ResampleOptions
    from tfx_resampling.beam import split as splitting
    from tfx_resampling.beam.write import write_resampled

    from tests.benchmarks import bench_data

    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    if not split:
        splitting._MOST_BYTES = 1 << 60
    files = sorted(map(str, pathlib.Path(folder, "in").iterdir()))
    few = bench_data.build(folder, 1_000, _BYTES, False)
    plan = bench_data.uniform_plan(few, 0.02)
    arguments = ["--runner=DirectRunner"]
    if workers > 1:
        mode = "--direct_running_mode=multi_processing"
        arguments += [mode, f"--direct_num_workers={workers}"]
    write_resampled(
        {os.path.join(folder, "out"): files},
        plan,
        ResampleOptions(mode="stratify"),
        lambda: beam.Pipeline(argv=arguments),
    )


def measured(*arguments: str) -> Cost:
    """Returns what `write` costs in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, "--write", *arguments]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command)
    most, ended = [0], threading.Event()

    def look():
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            most.append(max(map(_most_resident, _descendants(process.pid))))

    thread = threading.Thread(target=look)
    thread.start()
    code = process.wait()
    ended.set()
    thread.join()
    if code:
        raise SystemExit(code)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - started, processor, max(most))


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # A thread or process that has ended.
            for child in path.read_text().split():
                found += _descendants(int(child))
    return found


def _most_resident(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) << 10
    return 0


def build(folder: str, records: int, one_file: bool) -> None:
    """Writes the records that are resampled, to the folder "in" of `folder`."""
    from tests.benchmarks import bench_data

    names = bench_data.build(folder, records, _BYTES, False)
    target = os.path.join(folder, "in")
    if not one_file:
        os.rename(os.path.dirname(names[0]), target)
        return
    os.mkdir(target)
    with open(os.path.join(target, "all.tfrecord"), "wb") as file:
        for name in names:
            with open(name, "rb") as part:
                shutil.copyfileobj(part, file)
            os.remove(name)


def main() -> int:
    """Measures and prints; returns 0."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.bench_scale",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--gigabytes", type=float, nargs="+", default=_GIGABYTES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one-file", action="store_true")
    parser.add_argument("--no-split", action="store_true")
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        folder, workers, split = args.write
        write(folder, int(workers), split == "split")
        return 0
    first = None
    for gigabytes in args.gigabytes:
        records = round(gigabytes * 1e9 / _BYTES)
        with tempfile.TemporaryDirectory() as folder:
            if shutil.disk_usage(folder).free < _ROOM * gigabytes * 1e9:
                print(f"{gigabytes:g} GB: left out, no {_ROOM * gigabytes:.0f} GB free")
                continue
            build(folder, records, args.one_file)
            split = "whole" if args.no_split else "split"
            cost = measured(folder, str(args.workers), split)
        line = (
            f"{gigabytes:g} GB: {cost.seconds:.0f} s, "
            f"{records / cost.seconds / args.workers:,.0f} records/s and process, "
            f"{cost.processor / records * 1e6:,.0f} us of processor time a record, "
            f"at most {cost.most / 1e9:.2f} GB"
        )
        if first:
            more = (cost.processor - first[1].processor) / (records - first[0])
            line += f"; more: {more * 1e6:,.0f} us a record"
        print(line, flush=True)
        first = first or (records, cost)
    return 0


if __name__ == "__main__":
    sys.exit(main())
