"""What readers of files must do with any bytes: a result, or a refusal in one line."""

import os
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tfx_resampling.core.plan import Plan
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.images import decode
from tfx_resampling.options import ImageOptions
from tfx_resampling.planner import feature_statistics
from tfx_resampling.shards.manifest import Manifest, needed

from tests import plans
from tests.bad_input import statistics
from tests.fuzz.fuzzing import or_refused
from tests.images import image_files
from tests.shards.test_manifest import LAYOUT


def read_plan(contents: bytes) -> None:
    plan = or_refused(lambda: Plan.from_json(contents))
    assert plan is None or Plan.from_json(plan.to_json()) == plan


def read_manifest(contents: bytes) -> None:
    found = or_refused(lambda: Manifest.from_json(contents))
    if found is not None and found.mode == "stratify":
        assert needed(found, Schedule(), 3).shape == (len(found.names),)
        assert all(os.path.basename(name) == name for name in found.names)


def read_statistics(contents: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "FeatureStats.pb")
        with open(path, "wb") as file:
            file.write(contents)
        found = or_refused(lambda: feature_statistics.from_file(path, "train", "y"))
    assert found is None or sum(found.counts) > 0


def read_image(contents: bytes) -> None:
    options = ImageOptions(scale=None)
    image = or_refused(
        lambda: decode.decode_image(tf.constant(contents), options),
        tf.errors.InvalidArgumentError,
    )
    if image is None:
        text = decode.describe(tf.constant(contents)).numpy().decode("ascii")
        assert text and text.isprintable()
    else:
        assert image.dtype == tf.uint8 and np.ndim(image) == 3


class Reader(NamedTuple):
    """A reader, and files that it takes.

    Attributes:
      read: reads bytes; raises what should not be.
      wholes: bytes that it reads to a result.
    """

    read: Callable[[bytes], None]
    wholes: tuple[bytes, ...]


READERS = {
    "plans": Reader(
        read_plan, (plans.make("abé", [1.0, 0.5, 2.0]).to_json().encode(),)
    ),
    "manifests": Reader(read_manifest, (LAYOUT.to_json().encode(),)),
    "statistics": Reader(read_statistics, (statistics.counted({"a": 6, "b": 3}),)),
    "images": Reader(
        read_image,
        (
            *(image_files.png(image_files.COLOURS), image_files.jpeg()),
            *(image_files.bmp_32_bits(), image_files.bmp_4_bits()),
        ),
    ),
}
