"""What a row of the table is."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple


class Row(NamedTuple):
    """Bad input, and what must come out.

    Attributes:
      name: what is given, in words.
      run: uses it; gets an empty folder in which nothing may be left, but for "given".
      message: pattern that begins the error's one line, or is in it.
      is_long: whether it takes more than a second.
    """

    name: str
    run: Callable[[pathlib.Path], Any]
    message: str
    is_long: bool = False


def calls(what: str, function: Callable[..., Any], rows) -> list[Row]:
    """Returns rows of a function that is called with options: (options, message)."""
    return [
        Row(f"{what}: {options}"[:100], _call(function, options), message)
        for options, message in rows
    ]


def _call(function: Callable[..., Any], options: dict[str, Any]):
    return lambda folder: function(**options)


def given(folder: pathlib.Path) -> pathlib.Path:
    """Returns the folder of what a row makes for itself."""
    made = folder / "given"
    made.mkdir()
    return made
