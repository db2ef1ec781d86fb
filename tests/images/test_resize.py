"""Resizing while decoding, against Pillow's antialiased one on photographs."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx_resampling.images.decode import decode_image, decode_pixels
from tfx_resampling.options import ImageOptions

from tests.images import image_files
from tests.images.photographs import photograph

TARGET = (224, 224)
SIZES = [(375, 500), (480, 640), (768, 1024), (1536, 2048)]
# Neither 2 nor 4 divides them: of the last pixels a part only is of the image.
ODD = [(449, 601), (583, 585), (683, 1024), (1366, 2051), (1539, 2049), (1801, 2047)]


def by_pillow(data: bytes, size=TARGET, mode: str = "RGB") -> np.ndarray:
    image = Image.open(io.BytesIO(data)).convert(mode)
    resized = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))
    return resized.reshape(*size, -1).astype(float)


def distance(image, expected) -> float:
    """Root mean square of the difference, of 255."""
    return float(np.sqrt(np.mean((np.asarray(image, float) - expected) ** 2)))


@pytest.mark.parametrize("size", SIZES + ODD, ids=str)
@pytest.mark.parametrize("number", range(3))
def test_half_the_aliasing_of_the_textbook(number, size):
    """Half of it, but for a photograph of 375 x 500 with little to alias: 0.51."""
    data = photograph(number, *size)
    textbook = tf.image.resize(tf.io.decode_jpeg(data, 3), TARGET)
    image = decode_image(tf.constant(data), ImageOptions(size=TARGET, scale=None))
    expected = by_pillow(data)
    assert image.dtype == tf.uint8
    assert distance(image, expected) <= 0.52 * distance(textbook, expected)


@pytest.mark.parametrize("size", SIZES + ODD, ids=str)
def test_everything_is_in_its_place(size):
    """Where only a part of the last pixels is of the image: to a quarter of a pixel."""
    height, width = size
    squares = np.zeros([height, width, 3], np.uint8)
    squares[height * 15 // 16 : -height // 64, width * 15 // 16 : -width // 64] = 255
    data = image_files.encoded(Image.fromarray(squares), "JPEG", quality=95)
    image = decode_image(tf.constant(data), ImageOptions(size=TARGET, scale=1.0))

    def center(pixels):
        pixels = np.asarray(pixels)[..., 0]
        places = np.indices(pixels.shape).reshape(2, -1)
        return places @ pixels.ravel() / pixels.sum()

    assert center(image) == pytest.approx(center(by_pillow(data)), abs=0.26)


@pytest.mark.parametrize("size", [(160, 450), (450, 160), (200, 250)], ids=str)
def test_one_side_shrinks_and_one_grows(size):
    photo = Image.open(io.BytesIO(photograph(0, 672, 672)))
    data = image_files.encoded(photo.crop((0, 0, *size[::-1])), "PNG")
    textbook = tf.image.resize(tf.io.decode_png(data, 3), TARGET)
    image = decode_image(tf.constant(data), ImageOptions(size=TARGET, scale=None))
    expected = by_pillow(data)
    assert distance(image, expected) <= 0.7 * distance(textbook, expected)


@pytest.mark.parametrize("size", [SIZES[0], SIZES[2]], ids=str)
def test_exact_is_pillow_but_for_decoding(size):
    data = photograph(0, *size)
    options = ImageOptions(size=TARGET, scale=1.0, resize="exact")
    image = decode_image(tf.constant(data), options)
    assert image.dtype == tf.float32
    assert distance(image, by_pillow(data)) < 2


@pytest.mark.parametrize(
    "kind",
    [
        *({}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}),
        {"restart_marker_rows": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("channels, mode", [(3, "RGB"), (1, "L")])
def test_kinds_of_jpeg(kind, channels, mode):
    # Odd sides, of which blocks of 8 have a part only.
    data = photograph(1, 461, 613, **kind)
    options = ImageOptions(size=(97, 113), scale=None, channels=channels)
    image = decode_image(tf.constant(data), options)
    assert image.shape == (97, 113, channels)
    assert distance(image, by_pillow(data, (97, 113), mode)) < 3


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_cmyk(mode, channels):
    photo = Image.open(io.BytesIO(photograph(2, 400, 500))).convert(mode)
    data = image_files.encoded(photo, "JPEG", quality=90)
    options = ImageOptions(size=(96, 96), scale=None, channels=channels)
    image = decode_image(tf.constant(data), options)
    expected = by_pillow(data, (96, 96), "L" if channels == 1 else "RGB")
    assert distance(image, expected) < 4


@pytest.mark.parametrize("size", [(100, 100), (500, 100), (100, 700), (600, 700)])
def test_png_shrinks_and_grows(size):
    photo = Image.open(io.BytesIO(photograph(2, 301, 403)))
    data = image_files.encoded(photo, "PNG")
    image = decode_image(tf.constant(data), ImageOptions(size=size, scale=None))
    assert distance(image, by_pillow(data, size)) < 5


def test_pixels_of_a_batch_are_scaled_as_those_of_one_image():
    data = tf.constant(photograph(0, *SIZES[0]))
    options = ImageOptions(size=TARGET, scale=1 / 255)
    pixels = decode_pixels(data, options)
    assert pixels.dtype == tf.uint8
    expected = pixels.numpy().astype(np.float32) * np.float32(1 / 255)
    assert np.array_equal(decode_image(data, options), expected)
