"""Measures what decoding a record's copies once would save.

    python -m tests.benchmarks.bench_copies [--records N]

Reads an epoch of a uniform plan over ten long-tailed labels (of as many samples as
records) in the order in which `input_fn` emits it, and counts how many samples would
find their image decoded in a cache of the last ones used, of several sizes: pixels of
224 x 224, 0.15 MB each.
"""

import argparse
import collections
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfx_resampling import InputOptions, input_fn

from tests.benchmarks import bench_data

_MEGABYTES = (64, 256, 1024)
_IMAGE_MEGABYTES = 224 * 224 * 3 / 1e6


def hits(order: list[bytes], size: int) -> float:
    """Returns the share of an order that a cache of the last `size` used has."""
    cache: collections.OrderedDict[bytes, None] = collections.OrderedDict()
    found = 0
    for key in order:
        found += key in cache
        cache[key] = None
        cache.move_to_end(key)
        if len(cache) > size:
            _ = cache.popitem(last=False)
    return found / len(order)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=200_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = bench_data.build(folder, args.records, 100, gzip=False)
        plan = bench_data.uniform_plan(files, 1.0)
        batches = input_fn(
            files,
            plan,
            batch_size=256,
            image=None,
            keep=("image/id",),
            options=InputOptions(epochs=1),
        )
        order = [key for x, _ in batches for key in x["image/id"].numpy().tolist()]
    copies = 1 - len(set(order)) / len(order)
    print(f"{len(order):,} samples, {copies:.0%} of them copies; decoded already")
    for size in _MEGABYTES:
        share = hits(order, round(size / _IMAGE_MEGABYTES))
        print(f"  with {size:5} MB: {share:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
