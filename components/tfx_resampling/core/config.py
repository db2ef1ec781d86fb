"""Options of a plan: what distribution is wanted, and within which bounds."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tfx_resampling.core import targets
from tfx_resampling.core.groups import ColumnSpec, format_columns, parse_columns
from tfx_resampling.core.schedule import Schedule

COMBINE_RULES = ("product", "max", "min", "mean")
SIZES = ("preserve", "undersample", "oversample")
UNLABELED = ("keep", "drop")
ON_UNREACHABLE = ("warn", "error")

# Above this a float64 cannot hold `core.draws`' sums exactly for even two epochs, and
# no training set gains from a million copies of one record.
LARGEST_FACTOR = 1e6


@dataclasses.dataclass(frozen=True)
class PlannerConfig:
    """What a plan aims for. Validated on construction; strings are parsed.

    Attributes:
      label_key: name of the label feature.
      target: the distribution of labels to reach, one of the names in
        `core.targets.describe()` ("uniform", "sqrt", "power:0.3"...), a mapping label
        -> share (floats), a mapping label -> count (integers), or either mapping as a
        JSON object in a string.
      size: how many records an epoch emits. "preserve" (as many as there are),
        "undersample" (largest factor 1), "oversample" (smallest factor 1), a float (a
        ratio to the natural number of labeled records; unlabeled ones come on top) or
        an integer (a number of records, unlabeled ones among them). In a string,
        "ratio:0.5" and "records:20000". None or "auto" means "preserve", or what the
        target itself fixes where it does (`repeat_threshold` and counts).
      min_factor: lower bound of a record's final repeat factor, copies per epoch.
      max_factor: upper bound of a record's final repeat factor, copies per epoch. The
        default keeps a label with a handful of records from filling an epoch.
      combine: how the factors of several labels make the repeat factor of a record:
        "product", "max", "min" or "mean".
      unlabeled: records without a label: "keep" (factor 1), "drop" (factor 0) or a
        factor.
      group_by: columns whose combinations are resampled instead of labels: feature names
        and `Bucket`s. A group is named "site=north, age=[18, 65)", also in a target
        that is a mapping. Empty for labels.
      split: the split whose statistics are the natural distribution.
      seed: seed of the decision rule, part of the plan.
      key_feature: feature (one bytes or int64 value) that identifies a record. None or
        "" takes FarmHash fingerprint64 of the whole serialized record.
      unknown_labels: what a label or group that the plan does not know does to its
        record: "error", or the factor of such labels.
      on_unreachable: what a target that the bounds or the data do not allow is: "warn"
        (the plan holds the closest distribution, and why) or "error". Only where it is
        known, which takes single labels or known label sets.
      tolerance: total-variation distance, 0 to 1, of the expected to the target shares
        up to which the target counts as reached.
      schedule: how the factors come in over the epochs (`core.schedule`): "constant"
        (the same in every epoch), "linear:E" (every record once in epoch 0, then
        linearly to the final factors, which hold from epoch E on) or "step:E" (every
        record once in each of the first E epochs, then the final factors). `target`,
        `size` and the bounds are about the final factors.

    Raises:
      ValueError: an option is not valid; the message names it.
    """

    label_key: str
    target: str | Mapping[str, int | float] = "uniform"
    size: None | str | int | float = None
    min_factor: float = 0.0
    max_factor: float = 100.0
    combine: str = "product"
    unlabeled: str | float = "keep"
    group_by: Sequence[ColumnSpec] = ()
    split: str = "train"
    seed: int = 0
    key_feature: str | None = None
    unknown_labels: str | float = "error"
    on_unreachable: str = "warn"
    tolerance: float = 0.01
    schedule: str = "constant"

    def __post_init__(self):
        _check_text("label_key", self.label_key)
        _check_text("split", self.split)
        _set(self, "target", targets.parse(self.target))
        _set(self, "size", _parse_size(self.size))
        _set(self, "min_factor", _parse_factor("min_factor", self.min_factor))
        _set(self, "max_factor", _parse_factor("max_factor", self.max_factor))
        _set(self, "group_by", parse_columns(self.group_by))
        for name, words in (("unlabeled", UNLABELED), ("unknown_labels", ("error",))):
            _set(self, name, _parse_word_or_factor(name, getattr(self, name), words))
        # A runtime parameter cannot be None.
        _set(self, "key_feature", None if self.key_feature == "" else self.key_feature)
        if self.key_feature is not None:
            _check_text("key_feature", self.key_feature)
        if self.min_factor > self.max_factor:
            raise ValueError(
                f"min_factor must be <= max_factor, got {self.min_factor!r} > "
                f"{self.max_factor!r}."
            )
        if self.combine not in COMBINE_RULES:
            raise ValueError(
                f"combine must be one of {list(COMBINE_RULES)}, got {self.combine!r}."
            )
        is_integer = isinstance(self.seed, int) and not isinstance(self.seed, bool)
        if not is_integer or not 0 <= self.seed < 2**63:
            raise ValueError(
                f"seed must be an integer from 0 to 2**63 - 1, got {self.seed!r}."
            )
        if self.group_by and self.unlabeled != "keep":
            raise ValueError(
                f"unlabeled must be left out with group_by, got {self.unlabeled!r}. A "
                "missing value makes a group, which the target can leave out."
            )
        if self.on_unreachable not in ON_UNREACHABLE:
            raise ValueError(
                f"on_unreachable must be one of {list(ON_UNREACHABLE)}, got "
                f"{self.on_unreachable!r}."
            )
        _set(self, "tolerance", _parse_factor("tolerance", self.tolerance))
        if self.tolerance > 1:
            raise ValueError(
                f"tolerance must be a distance from 0 to 1, got {self.tolerance!r}."
            )
        _ = Schedule.parse(self.schedule)
        if targets.fixes_size(self.target) and self.size is not None:
            raise ValueError(
                f"size must be left out with target={self.target!r}, which fixes the "
                f"factors itself, got {self.size!r}."
            )

    @property
    def unlabeled_factor(self) -> float:
        """The repeat factor of records without a label."""
        if isinstance(self.unlabeled, str):
            return {"keep": 1.0, "drop": 0.0}[self.unlabeled]
        return self.unlabeled

    def to_dict(self) -> dict:
        """Returns the options as JSON types, in the strings that options accept."""
        values = dataclasses.asdict(self)
        values["size"] = format_size(self.size)
        values["group_by"] = json.loads(format_columns(self.group_by))
        return values


def format_size(size: None | str | int | float) -> str | None:
    """Returns `size` in its string form, which `PlannerConfig` reads back."""
    if isinstance(size, int):
        return f"records:{size}"
    return f"ratio:{size!r}" if isinstance(size, float) else size


def format_target(target: str | Mapping[str, int | float]) -> str:
    """Returns `target` in its string form, which `PlannerConfig` reads back."""
    return target if isinstance(target, str) else json.dumps(dict(target))


def _set(config: PlannerConfig, name: str, value: Any) -> None:
    object.__setattr__(config, name, value)  # The dataclass is frozen.


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty string, got {value!r}.")


def _parse_factor(name: str, value: Any) -> float:
    message = (
        f"{name} must be a number from 0 to {LARGEST_FACTOR:g} (copies of a record per "
        f"epoch), got {value!r}."
    )
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(message) from None
    if isinstance(value, bool) or not 0 <= number <= LARGEST_FACTOR:
        raise ValueError(message)
    return number


def _parse_word_or_factor(name: str, value: Any, words: Sequence[str]) -> str | float:
    if value in words:
        return value
    try:
        return _parse_factor(name, value)
    except ValueError as error:
        raise ValueError(f"{error} Or one of {list(words)}.") from None


def _parse_size(value: Any) -> None | str | int | float:
    message = (
        f"size must be one of {list(SIZES)}, a ratio (float > 0, or 'ratio:0.5'), or a "
        f"number of records (integer > 1, or 'records:20000'), got {value!r}."
    )
    if value is None or value == "auto":  # A runtime parameter cannot be None.
        return None
    if value in SIZES:
        return value
    try:
        if isinstance(value, str):
            kind, _, number = value.partition(":")
            value = {"ratio": float, "records": int}[kind](number)
    except (KeyError, ValueError):
        raise ValueError(message) from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(message)
    # An epoch of one record is never meant: it is 1.0, "as many as before".
    if not math.isfinite(value) or value <= 0 or (isinstance(value, int) and value < 2):
        raise ValueError(message)
    return value
