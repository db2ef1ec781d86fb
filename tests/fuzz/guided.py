"""Feeds a reader with bytes that reach more and more of its code.

    python -m tests.fuzz.guided READER FOLDER [ARGUMENT OF LIBFUZZER ...]

The bytes are made by libFuzzer (atheris), from those in the folder, which keeps what
has reached something new, and what the reader fails on. What is JSON is changed as
such, too: else nearly all would end in its parser.
"""

import json
import os
import pathlib
import random
import sys
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import atheris

with atheris.instrument_imports(include=["tfx_resampling"]):
    from tests.fuzz.readers import READERS

_VALUES = (
    *(None, True, 0, -1, 0.5, 1e-308, -1e308, 1 << 62, float("nan"), float("inf")),
    *("", "a", "\0\ud800", "\u2028", [], [0], {}, {"a": 1}, [[1, 2], [3]], [None]),
)


def changed(value: Any, source: random.Random) -> Any:
    """Returns JSON with one value in it replaced, left out or said twice."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    if not keys:
        return source.choice(_VALUES)
    key = source.choice(keys)
    if isinstance(value[key], dict | list) and source.random() < 0.7:
        new = changed(value[key], source)
    else:
        new = source.choice((*_VALUES, *(value[k] for k in keys)))
    copy = value.copy()
    copy[key] = new
    if source.random() < 0.1:
        del copy[key]
    return copy


def mutated(contents: bytes, most: int, seed: int) -> bytes:
    """Returns other bytes, at most so many, for libFuzzer."""
    source = random.Random(seed)
    if source.random() < 0.5:
        try:
            value = json.loads(contents)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict | list):
            return json.dumps(changed(value, source)).encode()[:most]
    return atheris.Mutate(contents, most)


def main() -> None:
    name, folder, *arguments = sys.argv[1:]
    reader = READERS[name]
    for number, whole in enumerate(reader.wholes):
        pathlib.Path(folder, f"whole-{number}").write_bytes(whole)
    command = [sys.argv[0], f"-artifact_prefix={folder}/failed-", *arguments, folder]
    atheris.Setup(command, reader.read, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
