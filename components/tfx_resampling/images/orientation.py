"""EXIF orientation: how the camera was held, which pixels alone do not tell."""

import tensorflow as tf

from tfx_resampling.images.bmp import padded
from tfx_resampling.records.one_device import apart

# ITU-T T.81, table B.1: segments for applications and comments; one for tables.
_APP0, _APP1, _APP15, _COMMENT, _TABLES = 0xE0, 0xE1, 0xEF, 0xFE, b"\xff\xdb"
_EXIF = b"Exif\0\0"
# TIFF 6.0: the tag, and the type of numbers of two bytes.
_ORIENTATION, _SHORT = 0x0112, 3


def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the orientation that a JPEG has in its EXIF data, from 1 to 8; else 1.

    1 is upright. Damaged EXIF counts as none, and so does that of other formats. It
    must stand before the tables of the image, as the standard (Exif 2.32, 4.5.4) asks.

    Args:
      encoded: string scalar, the bytes of the file.

    Returns:
      int32 scalar.
    """
    # Most have tables at once, or after the 18 bytes of JFIF: nothing to look for.
    heads = tf.fill([3], padded(encoded, 22))
    starts = tf.strings.substr(heads, [2, 2, 20], [2, 4, 2])
    found = tf.equal(starts, [_TABLES, b"\xff\xe0\x00\x10", _TABLES])
    is_jpeg = tf.equal(tf.strings.substr(encoded, 0, 2), b"\xff\xd8")
    has_none = found[0] | (found[1] & found[2])
    return tf.cond(
        is_jpeg & tf.logical_not(has_none),
        lambda: _search(encoded),
        lambda: tf.constant(1),
    )


def is_turned(orientation: tf.Tensor) -> tf.Tensor:
    """Returns whether height and width change places: bool scalar."""
    return orientation >= 5


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Returns an image [h, w, c] as it was seen: [h, w, c], or [w, h, c] if turned."""

    def turned():
        rows = tf.reduce_any(tf.equal(orientation, [3, 4, 6, 7]))
        columns = tf.reduce_any(tf.equal(orientation, [2, 3, 7, 8]))
        flipped = tf.reverse(image, tf.where(tf.stack([rows, columns]))[:, 0])
        return tf.cond(
            is_turned(orientation),
            lambda: tf.transpose(flipped, [1, 0, 2]),
            lambda: flipped,
        )

    return tf.cond(tf.equal(orientation, 1), lambda: image, turned)


@apart
def _search(encoded: tf.Tensor) -> tf.Tensor:
    """As `exif_orientation`, by the segments of a JPEG."""
    data = tf.io.decode_raw(encoded, tf.uint8)
    end = tf.size(data)
    data = tf.concat([data, tf.zeros([16], tf.uint8)], axis=0)

    def is_exif(at):
        is_app1 = tf.equal(data[at + 1], _APP1)
        return is_app1 & tf.reduce_all(tf.equal(data[at + 4 : at + 10], list(_EXIF)))

    def goes_on(at):
        marker = data[at + 1]
        is_passed = (marker >= _APP0) & (marker <= _APP15) | tf.equal(marker, _COMMENT)
        return tf.equal(data[at], 0xFF) & is_passed & tf.logical_not(is_exif(at))

    def after(at):
        size = tf.cast(data[at + 2 : at + 4], tf.int32)
        return tf.minimum(at + 2 + size[0] * 256 + size[1], end)

    (at,) = tf.while_loop(goes_on, lambda at: [after(at)], [tf.constant(2)])
    return tf.cond(
        is_exif(at),
        lambda: _of_tiff(data[at + 10 : after(at)]),
        lambda: tf.constant(1),
    )


def _of_tiff(tiff: tf.Tensor) -> tf.Tensor:
    """Returns the orientation in TIFF data, uint8 [n]; 1 if there is none."""
    size = tf.size(tiff)
    data = tf.cast(tf.concat([tiff, tf.zeros([16], tf.uint8)], axis=0), tf.int32)
    # "II" is Intel's order of bytes, "MM" is Motorola's.
    is_big = tf.equal(data[0], ord("M"))

    def number(these):
        """Returns int32 [...] of bytes [..., n], as the file orders them."""
        ordered = tf.where(is_big, these, tf.reverse(these, [-1]))
        powers = tf.range(tf.shape(these)[-1] - 1, -1, -1)
        return tf.reduce_sum(ordered * 256**powers, axis=-1)

    start = tf.clip_by_value(number(data[4:8]), 0, size)
    count = number(data[start : start + 2])
    # Entries: tag, type, number of values (4 bytes), value (4 bytes).
    entries = data[start + 2 : start + 2 + 12 * count]
    entries = tf.reshape(entries[: tf.size(entries) // 12 * 12], [-1, 12])
    is_it = tf.equal(number(entries[:, :2]), _ORIENTATION)
    is_it &= tf.equal(number(entries[:, 2:4]), _SHORT)
    values = tf.concat([tf.boolean_mask(number(entries[:, 8:10]), is_it), [1]], axis=0)
    return tf.where((values[0] >= 1) & (values[0] <= 8), values[0], 1)
