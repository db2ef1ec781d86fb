"""BMP images of all depths, by their header: TensorFlow decodes a few of them only."""

from typing import NamedTuple

import tensorflow as tf


def decode_bmp(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns uint8 [h, w, 3], and whether the bytes are a BMP that is decoded."""
    bmp = _header(encoded)
    image = tf.cond(
        bmp.is_decoded,
        lambda: _pixels(encoded, bmp),
        lambda: tf.zeros([0, 0, 3], tf.uint8),
    )
    return image, bmp.is_decoded


def describe_bmp(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the kind of BMP that could not be decoded; "" if it is not a BMP."""
    bmp = _header(encoded)
    texts = "a BMP of ", " x ", " pixels, ", " bits, compression ", ", header of "
    fields = bmp.width, bmp.height, bmp.bits, bmp.compression, bmp.size
    fields = tf.unstack(tf.strings.as_string(tf.stack(fields)))
    details = [part for pair in zip(texts, fields) for part in pair]
    text = tf.where(
        bmp.is_decoded | (tf.strings.length(encoded) < 54),
        "a truncated or corrupt BMP",
        tf.strings.join([*details, " bytes"]),
    )
    return tf.where(bmp.is_bmp, text, "")


def padded(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the first `size` bytes and zeros.

    tf.strings.substr refuses to start behind the end, with a message that has all bytes
    in it: Python then fails to decode the message.
    """
    return tf.strings.join([tf.strings.substr(encoded, 0, size), b"\0" * size])


class _Header(NamedTuple):
    """A BITMAPINFOHEADER or one of its followers, int64 scalars and two bools.

    Attributes:
      start: offset of the pixels, in bytes.
      size: bytes of this header, which begins at 14 and ends at the palette.
      width, height: pixels; a negative height runs from the top down.
      bits: per pixel.
      compression: 0 is none, 3 is none with masks.
      colours: entries of the palette; 0 is all that `bits` allow.
      is_bmp: whether the bytes are a BMP at all.
      is_decoded: whether `decode_bmp` decodes it.
    """

    start: tf.Tensor
    size: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    bits: tf.Tensor
    compression: tf.Tensor
    colours: tf.Tensor
    is_bmp: tf.Tensor
    is_decoded: tf.Tensor


def _header(encoded: tf.Tensor) -> _Header:
    """Returns the header of bytes that may be a BMP."""
    words = tf.io.decode_raw(tf.strings.substr(padded(encoded, 66), 10, 56), tf.int32)
    words = tf.cast(words, tf.int64)
    start, size, width, height = (words[i] for i in range(4))
    bits, compression, colours = words[4] // 2**16, words[5], words[9]
    # Two letters are little to go by: known headers have less than 256 bytes.
    is_bmp = (tf.strings.substr(encoded, 0, 2) == b"BM") & (size // 256 == 0)
    is_plain = (compression == 0) & tf.reduce_any(bits == [1, 4, 8, 24, 32])
    # The masks that order the bytes as no mask does: blue, green, red, unused.
    is_masked = tf.reduce_all(words[11:14] == [0xFF0000, 0xFF00, 0xFF])
    is_masked &= (compression == 3) & (bits == 32)
    is_decoded = is_bmp & (is_plain | is_masked) & (size >= 40)
    is_decoded &= (width > 0) & (height != 0)
    fields = start, size, width, height, bits, compression, colours
    return _Header(*fields, is_bmp, is_decoded)


def _pixels(encoded: tf.Tensor, bmp: _Header) -> tf.Tensor:
    """Returns uint8 [h, w, 3].

    TensorFlow's op takes indices into the palette for grey, and refuses less than 8
    bits and the bytes that some programs append.
    """
    lines, stride = tf.abs(bmp.height), (bmp.width * bmp.bits + 31) // 32 * 4
    rows = tf.reshape(_bytes(encoded, bmp.start, lines * stride), [lines, stride])
    rows = rows[:: tf.cast(-tf.sign(bmp.height), tf.int32)]

    def by_palette():
        bits = tf.cast(bmp.bits, tf.int32)
        colours = tf.bitwise.left_shift(1, bits)
        count = tf.where(bmp.colours == 0, tf.cast(colours, tf.int64), bmp.colours)
        palette = tf.reshape(_bytes(encoded, 14 + bmp.size, 4 * count), [-1, 4])
        # Several pixels to the byte, the first one in its highest bits.
        pixels = tf.expand_dims(tf.cast(rows, tf.int32), -1)
        pixels = tf.bitwise.right_shift(pixels, tf.range(8 - bits, -1, -bits))
        pixels = tf.reshape(pixels % colours, [lines, -1])
        return tf.gather(palette, pixels[:, : bmp.width])

    def direct():
        used = rows[:, : bmp.width * bmp.bits // 8]
        return tf.reshape(used, [lines, bmp.width, bmp.bits // 8])

    image = tf.cond(bmp.bits <= 8, by_palette, direct)
    # Blue, green, red (and unused) -> red, green, blue.
    return tf.reverse(image[:, :, :3], [2])


def _bytes(encoded: tf.Tensor, start: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """uint8 [count], or less at the end; int64 numbers, which may be out of range."""
    start = tf.clip_by_value(start, 0, tf.cast(tf.strings.length(encoded), tf.int64))
    part = tf.strings.substr(encoded, start, tf.maximum(count, 0))
    return tf.io.decode_raw(part, tf.uint8)
