"""Small disks for tests, in memory."""

import contextlib
import pathlib
import subprocess
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def mounted(folder: pathlib.Path, options: str) -> Iterator[pathlib.Path]:
    """Mounts a disk at a new folder; skips the test where that is not allowed.

    Args:
      folder: where.
      options: of `mount` for a tmpfs, such as "size=1m" or "ro".
    """
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"cannot mount a disk: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def full(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """As `mounted`: a disk with a file "given" and no room for another."""
    with mounted(folder, "size=4k") as disk:
        (disk / "given").write_bytes(bytes(4096))
        yield disk


@contextlib.contextmanager
def read_only(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """As `mounted`: a disk that cannot be written, even by root."""
    with mounted(folder, "ro") as disk:
        yield disk
