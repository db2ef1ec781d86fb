"""Measures `input_fn` with photographs beside PyTorch's DataLoader and grain.

    python -m tests.benchmarks.bench_loaders --python PEERS [--rounds N]

PEERS is a Python with the packages of `loaders.txt`; `make bench-loaders` makes one.
All get the same JPEGs (480 x 640, quality 90, of a long-tailed label), make 224 x 224
floats of them and emit one for every ten images, as many of each label:

- `input_fn` from TFRecords, which it reads from end to end and mostly drops;
- a DataLoader with a WeightedRandomSampler and torchvision, two worker processes;
- grain's `MapDataset.mix` of one data set per label and Pillow, two worker processes.

The last two read each image from a file of its own, at random, and none that is not
wanted: from a local disk that is less to read. Images per second, in turns, after an
epoch of each that warms up; a turn begins before the first batch.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from tfx_resampling import ImageOptions, InputOptions, input_fn
from tfx_resampling.options import cores

from tests.benchmarks import bench_data, bench_decode
from tests.benchmarks.measuring import quiet_stderr, verdict

_SIDES, _TARGET, _BATCH, _PART = (480, 640), (224, 224), 32, 0.1
_LOADERS = ("torch", "grain")


def _files(folder: str, records: Sequence[str]) -> tuple[list[str], list[int]]:
    """Writes each image to a file; returns their names and the places of labels."""
    spec = {
        name: tf.io.FixedLenFeature([], tf.string)
        for name in ("image/encoded", bench_data.LABEL_KEY)
    }
    paths, labels = [], []
    for number, record in enumerate(tf.data.TFRecordDataset(records)):
        features: Any = tf.io.parse_single_example(record, spec)
        path = pathlib.Path(folder, f"{number:06d}.jpg")
        _ = path.write_bytes(features["image/encoded"].numpy())
        paths.append(str(path))
        label = features[bench_data.LABEL_KEY].numpy().decode()
        labels.append(bench_data.LABELS.index(label))
    return paths, labels


class _Loader:
    """A loader in its own process; each call reads an epoch."""

    def __init__(self, python: str, name: str, given: str):
        script = str(pathlib.Path(__file__).with_name("loader.py"))
        self._process = subprocess.Popen(
            [python, script, name, given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self) -> tuple[int, float, float]:
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        print(file=process.stdin, flush=True)
        answer = process.stdout.readline()
        if not answer:
            raise SystemExit(process.stderr.read().strip().splitlines()[-1])
        return tuple(json.loads(answer))

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        _ = self._process.communicate()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="with torch, grain and Pillow")
    parser.add_argument("--records", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    encoded = bench_decode.jpegs(*_SIDES, None)
    with tempfile.TemporaryDirectory() as folder:
        size = round(statistics.mean(map(len, encoded)))
        records = bench_data.build(
            folder, args.records, size, gzip=False, contents=encoded
        )
        plan = bench_data.uniform_plan(records, _PART)
        paths, labels = _files(folder, records)
        given = os.path.join(folder, "given.json")
        wanted = round(plan.predicted_records)
        with open(given, "w") as file:
            json.dump(
                {
                    "paths": paths,
                    "labels": labels,
                    "factors": plan.factors,
                    "samples": wanted,
                    "batch": _BATCH,
                    "workers": cores(),
                    "size": _TARGET,
                },
                file,
            )
        rarest = len(bench_data.LABELS) - 1
        batches = input_fn(
            records,
            plan,
            batch_size=_BATCH,
            image=ImageOptions(size=_TARGET),
            options=InputOptions(epochs=1),
        )

        def ours() -> tuple[int, float, float]:
            with quiet_stderr():
                start = time.perf_counter()
                ys = [y.numpy() for _, y in batches]
                seconds = time.perf_counter() - start
            samples = sum(map(len, ys))
            return samples, seconds, sum(y[:, rarest].sum() for y in ys) / samples

        loaders = {name: _Loader(args.python, name, given) for name in _LOADERS}
        runs = {name: [] for name in ("input_fn", *loaders)}
        try:
            for number in range(args.rounds + 1):
                for name, epoch in {"input_fn": ours, **loaders}.items():
                    found = epoch()
                    if number:
                        runs[name].append(found)
        finally:
            for loader in loaders.values():
                loader.close()
    print(f"{args.records} images, {wanted} per epoch, on {cores()} cores:")
    rates = {name: [n / seconds for n, seconds, _ in own] for name, own in runs.items()}
    for name, own in runs.items():
        share = statistics.mean(rare for _, _, rare in own)
        line = f"  {name:9} {statistics.median(rates[name]):6,.0f} images/s"
        line += f"; the rarest label is {share:.1%} of them"
        if name in loaders:
            ratios = [x / y for x, y in zip(rates["input_fn"], rates[name])]
            line += f"; input_fn is {verdict(ratios, 1.0)} times as fast"
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
