"""Readers of files that may hold anything: a result, or a refusal in one line."""

from typing import Any

from tests.fuzz.fuzzing import fuzz, st
from tests.fuzz.readers import READERS


@st.composite
def changed(draw, *wholes: bytes) -> bytes:
    """One of some files, with parts of it cut out, repeated or replaced."""
    contents = draw(st.sampled_from(wholes))
    for _ in range(draw(st.integers(1, 4))):
        size = len(contents)
        start = draw(st.integers(0, size))
        end = draw(st.integers(start, min(size, start + 40)) | st.just(size))
        part = draw(
            st.binary(max_size=8)
            | st.just(contents[start:end] * 2)
            | st.sampled_from(
                [b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b'"', b"{["]
            )
        )
        contents = contents[:start] + part + contents[end:]
    return contents


def wholes(name: str) -> Any:
    return changed(*READERS[name].wholes)


@fuzz(100, contents=wholes("plans") | st.binary())
def test_plans(contents):
    READERS["plans"].read(contents)


@fuzz(100, contents=wholes("manifests") | st.binary())
def test_manifests(contents):
    READERS["manifests"].read(contents)


@fuzz(100, contents=wholes("statistics") | st.binary())
def test_statistics(contents):
    READERS["statistics"].read(contents)


@fuzz(15, contents=wholes("images"))
def test_images(contents):
    READERS["images"].read(contents)
