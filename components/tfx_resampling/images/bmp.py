"""BMP images of all depths, by their header: TensorFlow decodes a few of them only."""

from typing import NamedTuple

import tensorflow as tf

SIGNATURE = b"BM"


def padded(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the first `size` bytes and zeros.

    tf.strings.substr refuses to start behind the end, with a message that has all bytes
    in it: Python then fails to decode the message.
    """
    return tf.strings.join([tf.strings.substr(encoded, 0, size), b"\0" * size])


def _bytes(encoded: tf.Tensor, start: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """uint8 [count], or less at the end; int64 numbers, which may be out of range."""
    start = tf.clip_by_value(start, 0, tf.cast(tf.strings.length(encoded), tf.int64))
    part = tf.strings.substr(encoded, start, tf.maximum(count, 0))
    return tf.io.decode_raw(part, tf.uint8)


class BmpHeader(NamedTuple):
    """A BITMAPINFOHEADER or one of its followers, int64 scalars and two bools.

    Attributes:
      start: offset of the pixels, in bytes.
      size: bytes of this header, which begins at 14 and ends at the palette.
      width, height: pixels; a negative height runs from the top down.
      bits: per pixel.
      compression: 0 is none, 3 is none with masks.
      colours: entries of the palette; 0 is all that `bits` allow.
      is_bmp: whether this is one at all.
      is_decoded: whether it is one that `decode_bmp` decodes.
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


def bmp_header(encoded: tf.Tensor) -> BmpHeader:
    """Returns the header of a BMP, or of what only might be one."""
    words = tf.io.decode_raw(tf.strings.substr(padded(encoded, 66), 10, 56), tf.int32)
    words = tf.cast(words, tf.int64)
    start, size, width, height = (words[i] for i in range(4))
    bits, compression, colours = words[4] // 2**16, words[5], words[9]
    # Two letters are little to go by: known headers have less than 256 bytes.
    is_bmp = (tf.strings.substr(encoded, 0, len(SIGNATURE)) == SIGNATURE) & (
        size // 256 == 0
    )
    is_plain = (compression == 0) & tf.reduce_any(bits == [1, 4, 8, 24, 32])
    # The masks that order the bytes as no mask does: blue, green, red, unused.
    is_masked = tf.reduce_all(words[11:14] == [0xFF0000, 0xFF00, 0xFF])
    is_masked &= (compression == 3) & (bits == 32)
    is_decoded = is_bmp & (is_plain | is_masked) & (size >= 40)
    is_decoded &= (width > 0) & (height != 0)
    fields = start, size, width, height, bits, compression, colours
    return BmpHeader(*fields, is_bmp, is_decoded)


def decode_bmp(encoded: tf.Tensor, bmp: BmpHeader) -> tf.Tensor:
    """Returns a BMP as uint8 [h, w, 3].

    The op takes indices into the palette for grey, and refuses less than 8 bits and
    the bytes that some programs append.
    """
    lines, stride = tf.abs(bmp.height), (bmp.width * bmp.bits + 31) // 32 * 4
    rows = tf.reshape(_bytes(encoded, bmp.start, lines * stride), [lines, stride])
    rows = rows[:: tf.cast(-tf.sign(bmp.height), tf.int32)]

    def by_palette():
        bits = tf.cast(bmp.bits, tf.int32)
        count = tf.where(bmp.colours == 0, 2**bmp.bits, bmp.colours)
        palette = tf.reshape(_bytes(encoded, 14 + bmp.size, 4 * count), [-1, 4])
        # Several pixels to the byte, the first one in its highest bits.
        pixels = tf.cast(rows, tf.int32)[..., tf.newaxis]
        pixels = tf.bitwise.right_shift(pixels, tf.range(8 - bits, -1, -bits))
        pixels = tf.reshape(pixels % 2**bits, [lines, -1])
        return tf.gather(palette, pixels[:, : bmp.width])

    def direct():
        used = rows[:, : bmp.width * bmp.bits // 8]
        return tf.reshape(used, [lines, bmp.width, bmp.bits // 8])

    image = tf.cond(bmp.bits <= 8, by_palette, direct)
    return image[..., 2::-1]  # Blue, green, red (and unused) -> red, green, blue.
