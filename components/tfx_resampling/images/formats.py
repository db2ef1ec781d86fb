"""The image formats: how files of each begin, how they are decoded and described.

A new format is one entry of `FORMATS` and one function that decodes it.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfx_resampling.images.bmp import decode_bmp, describe_bmp, padded

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"

# ITU-T T.81, table B.1: start-of-frame markers of baseline, extended and progressive
# JPEG, the latter two also with arithmetic coding; libjpeg decodes these.
_DECODED_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)


class Format(NamedTuple):
    """A kind of file.

    Attributes:
      signatures: (offset, bytes), of which each file has one.
      failure: completes "the image is ..." for a file that could not be decoded; or a
        function bytes -> such a text, "" if they are not of this format.
      decoded: the files that are decoded, in words; "": none.
      decode: bytes -> (uint8 [h, w, 3], whether they were decoded). None: all are
        refused; of JPEG and PNG: `decode_image` has a faster way for them.
    """

    signatures: tuple[tuple[int, bytes], ...]
    failure: str | Callable[[tf.Tensor], tf.Tensor]
    decoded: str = ""
    decode: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]] | None = None


def decode_gif(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the first frame, uint8 [h, w, 3], and whether it fills the canvas."""
    image = tf.io.decode_image(encoded, 3, expand_animations=False)
    # The op makes the canvas as large as the largest frame, and cuts off the part that
    # a smaller one's offset moves over its edge: the first frame would be shifted.
    canvas = tf.strings.substr(padded(encoded, 10), 6, 4)
    canvas = tf.cast(tf.io.decode_raw(canvas, tf.uint16), tf.int32)
    return image, tf.reduce_all(tf.shape(image)[1::-1] >= canvas)


def describe_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the kind of JPEG that could not be decoded.

    Walks the segments up to the frame, which has how it is coded.
    """
    data = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int32)
    end = tf.size(data)
    data = tf.pad(data, [[0, 8]])

    def is_frame(at):
        marker = data[at + 1]
        # Among 0xC0 to 0xCF are two tables of codes; 0xF7 is the frame of JPEG-LS.
        is_other = (marker != 0xC4) & (marker != 0xCC)
        return ((marker // 16 == 0xC) & is_other) | (marker == 0xF7)

    def goes_on(at):
        is_segment = (data[at] == 0xFF) & (data[at + 1] != 0xDA)  # 0xDA: a scan.
        return is_segment & tf.logical_not(is_frame(at))

    def next_segment(at):
        return [tf.minimum(at + 2 + data[at + 2] * 256 + data[at + 3], end)]

    (at,) = tf.while_loop(goes_on, next_segment, [tf.constant(2)])
    corrupt = "a truncated or corrupt JPEG"
    is_decoded = tf.reduce_any(data[at + 1] == _DECODED_FRAMES)
    name = tf.where(data[at + 4] == 12, "a JPEG of 12 bits per channel", corrupt)
    name = tf.where(is_decoded, name, "a lossless or hierarchical JPEG")
    return tf.where(is_frame(at), name, corrupt)


# The first whose signature stands in a file is its format.
FORMATS = (
    Format(((0, JPEG),), describe_jpeg, "JPEG"),
    Format(((0, PNG),), "a truncated or corrupt PNG", "PNG"),
    Format(
        ((0, b"BM"),),
        describe_bmp,
        "BMP (1, 4, 8, 24 or 32 bits, not compressed)",
        decode_bmp,
    ),
    Format(
        ((0, b"GIF8"),),
        "a GIF that is truncated, corrupt or smaller than its canvas",
        "GIF",
        decode_gif,
    ),
    Format(((8, b"WEBP"),), "WebP"),
    Format(((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+")), "TIFF"),
    Format(
        ((4, b"ftyphei"), (4, b"ftyphev"), (4, b"ftypmif1"), (4, b"ftypmsf1")), "HEIC"
    ),
    Format(((4, b"ftypavi"),), "AVIF"),
    Format(((4, b"jP  \r\n\x87\n"), (0, b"\xff\x4f\xff\x51")), "JPEG 2000"),
    Format(((4, b"JXL \r\n\x87\n"), (0, b"\xff\x0a")), "JPEG XL"),
    Format(((128, b"DICM"),), "DICOM"),
    Format(((0, b"\x1f\x8b"),), "gzip data"),
    Format(((0, b"/9j/"),), "base64 text of a JPEG"),
    Format(((0, b"iVBORw0KGgo"),), "base64 text of a PNG"),
)


def find_format(encoded: tf.Tensor) -> tf.Tensor:
    """Returns an int32 scalar, the index into `FORMATS`, of bytes; its size: none."""
    rows = [
        (number, offset, signature)
        for number, kind in enumerate(FORMATS)
        for offset, signature in kind.signatures
    ]
    numbers, offsets, signatures = zip(*rows)
    sizes = [len(signature) for signature in signatures]
    end = max(offset + size for offset, size in zip(offsets, sizes))
    heads = tf.fill([len(rows)], padded(encoded, end))
    found = tf.equal(tf.strings.substr(heads, offsets, sizes), signatures)
    first = tf.argmax(tf.cast(tf.concat([found, [True]], axis=0), tf.int32))
    return tf.gather([*numbers, len(FORMATS)], first)
