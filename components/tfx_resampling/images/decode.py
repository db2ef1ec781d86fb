"""Encoded images to pixels, in the graph."""

import functools
from collections.abc import Callable

import tensorflow as tf

from tfx_resampling.images.bmp import padded
from tfx_resampling.images.formats import FORMATS, JPEG, PNG, find_format
from tfx_resampling.images.orientation import exif_orientation, is_turned, upright
from tfx_resampling.options import ImageOptions
from tfx_resampling.records.one_device import apart

# By which libjpeg reduces the sides of an image.
_RATIOS = (1, 2, 4, 8)
# Of an image that libjpeg has reduced: how many times smaller its sides may become by
# linear interpolation. It differs from Pillow's then by a quarter to a half of what one
# that was not reduced does.
_MILD = 1.5
# How many sizes are tried to find one of whole pixels, and how many pixels of the
# result its last may be from its place.
_MORE, _MOST_SHIFT = 16, 0.25
_DECODED = [kind.decoded for kind in FORMATS if kind.decoded]

# Of the sides of a file's image, int32 [2]: begin and extent of a part, int32 [2] each.
Window = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
# Pixels, uint8 [h, w, channels]; height and width of what is of the image, float32 [2];
# whether it was decoded at a part of its size, bool scalar.
Decoded = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def decode_image(
    encoded: tf.Tensor, options: ImageOptions, window: Window | None = None
) -> tf.Tensor:
    """Returns [height, width, channels] pixels: float32 times `scale`, or uint8.

    | File | Decoded |
    |---|---|
    | JPEG | 8 bits: grey, RGB, CMYK and YCCK; baseline, progressive, arithmetic |
    | PNG | every kind; of 16 bits the upper 8 |
    | GIF | the first frame, if it fills the canvas; transparent pixels are black |
    | BMP | 1, 4 and 8 bits (palette), 24 and 32 bits; not compressed |

    Anything else is an error that names it. Grey asked of a colour image is its luma,
    0.299 R + 0.587 G + 0.114 B (ITU-R BT.601, as in JPEG); colour asked of a grey one
    is that grey three times. Alpha is dropped: the colour beneath it shows. A JPEG
    stands upright, by its EXIF orientation, unless `options.orient` is off; gamma and
    colour profiles are not applied. JPEG has no checksum: damage within one may go
    unnoticed, a missing end does not.

    Args:
      encoded: string scalar, the bytes of the file.
      options: size, channels and scale; augmentation is not applied here.
      window: of (height, width) of the upright image, the part that is resized to
        `size`. Of a JPEG little more than that is decoded, so that damage elsewhere
        goes unnoticed; where it is decoded at 1/2, 1/4 or 1/8, the window begins and
        ends at multiples of 2, 4 or 8.

    Raises:
      tf.errors.InvalidArgumentError: when run, if the image cannot be decoded;
        `describe` gives the reason.
    """
    return scaled(decode_pixels(encoded, options, window), options.scale)


def decode_pixels(
    encoded: tf.Tensor, options: ImageOptions, window: Window | None = None
) -> tf.Tensor:
    """Returns what `decode_image` does before `scaled`: uint8, or float32 if "exact".

    Of 8 bits, pixels are a quarter to put into a batch, which is then scaled at once.
    """
    size = None if options.size is None else tf.constant(list(options.size))
    orientation = None
    if options.orient:
        orientation = exif_orientation(encoded)
        if size is not None:
            size = _as_stored(size, orientation)
        if window is not None:
            window = _stored_window(window, orientation)
    is_fast = options.resize == "fast"
    with tf.control_dependencies([] if orientation is None else [orientation]):
        # Conditions one by one: what fails in one cancels those beside it, and that
        # they were cancelled may be told in place of the error.
        encoded = tf.identity(encoded)
    # Nearly every image is one of these: one comparison stands before the decoder.
    is_common = tf.strings.substr(encoded, 0, 3) == [JPEG, PNG[:3]]
    image, sides, is_reduced = tf.cond(
        tf.reduce_any(is_common),
        lambda: _decode_jpeg_or_png(
            encoded, options.channels, is_common[0], size if is_fast else None, window
        ),
        lambda: _part(_decode_other_or_refuse(encoded, options.channels), window),
    )
    image.set_shape([None, None, options.channels])
    if size is not None:
        if is_fast:
            image = _resized(image, size, sides, is_reduced)
        else:
            image = _filtered(image, size, sides)
    if orientation is not None:
        image = upright(image, orientation)
    sides = [None, None] if options.size is None else list(options.size)
    return tf.ensure_shape(image, [*sides, options.channels])


def scaled(pixels: tf.Tensor, scale: float | None) -> tf.Tensor:
    """Returns pixels, uint8 or float32, times `scale`; None: uint8."""
    if scale is not None:
        return tf.cast(pixels, tf.float32) * scale
    if pixels.dtype == tf.uint8:
        return pixels
    return tf.saturate_cast(tf.round(pixels), tf.uint8)


@apart
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


def _decode_jpeg_or_png(
    encoded: tf.Tensor,
    channels: int,
    is_jpeg: tf.Tensor,
    size: tf.Tensor | None,
    window: Window | None,
) -> Decoded:
    """Decodes a JPEG or a PNG.

    A JPEG is decoded at the least size that is not below `size`, int32 [2], if that is
    given: its blocks of 8 x 8 give the means over 2 x 2, 4 x 4 or 8 x 8 pixels for less
    than all pixels. Its sides are then 1/2, 1/4 or 1/8 as long, and of the last row and
    column only a part may belong to the image.
    """

    def whole():
        return _part(_in_channels(encoded, channels, is_jpeg, _decode), window)

    if size is None and window is None:
        return whole()
    return tf.cond(
        is_jpeg, lambda: _decode_reduced(encoded, channels, size, window), whole
    )


def _decode_reduced(
    encoded: tf.Tensor, channels: int, size: tf.Tensor | None, window: Window | None
) -> Decoded:
    begin, sides = None, tf.io.extract_jpeg_shape(encoded)[:2]
    if window is not None:
        begin, sides = window(sides)

    def reduced(ratio):
        def decode(encoded, channels):
            if begin is None:
                return tf.io.decode_jpeg(encoded, channels, ratio=ratio)
            # Whole pixels of the reduced image: not one of the result is left out.
            crop = tf.concat([begin // ratio, sides // ratio], axis=0)
            return tf.io.decode_and_crop_jpeg(encoded, crop, channels, ratio=ratio)

        image = _in_channels(encoded, channels, tf.constant(True), decode)
        is_reduced = tf.constant(ratio > 1)
        if begin is not None:
            return image, _sides(image), is_reduced
        return image, tf.cast(sides, tf.float32) / ratio, is_reduced

    if size is None:
        return reduced(1)
    which = tf.reduce_sum(
        tf.cast(tf.reduce_min(sides // size) >= _RATIOS[1:], tf.int32)
    )
    return tf.switch_case(which, [functools.partial(reduced, r) for r in _RATIOS])


def _part(image: tf.Tensor, window: Window | None) -> Decoded:
    """Returns the part of decoded pixels [h, w, c] that is in a window."""
    if window is not None:
        begin, sides = window(tf.shape(image)[:2])
        image = tf.slice(image, [*tf.unstack(begin), 0], [*tf.unstack(sides), -1])
    return image, _sides(image), tf.constant(False)


def _as_stored(pair: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Height and width of the upright image to those of the stored one, or back."""
    return tf.where(is_turned(orientation), pair[::-1], pair)


def _stored_window(window: Window, orientation: tf.Tensor) -> Window:
    """A window of the stored image: that of the upright one, but for mirroring."""

    def stored(sides: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        begin, extent = window(_as_stored(sides, orientation))
        return _as_stored(begin, orientation), _as_stored(extent, orientation)

    return stored


def _in_channels(encoded: tf.Tensor, channels: int, is_jpeg: tf.Tensor, decode):
    """JPEG or PNG to uint8 [h, w, channels] by `decode`, of (encoded, channels)."""
    if channels == 3:
        return decode(encoded, 3)
    # The ops make no grey of CMYK, and of a colour PNG that has a gamma another grey.
    is_cmyk_or_colour_png = tf.cond(
        is_jpeg,
        lambda: tf.io.extract_jpeg_shape(encoded)[2] == 4,
        # Colour types: RGB, palette, RGB with alpha.
        lambda: tf.reduce_any(
            tf.strings.substr(padded(encoded, 26), 25, 1) == [b"\2", b"\3", b"\6"]
        ),
    )
    return tf.cond(
        is_cmyk_or_colour_png,
        lambda: _luma(decode(encoded, 3)),
        lambda: decode(encoded, 1),
    )


def _decode(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    return tf.io.decode_image(encoded, channels, expand_animations=False)


def _decode_other_or_refuse(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    image, refusal = _decode_other(encoded, channels)
    # The op alone: tf.debugging.Assert adds a condition, 1 us even if not in need.
    is_known = tf.raw_ops.Assert(condition=tf.equal(refusal, ""), data=[refusal])
    with tf.control_dependencies([is_known]):
        return tf.identity(image)


@apart
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


def _sides(image: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.shape(image)[:2], tf.float32)


def _resized(
    image: tf.Tensor, size: tf.Tensor, sides: tf.Tensor, is_reduced: tf.Tensor
) -> tf.Tensor:
    """uint8 [h, w, c] to uint8 [*size, c], antialiased at little cost.

    Sides that shrink do so by the mean over the area of each pixel, which takes half
    the time of a triangular filter, and those that grow by linear interpolation. So do
    both of an image that the decoder has reduced, where little is left to alias.
    Arguments as of `_filtered`, and whether the decoder has reduced it.
    """
    is_mild = is_reduced & tf.reduce_all(sides <= _MILD * tf.cast(size, tf.float32))
    resized = tf.cond(
        tf.reduce_all(tf.equal(sides, _sides(image))),
        lambda: _of_whole_pixels(image, size, is_mild),
        lambda: _of_parts(image, size, sides, is_mild),
    )
    # Within 0 and 255, as the pixels: they are weighted means.
    return tf.cast(resized + 0.5, tf.uint8)


def _of_whole_pixels(
    image: tf.Tensor, size: tf.Tensor, is_mild: tf.Tensor
) -> tf.Tensor:
    """uint8 [h, w, c] to float32 [*size, c]; if mild by linear interpolation alone."""
    sides = tf.shape(image)[:2]
    shrunk = tf.where(is_mild, sides, tf.minimum(sides, size))
    means = tf.cond(
        tf.reduce_any(sides > shrunk),
        lambda: tf.image.resize(image, shrunk, method="area"),
        lambda: tf.cast(image, tf.float32),
    )
    return tf.cond(
        tf.reduce_any(tf.not_equal(shrunk, size)),
        lambda: tf.image.resize(means, size),
        lambda: means,
    )


@apart
def _of_parts(
    image: tf.Tensor, size: tf.Tensor, sides: tf.Tensor, is_mild: tf.Tensor
) -> tf.Tensor:
    """As `_of_whole_pixels` where of the last row or column only a part counts.

    Neither op knows of parts. But repeated rows, resized to some more than are asked
    for, come to the same grid: 341.5 to 224 is as 343 to 225, but for a sixtieth of a
    pixel. What is too much is cut off.
    """
    wanted = size[:, tf.newaxis] + tf.range(_MORE)
    shrinks = (sides / tf.cast(size, tf.float32))[:, tf.newaxis]
    exact = shrinks * tf.cast(wanted, tf.float32)
    # How far the last pixel is from its place, in pixels of the result.
    shifts = tf.abs(tf.round(exact) - exact) / shrinks
    best = tf.argmin(shifts, axis=1)
    padded = tf.cast(tf.gather(tf.round(exact), best, batch_dims=1), tf.int32)
    wanted = tf.gather(wanted, best, batch_dims=1)

    def cut():
        more = tf.maximum(padded - tf.shape(image)[:2], 0)
        pixels = image[: padded[0], : padded[1]]
        pixels = tf.concat([pixels, tf.tile(pixels[-1:], [more[0], 1, 1])], axis=0)
        columns = tf.tile(pixels[:, -1:], [1, more[1], 1])
        pixels = tf.concat([pixels, columns], axis=1)
        resized = _of_whole_pixels(pixels, wanted, is_mild)
        return resized[: size[0], : size[1]]

    return tf.cond(
        tf.reduce_all(tf.reduce_min(shifts, axis=1) <= _MOST_SHIFT),
        cut,
        lambda: _filtered(image, size, sides),
    )


def _filtered(image: tf.Tensor, size: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """uint8 [h, w, c] to float32 [*size, c] by a triangular filter, slower than JPEG.

    Args:
      image: the pixels.
      size: int32 [2].
      sides: float32 [2], height and width; less than those of `image` if its last row
        or column is not all of the image.
    """
    goal = tf.cast(size, tf.float32)

    def antialiased():
        # As tf.image.resize, which knows of whole pixels only.
        resized = tf.raw_ops.ScaleAndTranslate(
            images=image[tf.newaxis],
            size=size,
            scale=goal / sides,
            translation=[0.0, 0.0],
            kernel_type="triangle",
            antialias=True,
        )
        return resized[0]

    return tf.cond(
        tf.reduce_any(sides > goal),
        antialiased,
        # Enlarged, the same to within 0.02 of 255; of equal size, unchanged.
        lambda: tf.image.resize(image, size),
    )


def _luma(image: tf.Tensor) -> tf.Tensor:
    """RGB uint8 [h, w, 3] to grey uint8 [h, w, 1]."""
    image = tf.cast(image, tf.float32) * [0.299, 0.587, 0.114]
    return tf.cast(tf.round(tf.reduce_sum(image, axis=2, keepdims=True)), tf.uint8)
