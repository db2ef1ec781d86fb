"""Options of a plan: what distribution is wanted, and within which bounds.

An option is described once, as a field of its dataclass: its help is the field's entry
under "Attributes:", its type on command lines and in TFX follows from the annotation.
`option_fields` hands these descriptions to whatever offers the options.
"""

import dataclasses
import inspect
import json
import math
import numbers
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tfx_resampling.core import draws, targets
from tfx_resampling.core.groups import ColumnSpec, format_columns, parse_columns
from tfx_resampling.core.identity import KINDS, Identity
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.validate import (
    check_choice,
    check_integer,
    check_known,
    check_text,
    format_names,
    parse_names,
    shown,
)

COMBINE_RULES = ("product", "max", "min", "mean")
SIZES = ("preserve", "undersample", "oversample")
UNLABELED = ("keep", "drop")
ON_UNREACHABLE = ("warn", "error")
ON_DUPLICATES = ("error", "position", "warn")
PREFERENCES = ("distance", "samples")

# Above this a float64 cannot hold `core.draws`' sums exactly for even two epochs, and
# no training set gains from a million copies of one record.
LARGEST_FACTOR = 1e6


Options = TypeVar("Options")


@dataclasses.dataclass(frozen=True)
class OptionField:
    """An option as command lines and execution properties carry it: as one value.

    Attributes:
      name: name of the field of the dataclass.
      help: what the dataclass says of it.
      wire: str, int, float or bool: type of the value; str where the field takes
        several types, which the dataclass then parses.
      default: the default in that type; None where there is none.
      required: whether the dataclass has no default at all.
      choices: all values there are, if they can be listed.
    """

    name: str
    help: str
    wire: type
    default: Any
    required: bool
    choices: tuple[str, ...] | None
    _format: Callable[[Any], str] | None = None

    def format(self, value: Any) -> Any:
        """Returns a value of the field as `wire`; None stays None."""
        if value is None:
            return None
        return self.wire(value if self._format is None else self._format(value))


def option_fields(kind: type, leave_out: Sequence[str] = ()) -> list[OptionField]:
    """Returns the options of a dataclass such as `PlannerConfig`, in its order.

    Args:
      kind: the dataclass. A field's metadata may have "format", a function from its
        value to a string that the dataclass parses, and "choices".
      leave_out: names of fields that are not wanted.
    """
    # Help is a docstring's text, so that editors and the pages of the API show it too.
    section = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", section, re.MULTILINE)
    texts = {name: " ".join(text.split()) for name, text in entries}
    result = []
    for field in dataclasses.fields(kind):
        if field.name in leave_out:
            continue
        option = OptionField(
            name=field.name,
            help=texts.get(field.name, ""),
            wire=_wire(field.type),
            default=None,
            required=field.default is dataclasses.MISSING,
            choices=field.metadata.get("choices"),
            _format=field.metadata.get("format"),
        )
        if not option.required:
            default = option.format(field.default)
            option = dataclasses.replace(option, default=default)
        result.append(option)
    return result


def to_properties(options: Any) -> dict[str, Any]:
    """Returns a dataclass of options as execution properties; absent ones are None."""
    return {
        option.name: option.format(getattr(options, option.name))
        for option in option_fields(type(options))
    }


def from_properties(kind: type[Options], properties: Mapping[str, Any]) -> Options:
    """Returns the options of execution properties; runtime values are checked here.

    Args:
      kind: the dataclass, such as `PlannerConfig`.
      properties: what `to_properties` gave, and maybe others.

    Raises:
      ValueError: an option is not valid.
    """
    # A runtime parameter of Kubeflow arrives as a float where an integer was meant.
    values = {
        option.name: option.wire(properties[option.name])
        for option in option_fields(kind)
        if properties.get(option.name) is not None
    }
    return kind(**values)


def _wire(annotation: Any) -> type:
    """Returns the only type of an annotation besides None; str if there are several."""
    kinds = set(typing.get_args(annotation) or [annotation]) - {types.NoneType}
    (kind,) = kinds if len(kinds) == 1 else [str]
    return kind if kind in (bool, int, float) else str


def format_size(size: None | str | int | float) -> str | None:
    """Returns `size` in its string form, which `PlannerConfig` reads back."""
    if isinstance(size, int):
        return f"records:{size}"
    return f"ratio:{size!r}" if isinstance(size, float) else size


def format_target(target: str | Mapping[str, int | float]) -> str:
    """Returns `target` in its string form, which `PlannerConfig` reads back."""
    return target if isinstance(target, str) else json.dumps(dict(target))


@dataclasses.dataclass(frozen=True)
class PlannerConfig:
    """What a plan aims for. Validated on construction; strings are parsed.

    Attributes:
      label_key: name of the label feature.
      target: the distribution of labels to reach: "natural", "uniform", "sqrt", "log",
        "log1p", "power:Q", "effective:BETA" or "repeat_threshold:T"
        (`core.targets.describe()` has the formulas), a mapping label -> share (floats),
        a mapping label -> count (integers), or either mapping as a JSON object.
      keep_natural: labels (or groups) that the target leaves alone, a list of names, or
        names with commas between them: they keep their natural share of all label
        occurrences, and the others share the rest as the target has it for them alone.
        Single labels then have exactly as many records as naturally, times the ratio of
        `size`.
      size: how many records an epoch emits: "preserve" (as many as there are),
        "undersample" (largest factor 1), "oversample" (smallest factor 1), a ratio to
        the natural number of labeled records ("ratio:0.5" or a float; unlabeled ones
        come on top) or a number of records ("records:20000" or an integer; unlabeled
        ones are among them). None or "auto" means "preserve", or what the target itself
        fixes where it does (repeat_threshold and counts).
      min_factor: lower bound of a record's final repeat factor, copies per epoch.
      max_factor: upper bound of a record's final repeat factor, copies per epoch, at
        least 2**-32, which is what draws resolve. The default keeps a label with a
        handful of records from filling an epoch.
      combine: how the factors of several labels make the repeat factor of a record:
        "product", "max", "min" or "mean".
      unlabeled: records without a label: "keep" (factor 1), "drop" (factor 0) or a
        factor.
      group_by: columns whose combinations are resampled instead of labels: a list (in
        JSON) of feature names and buckets such as {"name": "age", "boundaries":
        [18, 65]} or {"name": "age", "quantiles": 4}. A group is named "site=north,
        age=[18, 65)", also in a target that is a mapping. Empty for labels.
      split: the split that is the natural distribution, or several, as a list or
        separated by commas: their counts are added.
      seed: seed of the decision rule, part of the plan.
      identity: what a record is known by, of which its uniform number is a hash:
        "content" (its features, whatever their order in the record), "bytes" (the
        serialized record) or "position" (name of its file without the directory, and
        number in the file).
      key_features: features that identify a record together, a list of names or names
        with commas between them; empty for all features. One by itself must have one
        value in every record; of several, values may be missing.
      on_duplicates: what to do about records that share an identity, and with it a
        uniform number, where they would throw planned counts off: "error", "position"
        (identity becomes "position" then) or "warn". Only where records are counted.
      unknown_labels: what a label or group that the plan does not know does to its
        record: "error", or the factor of such labels.
      on_unreachable: what to do about a target that the bounds or the data do not
        allow: "warn" (the plan holds the closest distribution, and why) or "error".
        Only where it is known, which takes single labels or known label sets.
      prefer: where the target is out of reach, of records with several labels:
        "distance" (the closest plan; of those within 0.005 of it the one of the larger
        effective sample size) or "samples" (of those within 0.06).
      min_epoch: labeled records that an epoch of size "undersample" must keep, as a
        ratio to all of them; 0 allows any.
      tolerance: total-variation distance, 0 to 1, of the expected to the target shares
        up to which the target counts as reached.
      schedule: how the factors come in over the epochs: "constant" (the same in every
        epoch), "linear:E" (every record once in epoch 0, then linearly to the final
        factors, which hold from epoch E on) or "step:E" (every record once in each of
        the first E epochs, then the final factors). Target, size and bounds are about
        the final factors.

    Raises:
      ValueError: an option is not valid; the message names it.
    """

    label_key: str
    target: str | Mapping[str, int | float] = dataclasses.field(
        default="uniform", metadata={"format": format_target}
    )
    keep_natural: str | Sequence[str] = dataclasses.field(
        default=(), metadata={"format": format_names}
    )
    size: None | str | int | float = dataclasses.field(
        default=None, metadata={"format": format_size}
    )
    min_factor: float = 0.0
    max_factor: float = 100.0
    combine: str = dataclasses.field(
        default="product", metadata={"choices": COMBINE_RULES}
    )
    unlabeled: str | float = "keep"
    group_by: Sequence[ColumnSpec] = dataclasses.field(
        default=(), metadata={"format": format_columns}
    )
    split: str | Sequence[str] = dataclasses.field(
        default="train", metadata={"format": str}
    )
    seed: int = 0
    identity: str = dataclasses.field(default="content", metadata={"choices": KINDS})
    key_features: str | Sequence[str] = dataclasses.field(
        default=(), metadata={"format": format_names}
    )
    on_duplicates: str = dataclasses.field(
        default="error", metadata={"choices": ON_DUPLICATES}
    )
    unknown_labels: str | float = "error"
    on_unreachable: str = dataclasses.field(
        default="warn", metadata={"choices": ON_UNREACHABLE}
    )
    prefer: str = dataclasses.field(
        default="distance", metadata={"choices": PREFERENCES}
    )
    min_epoch: float = 0.01
    tolerance: float = 0.01
    schedule: str = "constant"

    def __post_init__(self):
        check_known(
            self,
            "Give it to the component: ResamplePlanner({name}=...), which takes a "
            "value of its own as a RuntimeParameter, not as part of another.",
        )
        check_text("label_key", self.label_key)
        _set(self, "split", ",".join(parse_names("split", self.split, 1)))
        check_integer("seed", self.seed, below=2**63)
        _set(self, "target", targets.parse(self.target))
        names = parse_names("keep_natural", self.keep_natural)
        _set(self, "keep_natural", names)
        _set(self, "size", _parse_size(self.size))
        for name in ("min_factor", "max_factor", "tolerance", "min_epoch"):
            _set(self, name, _parse_factor(name, getattr(self, name)))
        for name, words in (("unlabeled", UNLABELED), ("unknown_labels", ("error",))):
            _set(self, name, _parse_word_or_factor(name, getattr(self, name), words))
        _set(self, "group_by", parse_columns(self.group_by))
        identity = Identity(
            self.identity, parse_names("key_features", self.key_features)
        )
        _set(self, "key_features", identity.key_features)
        check_choice("on_duplicates", self.on_duplicates, ON_DUPLICATES)
        check_choice("combine", self.combine, COMBINE_RULES)
        check_choice("prefer", self.prefer, PREFERENCES)
        check_choice("on_unreachable", self.on_unreachable, ON_UNREACHABLE)
        _ = Schedule.parse(self.schedule)
        if self.min_factor > self.max_factor:
            raise ValueError(
                f"min_factor must be <= max_factor, got {shown(self.min_factor)} > "
                f"{shown(self.max_factor)}."
            )
        if self.max_factor < 2.0**-draws.RESOLUTION_BITS:
            raise ValueError(
                f"max_factor must be at least 2**-{draws.RESOLUTION_BITS}, got "
                f"{shown(self.max_factor)}: nothing would be emitted. To drop a label, "
                "give it the target share 0."
            )
        if self.tolerance > 1:
            raise ValueError(
                "tolerance must be a distance from 0 to 1, got "
                f"{shown(self.tolerance)}."
            )
        if self.group_by and self.unlabeled != "keep":
            raise ValueError(
                f"unlabeled must be left out with group_by, got {self.unlabeled!r}. A "
                "missing value makes a group, which the target can leave out."
            )
        if targets.fixes_size(self.target) and self.size is not None:
            raise ValueError(
                f"size must be left out with target={self.target!r}, which fixes the "
                f"factors itself, got {shown(self.size)}."
            )

    @property
    def known_by(self) -> Identity:
        """What a record is known by."""
        return Identity(self.identity, tuple(self.key_features))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits whose counts are added."""
        return parse_names("split", self.split, 1)

    @property
    def is_size_open(self) -> bool:
        """Whether the target decides how many records an epoch emits."""
        return self.size in ("undersample", "oversample")

    @property
    def unlabeled_factor(self) -> float:
        """The repeat factor of records without a label."""
        if isinstance(self.unlabeled, str):
            return {"keep": 1.0, "drop": 0.0}[self.unlabeled]
        return self.unlabeled

    def to_dict(self) -> dict[str, Any]:
        """Returns the options as JSON types, in the strings that options accept."""
        values = dataclasses.asdict(self)
        values["size"] = format_size(self.size)
        values["key_features"] = list(self.key_features)
        values["keep_natural"] = list(self.keep_natural)
        values["group_by"] = json.loads(format_columns(self.group_by))
        return values


def _set(config: PlannerConfig, name: str, value: Any) -> None:
    object.__setattr__(config, name, value)  # The dataclass is frozen.


def _parse_factor(name: str, value: Any) -> float:
    message = (
        f"{name} must be a number from 0 to {LARGEST_FACTOR:g} (copies of a record per "
        f"epoch), got {shown(value)}."
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
        f"number of records (integer > 1, or 'records:20000'), got {shown(value)}."
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
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(message)
    # NumPy's numbers as Python's, which `format_size` writes.
    value = int(value) if isinstance(value, numbers.Integral) else float(value)
    # An epoch of one record is never meant: it is 1.0, "as many as before".
    if not math.isfinite(value) or value <= 0 or (isinstance(value, int) and value < 2):
        raise ValueError(message)
    return value
