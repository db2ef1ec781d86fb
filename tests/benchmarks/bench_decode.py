"""Measures `input_fn` with photographs beside what tutorials write, and its own parts.

    python -m tests.benchmarks.bench_decode [--photographs DIR] [--rounds N]

JPEGs of four sizes (quality 90, a long-tailed label) become 224 x 224 floats, resampled
to a uniform target with as many samples as records, and with a tenth as many. Beside:

- the tutorial: per record a draw, `filter`, copies by `flat_map`, `shuffle`,
  `decode_jpeg`, bilinear `tf.image.resize` (which does not antialias), `batch`; with a
  tenth also `rejection_resample`, which drops only, and `sample_from_datasets`;
- the sum of the parts: the seconds to read what is read, and the seconds to decode what
  is emitted, from memory with all cores;
- with as many as records, `input_fn` that leaves pixels bytes (`scale=None`).

Then random windows (of 8 % to all of the area), from memory: beside the same windows of
the whole image, `decode_jpeg` and a slice, and of `decode_and_crop_jpeg`, both resized
by bilinear `tf.image.resize`.

Images per second of each, in turns in one process, after a round that warms up. The
time of a turn begins before the first batch. The error is the root mean square of the
difference to Pillow's antialiased resizing, of 255.

Photographs are three that installed packages bring, mirrored until they are large
enough, or the JPEGs of a folder, of which the middle is cut out.
"""

import argparse
import dataclasses
import functools
import io
import math
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from PIL import Image
from tfx_resampling import Augmentation, ImageOptions, InputOptions, input_fn
from tfx_resampling.images import decode
from tfx_resampling.options import cores

from tests.benchmarks import bench_data, peers
from tests.benchmarks.measuring import quiet_stderr, verdict
from tests.images import image_files, photographs

_KEY = "image/encoded"
_TARGET = (224, 224)
_BATCH = 32
# Height and width, and how many times the rate of the tutorial is the goal.
_SIZES = {(375, 500): 0.9, (480, 640): 1.1, (768, 1024): 1.1, (1536, 2048): 1.4}
_GOAL_OF_PARTS = 0.95
_DISTINCT = 24


def jpegs(height: int, width: int, folder: str | None) -> list[bytes]:
    """Returns distinct JPEGs of this size."""
    if folder is None:
        return [
            photographs.photograph(i % 3, height, width, offset=5 * (i // 3))
            for i in range(_DISTINCT)
        ]
    found = []
    for path in sorted(pathlib.Path(folder).rglob("*.jp*g")):
        image = Image.open(path).convert("RGB")
        if image.height < height or image.width < width:
            continue
        scale = max(height / image.height, width / image.width)
        shape = round(image.width * scale), round(image.height * scale)
        image = image.resize(shape, Image.Resampling.LANCZOS)
        image = image.crop((0, 0, width, height))
        found.append(image_files.encoded(image, "JPEG", quality=90))
        if len(found) == _DISTINCT:
            break
    if not found:
        raise SystemExit(f"{folder} has no JPEG of {height} x {width} or more.")
    return found


def error(encoded: list[bytes], pixels: Callable[[tf.Tensor], tf.Tensor]) -> float:
    """Returns the distance of pixels, 0 to 1, from Pillow's antialiased ones."""
    squares = []
    for one in encoded:
        image = Image.open(io.BytesIO(one)).convert("RGB")
        expected = image.resize(_TARGET[::-1], Image.Resampling.BILINEAR)
        found = pixels(tf.constant(one)).numpy() * 255
        squares.append(np.mean((found - np.asarray(expected)) ** 2))
    return float(np.mean(np.sqrt(squares)))


def from_memory(
    encoded: list[bytes], pixels: Callable[..., tf.Tensor]
) -> tf.data.Dataset:
    """Decodes images that are in memory, with all cores, by (image, number)."""
    options = tf.data.Options()
    options.autotune.enabled = False
    numbers = tf.range(len(encoded), dtype=tf.int64)
    dataset = tf.data.Dataset.from_tensor_slices((encoded, numbers)).map(
        pixels, num_parallel_calls=cores(), deterministic=False
    )
    scale = ImageOptions().scale
    dataset = dataset.batch(_BATCH).map(
        lambda batch: decode.scaled(batch, scale) if batch.dtype == tf.uint8 else batch,
        num_parallel_calls=cores(),
    )
    return dataset.prefetch(2).with_options(options)


def rate(dataset: tf.data.Dataset) -> float:
    """Returns images per second from the second batch on."""
    with quiet_stderr():
        batches = iter(dataset)
        next(batches)
        start = time.perf_counter()
        images = sum(int(batch.shape[0]) for batch in batches)
    return images / (time.perf_counter() - start)


def run(dataset: tf.data.Dataset) -> tuple[int, float]:
    """Returns how many samples one iteration has, and its seconds."""
    samples = 0
    with quiet_stderr():
        start = time.perf_counter()
        for batch in dataset:
            x = batch[0] if isinstance(batch, tuple) else batch
            samples += int(x.shape[0])
        return samples, time.perf_counter() - start


def compare_crops(encoded: list[bytes], samples: int, rounds: int) -> None:
    """Prints how decoding windows compares with what else one would write."""
    augment = Augmentation(crop=(0.08, 1.0))
    options = ImageOptions(size=_TARGET)

    def window(sides, number):
        return augment.window(sides, tf.stack([number, 7]))

    def ours(one, number):
        return decode.decode_pixels(
            one, options, functools.partial(window, number=number)
        )

    def whole(one, number):
        image = tf.io.decode_jpeg(one, 3)
        begin, sides = window(tf.shape(image)[:2], number)
        part = tf.slice(image, [*tf.unstack(begin), 0], [*tf.unstack(sides), 3])
        return tf.image.resize(part, _TARGET) / 255

    def recipe(one, number):
        crop = tf.concat(window(tf.io.extract_jpeg_shape(one)[:2], number), axis=0)
        part = tf.io.decode_and_crop_jpeg(one, crop, 3)
        return tf.image.resize(part, _TARGET) / 255

    many = (encoded * (samples // len(encoded) + 1))[:samples]
    contenders = {
        "input_fn's": from_memory(many, ours),
        "decode_jpeg": from_memory(many, whole),
        "decode_and_crop_jpeg": from_memory(many, recipe),
    }
    rates = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, dataset in contenders.items():
            found, seconds = run(dataset)
            if number:
                rates[name].append(found / seconds)
    ours_rate = statistics.median(rates["input_fn's"])
    print(f"  windows:      {ours_rate:7,.0f}/s", end="")
    for name in ("decode_jpeg", "decode_and_crop_jpeg"):
        ratios = [ours / own for ours, own in zip(rates["input_fn's"], rates[name])]
        print(f"; {verdict(ratios, 1.0)} times {name}", end="")
    print(flush=True)


def emitted(files: list[str], plan, options: InputOptions) -> list[bytes]:
    """Returns the images of the samples that `input_fn` emits."""
    spec = {_KEY: tf.io.FixedLenFeature([], tf.string)}
    batches = input_fn(files, plan, batch_size=256, image=None, options=options)
    parsed = [tf.io.parse_example(x["record"], spec)[_KEY] for x, _ in batches]
    return tf.concat(parsed, axis=0).numpy().tolist()


def compare(files: list[str], size: float, samples: int, rounds: int, goal: float):
    """Prints how `input_fn` compares where `size` of the records are emitted."""
    plan = bench_data.uniform_plan(files, size)
    per_epoch = max(1, round(plan.predicted_records))
    options = InputOptions(epochs=max(1, round(samples / per_epoch)))
    scanned = plan.num_records * (options.epochs or 1)
    image = ImageOptions(key=_KEY, size=_TARGET)
    pixels = peers.tutorial_pixels(_KEY, _TARGET)
    many = files * (options.epochs or 1)

    def tutorial(samples: tf.data.Dataset) -> tf.data.Dataset:
        return peers.batches(samples, _BATCH, plan, pixels)

    contenders = {
        "input_fn": input_fn(
            files, plan, batch_size=_BATCH, image=image, options=options
        ),
        "tutorial": tutorial(peers.filter_first(many, "", plan, scanned)),
        "read": peers.plain_read(files, "", _BATCH, options.epochs or 1),
        "decode": from_memory(
            emitted(files, plan, options),
            lambda one, _: decode.decode_pixels(one, image),
        ),
    }
    if size == 1:
        in_bytes = dataclasses.replace(image, scale=None)
        contenders["bytes"] = input_fn(
            files, plan, batch_size=_BATCH, image=in_bytes, options=options
        )
    else:
        contenders["rejection_resample"] = tutorial(
            peers.rejection(many, "", plan, scanned)
        )
        contenders["sample_from_datasets"] = tutorial(
            peers.sample_from(files, "", plan, max(_BATCH, samples // 4))
        )
    runs = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, dataset in contenders.items():
            found = run(dataset)
            if number:
                runs[name].append(found)
    rates = {name: [n / seconds for n, seconds in own] for name, own in runs.items()}
    parts = [
        ours / n * (read + decoded)
        for ours, (n, _), (_, read), (_, decoded) in zip(
            rates["input_fn"], runs["input_fn"], runs["read"], runs["decode"]
        )
    ]
    line = f"  {size:4.0%} emitted: {statistics.median(rates['input_fn']):7,.0f}/s"
    print(f"{line}; {verdict(parts, _GOAL_OF_PARTS)} of the sum of the parts")
    for name in ("tutorial", "rejection_resample", "sample_from_datasets"):
        if name in rates:
            ratios = [ours / own for ours, own in zip(rates["input_fn"], rates[name])]
            wanted = goal if (name, size) == ("tutorial", 1.0) else 1.0
            median = statistics.median(rates[name])
            print(f"{'':17}{verdict(ratios, wanted)} times {name}, {median:,.0f}/s")
    if "bytes" in rates:
        ratios = [own / ours for ours, own in zip(rates["input_fn"], rates["bytes"])]
        megabytes = _BATCH * math.prod(_TARGET) * 3 / 1e6
        line = f"scale=None is {verdict(ratios, 1.0)} times as fast, with batches of "
        print(f"{'':17}{line}{megabytes:.1f} instead of {4 * megabytes:.1f} MB")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", help="folder of JPEGs, searched throughout")
    parser.add_argument("--seconds", type=float, default=4.0, help="about, of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(f"TensorFlow {tf.__version__} on {cores()} cores, to {_TARGET}.")
    image = ImageOptions(size=_TARGET)
    for (height, width), goal in _SIZES.items():
        encoded = jpegs(height, width, args.photographs)
        kilobytes = statistics.mean(map(len, encoded)) / 1e3
        errors = [
            error(encoded, lambda one: decode.decode_image(one, image)),
            error(encoded, lambda one: peers.tutorial_decode(one, _TARGET)),
        ]
        decoded = from_memory(
            encoded * 20, lambda one, _: decode.decode_pixels(one, image)
        )
        samples = max(64, round(args.seconds * rate(decoded)))
        print(
            f"{height} x {width}, {kilobytes:.0f} kB: error {errors[0]:.2f}, of the "
            f"tutorial {errors[1]:.2f}"
        )
        compare_crops(encoded, samples, args.rounds)
        with tempfile.TemporaryDirectory() as directory:
            # Enough that an epoch is as long as a turn, a tenth emitted; up to 1.2 GB.
            records = min(10 * samples, round(1.2e6 / kilobytes))
            files = bench_data.build(
                directory, records, round(kilobytes * 1e3), gzip=False, contents=encoded
            )
            some = files[: max(1, round(len(files) * min(samples / records, 1)))]
            for part, size in ((some, 1.0), (files, 0.1)):
                compare(part, size, samples, args.rounds, goal)
    return 0


if __name__ == "__main__":
    sys.exit(main())
