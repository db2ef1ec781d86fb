"""Decoding, resizing and scaling of images."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.images.decode import decode_image, describe
from tfx_resampling.options import ImageOptions

from tests.images import image_files

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8, 1) * 5
COLOUR = np.random.default_rng(0).integers(0, 256, [6, 8, 3], dtype=np.uint8)
RAW = ImageOptions(scale=None)


def png(pixels):
    return tf.io.encode_png(pixels)


def jpeg(pixels):
    return tf.io.encode_jpeg(pixels, quality=90)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pixels", [GREY, np.full([6, 8, 3], 90, np.uint8)])
def test_jpeg_is_decoded_closely(pixels, channels):
    image = decode_image(jpeg(pixels), ImageOptions(channels=channels, scale=None))
    assert image.dtype == tf.uint8 and image.shape == [6, 8, channels]
    difference = np.abs(image.numpy().astype(int) - pixels[..., :1].astype(int))
    assert difference.max() <= 4  # JPEG is lossy.


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


RGB, L, PALETTE = image_files.RGB, image_files.GREY, image_files.PALETTE
GAMMA = (b"gAMA", (45_455).to_bytes(4, "big"))
RGB_BMP, PALETTE_BMP = (
    image_files.encoded(RGB, "BMP"),
    image_files.encoded(PALETTE, "BMP"),
)
GIF = image_files.encoded(PALETTE, "GIF")
ANIMATED = image_files.encoded(
    PALETTE, "GIF", save_all=True, append_images=[PALETTE.rotate(180)]
)
SIXTEEN_BITS = image_files.COLOURS.astype(np.uint16) * 256 + 200

JPEGS = {
    "grey": image_files.jpeg(L),
    "RGB": image_files.jpeg(),
    "half the colours": image_files.encoded(RGB, "JPEG", quality=95),
    "progressive": image_files.jpeg(progressive=True),
    # Noise: Pillow does not write it, but its decoder makes the same of the bytes.
    "arithmetic": image_files.with_frame(image_files.jpeg(), 0xC9),
    "CMYK": image_files.cmyk_jpeg(),
    "YCCK": image_files.cmyk_jpeg(transform=2),
}
EXACT = {
    "PNG 1 bit": image_files.encoded(L.convert("1"), "PNG"),
    "PNG grey": image_files.encoded(L, "PNG"),
    "PNG grey, gamma": image_files.with_chunk(image_files.encoded(L, "PNG"), *GAMMA),
    "PNG grey, alpha": image_files.encoded(image_files.with_alpha(L), "PNG"),
    "PNG grey, transparent": image_files.encoded(L, "PNG", transparency=100),
    "PNG grey, 16 bits": image_files.png(SIXTEEN_BITS[..., :1]),
    "PNG RGB": image_files.encoded(RGB, "PNG"),
    "PNG RGB, gamma": image_files.with_chunk(image_files.encoded(RGB, "PNG"), *GAMMA),
    "PNG RGB, sRGB": image_files.with_chunk(
        image_files.encoded(RGB, "PNG"), b"sRGB", b"\0"
    ),
    "PNG RGB, alpha": image_files.encoded(image_files.with_alpha(RGB), "PNG"),
    "PNG RGB, transparent": image_files.encoded(RGB, "PNG", transparency=(0, 0, 255)),
    "PNG RGB, interlaced": image_files.png(image_files.COLOURS, interlaced=True),
    "PNG RGB, 16 bits": image_files.png(SIXTEEN_BITS),
    "PNG RGB, 16 bits, interlaced": image_files.png(SIXTEEN_BITS, interlaced=True),
    "PNG palette": image_files.encoded(PALETTE, "PNG"),
    "PNG palette, gamma": image_files.with_chunk(
        image_files.encoded(PALETTE, "PNG"), *GAMMA
    ),
    "PNG palette, transparent": image_files.encoded(PALETTE, "PNG", transparency=3),
    "PNG palette of 4 bits": image_files.encoded(RGB.quantize(12), "PNG"),
    "BMP 1 bit": image_files.encoded(L.convert("1"), "BMP"),
    "BMP 4 bits": image_files.bmp_4_bits(),
    "BMP grey": image_files.encoded(L, "BMP"),
    "BMP palette": PALETTE_BMP,
    "BMP palette, from the top": image_files.from_the_top(PALETTE_BMP),
    "BMP RGB": RGB_BMP,
    "BMP RGB, from the top": image_files.from_the_top(RGB_BMP),
    "BMP RGB, 2 bytes appended": RGB_BMP + b"\0\0",  # As Photoshop writes it.
    "BMP RGBA": image_files.encoded(image_files.with_alpha(RGB), "BMP"),
    "BMP RGBA, masks": image_files.bmp_32_bits(),
    "GIF": GIF,
    "GIF grey": image_files.encoded(L, "GIF"),
    "GIF animated": ANIMATED,
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", EXACT)
def test_pixels_are_those_of_pillow(name, channels):
    image = decode_image(
        tf.constant(EXACT[name]), ImageOptions(channels=channels, scale=None)
    )
    assert image.dtype == tf.uint8
    expected = image_files.pixels(EXACT[name], channels)
    assert image.shape == expected.shape == (*image_files.COLOURS.shape[:2], channels)
    # Pillow's luma has 16 bits after the point: 1 off where it ends in 0.5.
    difference = np.abs(image.numpy().astype(int) - expected)
    assert difference.max() <= (channels == 1) and difference.mean() < 0.1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", JPEGS)
def test_jpegs_are_those_of_pillow_but_for_rounding(name, channels):
    image = decode_image(
        tf.constant(JPEGS[name]), ImageOptions(channels=channels, scale=None)
    )
    expected = image_files.pixels(JPEGS[name], channels)
    assert image.shape == expected.shape
    # TensorFlow takes the fast inverse DCT, Pillow the accurate one.
    difference = np.abs(image.numpy().astype(int) - expected)
    assert difference.max() <= 20 and difference.mean() < 3


@pytest.mark.parametrize("inverted", [True, False])
def test_cmyk_is_inverted_only_if_adobe_wrote_it(inverted):
    data = image_files.cmyk_jpeg(inverted=inverted)
    data = data if inverted else image_files.without_adobe(data)
    image = decode_image(tf.constant(data), RAW).numpy().astype(int)
    assert np.abs(image - image_files.COLOURS).mean() < 3


def test_transparent_pixels_of_a_gif_are_black():
    expected = image_files.pixels(GIF, 3).copy()
    expected[np.asarray(PALETTE) == 3] = 0
    assert np.count_nonzero(np.asarray(PALETTE) == 3)
    data = tf.constant(image_files.encoded(PALETTE, "GIF", transparency=3))
    assert np.array_equal(decode_image(data, RAW), expected)


@pytest.mark.long
def test_a_graph_decodes_all_formats_alike_and_can_be_sent_to_others():
    data = [*EXACT.values(), *JPEGS.values()]
    for channels in (1, 3):
        options = ImageOptions(channels=channels, size=(9, 7))
        images = tf.data.Dataset.from_tensor_slices(data).map(
            lambda encoded, options=options: decode_image(encoded, options)
        )
        assert images.element_spec == tf.TensorSpec([9, 7, channels], tf.float32)
        for encoded, image in zip(data, images):
            alone = decode_image(tf.constant(encoded), options)
            assert np.allclose(image, alone, atol=1e-6)
        fails_if_stateful = 2  # tf.data.experimental.ExternalStatePolicy.FAIL
        tf.raw_ops.DatasetToGraphV2(
            input_dataset=tf.data.experimental.to_variant(images),
            external_state_policy=fails_if_stateful,
        )


FTYP = b"\0\0\0\x18ftyp%s\0\0\0\0mif1"
BMP_SIZE = "a BMP of 30 x 21 pixels"
CORRUPT_GIF = "a GIF that is truncated, corrupt or smaller than its canvas"
REFUSED = {
    "WebP": image_files.encoded(RGB, "WEBP"),
    "TIFF": image_files.encoded(RGB, "TIFF"),
    "HEIC": FTYP % b"heic",
    "AVIF": FTYP % b"avif",
    "JPEG 2000": image_files.encoded(RGB, "JPEG2000"),
    "JPEG XL": b"\xff\x0a" + bytes(20),
    "DICOM": bytes(128) + b"DICM" + bytes(20),
    "gzip data": b"\x1f\x8b\x08" + bytes(20),
    "base64 text of a JPEG": b"/9j/4AAQSkZJRg==",
    "base64 text of a PNG": b"iVBORw0KGgoAAAANSUhEUg==",
    "an empty string": b"",
    "neither JPEG, PNG, BMP nor GIF (starts with 0x3c21646f63747970)": b"<!doctype h",
    "neither JPEG, PNG, BMP nor GIF (starts with 0x424d5720424d5720)": b"BMW " * 5,
    "neither JPEG, PNG, BMP nor GIF (starts with 0xff)": b"\xff",
    f"{BMP_SIZE}, 16 bits, compression 0, header of 40 bytes": image_files.with_field(
        RGB_BMP, 28, 16, "<h"
    ),
    f"{BMP_SIZE}, 8 bits, compression 1, header of 40 bytes": image_files.with_field(
        PALETTE_BMP, 30, 1
    ),
    f"{BMP_SIZE}, 24 bits, compression 0, header of 12 bytes": image_files.with_field(
        RGB_BMP, 14, 12
    ),
    f"{BMP_SIZE}, 32 bits, compression 3, header of 56 bytes": image_files.bmp_32_bits(
        masks=(0xFF, 0xFF00, 0xFF0000)
    ),
    "a truncated or corrupt BMP": b"BM",
    # The canvas, at 6, made larger than the frame: without it, TensorFlow shifts it.
    CORRUPT_GIF: image_files.with_field(GIF, 6, image_files.WIDTH + 1, "<H"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_decoded_is_refused_by_name(name, channels):
    data = tf.constant(REFUSED[name])
    assert describe(data).numpy() == name.encode()
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        decode_image(data, ImageOptions(channels=channels))
    assert (
        f"image is {name}, which is not decoded; JPEG, PNG, BMP (1, 4, 8,"
        in error.value.message
    )


BROKEN = {
    "truncated JPEG": (image_files.jpeg()[:-5], "a truncated or corrupt JPEG"),
    "beginning of a JPEG": (image_files.jpeg()[:40], "a truncated or corrupt JPEG"),
    "12 bits": (
        image_files.with_frame(image_files.jpeg(), 0xC1, 12),
        "a JPEG of 12 bits per cha",
    ),
    "lossless": (
        image_files.with_frame(image_files.jpeg(), 0xC3),
        "a lossless or hierarchical J",
    ),
    "truncated PNG": (EXACT["PNG RGB"][:-20], "a truncated or corrupt PNG"),
    "beginning of a PNG": (EXACT["PNG RGB"][:20], "a truncated or corrupt PNG"),
    "truncated BMP": (RGB_BMP[:-5], "a truncated or corrupt BMP"),
    "beginning of a BMP": (RGB_BMP[:60], "a truncated or corrupt BMP"),
    "pixels behind the end": (
        image_files.with_field(RGB_BMP, 10, 10**6),
        "a truncated or corrupt BMP",
    ),
    "truncated GIF": (GIF[:-30], "a GIF that is truncated"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_errors_and_are_described(name, channels):
    data, description = BROKEN[name]
    assert bytes(describe(tf.constant(data)).numpy()).startswith(description.encode())
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(tf.constant(data), ImageOptions(channels=channels))


def test_damage_gives_no_other_error():
    # A message with bytes of the file would be a UnicodeDecodeError.
    rng = np.random.default_rng(2)
    data = [*EXACT.values(), *JPEGS.values()]
    decode = tf.function(lambda encoded: decode_image(encoded, RAW), autograph=False)
    errors = 0
    for damaged in map(bytearray, data * 4):
        for _ in range(3):
            damaged[rng.integers(min(len(damaged), 80))] = rng.integers(256)
        encoded = tf.constant(bytes(damaged[: rng.integers(len(damaged) * 2)]))
        assert bytes(describe(encoded).numpy()).isascii()
        try:
            assert decode(encoded).shape[2] == 3
        except tf.errors.InvalidArgumentError as error:
            errors += error.message != ""
    assert errors > len(data)


def test_an_image_that_has_the_size_keeps_its_pixels():
    data = tf.constant(EXACT["PNG RGB"])
    size = image_files.COLOURS.shape[:2]
    image = decode_image(data, ImageOptions(size=size, scale=None))
    assert image.dtype == tf.uint8 and np.array_equal(image, image_files.COLOURS)
    image = decode_image(data, ImageOptions(size=size, scale=1.0))
    assert np.array_equal(image, image_files.COLOURS.astype(np.float32))


@pytest.mark.parametrize("resize", ["fast", "exact"])
@pytest.mark.parametrize("size", [None, (8, 8)])
def test_conditions_follow_one_another(size, resize):
    # What fails within one would cancel another beside it, and TensorFlow may then
    # raise CancelledError, which `ignore_errors` does not leave out.
    options = ImageOptions(size=size, resize=resize, scale=None)
    traced = tf.function(lambda one: decode_image(one, options), autograph=False)
    graph = traced.get_concrete_function(tf.TensorSpec([], tf.string)).graph

    @functools.cache
    def before(op):
        needed = {*(tensor.op for tensor in op.inputs), *op.control_inputs}
        return needed.union(*map(before, needed))

    kinds = {"If", "StatelessIf", "Case", "StatelessCase"}
    conditions = [op for op in graph.get_operations() if op.type in kinds]
    assert len(conditions) >= 3
    for first, second in itertools.combinations(conditions, 2):
        assert first in before(second) or second in before(first)
