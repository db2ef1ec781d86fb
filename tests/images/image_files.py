"""Image files of every kind that data sets hold, made in code."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 21, 30  # Multiples of neither 4 nor 8, which rows are padded to.


def colours() -> np.ndarray:
    """Returns uint8 [21, 30, 3]: smooth, for JPEG, and not the same mirrored."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 8, y * 12, 255 - (x + y) * 4], axis=2).astype(np.uint8)


COLOURS = colours()
RGB = Image.fromarray(COLOURS)
GREY = RGB.convert("L")
ALPHA = Image.fromarray(COLOURS[::-1, :, 1].copy())
PALETTE = RGB.quantize(60)


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(ALPHA)
    return image


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """Returns the bytes of a file as Pillow writes it."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes, channels: int) -> np.ndarray:
    """Returns uint8 [h, w, channels] as Pillow reads the first frame, without alpha."""
    image = Image.open(io.BytesIO(data))
    if image.mode == "I;16":  # Pillow clips where it should scale.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("RGB")
    array = np.asarray(image if channels == 3 else image.convert("L"))
    return array.reshape(*array.shape[:2], channels)


def jpeg(image: Image.Image = RGB, **options) -> bytes:
    return encoded(image, "JPEG", quality=95, subsampling=0, **options)


def cmyk_jpeg(transform: int = 0, inverted: bool = True) -> bytes:
    """Returns a CMYK JPEG as Adobe writes it, inverted; transform 2 makes it YCCK."""
    light = COLOURS.max(axis=2, keepdims=True)
    cmy = 255 - COLOURS * 255.0 / np.maximum(light, 1)
    inks = np.concatenate([cmy, 255 - light], axis=2).round().astype(np.uint8)
    if not inverted:
        inks = 255 - inks  # Pillow inverts, too.
    data = jpeg(Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes()))
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    return data[:at] + bytes([transform]) + data[at + 1 :]


def without_adobe(data: bytes) -> bytes:
    """Returns a JPEG without its Adobe segment: CMYK is then not taken as inverted."""
    at = data.index(b"Adobe") - 4
    assert data[at : at + 4] == b"\xff\xee\x00\x0e"
    return data[:at] + data[at + 16 :]


def with_frame(data: bytes, marker: int, bits: int = 8) -> bytes:
    """Returns a baseline JPEG whose header claims another coding."""
    at = data.index(b"\xff\xc0")
    return b"".join([data[: at + 1], bytes([marker]), data[at + 2 : at + 4]]) + (
        bytes([bits]) + data[at + 5 :]
    )


def png(array: np.ndarray, interlaced: bool = False) -> bytes:
    """Returns a PNG of `array` uint8 or uint16 [h, w, 1 to 4], which Pillow limits."""
    height, width, channels = array.shape
    passes = [(0, 0, 1, 1)]
    if interlaced:  # Adam7: first row and column, step of rows and columns.
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
        passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = [
        b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes()
        for top, left, down, right in passes
        for row in array[top::down, left::right]
    ]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    bits = array.dtype.itemsize * 8
    header = struct.pack(">2I5B", width, height, bits, kind, 0, 0, interlaced)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(b"".join(rows))),
            chunk(b"IEND", b""),
        ]
    )


def chunk(name: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def with_chunk(data: bytes, name: bytes, content: bytes) -> bytes:
    """Returns a PNG with a chunk after its header."""
    return data[:33] + chunk(name, content) + data[33:]


def bmp_32_bits(masks=(0xFF0000, 0xFF00, 0xFF)) -> bytes:
    """Returns a BMP with masks, as GIMP and ImageMagick write 32 bits."""
    array = np.asarray(with_alpha(RGB))[::-1, :, [2, 1, 0, 3]]
    header = struct.pack("<IiiHHIIiiII", 56, WIDTH, HEIGHT, 1, 32, 3, 0, 0, 0, 0, 0)
    header += struct.pack("<4I", *masks, 0xFF000000)
    file_header = struct.pack("<2sIII", b"BM", 70 + array.nbytes, 0, 70)
    return file_header + header + array.tobytes()


def bmp_4_bits() -> bytes:
    """Returns a BMP with a palette of 16, which Pillow writes with 8 bits."""
    image = RGB.quantize(16)
    indices = np.asarray(image)[::-1]
    rows = np.pad(indices[:, ::2] << 4 | indices[:, 1::2], [(0, 0), (0, 1)])
    palette = np.array(image.getpalette(), np.uint8).reshape(-1, 3)[:16, ::-1]
    palette = np.pad(palette, [(0, 0), (0, 1)])
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 4, 0, 0, 0, 0, 0, 0)
    file_header = struct.pack("<2sIII", b"BM", 118 + rows.size, 0, 118)
    return file_header + header + palette.tobytes() + rows.tobytes()


def with_field(data: bytes, at: int, value: int, kind: str = "<i") -> bytes:
    """Returns `data` with a number replaced, as in the header of a BMP."""
    return data[:at] + struct.pack(kind, value) + data[at + struct.calcsize(kind) :]


def from_the_top(data: bytes) -> bytes:
    """Returns a BMP whose rows run from the top down, of a negative height."""
    start, height = struct.unpack_from("<I", data, 10)[0], HEIGHT
    stride = (len(data) - start) // height
    rows = [data[start + i * stride :][:stride] for i in reversed(range(height))]
    return with_field(data[:start], 22, -height) + b"".join(rows)
