"""The one place of checks that several options, plans and functions share.

A message says which value broke which rule. Imports nothing of the package.
"""

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# What TFX knows only when a pipeline runs, and the modules that have it.
_LATE = ("RuntimeParameter", "Placeholder")


def printable(text: str) -> str:
    """Returns the text with every control character escaped, bidirectional ones too.

    They would break a table, or turn around what follows them. The two joiners stay:
    emoji and Persian are written with them, and they do no harm.
    """
    keep = "\u200c\u200d"
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


def shown(value: Any) -> str:
    """Returns `repr` of a value, with NumPy's scalars in it as Python's.

    NumPy 2 writes them as "np.float64(0.5)", NumPy 1 as "0.5". A runtime parameter of
    TFX is named, instead of the JSON that it is written as.
    """
    return repr(_plain(value))


class _Named:
    """What is written in other words than those of its own class."""

    def __init__(self, words: str):
        self._words = words

    def __repr__(self) -> str:
        return self._words


def _late_name(value: Any) -> str | None:
    """Returns what a value is called that is known when a pipeline runs, or None."""
    for kind in type(value).__mro__:
        if kind.__name__ in _LATE and kind.__module__.partition(".")[0] == "tfx":
            name = getattr(value, "name", None)
            return kind.__name__ + (f" {name!r}" if isinstance(name, str) else "")
    return None


def check_known(options: Any, way_out: str) -> None:
    """Raises ValueError if a field has a value that is known when a pipeline runs.

    Args:
      options: a dataclass.
      way_out: what to do instead; "{name}" in it is the field.
    """
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        parts = [value]
        if isinstance(value, Mapping):
            parts = list(value.values())
        elif isinstance(value, (list, tuple)):
            parts = list(value)
        for part in parts:
            if found := _late_name(part):
                where = "" if part is value else "in it "
                raise ValueError(
                    f"{field.name} must be known when {type(options).__name__} is "
                    f"made, got {where}{found}, whose value comes when the pipeline "
                    f"runs. {way_out.format(name=field.name)}"
                )


def parse_object(what: str, text: str | bytes, most: int) -> dict[str, Any]:
    """Returns a JSON object, read strictly.

    Args:
      what: what it is, for messages.
      text: its text; as bytes, in UTF-8.
      most: how long it may be.

    Raises:
      ValueError: longer, no JSON object, a name twice, or text that is no Unicode.
        Numbers may be infinite.
    """
    if len(text) > most:
        raise ValueError(f"{what} must have at most {most:,} bytes, got {len(text):,}.")
    try:
        text = text.decode() if isinstance(text, bytes) else text
        value = json.loads(text, object_pairs_hook=_distinct)
        if "\\ud" in text.lower():  # Halves of characters.
            _ = json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError(f"{what} is not JSON of ours: too many levels.") from None
    except ValueError as error:
        raise ValueError(f"{what} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object, got a {type(value).__name__}.")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return values


def _plain(value: Any) -> Any:
    if late := _late_name(value):
        return _Named(late)
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    if type(value) is dict:
        return {_plain(key): _plain(each) for key, each in value.items()}
    return value


def _type_of(value: Any) -> str:
    """Returns the type of a number of NumPy's, which looks like one that is allowed."""
    return f" ({type(value).__name__})" if type(value).__module__ == "numpy" else ""


def check_integer(
    name: str,
    value: Any,
    low: int = 0,
    below: int | None = None,
    optional: bool = False,
    kind: type = int,
) -> None:
    """Raises ValueError unless `value` is an integer from `low` to below `below`.

    Args:
      name: what the value is of, for the message.
      value: what is checked. A bool is no integer.
      low: the smallest integer allowed.
      below: the power of two that is the first integer too large; None: none is.
      optional: whether None is allowed.
      kind: what an integer may be: int, numbers.Integral (NumPy's too), or numbers.Real
        (2.0 too).
    """
    if optional and value is None:
        return
    is_integer = isinstance(value, kind) and not isinstance(value, bool)
    # The remainder of infinity and of NaN is NaN.
    in_range = is_integer and value % 1 == 0 and value >= low
    if not in_range or (below is not None and value >= below):
        raise ValueError(
            f"{name} must be an integer >= {low}"
            f"{'' if below is None else f' and below 2**{below.bit_length() - 1}'}"
            f"{' or None' if optional else ''}, got {shown(value)}{_type_of(value)}."
        )


def check_number(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is a finite number >= 0; a bool is none."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # No larger integer is a float.
    if not is_number or not 0 <= value <= sys.float_info.max:
        raise ValueError(
            f"{name} must be a finite number >= 0, got {shown(value)}{_type_of(value)}."
        )


def check_text(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty string, got {shown(value)}.")


def check_unicode(name: str, values: Iterable[str]) -> None:
    """Raises ValueError if a string has half of a character, which no file can hold."""
    for value in values:
        try:
            _ = value.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"{name} must be Unicode, got {value[:100]!r}, which has a surrogate."
            ) from None


def check_type(name: str, value: Any, *kinds: type) -> None:
    """Raises ValueError unless `value` is of one of some types."""
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{name} must be a {wanted}, got {shown(value)}.")


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {list(choices)}, got {shown(value)}.")


def check_names(what: str, given: Iterable[str], valid: Sequence[str]) -> None:
    """Raises ValueError if a name that is given is not valid.

    Args:
      what: what the names are of, in the plural, e.g. "options".
      given: the names.
      valid: the names that there are, all of which the message lists.
    """
    if unknown := sorted(set(given) - set(valid)):
        raise ValueError(f"unknown {what} {unknown}; valid: {list(valid)}.")


def parse_names(option: str, value: Any, least: int = 0) -> tuple[str, ...]:
    """Returns the names that an option lists.

    Args:
      option: its name.
      value: a list of names, one name, several with commas between them, or a list as
        JSON.
      least: how many there must be.

    Raises:
      ValueError: not such a list, too few, or a name twice.
    """
    names: Any = value
    if isinstance(value, str):
        names = [name.strip() for name in value.split(",")] if value else []
        if value.startswith("["):
            try:
                names = json.loads(value)
            except json.JSONDecodeError:
                names = None
    is_list = isinstance(names, (list, tuple)) and len(names) >= least
    if not is_list or not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            f"{option} must be a list of names, or names with commas between them, got "
            f"{shown(value)}."
        )
    if len(set(names)) != len(names):
        raise ValueError(f"{option} must have each name once, got {shown(value)}.")
    return tuple(names)


def format_names(names: Sequence[str]) -> str:
    """Returns names as one string, which `parse_names` reads back."""
    is_plain = not any("," in name or name.startswith("[") for name in names)
    return ",".join(names) if is_plain else json.dumps(list(names))
