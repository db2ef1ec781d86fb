"""Checks of the options of a generator."""

import numbers
from typing import Any, Union

import numpy as np


def check_count(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is an integer >= 1; a float may be whole."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 1 <= value < float("inf") or value != int(value):
        raise ValueError(f"{name} must be an integer >= 1, got {value!r}.")


def parse_repeat(repeat: Any) -> Union[bool, int]:
    """Returns False (each row once), True (without end; -1 is the same) or a number.

    Raises:
      ValueError: anything else.
    """
    if isinstance(repeat, (bool, np.bool_)) or repeat is None:
        return bool(repeat)
    if isinstance(repeat, numbers.Integral) and (repeat >= 1 or repeat == -1):
        return True if repeat == -1 else int(repeat)
    raise ValueError(
        f"repeat must be False, True (without end) or an integer >= 1, got {repeat!r}."
    )
