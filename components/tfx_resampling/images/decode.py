"""Encoded images to pixels, in the graph."""

import functools
from collections.abc import Sequence

import tensorflow as tf

from tfx_resampling.images.bmp import padded
from tfx_resampling.images.formats import FORMATS, JPEG, PNG, find_format
from tfx_resampling.options import ImageOptions

_DECODED = [kind.decoded for kind in FORMATS if kind.decoded]

# TensorFlow visits each op of the branch of a condition that is not taken, unless it is
# in such a function: they took 15 us of every JPEG; now 4, of 190 for one of 224 x 224.
# Without assertions: with one, the call is stateful to tf.data, which does not
# serialize it.
_not_inlined = functools.partial(
    tf.function, autograph=False, experimental_attributes={"_noinline": True}
)


def decode_image(encoded: tf.Tensor, options: ImageOptions) -> tf.Tensor:
    """Returns [height, width, channels] pixels: float32 times `scale`, or uint8.

    | File | Decoded |
    |---|---|
    | JPEG | 8 bits: grey, RGB, CMYK and YCCK; baseline, progressive, arithmetic |
    | PNG | every kind; of 16 bits the upper 8 |
    | GIF | the first frame, if it fills the canvas; transparent pixels are black |
    | BMP | 1, 4 and 8 bits (palette), 24 and 32 bits; not compressed |

    Anything else is an error that names it. Grey asked of a colour image is its luma,
    0.299 R + 0.587 G + 0.114 B (ITU-R BT.601, as in JPEG); colour asked of a grey one
    is that grey three times. Alpha is dropped: the colour beneath it shows. EXIF
    orientation, gamma and colour profiles are not applied. JPEG has no checksum:
    damage within one may go unnoticed, a missing end does not.

    Args:
      encoded: string scalar, the bytes of the file.
      options: size, channels and scale; augmentation is not applied here.

    Raises:
      tf.errors.InvalidArgumentError: when run, if the image cannot be decoded;
        `describe` gives the reason.
    """
    # Nearly every image is one of these: one comparison stands before the decoder.
    is_common = tf.strings.substr(encoded, 0, 3) == [JPEG, PNG[:3]]
    image = tf.cond(
        tf.reduce_any(is_common),
        lambda: _decode_jpeg_or_png(encoded, options.channels),
        lambda: _decode_other_or_refuse(encoded, options.channels),
    )
    image.set_shape([None, None, options.channels])
    if options.size is not None:
        image = _resized(image, options.size)
    if options.scale is not None:
        return tf.cast(image, tf.float32) * options.scale
    if image.dtype == tf.uint8:
        return image
    return tf.saturate_cast(tf.round(image), tf.uint8)


@_not_inlined
def describe(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the likely kind of bytes that could not be decoded, in ASCII.

    "WebP", "a truncated or corrupt JPEG", "an empty string", "neither JPEG, PNG, BMP
    nor GIF (starts with 0x3c21646f63747970)": it completes "the image is ...".

    Args:
      encoded: string scalar, the bytes of the file.

    Returns:
      string scalar.
    """
    first = tf.io.decode_raw(tf.strings.substr(encoded, 0, 8), tf.uint8)
    digits = tf.cast(tf.stack([first // 16, first % 16], axis=1), tf.int32)
    digits = tf.strings.reduce_join(tf.gather(list("0123456789abcdef"), digits))
    names = [name.split(" ")[0] for name in _DECODED]
    known = f"{', '.join(names[:-1])} nor {names[-1]}"
    unknown = tf.strings.join([f"neither {known} (starts with 0x", digits, ")"])
    failures = [
        kind.failure if isinstance(kind.failure, str) else kind.failure(encoded)
        for kind in FORMATS
    ]
    failure = tf.gather(tf.stack([*failures, ""]), find_format(encoded))
    failure = tf.where(tf.equal(failure, ""), unknown, failure)
    return tf.where(tf.equal(encoded, ""), "an empty string", failure)


def _decode_jpeg_or_png(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """JPEG or PNG to uint8 [h, w, channels]."""
    if channels == 3:
        return _decode(encoded, 3)
    # The op makes no grey of CMYK, and of a colour PNG that has a gamma another grey.
    is_cmyk_or_colour_png = tf.cond(
        tf.strings.substr(encoded, 0, len(JPEG)) == JPEG,
        lambda: tf.io.extract_jpeg_shape(encoded)[2] == 4,
        # Colour types: RGB, palette, RGB with alpha.
        lambda: tf.reduce_any(
            tf.strings.substr(padded(encoded, 26), 25, 1) == [b"\2", b"\3", b"\6"]
        ),
    )
    return tf.cond(
        is_cmyk_or_colour_png,
        lambda: _luma(_decode(encoded, 3)),
        lambda: _decode(encoded, 1),
    )


def _decode(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    return tf.io.decode_image(encoded, channels, expand_animations=False)


def _decode_other_or_refuse(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    image, refusal = _decode_other(encoded, channels)
    # The op alone: tf.debugging.Assert adds a condition, 1 us even if not in need.
    is_known = tf.raw_ops.Assert(condition=tf.equal(refusal, ""), data=[refusal])
    with tf.control_dependencies([is_known]):
        return tf.identity(image)


@_not_inlined
def _decode_other(encoded: tf.Tensor, channels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Other formats to uint8 [h, w, channels], and "" or why they are refused."""
    number = find_format(encoded)
    image, is_decoded = tf.case(
        [
            (tf.equal(number, i), functools.partial(kind.decode, encoded))
            for i, kind in enumerate(FORMATS)
            if kind.decode
        ],
        default=lambda: (tf.zeros([0, 0, 3], tf.uint8), tf.constant(False)),
    )
    refusal = tf.cond(
        is_decoded,
        lambda: tf.constant(""),
        lambda: tf.strings.join(
            [
                "image is ",
                describe(encoded),
                f", which is not decoded; {', '.join(_DECODED[:-1])} and "
                f"{_DECODED[-1]} are. Convert it when the TFRecords are written.",
            ]
        ),
    )
    return image if channels == 3 else _luma(image), refusal


def _resized(image: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """uint8 [h, w, c] to float32 [*size, c]; antialiasing takes longer than JPEG."""
    shrinks = tf.reduce_any(tf.shape(image)[:2] > size)
    resized = tf.cond(
        shrinks,
        lambda: tf.image.resize(image, size, antialias=True),
        # Enlarged, the same to within 0.02 of 255; of equal size, unchanged.
        lambda: tf.image.resize(image, size),
    )
    return tf.ensure_shape(resized, [*size, image.shape[2]])


def _luma(image: tf.Tensor) -> tf.Tensor:
    """RGB uint8 [h, w, 3] to grey uint8 [h, w, 1]."""
    image = tf.cast(image, tf.float32) * [0.299, 0.587, 0.114]
    return tf.cast(tf.round(tf.reduce_sum(image, axis=2, keepdims=True)), tf.uint8)
