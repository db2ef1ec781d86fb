"""Groups: groups of records by the values of one or several columns.

A plan may be made per group instead of per label, as a stratified sampler's
`groupby`. Every record is in exactly one group; a missing value is a value.
"""

import dataclasses
import json
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfx_resampling.validate import (
    check_choice,
    check_integer,
    check_text,
    check_type,
    shown,
)

DTYPES = ("bytes", "int64", "float")


@dataclasses.dataclass(frozen=True)
class Bucket:
    """A numeric column, cut into buckets. Exactly one of the two ways to cut is given.

    Attributes:
      name: the column, a feature of int64 or floats.
      boundaries: increasing numbers; bucket i holds boundaries[i - 1] <= x <
        boundaries[i].
      quantiles: number of buckets of about equally many records, at least 2; their
        boundaries are taken from the statistics.
    """

    name: str
    boundaries: tuple[float, ...] | None = None
    quantiles: int | None = None

    def __post_init__(self):
        check_text("Bucket name", self.name)
        if (self.boundaries is None) == (self.quantiles is None):
            raise ValueError(
                f"Bucket {self.name!r} needs either boundaries or quantiles."
            )
        if self.boundaries is not None:
            try:
                values = tuple(float(value) for value in self.boundaries)
            except (TypeError, ValueError):
                values = ()
            increasing = all(a < b for a, b in zip(values, values[1:]))
            if not values or not increasing or not all(map(math.isfinite, values)):
                raise ValueError(
                    f"boundaries of Bucket {self.name!r} must be increasing finite "
                    f"numbers, got {shown(self.boundaries)}."
                )
            object.__setattr__(self, "boundaries", values)
        else:
            check_integer(f"quantiles of Bucket {self.name!r}", self.quantiles, 2)


ColumnSpec = str | Bucket


def parse_columns(columns: Any) -> tuple[ColumnSpec, ...]:
    """Returns column specifications checked.

    Args:
      columns: a list of feature names, `Bucket`s or dicts of a Bucket's fields, or such
        a list as JSON.

    Raises:
      ValueError: not such a list, or a column twice.
    """
    message = (
        "group_by must be a list of feature names and Buckets (in JSON: "
        '["site", {"name": "age", "boundaries": [18, 65]}]), got '
        f"{columns!r}."
    )
    if isinstance(columns, str):
        try:
            columns = json.loads(columns)
        except json.JSONDecodeError:
            raise ValueError(message) from None
    if not isinstance(columns, (list, tuple)):
        raise ValueError(message)
    result = []
    for column in columns:
        if isinstance(column, dict):
            try:
                column = Bucket(**column)
            except TypeError as error:
                raise ValueError(f"{message} {error}.") from None
        if not isinstance(column, (str, Bucket)) or column == "":
            raise ValueError(message)
        result.append(column)
    names = [column_name(column) for column in result]
    if len(set(names)) != len(names):
        raise ValueError(f"group_by must name every column once, got {names!r}.")
    return tuple(result)


def format_columns(columns: Sequence[ColumnSpec]) -> str:
    """Returns columns as JSON, which `parse_columns` reads back."""
    return json.dumps(
        [
            column
            if isinstance(column, str)
            else {k: v for k, v in dataclasses.asdict(column).items() if v is not None}
            for column in columns
        ]
    )


def column_name(column: ColumnSpec) -> str:
    """Returns the name of the feature."""
    return column if isinstance(column, str) else column.name


@dataclasses.dataclass(frozen=True)
class Column:
    """A column with what is known of its values; turns values into codes.

    Codes: 0 to size - 1 for values or buckets, `unknown` for another value, `missing`
    for none.

    Attributes:
      name: the feature.
      dtype: "bytes", "int64" or "float", its type in the records.
      values: the values, of a column that is not cut; integers in decimal.
      boundaries: the boundaries, of a column that is cut into buckets.
    """

    name: str
    dtype: str
    values: tuple[str, ...] = ()
    boundaries: tuple[float, ...] | None = None

    def __post_init__(self):
        check_text("name of a column", self.name)
        object.__setattr__(self, "values", tuple(self.values))
        for value in self.values:
            check_type(f"every value of column {self.name!r}", value, str)
        if self.boundaries is not None:
            object.__setattr__(self, "boundaries", tuple(self.boundaries))
            for value in self.boundaries:
                check_type(f"every boundary of {self.name!r}", value, int, float)
        check_choice(f"dtype of column {self.name!r}", self.dtype, DTYPES)

    @property
    def size(self) -> int:
        """Number of values or buckets."""
        if self.boundaries is None:
            return len(self.values)
        return len(self.boundaries) + 1

    @property
    def unknown(self) -> int:
        """Code of a value that is not among `values`."""
        return self.size

    @property
    def missing(self) -> int:
        """Code of a record without a value."""
        return self.size + 1

    def describe(self, code: int) -> str:
        """Returns a code in words, e.g. "age=[18, 65)"."""
        if code == self.missing:
            return f"{self.name}=(missing)"
        if self.boundaries is None:
            return f"{self.name}={self.values[code]}"
        edges = (-math.inf, *self.boundaries, math.inf)
        low, high = edges[code], edges[code + 1]
        return f"{self.name}={'(' if code == 0 else '['}{low:g}, {high:g})"


@dataclasses.dataclass(frozen=True)
class Grouping:
    """The groups that occur, as codes of their columns.

    Attributes:
      columns: the columns.
      groups: for each group the code of every column.
    """

    columns: tuple[Column, ...]
    groups: tuple[tuple[int, ...], ...]

    def __post_init__(self):
        columns = tuple(
            column if isinstance(column, Column) else Column(**column)
            for column in self.columns
        )
        object.__setattr__(self, "columns", columns)
        groups = tuple(tuple(group) for group in self.groups)
        object.__setattr__(self, "groups", groups)
        if not columns or not groups:
            raise ValueError("groups need at least one column and one group.")
        for group in groups:
            in_range = len(group) == len(columns) and all(
                isinstance(code, numbers.Integral)
                and 0 <= code <= column.missing
                and code != column.unknown
                for code, column in zip(group, columns)
            )
            if not in_range:
                raise ValueError(f"group {shown(group)} has codes that no column has.")

    @property
    def names(self) -> tuple[str, ...]:
        """The groups in words, e.g. "site=north, age=[18, 65)"."""
        return tuple(
            ", ".join(c.describe(code) for c, code in zip(self.columns, group))
            for group in self.groups
        )

    @property
    def radices(self) -> np.ndarray:
        """int64 [columns]: a group's key is the sum of its codes times these.

        Raises:
          ValueError: the product of the columns' sizes exceeds 2**62.
        """
        sizes = [column.size + 2 for column in self.columns]
        if math.prod(sizes) > 2**62:
            raise ValueError(f"groups of {sizes} values are too many combinations.")
        return np.cumprod([1, *sizes[:-1]]).astype(np.int64)
