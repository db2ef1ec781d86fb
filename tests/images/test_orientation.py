"""EXIF orientation, against Pillow's `ImageOps.exif_transpose`."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from tfx_resampling.images.decode import decode_image
from tfx_resampling.images.orientation import exif_orientation
from tfx_resampling.options import ImageOptions

from tests.images import image_files

TAG = 0x0112


def exif(orientation: int, endian: str = "<") -> bytes:
    found = Image.Exif()
    found.endian = endian
    found[0x010F] = "A maker"  # Comes before it, with its text after the entries.
    found[TAG] = orientation
    return found.tobytes()


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def oriented(orientation: int, image=image_files.RGB) -> bytes:
    return image_files.jpeg(image, exif=exif(orientation))


def by_pillow(data: bytes, size=None) -> np.ndarray:
    """Returns [h, w, 3], turned upright and then resized to (height, width)."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)).convert("RGB"))
    if size is not None:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright_as_by_pillow(orientation):
    data = oriented(orientation)
    image = decode_image(tf.constant(data), ImageOptions(scale=None)).numpy()
    expected = by_pillow(data)
    assert image.shape == expected.shape
    assert np.abs(image - expected).mean() < 3
    as_it_is = decode_image(tf.constant(data), ImageOptions(scale=None, orient=False))
    pixels = image_files.COLOURS.astype(int)
    assert np.abs(as_it_is.numpy() - pixels).mean() < 3


@pytest.mark.parametrize("resize", ["fast", "exact"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_resized_to_the_size_that_is_asked_for(orientation, resize):
    # Reduced by 2 in JPEG if sides are compared in the right order, and not else.
    photo = image_files.RGB.resize((120, 84), Image.Resampling.BICUBIC)
    data, size = oriented(orientation, photo), (42, 30)
    options = ImageOptions(scale=None, size=size, resize=resize)
    image = decode_image(tf.constant(data), options).numpy()
    assert image.shape == (*size, 3)
    assert np.abs(image - by_pillow(data, size)).mean() < 2.5


PLAIN = image_files.jpeg()
COMMENT = segment(0xFE, b"a comment")
ICC = segment(0xE2, b"ICC_PROFILE\0" + bytes(500))
XMP = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")


def with_segments(*segments: bytes) -> bytes:
    """Returns a JPEG with segments between its start and what follows JFIF."""
    assert PLAIN[2:4] == b"\xff\xe0"
    jfif, rest = PLAIN[2:20], PLAIN[20:]
    return PLAIN[:2] + jfif + b"".join(segments) + rest


@pytest.mark.parametrize("endian", "<>")
@pytest.mark.parametrize("before", [[], [COMMENT], [ICC, XMP], [XMP] * 3])
def test_exif_is_found_among_other_segments(before, endian):
    # Pillow's has the six bytes of the segment's name before the TIFF header.
    content = exif(7, endian)
    assert content[6:8] == (b"II" if endian == "<" else b"MM")
    data = with_segments(*before, segment(0xE1, content), COMMENT)
    assert ImageOps.exif_transpose(Image.open(io.BytesIO(data))).size == (21, 30)
    assert exif_orientation(tf.constant(data)) == 7


def without_jfif():
    content = exif(3)
    return PLAIN[:2] + segment(0xE1, content) + PLAIN[20:]


@pytest.mark.parametrize(
    "data, expected",
    [
        (without_jfif(), 3),
        (PLAIN, 1),
        (PLAIN[:2] + PLAIN[20:], 1),
        (with_segments(XMP, ICC, COMMENT), 1),
        (with_segments(segment(0xE1, exif(9))), 1),
        (with_segments(segment(0xE1, exif(0))), 1),
        (with_segments(segment(0xE1, b"Exif\0\0")), 1),
        (with_segments(segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")), 1),
        (with_segments(segment(0xE1, exif(6)[:20])), 1),
        (image_files.encoded(image_files.RGB, "PNG", exif=exif(6)), 1),
        (b"", 1),
        (b"\xff\xd8", 1),
        (b"\xff\xd8\xff\xe1", 1),
        (b"\xff\xd8\xff\xe1\xff\xffExif\0\0MM", 1),
    ],
)
def test_what_is_damaged_or_missing_is_upright(data, expected):
    assert exif_orientation(tf.constant(data)) == expected
