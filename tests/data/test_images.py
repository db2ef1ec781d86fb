"""Decoding, resizing and scaling of images, and augmentation by seed."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.data.images import Augmentation, decode_image
from tfx_resampling.data.options import ImageOptions

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8, 1) * 5
COLOUR = np.random.default_rng(0).integers(0, 256, [6, 8, 3], dtype=np.uint8)
RAW = ImageOptions(scale=None)


def png(pixels):
    return tf.io.encode_png(pixels)


def jpeg(pixels):
    return tf.io.encode_jpeg(pixels, quality=90)


@pytest.mark.parametrize(
    "encoded, channels, expected",
    [
        (png(COLOUR), 3, COLOUR),
        (png(GREY), 1, GREY),
        (png(GREY), 3, np.repeat(GREY, 3, axis=2)),
        (tf.io.encode_png(COLOUR[..., :1].astype(np.uint16) * 257), 1, COLOUR[..., :1]),
    ],
    ids=["colour", "grey", "grey as colour", "16 bits"],
)
def test_png_is_decoded_exactly(encoded, channels, expected):
    image = decode_image(encoded, ImageOptions(channels=channels, scale=None))
    assert image.dtype == tf.uint8
    assert np.array_equal(image, expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pixels", [GREY, np.full([6, 8, 3], 90, np.uint8)])
def test_jpeg_is_decoded_closely(pixels, channels):
    image = decode_image(jpeg(pixels), ImageOptions(channels=channels, scale=None))
    assert image.dtype == tf.uint8 and image.shape == [6, 8, channels]
    difference = np.abs(image.numpy().astype(int) - pixels[..., :1].astype(int))
    assert difference.max() <= 4  # JPEG is lossy.


def test_colour_as_grey_is_its_luma():
    image = decode_image(png(COLOUR), ImageOptions(channels=1, scale=None))
    luma = COLOUR @ [0.299, 0.587, 0.114]
    assert np.abs(image.numpy()[..., 0] - luma).max() <= 1


def test_gif_is_its_first_frame():
    # 1 x 1 pixels, one white frame; tf.io.decode_gif wants its own rank without this.
    gif = (
        b"GIF89a\x01\x00\x01\x00\x80\x01\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00"
        b"\x00\x01\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02L\x01\x00;"
    )
    assert decode_image(tf.constant(gif), RAW).shape == [1, 1, 3]


def test_scale_gives_floats_from_0_to_1():
    black_and_white = np.array([0, 255], np.uint8).reshape(1, 2, 1)
    image = decode_image(png(black_and_white), ImageOptions())
    assert image.dtype == tf.float32
    assert image.numpy()[0, :, 0].tolist() == [0.0, 1.0]
    image = decode_image(png(black_and_white), ImageOptions(scale=2.0))
    assert image.numpy()[0, :, 0].tolist() == [0.0, 510.0]


@pytest.mark.parametrize("size", [(3, 4), (12, 16), (5, 20)])
@pytest.mark.parametrize("scale, dtype", [(1 / 255, tf.float32), (None, tf.uint8)])
def test_resizing_keeps_constants_range_and_type(size, scale, dtype):
    options = ImageOptions(size=size, scale=scale)
    white = decode_image(png(np.full([6, 8, 3], 255, np.uint8)), options)
    assert white.shape == [*size, 3] and white.dtype == dtype
    assert white.numpy() == pytest.approx(255 * (scale or 1), rel=1e-6)
    image = decode_image(png(COLOUR), options).numpy()
    assert image.min() >= 0 and image.max() <= 255 * (scale or 1) + 1e-6


def test_shrinking_averages():
    # Columns of 0 and 200: without antialiasing every third one alone would be seen.
    stripes = np.resize(np.array([0, 200], np.uint8), [6, 15])[..., None]
    stripes[:] = stripes[0]
    image = decode_image(png(stripes), ImageOptions(size=(2, 5), scale=None))
    assert np.abs(image.numpy().astype(int) - 100).max() <= 40


def test_bytes_that_are_no_image_are_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(tf.constant(b"not an image"), RAW)


def seeds(count):
    drawn = np.random.default_rng(1).integers(-(2**63), 2**63, [count, 2])
    return [tf.constant(seed, tf.int64) for seed in drawn]


FULL = Augmentation(shift=0.3, flip=True, brightness=0.2, contrast=0.3)


@pytest.mark.parametrize(
    "augment",
    [
        FULL,
        Augmentation(shift=0.3),
        Augmentation(flip=True),
        Augmentation(brightness=0.2),
        Augmentation(contrast=0.3),
    ],
    ids=["all", "shift", "flip", "brightness", "contrast"],
)
@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32])
def test_a_seed_gives_its_pixels_and_another_seed_others(augment, dtype):
    image = tf.image.convert_image_dtype(COLOUR, dtype)
    results = [augment(image, seed).numpy() for seed in seeds(12)]
    again = [augment(image, seed).numpy() for seed in seeds(12)]
    assert all(np.array_equal(one, other) for one, other in zip(results, again))
    assert all(r.shape == image.shape and r.dtype == dtype for r in results)
    distinct = len({r.tobytes() for r in results})
    assert distinct == 2 if augment == Augmentation(flip=True) else distinct > 4


def test_without_options_nothing_changes():
    for seed in seeds(5):
        assert np.array_equal(Augmentation()(tf.constant(COLOUR), seed), COLOUR)


def test_flips_are_mirrored_half_of_the_time():
    image = tf.constant(COLOUR)
    results = [Augmentation(flip=True)(image, seed).numpy() for seed in seeds(40)]
    flipped = sum(np.array_equal(r, COLOUR[:, ::-1]) for r in results)
    same = sum(np.array_equal(r, COLOUR) for r in results)
    assert flipped + same == 40
    assert 20 - 4 * 10**0.5 < flipped < 20 + 4 * 10**0.5  # Variance 40 / 4.


def test_shifts_repeat_the_border_and_stay_within_bounds():
    rows, columns = 6, 8
    image = tf.constant(GREY)
    offsets = set()
    for seed in seeds(60):
        shifted = Augmentation(shift=0.34)(image, seed).numpy()
        matches = [
            (down, right)
            for down in range(-rows, rows + 1)
            for right in range(-columns, columns + 1)
            if np.array_equal(
                shifted,
                GREY[
                    np.clip(np.arange(rows) + down, 0, rows - 1)[:, None],
                    np.clip(np.arange(columns) + right, 0, columns - 1),
                ],
            )
        ]
        assert len(matches) == 1
        offsets.update(matches)
    # 0.34 of 6 and of 8 pixels, rounded.
    assert {down for down, _ in offsets} == {-2, -1, 0, 1, 2}
    assert {right for _, right in offsets} == {-3, -2, -1, 0, 1, 2, 3}


def test_brightness_and_contrast_stay_within_their_bounds():
    grey = tf.fill([4, 4, 1], 0.5)
    half = tf.concat([tf.zeros([4, 2, 1]), tf.ones([4, 2, 1])], axis=1)
    for seed in seeds(20):
        brighter = Augmentation(brightness=0.2)(grey, seed).numpy()
        assert np.ptp(brighter) == 0 and 0.3 <= brighter[0, 0, 0] <= 0.7
        stronger = Augmentation(contrast=0.3)(half, seed).numpy()
        assert 0.7 - 1e-6 <= np.ptp(stronger) <= 1.3 + 1e-6
        assert stronger.mean() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("name", ["shift", "brightness", "contrast"])
@pytest.mark.parametrize("value", [-0.1, 1, 1.5, float("nan")])
def test_bad_augmentation_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be from 0 to below 1, got"):
        Augmentation(**{name: value})
