"""Augmentation of samples: stateless, by sample."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling import Augmentation, DataGenerator, DataGeneratorMap, ImageAugmenter

RNG = np.random.default_rng(8)
IMAGE = tf.image.resize(RNG.random((4, 5, 3)), (12, 16), "bicubic").numpy().clip(0, 1)


def seed(number):
    return tf.constant([number, 2**40 + number], tf.int64)


class Image(DataGeneratorMap):
    """Puts the same image into each sample."""

    def __call__(self, x):
        x["img"] = tf.repeat(IMAGE[np.newaxis], tf.size(x["id"]), axis=0)
        return x


def images(augmenter, batch_size=8, calls=tf.data.AUTOTUNE, seed=1, repeat=1):
    samples = [{"id": i} for i in range(20)]
    generator = DataGenerator(samples, batch_size, True, repeat, seed=seed)
    mapped = generator.map([Image(), augmenter], num_parallel_calls=calls)
    return np.concatenate([b["img"] for b in mapped.get_dataset()])


def test_the_same_seed_and_sample_give_the_same_bits():
    expected = images(ImageAugmenter())
    assert expected.shape == (20, 12, 16, 3)
    assert np.array_equal(images(ImageAugmenter(), batch_size=3, calls=None), expected)
    assert not np.array_equal(images(ImageAugmenter(), seed=2), expected)


@pytest.mark.long
def test_draws_of_one_row_differ():
    found = images(ImageAugmenter(), repeat=3)
    assert len(np.unique(found.reshape(60, -1), axis=0)) == 60


@pytest.mark.long
def test_several_images_of_a_sample_are_moved_alike():
    class Mask(DataGeneratorMap):
        def __call__(self, x):
            return {**x, "mask": x["img"][..., :1]}

    augmenter = ImageAugmenter(("img", "mask"), brightness=0, contrast=0, noise=0)
    generator = DataGenerator([{"id": 1}] * 4, seed=3).map([Image(), Mask(), augmenter])
    (batch,) = generator.get_dataset()
    assert np.array_equal(batch["img"][..., :1], batch["mask"])
    assert not np.array_equal(batch["img"][0], batch["img"][1])


def test_nothing_is_changed_without_options():
    off = ImageAugmenter(
        flip=False, flip_up_down=False, crop=0, rotate=0, brightness=0, contrast=0,
        noise=0,
    )  # fmt: skip
    assert np.array_equal(images(off), np.repeat(IMAGE[np.newaxis], 20, axis=0))


@pytest.mark.parametrize("option", ["crop", "rotate", "noise", "flip_up_down"])
@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32])
def test_each_option_changes_and_repeats(option, dtype):
    value = {"crop": 0.4, "rotate": 45.0, "noise": 0.05, "flip_up_down": True}[option]
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
        shift=0.2, flip=True, brightness=0.2, contrast=0.3, crop=1e-9, noise=1e-9
    )
    for number in range(5):
        one, other = old(IMAGE, seed(number)), new(IMAGE, seed(number))
        assert np.abs(one - other).max() < 1e-5


def test_up_and_down_are_mirrored_half_of_the_time():
    found = [Augmentation(flip_up_down=True)(IMAGE, seed(i)).numpy() for i in range(40)]
    flipped = sum(np.array_equal(f, IMAGE[::-1]) for f in found)
    assert flipped + sum(np.array_equal(f, IMAGE) for f in found) == 40
    assert 20 - 4 * 10**0.5 < flipped < 20 + 4 * 10**0.5  # Variance 40 / 4.


def test_a_rotation_by_its_angle():
    """A bar through the middle turns by the angle, which is uniform and bounded."""
    side = 41
    bar = np.zeros((side, side, 1), np.float32)
    bar[side // 2] = 1
    angles = []
    for number in range(60):
        turned = Augmentation(rotate=30.0)(bar, seed(number)).numpy()[..., 0]
        x = np.arange(side) - side // 2
        middle = slice(10, 31)
        heights = (turned * x[:, np.newaxis]).sum(0) / turned.sum(0)
        angles.append(
            np.degrees(np.arctan(np.polyfit(x[middle], heights[middle], 1)[0]))
        )
    assert -30.5 < min(angles) < -22 and 22 < max(angles) < 30.5
    assert abs(np.mean(angles)) < 4 * 30 / 3**0.5 / 60**0.5


def test_a_crop_is_a_window_that_is_enlarged():
    """Of a ramp it stays a ramp: less steep, within the values of the image."""
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (32, 1))[..., np.newaxis]
    slopes, lows = [], []
    for number in range(60):
        found = Augmentation(crop=0.5)(ramp, seed(number)).numpy()[..., 0]
        steps = np.diff(found, axis=1)
        assert np.ptp(found, axis=0).max() < 1e-5 and np.ptp(steps[:, 2:-2]) < 1e-3
        slopes.append(steps.mean() * 63)
        lows.append(found.min())
    assert 0.49 < min(slopes) < 0.6 and 0.9 < max(slopes) <= 1
    assert min(lows) >= 0 and max(lows) > 0.2  # Anywhere in the image.


def test_noise_has_its_deviation_and_no_mean():
    grey = tf.fill([100, 100, 1], 0.5)
    noise = Augmentation(noise=0.1)(grey, seed(1)).numpy() - 0.5
    assert noise.std() == pytest.approx(0.1, rel=4 / (2 * 10_000) ** 0.5)
    assert abs(noise.mean()) < 4 * 0.1 / 100
    dark = Augmentation(noise=0.1)(tf.zeros([50, 50, 1], tf.uint8), seed(1)).numpy()
    assert 0 < (dark == 0).mean() < 1 and dark.max() < 128  # Saturates, no wrap.


@pytest.mark.parametrize(
    "options, message",
    [
        ({"crop": 1}, "crop must be from 0 to below 1, got 1"),
        ({"noise": -0.1}, "noise must be from 0 to below 1"),
        ({"rotate": 181}, "rotate must be from 0 to 180, got 181"),
    ],
)
def test_bad_options(options, message):
    for make in (Augmentation, ImageAugmenter):
        with pytest.raises(ValueError, match=message):
            make(**options)


def test_samples_without_an_image():
    generator = DataGenerator([{"id": 1}]).map(ImageAugmenter())
    with pytest.raises(ValueError, match="image_keys must be keys .*got 'img'.*'id'"):
        generator.get_dataset()
    assert ImageAugmenter("img").image_keys == ("img",)
