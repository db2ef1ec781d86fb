"""Augmentation of images by seed."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling import Augmentation

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8, 1) * 5
COLOUR = np.random.default_rng(0).integers(0, 256, [6, 8, 3], dtype=np.uint8)
RNG = np.random.default_rng(8)
IMAGE = tf.image.resize(RNG.random((4, 5, 3)), (12, 16), "bicubic").numpy().clip(0, 1)


def seeds(count):
    drawn = np.random.default_rng(1).integers(-(2**63), 2**63, [count, 2])
    return [tf.constant(seed, tf.int64) for seed in drawn]


FULL = Augmentation(shift=0.3, flip=True, brightness=0.2, contrast=0.3)


@pytest.mark.long
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


@pytest.mark.parametrize(
    "option, mirrored", [("flip", COLOUR[:, ::-1]), ("flip_up_down", COLOUR[::-1])]
)
def test_flips_are_mirrored_half_of_the_time(option, mirrored):
    augment = Augmentation(**{option: True})
    results = [augment(tf.constant(COLOUR), seed).numpy() for seed in seeds(40)]
    flipped = sum(np.array_equal(r, mirrored) for r in results)
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
    half = tf.concat([tf.fill([4, 2, 1], 0.3), tf.fill([4, 2, 1], 0.7)], axis=1)
    for seed in seeds(20):
        brighter = Augmentation(brightness=0.2)(grey, seed).numpy()
        assert np.ptp(brighter) == 0 and 0.3 <= brighter[0, 0, 0] <= 0.7
        stronger = Augmentation(contrast=0.3)(half, seed).numpy()
        assert 0.4 * 0.7 - 1e-6 <= np.ptp(stronger) <= 0.4 * 1.3 + 1e-6
        assert stronger.mean() == pytest.approx(0.5, abs=1e-6)


def test_pixels_stay_within_the_range_of_the_image():
    strong = dict(brightness=0.9, contrast=0.9, noise=0.5)
    board = np.indices([8, 8]).sum(0)[..., np.newaxis] % 2
    for largest, dtype in ((1, np.float32), (255, np.float32), (255, np.uint8)):
        image = (board * largest).astype(dtype)
        results = [Augmentation(**strong)(image, seed).numpy() for seed in seeds(10)]
        assert min(r.min() for r in results) == 0
        assert max(r.max() for r in results) == largest


def test_floats_from_0_to_255_change_as_much_as_those_from_0_to_1():
    augment = Augmentation(brightness=0.3, contrast=0.3, noise=0.05)
    for number in range(5):
        one, other = (augment(x, seed(number)) for x in (IMAGE, 255 * IMAGE))
        assert np.abs(one - other / 255).max() < 1e-5


@pytest.mark.parametrize("name", ["shift", "brightness", "contrast"])
@pytest.mark.parametrize("value", [-0.1, 1, 1.5, float("nan")])
def test_bad_augmentation_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be from 0 to below 1, got"):
        Augmentation(**{name: value})


def seed(number):
    return tf.constant([number, 2**40 + number], tf.int64)


@pytest.mark.long
@pytest.mark.parametrize("option", ["crop", "rotate", "noise", "flip_up_down"])
@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32])
def test_each_option_changes_and_repeats(option, dtype):
    value = {"crop": (0.3, 0.9), "rotate": 45.0, "noise": 0.05, "flip_up_down": True}[
        option
    ]
    augment = Augmentation(**{option: value})
    image = tf.image.convert_image_dtype(IMAGE, dtype, saturate=True)
    found = [augment(image, seed(i)).numpy() for i in range(12)]
    again = [augment(image, seed(i)).numpy() for i in range(12)]
    assert all(np.array_equal(*pair) for pair in zip(found, again))
    assert all(f.shape == image.shape and f.dtype == image.dtype for f in found)
    distinct = len({f.tobytes() for f in found})
    assert distinct == (2 if option == "flip_up_down" else 12)


def test_options_do_not_change_what_others_do():
    """A seed gives the flip, brightness... it gave before there was a crop."""
    old = Augmentation(shift=0.2, flip=True, brightness=0.2, contrast=0.3)
    new = Augmentation(
        shift=0.2, flip=True, brightness=0.2, contrast=0.3, crop=(1, 1), noise=1e-9
    )
    for number in range(5):
        one, other = old(IMAGE, seed(number)), new(IMAGE, seed(number))
        assert np.abs(one - other).max() < 1e-5


@pytest.mark.long
def test_a_rotation_by_its_angle():
    """A bar through the middle turns by the angle, which is uniform and bounded."""
    side = 41
    bar = np.zeros((side, side, 1), np.float32)
    bar[side // 2] = 1
    angles = []
    for number in range(60):
        turned = Augmentation(rotate=30.0)(tf.constant(bar), seed(number)).numpy()[
            ..., 0
        ]
        x = np.arange(side) - side // 2
        middle = slice(10, 31)
        heights = (turned * x[:, np.newaxis]).sum(0) / turned.sum(0)
        angles.append(
            np.degrees(np.arctan(np.polyfit(x[middle], heights[middle], 1)[0]))
        )
    assert -30.5 < min(angles) < -22 and 22 < max(angles) < 30.5
    assert abs(np.mean(angles)) < 4 * 30 / 3**0.5 / 60**0.5


@pytest.mark.long
def test_a_crop_is_a_window_that_is_enlarged():
    """Of a ramp it stays a ramp: less steep, within the values of the image."""
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (32, 1))[..., np.newaxis]
    slopes, lows = [], []
    augment = Augmentation(crop=(0.25, 1), aspect=(1, 2))
    for number in range(60):
        found = augment(tf.constant(ramp), seed(number)).numpy()[..., 0]
        steps = np.diff(found, axis=1)
        assert np.ptp(found, axis=0).max() < 1e-5
        slopes.append(np.median(steps) * 63)
        lows.append(found.min())
    # A quarter of the area, as high as it is wide: 0.354 of the width.
    assert 0.34 < min(slopes) < 0.45 and 0.8 < max(slopes) <= 1.001
    assert min(lows) >= 0 and max(lows) > 0.2  # Anywhere in the image.


def test_noise_has_its_deviation_and_no_mean():
    grey = tf.fill([100, 100, 1], 0.5)
    noise = Augmentation(noise=0.1)(grey, seed(1)).numpy() - 0.5
    assert noise.std() == pytest.approx(0.1, rel=4 / (2 * 10_000) ** 0.5)
    assert abs(noise.mean()) < 4 * 0.1 / 100
    dark = Augmentation(noise=0.1)(tf.zeros([50, 50, 1], tf.uint8), seed(1)).numpy()
    assert 0 < (dark == 0).mean() < 1 and dark.max() < 128  # Saturates, no wrap.
