"""Encoded bytes -> pixels."""

from collections.abc import Sequence

import tensorflow as tf

from tfx_resampling.images import bmp as bmp_lib
from tfx_resampling.options import ImageOptions

JPEG, PNG, GIF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8"

CORRUPT_JPEG, CORRUPT_BMP = "a truncated or corrupt JPEG", "a truncated or corrupt BMP"

# What bytes are: the first of these that stands at its offset.
SIGNATURES = (
    ("a truncated or corrupt PNG", 0, PNG),
    ("a GIF that is truncated, corrupt or smaller than its canvas", 0, GIF),
    ("WebP", 8, b"WEBP"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("TIFF", 0, b"II+\0"),
    ("TIFF", 0, b"MM\0+"),
    ("HEIC", 4, b"ftyphei"),
    ("HEIC", 4, b"ftyphev"),
    ("HEIC", 4, b"ftypmif1"),
    ("HEIC", 4, b"ftypmsf1"),
    ("AVIF", 4, b"ftypavi"),
    ("JPEG 2000", 4, b"jP  \r\n\x87\n"),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("JPEG XL", 4, b"JXL \r\n\x87\n"),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("DICOM", 128, b"DICM"),
    ("gzip data", 0, b"\x1f\x8b"),
    ("base64 text of a JPEG", 0, b"/9j/"),
    ("base64 text of a PNG", 0, b"iVBORw0KGgo"),
)

# ITU-T T.81, table B.1: start-of-frame markers of baseline, extended and progressive
# JPEG, the latter two also with arithmetic coding; libjpeg decodes these.
DECODED_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)


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
        `describe` says what it is instead.
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


def describe(encoded: tf.Tensor) -> tf.Tensor:
    """Returns what bytes that could not be decoded seem to be, in ASCII.

    "WebP", "a truncated or corrupt JPEG", "an empty string", "neither JPEG, PNG, BMP
    nor GIF (starts with 0x3c21646f63747970)": it completes "the image is ...".

    Args:
      encoded: string scalar, the bytes of the file.

    Returns:
      string scalar.
    """
    return tf.where(
        tf.strings.substr(encoded, 0, len(JPEG)) == JPEG,
        _describe_jpeg(encoded),
        _describe_other(encoded, bmp_lib.bmp_header(encoded)),
    )


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
            tf.strings.substr(bmp_lib.padded(encoded, 26), 25, 1)
            == [b"\2", b"\3", b"\6"]
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


# Not inlined: TensorFlow visits each op of the branch of a condition that is not taken,
# so that these took 15 us of every JPEG; now 4, of 190 for one of 224 x 224. Without
# assertions: with one, the call is stateful to tf.data, which does not serialize it.
@tf.function(autograph=False, experimental_attributes={"_noinline": True})
def _decode_other(encoded: tf.Tensor, channels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """GIF or BMP to uint8 [h, w, channels], and "" or why it is refused."""
    is_gif = tf.strings.substr(encoded, 0, len(GIF)) == GIF
    bmp = bmp_lib.bmp_header(encoded)
    image = tf.case(
        [
            (is_gif, lambda: _decode(encoded, 3)),
            (bmp.is_decoded, lambda: bmp_lib.decode_bmp(encoded, bmp)),
        ],
        default=lambda: tf.zeros([0, 0, 3], tf.uint8),
    )
    # The op makes the canvas of a GIF as large as the largest frame, and cuts off what
    # a smaller one's offset moves over its edge: the first frame would be shifted.
    canvas = tf.io.decode_raw(
        tf.strings.substr(bmp_lib.padded(encoded, 10), 6, 4), tf.uint16
    )
    is_filled = tf.reduce_all(tf.shape(image)[1::-1] >= tf.cast(canvas, tf.int32))
    refusal = tf.cond(
        (is_gif & is_filled) | bmp.is_decoded,
        lambda: tf.constant(""),
        lambda: tf.strings.join(
            [
                "image is ",
                _describe_other(encoded, bmp),
                ", which is not decoded; JPEG, PNG, GIF and BMP (1, 4, 8, 24 or 32 "
                "bits, not compressed) are. Convert it when the TFRecords are written.",
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
        # Where it grows the same to within 0.02 of 255; where it is equal, no change.
        lambda: tf.image.resize(image, size),
    )
    return tf.ensure_shape(resized, [*size, image.shape[2]])


def _luma(image: tf.Tensor) -> tf.Tensor:
    """RGB uint8 [h, w, 3] to grey uint8 [h, w, 1]."""
    image = tf.cast(image, tf.float32) * [0.299, 0.587, 0.114]
    return tf.cast(tf.round(tf.reduce_sum(image, axis=2, keepdims=True)), tf.uint8)


def _describe_other(encoded: tf.Tensor, bmp: bmp_lib.BmpHeader) -> tf.Tensor:
    """What bytes seem to be that do not begin as a JPEG."""
    names, offsets, signatures = zip(*SIGNATURES)
    size = max(offset + len(signature) for _, offset, signature in SIGNATURES)
    heads = tf.fill([len(names)], bmp_lib.padded(encoded, size))
    found = tf.strings.substr(heads, offsets, [len(s) for s in signatures])
    first = tf.io.decode_raw(tf.strings.substr(encoded, 0, 8), tf.uint8)
    digits = tf.cast(tf.stack([first // 16, first % 16], axis=1), tf.int32)
    digits = tf.strings.reduce_join(tf.gather(list("0123456789abcdef"), digits))
    unknown = "neither JPEG, PNG, BMP nor GIF (starts with 0x", digits, ")"
    kinds = tf.boolean_mask(names, tf.equal(found, signatures))
    kind = tf.concat([kinds, [tf.strings.join(unknown)]], axis=0)[0]

    texts = "a BMP of ", " x ", " pixels, ", " bits, compression ", ", header of "
    fields = bmp.width, bmp.height, bmp.bits, bmp.compression, bmp.size
    fields = tf.unstack(tf.strings.as_string(tf.stack(fields)))
    details = [part for pair in zip(texts, fields) for part in pair]
    is_corrupt = bmp.is_decoded | (tf.strings.length(encoded) < 54)
    details = tf.where(is_corrupt, CORRUPT_BMP, tf.strings.join([*details, " bytes"]))
    kind = tf.where(bmp.is_bmp, details, kind)
    return tf.where(tf.equal(encoded, ""), "an empty string", kind)


def _describe_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Walks the segments of a JPEG up to its frame, which says how it is coded."""
    data = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int32)
    end = tf.size(data)
    data = tf.pad(data, [[0, 8]])

    def is_frame(at):
        marker = data[at + 1]
        # Among 0xC0 to 0xCF are two tables of codes; 0xF7 is the frame of JPEG-LS.
        is_table = (marker == 0xC4) | (marker == 0xCC)
        return ((marker // 16 == 0xC) & ~is_table) | (marker == 0xF7)

    def goes_on(at):
        is_segment = (data[at] == 0xFF) & (data[at + 1] != 0xDA)  # 0xDA: a scan.
        return is_segment & ~is_frame(at)

    def next_segment(at):
        return [tf.minimum(at + 2 + data[at + 2] * 256 + data[at + 3], end)]

    (at,) = tf.while_loop(goes_on, next_segment, [tf.constant(2)])
    is_decoded = tf.reduce_any(data[at + 1] == DECODED_FRAMES)
    name = tf.where(data[at + 4] == 12, "a JPEG of 12 bits per channel", CORRUPT_JPEG)
    name = tf.where(is_decoded, name, "a lossless or hierarchical JPEG")
    return tf.where(is_frame(at), name, CORRUPT_JPEG)
