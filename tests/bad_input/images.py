"""Bytes that are no image, or none that is decoded."""

from tfx_resampling.tables.maps import ImageLoader

from tests.bad_input.rows import Row, given
from tests.images import image_files

_PNG, _JPEG = image_files.png(image_files.COLOURS), image_files.jpeg()
_BMP_HEADER = (
    b"BM" + b"\0" * 8 + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
)
_IMAGES = [
    ("nothing", b"", "an empty string"),
    (
        "text",
        b"<!doctype html>",
        r"neither JPEG, PNG, BMP nor GIF \(starts with 0x3c21",
    ),
    ("half a JPEG", _JPEG[: len(_JPEG) // 2], "a truncated or corrupt JPEG"),
    ("3 bytes of a JPEG", _JPEG[:3], "a truncated or corrupt JPEG"),
    ("half a PNG", _PNG[: len(_PNG) // 2], "a truncated or corrupt PNG"),
    ("the signature of a PNG", _PNG[:8], "a truncated or corrupt PNG"),
    ("a GIF of nothing", b"GIF89a\xff\xff\xff\xff", "a GIF that is truncated"),
    ("a BMP of nothing", b"BM", "a truncated or corrupt BMP|neither"),
    (
        "a BMP of 4,000,000,000 rows",
        _BMP_HEADER + b"\xff\xff\xff\x7f" * 2 + b"\1\0\x18\0" + b"\0" * 40,
        "a truncated or corrupt BMP",
    ),
    (
        "a BMP with a palette beyond its end",
        _BMP_HEADER
        + (4).to_bytes(4, "little") * 2
        + b"\1\0\x08\0"
        + b"\0" * 16
        + b"\xff\xff\xff\x7f"
        + b"\0" * 30,
        "a truncated or corrupt BMP",
    ),
    ("WebP", b"RIFF\0\0\0\0WEBP", "WebP"),
    ("TIFF", b"II*\0" + b"\0" * 20, "TIFF"),
    ("HEIC", b"\0\0\0\x18ftypheic", "HEIC"),
    ("gzip", b"\x1f\x8b" + b"\0" * 20, "gzip data"),
    ("base64", b"/9j/4AAQSkZJRg==", "base64 text of a JPEG"),
]


def _row(name: str, contents: bytes, message: str) -> Row:
    def run(folder):
        path = given(folder) / "image"
        path.write_bytes(contents)
        return ImageLoader()({"path": str(path)})

    pattern = f".*/given/image does not decode: it is {message}.* Replace it"
    return Row(f"image: {name}", run, pattern)


ROWS = [
    *(_row(*row) for row in _IMAGES),
    Row("no image", lambda f: ImageLoader()({"path": "/no/x.png"}), ".*/no/x.png"),
]
