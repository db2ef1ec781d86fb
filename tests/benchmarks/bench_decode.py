"""Measures `input_fn` with images beside decoding the same images from memory.

    python -m tests.benchmarks.bench_decode [--records N] [--side N] [--rounds N]

JPEGs of 224 x 224 (quality 90, about 20 kB, smooth with noise) with one long-tailed
label are resampled to a uniform target: with as many samples as there are records, and
with a tenth as many, where ten records are read for one that is decoded. The limit is
to decode the very JPEGs that come out, from memory, with all cores, and batch them.
Ratios of samples per second, in turns in one process; the first round warms up.

What was tried, as a ratio to what is: unbatch, map and batch instead of a data set per
batch 0.87; one batch after the other 0.87; two batches at the same time 1.0; images of
a batch in any order 1.0. Of a 224 x 224 image alone: dct_method INTEGER_ACCURATE 0.96
to 1.0; tf.io.decode_jpeg instead of decode_image 1.0. Not kept because pixels change:
fancy_upscaling off 1.0 to 1.03; for larger images, decoding at half the size 1.3 to 1.4
and resizing without antialiasing 2.5. Copies of a record are not decoded together,
since they are shuffled apart. Kept: no antialiasing where an image grows, 3 to 4 times.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tfx_resampling import ImageOptions, InputOptions, input_fn
from tfx_resampling.images import decode
from tfx_resampling.options import cores

from tests.benchmarks import bench_data

_GOAL = 0.95
_BATCH = 64
# Distinct images; records repeat them, with ids of their own.
_DISTINCT = 256


def jpegs(side: int) -> list:
    """Returns distinct JPEGs, smooth with noise, as photographs are."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(_DISTINCT):
        coarse = rng.uniform(0, 255, [1, 7, 7, 3]).astype(np.float32)
        smooth = tf.image.resize(coarse, [side, side], "bicubic")[0]
        noisy = smooth + rng.normal(0, 8, [side, side, 3]).astype(np.float32)
        pixels = tf.saturate_cast(noisy, tf.uint8)
        found.append(tf.io.encode_jpeg(pixels, quality=90).numpy())
    return found


def from_memory(encoded: list, image: ImageOptions) -> tf.data.Dataset:
    """Decodes images that are in memory with all cores: the limit."""
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_tensor_slices(encoded)
    dataset = dataset.map(
        lambda one: decode.decode_image(one, image),
        num_parallel_calls=cores(),
        deterministic=False,
    )
    return dataset.batch(_BATCH).prefetch(2).with_options(options)


def rate(dataset: tf.data.Dataset) -> float:
    """Returns the samples per second of one iteration."""
    samples, start = 0, time.perf_counter()
    for batch in dataset:
        pixels = batch[0] if isinstance(batch, tuple) else batch
        samples += pixels.shape[0]
    return samples / (time.perf_counter() - start)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=60_000, help="of one turn")
    parser.add_argument("--side", type=int, default=224, help="pixels")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    image = ImageOptions(key="image/encoded", scale=1 / 255)
    with tempfile.TemporaryDirectory() as directory:
        contents = jpegs(args.side)
        files = bench_data.build(
            directory,
            args.records,
            record_bytes=len(contents[0]),
            gzip=False,
            contents=contents,
        )
        print(
            f"{args.records:,} JPEGs of {args.side} x {args.side}, "
            f"{sum(map(len, contents)) / len(contents) / 1e3:.0f} kB; "
            f"TensorFlow {tf.__version__} on {cores()} cores.\n"
        )
        for size in (1.0, 0.1):
            plan = bench_data.uniform_plan(files, size)
            epochs = max(1, round(args.samples / size / args.records))
            options = InputOptions(epochs=epochs)
            ours = input_fn(
                files, plan, batch_size=_BATCH, image=image, options=options
            )
            serialized = input_fn(
                files, plan, batch_size=1_024, image=None, options=options
            )
            emitted = [
                tf.io.parse_example(
                    x["record"], {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
                )["image/encoded"]
                for x, _ in serialized
            ]
            limit = from_memory(tf.concat(emitted, axis=0).numpy().tolist(), image)
            rates = [(rate(ours), rate(limit)) for _ in range(args.rounds + 1)][1:]
            ratios = [one / other for one, other in rates]
            median = statistics.median(ratios)
            print(
                f"{size:4.0%} emitted: {statistics.median(r for r, _ in rates):7,.0f} "
                f"samples/s, from memory "
                f"{statistics.median(r for _, r in rates):7,.0f}; ratio {median:.3f} "
                f"({min(ratios):.3f} to {max(ratios):.3f}), goal {_GOAL} "
                f"{'met' if median >= _GOAL else 'NOT met'}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
