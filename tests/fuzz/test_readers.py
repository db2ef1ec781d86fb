"""Readers of files that may hold anything: a result, or a refusal in one line."""

import os
import tempfile

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
from tests.fuzz.fuzzing import fuzz, or_refused, st
from tests.images import image_files
from tests.shards.test_manifest import LAYOUT


@st.composite
def changed(draw, *wholes: bytes) -> bytes:
    """One of some files, with parts of it cut out, repeated or replaced."""
    contents = draw(st.sampled_from(wholes))
    for _ in range(draw(st.integers(1, 4))):
        size = len(contents)
        start = draw(st.integers(0, size))
        end = draw(st.integers(start, min(size, start + 40)) | st.just(size))
        part = draw(
            st.binary(max_size=8)
            | st.just(contents[start:end] * 2)
            | st.sampled_from(
                [b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b'"', b"{["]
            )
        )
        contents = contents[:start] + part + contents[end:]
    return contents


PLAN = plans.make("abé", [1.0, 0.5, 2.0]).to_json().encode()
MANIFEST = LAYOUT.to_json().encode()
COUNTED = statistics.counted({"a": 6, "b": 3})
IMAGES = [image_files.png(image_files.COLOURS), image_files.jpeg()]
BMP = [image_files.bmp_32_bits(), image_files.bmp_4_bits()]


@fuzz(100, contents=changed(PLAN) | st.binary())
def test_plans(contents):
    plan = or_refused(lambda: Plan.from_json(contents))
    assert plan is None or Plan.from_json(plan.to_json()) == plan


@fuzz(100, contents=changed(MANIFEST) | st.binary())
def test_manifests(contents):
    found = or_refused(lambda: Manifest.from_json(contents))
    if found is not None and found.mode == "stratify":
        assert needed(found, Schedule(), 3).shape == (len(found.names),)
        assert all(os.path.basename(name) == name for name in found.names)


@fuzz(100, contents=changed(COUNTED) | st.binary())
def test_statistics(contents):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "FeatureStats.pb")
        with open(path, "wb") as file:
            file.write(contents)
        found = or_refused(lambda: feature_statistics.from_file(path, "train", "y"))
    assert found is None or sum(found.counts) > 0


@fuzz(15, contents=changed(*IMAGES, *BMP))
def test_images(contents):
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
