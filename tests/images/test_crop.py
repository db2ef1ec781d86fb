"""Windows that are decoded alone, against Pillow's `resize(..., box=)`."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx_resampling import Augmentation, ImageOptions, InputOptions, input_fn
from tfx_resampling.images.decode import decode_image

from tests import plans, tfrecords
from tests.images import image_files
from tests.images.photographs import photograph
from tests.images.test_orientation import by_pillow as upright
from tests.images.test_orientation import oriented
from tests.images.test_resize import ODD, SIZES, distance

TARGET = (160, 192)


def at(begin, extent):
    return lambda sides: (tf.constant(begin), tf.constant(extent))


def by_pillow(data: bytes, begin, extent, size=TARGET, mode="RGB") -> np.ndarray:
    image = Image.open(io.BytesIO(data)).convert(mode)
    box = (begin[1], begin[0], begin[1] + extent[1], begin[0] + extent[0])
    resized = image.resize(size[::-1], Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized, float).reshape(*size, -1)


def reduced(begin, extent, size=TARGET):
    """Returns a window as it is decoded: of whole pixels of the reduced JPEG."""
    least = min(side // goal for side, goal in zip(extent, size))
    ratio = max(ratio for ratio in (1, 2, 4, 8) if ratio <= max(least, 1))
    return [[side // ratio * ratio for side in part] for part in (begin, extent)]


def by_textbook(data: bytes, begin, extent) -> tf.Tensor:
    crop = tf.io.decode_and_crop_jpeg(data, [*begin, *extent], 3)
    return tf.image.resize(crop, TARGET)


@pytest.mark.parametrize("size", SIZES[1:] + ODD, ids=str)
@pytest.mark.parametrize("share", [0.5, 0.83, 1.0])
def test_closer_to_pillow_than_the_textbook(size, share):
    data = photograph(0, *size)
    extent = [int(side * share) for side in size]
    # At odd places, and at the end, where the last pixels are.
    places = {0, (size[0] - extent[0]) // 2 | 1 if share < 1 else 0}
    for row in sorted(places | {size[0] - extent[0]}):
        begin = [row, size[1] - extent[1]]
        options = ImageOptions(size=TARGET, scale=None)
        image = decode_image(tf.constant(data), options, at(begin, extent))
        begin, part = reduced(begin, extent)
        expected = by_pillow(data, begin, part)
        textbook = distance(by_textbook(data, begin, part), expected)
        assert distance(image, expected) < 0.8 * textbook


def test_exact_is_pillow_but_for_decoding():
    data = photograph(0, *SIZES[2])
    options = ImageOptions(size=TARGET, scale=1.0, resize="exact")
    begin, extent = [77, 131], [601, 701]
    image = decode_image(tf.constant(data), options, at(begin, extent))
    assert distance(image, by_pillow(data, begin, extent)) < 2


KINDS = [
    *({}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}),
    {"restart_marker_rows": 1},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("channels, mode", [(3, "RGB"), (1, "L")])
@pytest.mark.parametrize("size", [(40, 50), (97, 113), (300, 400)])
def test_kinds_of_jpeg(kind, channels, mode, size):
    data = photograph(1, 461, 613, **kind)
    begin, extent = [33, 201], [401, 412]
    options = ImageOptions(size=size, scale=None, channels=channels)
    image = decode_image(tf.constant(data), options, at(begin, extent))
    assert image.shape == (*size, channels)
    expected = by_pillow(data, *reduced(begin, extent, size), size, mode)
    assert distance(image, expected) < 5


@pytest.mark.parametrize("mode, kind", [("CMYK", "JPEG"), ("RGB", "PNG"), ("L", "BMP")])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_formats(mode, kind, channels):
    photo = Image.open(io.BytesIO(photograph(2, 300, 400))).convert(mode)
    options = {"quality": 90} if kind == "JPEG" else {}
    data = image_files.encoded(photo, kind, **options)
    begin, extent, size = [20, 31], [221, 333], (90, 80)
    image = decode_image(
        tf.constant(data),
        ImageOptions(size=size, scale=None, channels=channels),
        at(begin, extent),
    )
    if kind == "JPEG":
        begin, extent = reduced(begin, extent, size)
    expected = by_pillow(data, begin, extent, size, "L" if channels == 1 else "RGB")
    assert distance(image, expected) < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_window_is_one_of_the_upright_image(orientation):
    """Here in the middle: the same, whichever way the image is mirrored."""
    photo = image_files.RGB.resize((240, 168), Image.Resampling.BICUBIC)
    data = oriented(orientation, photo)
    whole = upright(data)
    extent = [side // 3 * 2 // 8 * 8 for side in whole.shape[:2]]
    begin = [(side - part) // 2 for side, part in zip(whole.shape, extent)]

    def window(sides):
        tf.debugging.assert_equal(sides, list(whole.shape[:2]))
        return tf.constant(begin), tf.constant(extent)

    size = (42, 30)
    options = ImageOptions(size=size, scale=None)
    image = decode_image(tf.constant(data), options, window)
    pixels = Image.fromarray(whole.astype(np.uint8))
    box = (begin[1], begin[0], begin[1] + extent[1], begin[0] + extent[0])
    expected = pixels.resize(size[::-1], Image.Resampling.BILINEAR, box=box)
    assert distance(image, np.asarray(expected, float)) < 3


def test_windows_have_their_area_and_aspect():
    augment = Augmentation(crop=(0.2, 0.6), aspect=(0.8, 1.5))
    areas, aspects, middles = [], [], []
    for number in range(400):
        begin, extent = augment.window(
            tf.constant([300, 400]), tf.constant([number, 2**40], tf.int64)
        )
        begin, extent = begin.numpy(), extent.numpy()
        assert (begin >= 0).all() and (begin + extent <= [300, 400]).all()
        areas.append(extent.prod() / (300 * 400))
        aspects.append(extent[1] / extent[0])
        middles.append((begin + extent / 2) / [300, 400])
    # To the pixel: sides of at least 120 are rounded.
    assert 0.19 < min(areas) < 0.22 and 0.57 < max(areas) < 0.61
    assert 0.79 < min(aspects) < 0.82 and 1.45 < max(aspects) < 1.52
    # By symmetry; a middle is at least 1/6 within, so its deviation below 1/3.
    assert np.abs(np.mean(middles, axis=0) - 0.5).max() < 4 / 3 / 400**0.5


def test_what_does_not_fit_is_the_whole_image():
    augment = Augmentation(crop=(0.9, 1.0), aspect=(1.0, 1.0))
    seed = tf.constant([1, 2], tf.int64)
    begin, extent = augment.window(tf.constant([100, 300]), seed)
    assert begin.numpy().tolist() == [0, 0] and extent.numpy().tolist() == [100, 300]


@pytest.mark.long
def test_input_fn_takes_the_window_of_the_seed_and_then_augments(tmp_path):
    photographs = [photograph(n, 200 + 40 * n, 301) for n in range(3)]
    records = [
        tfrecords.example({"image/id": n, "image/encoded": data, "label": b"a"})
        for n, data in enumerate(photographs)
    ]
    name = tfrecords.write(tmp_path / "photographs.tfrecord", records)
    plan = plans.make(["a"], [1], min_factor=4, unlabeled_factor=4)
    size = (64, 48)

    def read(augment):
        dataset = input_fn(
            name,
            plan,
            batch_size=4,
            image=ImageOptions(size=size, augment=augment, scale=1 / 255),
            keep=["image/id"],
            options=InputOptions(epochs=1, deterministic=True),
        )
        found = [
            (int(n), seed, pixels)
            for x, _ in tfrecords.read(dataset)
            for n, seed, pixels in zip(x["image/id"], x["seed"], x["image"])
        ]
        assert len(found) == 12
        return found

    augment = Augmentation(crop=(0.3, 0.7))
    windows = set()
    cropped = read(augment)
    for number, seed, pixels in cropped:
        data = photographs[number]
        sides = tf.constant([200 + 40 * number, 301])
        begin, extent = (w.numpy() for w in augment.window(sides, tf.constant(seed)))
        windows.add((number, *begin, *extent))
        expected = by_pillow(data, *reduced(begin, extent, size), size)
        assert distance(pixels * 255, expected) < 8
        # Not another window: of neighbours the difference is several times as large.
        elsewhere = by_pillow(data, begin // 2, extent, size)
        if begin.max() > 20:
            assert distance(pixels * 255, elsewhere) > 12
    assert len(windows) == 12  # Each copy has its own.
    flipped = read(Augmentation(crop=(0.3, 0.7), flip=True))
    mirrored = [
        np.array_equal(one, other[:, ::-1])
        for (_, _, one), (_, _, other) in zip(cropped, flipped)
    ]
    same = [
        np.array_equal(one, other)
        for (_, _, one), (_, _, other) in zip(cropped, flipped)
    ]
    assert sum(mirrored) > 0 and sum(same) > 0 and sum(mirrored) + sum(same) == 12


@pytest.mark.parametrize("crop", [0.5, (0, 1), (0.5, 0.2), (0.5, 1.1), (0.1,), "ab"])
def test_a_bad_crop_is_refused(crop):
    with pytest.raises(ValueError, match="crop must be .least, largest. area"):
        Augmentation(crop=crop)


@pytest.mark.parametrize("aspect", [1.0, (0, 1), (2, 1), None])
def test_a_bad_aspect_is_refused(aspect):
    with pytest.raises(ValueError, match="aspect must be .least, largest. width"):
        Augmentation(crop=(0.5, 1), aspect=aspect)
