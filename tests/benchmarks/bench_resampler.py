"""Epochs from stratified shards beside those from the original files; cost of writing.

    make bench                   # this and the others
    python -m tests.benchmarks.bench_resampler [--gzip] [--records N]

Of 1 M records of about 1.3 kB an epoch emits 2 %. What an epoch takes is what it takes
in the middle of training: from the first batch of several epochs to their last. The
first epoch alone includes the start, TensorFlow making its graphs ready. Goals: 1/8 of
the time and of the bytes read of the same epoch from the original files, and less time
than plainly reading these once.

Writing is measured in a process of its own for each number of records: seconds per
million, and the most memory that was resident.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_BATCH = 512
_BYTES = 1_300
_EMITTED = 0.02
# Epochs in one turn.
_EPOCHS = {"original": 3, "stratified": 24}
_PARTS = (0.1, 0.3, 1.0)


def bytes_read() -> int:
    """Returns how many bytes this process has read so far."""
    with open("/proc/self/io") as file:
        return int(file.readline().split()[1])  # rchar


def write(directory: str, records: int, gzip: bool, mode: str, output: str) -> None:
    """Writes `output` in-memory, prints seconds and the most resident bytes."""
    import apache_beam as beam
    from tfx_resampling.beam import ResampleOptions
    from tfx_resampling.beam.write import write_resampled

    from tests.benchmarks import bench_data

    files = bench_data.build(directory, records, _BYTES, gzip)
    plan = bench_data.uniform_plan(files, 0.5 if mode == "materialize" else _EMITTED)
    # What the first of all takes is TensorFlow's and Beam's start.
    few = bench_data.build(f"{directory}-few", 100, _BYTES, gzip)
    natural = plan.natural()
    options = ResampleOptions(mode=mode)
    write_resampled({f"{output}-few": few}, natural, options, beam.Pipeline)
    started = time.perf_counter()
    write_resampled({output: files}, plan, options, beam.Pipeline)
    seconds = time.perf_counter() - started
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"measured {seconds} {most}")


def measured_writing(*arguments) -> tuple:
    """Returns (seconds, bytes) of `write` in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", __spec__.name, "--write", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    (line,) = [x for x in ran.stdout.splitlines() if x.startswith("measured ")]
    return tuple(map(float, line.split()[1:]))


def iterate(dataset) -> tuple:
    """Returns seconds until the first batch and from there on, samples, bytes read."""
    before, started = bytes_read(), time.perf_counter()
    samples, first = 0, None
    for batch in dataset:
        first = first or time.perf_counter()
        samples += int((batch[1] if isinstance(batch, tuple) else batch).shape[0])
    ended = time.perf_counter()
    return first - started, ended - first, samples, bytes_read() - before


def compare(files, output: str, plan, gzip: bool, rounds: int) -> None:
    """Prints what epochs from both take."""
    from tfx_resampling import InputOptions, input_fn

    from tests.benchmarks import peers

    def epochs(pattern, number):
        options = InputOptions(epochs=number)
        return input_fn(pattern, plan, batch_size=_BATCH, image=None, options=options)

    sources = {"original": files, "stratified": os.path.join(output, "*")}
    several = {name: epochs(x, _EPOCHS[name]) for name, x in sources.items()}
    one = {name: epochs(x, 1) for name, x in sources.items()}
    plain = peers.plain_read(files, "GZIP" if gzip else "", _BATCH, 1)
    times = {
        name: [] for name in (*sources, "plain read", *(f"{x}, first" for x in one))
    }
    volume = {}
    for number in range(rounds + 1):
        found = {}
        for name, dataset in several.items():
            _, seconds, samples, num_bytes = iterate(dataset)
            found[name] = seconds / _EPOCHS[name]
            volume[name] = num_bytes / _EPOCHS[name], samples / _EPOCHS[name]
            until_first, rest, *_ = iterate(one[name])
            found[f"{name}, first"] = until_first + rest
        until_first, rest, *_ = iterate(plain)
        found["plain read"] = until_first + rest
        if number:  # The first round warms up.
            for name, seconds in found.items():
                times[name].append(seconds)
    for name, own in times.items():
        line = f"{name:20}{statistics.median(own):8.3f} s"
        if name in volume:
            line += f"{volume[name][0] / 1e6:10,.1f} MB{volume[name][1]:10,.0f} samples"
        print(line)
    for peer, goal in (("original", 8), ("plain read", 1)):
        ratios = [a / b for a, b in zip(times[peer], times["stratified"])]
        median = statistics.median(ratios)
        print(
            f"{peer} / stratified: {median:.1f} ({min(ratios):.1f} to "
            f"{max(ratios):.1f}), goal {goal} {'met' if median >= goal else 'NOT met'}"
        )
    ratio = volume["original"][0] / volume["stratified"][0]
    print(f"bytes: {ratio:.1f}, goal 8 {'met' if ratio >= 8 else 'NOT met'}")


def main() -> int:
    """Measures and prints; returns 0."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.bench_resampler",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        directory, records, gzip, mode, output = args.write
        write(directory, int(records), gzip == "True", mode, output)
        return 0
    import tensorflow as tf

    from tests.benchmarks import bench_data

    with tempfile.TemporaryDirectory() as folder:
        print(
            f"{'gzip' if args.gzip else 'plain'} records of {_BYTES} bytes, TensorFlow "
            f"{tf.__version__} on {os.cpu_count()} cores, Beam in-memory.\n"
        )
        for mode in ("materialize", "stratify"):
            for part in _PARTS:
                records = round(part * args.records)
                directory = os.path.join(folder, str(records))
                output = os.path.join(folder, f"{mode}-{records}")
                seconds, most = measured_writing(
                    directory, records, args.gzip, mode, output
                )
                print(
                    f"{mode:12}{records:10,} records: {seconds / records * 1e6:6.1f} s "
                    f"per million, at most {most / 1e9:.2f} GB",
                    flush=True,
                )
        files = bench_data.build(directory, records, _BYTES, args.gzip)
        plan = bench_data.uniform_plan(files, _EMITTED)
        print(f"\nEpochs of {plan.predicted_records:,.0f} of {records:,} records:")
        compare(files, output, plan, args.gzip, args.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
