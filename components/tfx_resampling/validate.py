"""The one place of checks that several options, plans and functions share.

A message says which value broke which rule. Imports nothing of the package.
"""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any


def shown(value: Any) -> str:
    """Returns `repr` of a value, with NumPy's scalars in it as Python's.

    NumPy 2 writes them as "np.float64(0.5)", NumPy 1 as "0.5".
    """
    return repr(_plain(value))


def _plain(value: Any) -> Any:
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
    if not is_number or not 0 <= value < math.inf:
        raise ValueError(
            f"{name} must be a finite number >= 0, got {shown(value)}{_type_of(value)}."
        )


def check_text(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty string, got {shown(value)}.")


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
