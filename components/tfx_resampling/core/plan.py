"""The plan: the transformation T from A to B, with everything needed to apply it."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfx_resampling.core.config import COMBINE_RULES
from tfx_resampling.core.counts import LABEL_DTYPES, LabelCounts, LabelSets
from tfx_resampling.core.factors import RecordRule, distance, shares
from tfx_resampling.core.groups import Grouping
from tfx_resampling.core.identity import Identity
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.validate import (
    check_choice,
    check_integer,
    check_names,
    check_number,
    check_type,
    check_unicode,
    parse_names,
    parse_object,
    printable,
    shown,
)

SCHEMA_VERSION = 2
PLAN_FILE = "plan.json"
# Bytes that a plan.json may have: 1 M labels take 150 MB.
MAX_BYTES = 256 << 20
PER_LABEL = ("counts", "target", "factors", "predicted")
PREDICTIONS = ("exact", "pairwise", "independent")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Resampling factors per label and the rule that turns them into copies.

    The value inside a `ResamplePlan` artifact. `plan.json` is this dataclass as one
    JSON object, `schema_version` included; every field is required, unknown ones are
    refused. Lists run in the order of `groups`: what is resampled, which is labels, or
    groups of records where the plan is made for those.

    Guarantee: the plan alone decides which samples an epoch of some records has.

    Factors, bounds, predictions and diagnostics are those of the final epochs: of all
    with the schedule "constant". `predicted_at` tells what another epoch emits.

    Attributes:
      label_key: name of the label feature.
      label_dtype: "bytes" or "int64", type of that feature in the records.
      multi_label: whether a record can have more than one label.
      groups: the labels, integers in decimal; or the groups in words.
      classes: the values of the label feature, in the order of the columns of the
        multi-hot labels that `input_fn` yields; the same as `groups` where labels are
        resampled.
      grouping: the groups by column; None where labels are resampled.
      counts: natural count of each label, A before normalisation.
      target: share of label occurrences wanted for each label, B; sums to 1.
      factors: resampling factor of each label, T: below 1 drop, above 1 replicate.
      num_records: natural number of records, unlabeled ones included.
      num_unlabeled: natural number of records without a label.
      unlabeled_known: whether these are all of them: statistics do not count records
        with an empty list of labels.
      label_sets: number of records with exactly these labels, by the places of the
        labels in `groups`: "0 3" -> 120; "" -> those without. Empty where it is not
        known, and where records have one label. Of very many sets it is a sample whose
        numbers stand for all (`LabelSets.sampled`).
      unlabeled_factor: final repeat factor of those.
      combine: "product", "max", "min" or "mean": labels' factors to a record's.
      min_factor: lower bound of a labeled record's final repeat factor.
      max_factor: upper bound of it.
      seed: seed of the decision rule.
      identity: what a record is known by: "content", "bytes" or "position"
        (`core.identity`).
      key_features: features that identify a record together; empty for all of them.
      unknown_labels: what a label or group that the plan does not know does to its
        record: "error", or the factor of such labels.
      predicted: expected number of emitted occurrences of each label per final epoch.
      predicted_records: expected number of emitted records per final epoch, all in all.
      prediction: "exact" (single labels, or label sets known), "pairwise" (estimated
        from how often two labels occur together) or "independent" (estimated from
        marginal counts as if labels were independent).
      schedule: "constant", "linear:E" or "step:E" (`core.schedule`): in epoch k a
        record of final factor r, labeled or not, has (1 - a_k) + a_k * r.
      diagnostics: what the plan does to the data, where it is known: "unreached" (label
        -> why its target share is not reached), "clipped" (label -> share of its
        records whose factor is at a bound), "imbalance" ("natural" and "predicted"
        -> measures), "effective_sample_size", "largest_factor", "half_of_rarest",
        "distinct_records" (number of identities, where records were counted) and
        "trade_off" (other plans that were weighed, closest first: "distance",
        "effective_sample_size", "records", "chosen"); see `fitting.diagnostics`.
      warnings: what a user of the plan should know.
      provenance: where the plan comes from: options, statistics, package version.

    Raises:
      ValueError: fields that do not fit together, or factors that are negative, NaN or
        infinite.
    """

    label_key: str
    label_dtype: str
    multi_label: bool
    groups: tuple[str, ...]
    counts: tuple[int, ...]
    target: tuple[float, ...]
    factors: tuple[float, ...]
    num_records: int
    num_unlabeled: int
    unlabeled_factor: float
    combine: str
    min_factor: float
    max_factor: float
    seed: int
    predicted: tuple[float, ...]
    predicted_records: float
    prediction: str
    identity: str = "content"
    key_features: tuple[str, ...] = ()
    unknown_labels: str | float = "error"
    unlabeled_known: bool = True
    classes: tuple[str, ...] = ()
    grouping: Grouping | None = None
    label_sets: Mapping[str, float] = dataclasses.field(default_factory=dict)
    schedule: str = "constant"
    diagnostics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for name in ("label_key", "prediction"):
            check_type(name, getattr(self, name), str)
        for name in ("diagnostics", "provenance", "label_sets"):
            check_type(name, getattr(self, name), Mapping)
        check_type("multi_label", self.multi_label, bool)
        check_type("unlabeled_known", self.unlabeled_known, bool)
        check_type("key_features", self.key_features, list, tuple)
        identity = Identity(self.identity, tuple(self.key_features))
        object.__setattr__(self, "key_features", identity.key_features)
        if self.unknown_labels != "error":
            check_number("unknown_labels", self.unknown_labels)
        if self.grouping is None and not self.classes:
            object.__setattr__(self, "classes", self.groups)
        if isinstance(self.grouping, Mapping):
            object.__setattr__(self, "grouping", _read_grouping(self.grouping))
        check_type("grouping", self.grouping, Grouping, type(None))
        for name in (*PER_LABEL, "groups", "classes", "warnings"):
            check_type(name, getattr(self, name), list, tuple)
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("groups", "classes", "warnings"):
            for value in getattr(self, name):
                check_type(f"every one of {name}", value, str)
        self._check_labels()
        for name in PER_LABEL:
            values = getattr(self, name)
            if len(values) != len(self.groups):
                raise ValueError(
                    f"{name} must have one value per label: {len(self.groups)} labels, "
                    f"got {len(values)} values."
                )
            for label, value in zip(self.groups, values):
                if name == "counts":
                    check_integer(f"counts of label {label!r}", value, below=2**63)
                else:
                    check_number(f"{name} of label {label!r}", value)
        self._check_label_sets()
        check_integer("num_records", self.num_records, below=2**63)
        check_integer("num_unlabeled", self.num_unlabeled, below=2**63)
        check_integer("seed", self.seed, below=2**63)
        for name in ("unlabeled_factor", "min_factor", "max_factor"):
            check_number(name, getattr(self, name))
        check_number("predicted_records", self.predicted_records)
        check_choice("combine", self.combine, COMBINE_RULES)
        check_choice("prediction", self.prediction, PREDICTIONS)
        if self.min_factor > self.max_factor:
            raise ValueError(
                f"min_factor must be <= max_factor, got {shown(self.min_factor)} > "
                f"{shown(self.max_factor)}."
            )
        check_type("schedule", self.schedule, str)
        _ = Schedule.parse(self.schedule)
        _check_diagnostics(self.diagnostics)
        check_type(
            "provenance['options']",
            self.provenance.get("options"),
            *(Mapping, type(None)),
        )
        _ = self.splits

    def _check_labels(self) -> None:
        for name in ("groups", "classes"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name} must have at least one label, got none.")
            if len(set(values)) != len(values):
                twice = next(x for x in values if values.count(x) > 1)
                raise ValueError(f"{name} must be distinct, got {twice!r} twice.")
            check_unicode(name, values)
        if self.grouping is None and self.groups != self.classes:
            raise ValueError("labels and classes must be the same without groups.")
        if self.grouping is not None and self.groups != self.grouping.names:
            raise ValueError("labels must be the names of the groups.")
        check_choice("label_dtype", self.label_dtype, LABEL_DTYPES)
        if self.label_dtype == "int64":
            for label in self.classes:
                try:
                    is_decimal = str(int(label)) == label
                except ValueError:
                    is_decimal = False
                if not is_decimal or not -(2**63) <= int(label) < 2**63:
                    raise ValueError(
                        "label_dtype is 'int64', but a label is no integer of 64 bits "
                        f"in decimal: {label[:100]!r}."
                    )

    def _check_label_sets(self) -> None:
        for key, value in self.label_sets.items():
            check_number(f"label_sets of {key!r}", value)
        try:
            indices = LabelSets.from_mapping(self.label_sets).indices
        except (ValueError, OverflowError) as error:
            raise ValueError(
                f"label_sets must have places of labels as keys: {error}."
            ) from None
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(self.groups):
            raise ValueError(
                f"label_sets must have places from 0 to {len(self.groups) - 1}, got "
                f"{indices.min()} to {indices.max()}."
            )

    def label_counts(self) -> LabelCounts:
        """Returns the counts that the plan is made of, as far as it has them."""
        return LabelCounts(
            label_sets=LabelSets.from_mapping(self.label_sets)
            if self.label_sets
            else None,
            **{
                name: getattr(self, name)
                for name in (
                    *("label_key", "label_dtype", "multi_label", "groups", "counts"),
                    *("num_records", "num_unlabeled", "unlabeled_known", "classes"),
                    "grouping",
                )
            },
        )

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits whose counts it is made of; "train" where it does not say."""
        options = self.provenance.get("options") or {}
        return parse_names("split", options.get("split", "train"), 1)

    @property
    def natural_shares(self) -> np.ndarray:
        """float64 [labels], share of label occurrences in the data."""
        return np.array(self.counts) / sum(self.counts)

    @property
    def predicted_shares(self) -> np.ndarray:
        """float64 [labels], expected share of label occurrences in the final epochs."""
        return shares(np.array(self.predicted))

    @property
    def emission_ratios(self) -> np.ndarray:
        """float64 [labels], expected emitted occurrences per natural one.

        What a label gets out of its own factor, those of the labels beside it and the
        bounds. Its factor where the data has no such label.
        """
        counts = np.array(self.counts, np.float64)
        ratios = np.array(self.predicted) / np.maximum(counts, 1.0)
        return np.where(counts > 0, ratios, self.factors)

    def log_factors(self) -> np.ndarray:
        """Returns float64 [labels], log of a label's factor; -inf where that is 0.

        Of one label per record it is the record's factor, within the bounds. Of several
        labels it is T itself: what the label contributes to a product.
        """
        factors = np.array(self.factors)
        if not self.multi_label:
            factors = np.clip(factors, self.min_factor, self.max_factor)
        with np.errstate(divide="ignore"):
            return np.log(factors)

    @property
    def distance(self) -> float:
        """Total-variation distance of the predicted shares to the target, 0 to 1."""
        return distance(np.array(self.predicted), np.array(self.target))

    @property
    def rule(self) -> RecordRule:
        """How the factors of its labels make a record's."""
        return RecordRule(
            combine=self.combine,
            min_factor=self.min_factor,
            max_factor=self.max_factor,
            unlabeled_factor=self.unlabeled_factor,
        )

    @property
    def known_by(self) -> Identity:
        """What a record is known by."""
        return Identity(self.identity, self.key_features)

    @property
    def unknown_factor(self) -> float:
        """The factor of labels that the plan does not know; 1 where they are errors."""
        return 1.0 if isinstance(self.unknown_labels, str) else self.unknown_labels

    @property
    def is_natural(self) -> bool:
        """Whether every record, labeled or not, has exactly one copy in every epoch."""
        is_one = {*self.factors, self.unknown_factor} == {1.0}
        is_one = is_one and self.min_factor <= 1 <= self.max_factor
        is_bound = self.min_factor == self.max_factor == 1
        return self.unlabeled_factor == 1 and (is_one or is_bound)

    def predicted_at(self, epoch: int) -> np.ndarray:
        """Returns float64 [labels], the expected occurrences emitted in an epoch.

        (1 - a) * counts + a * predicted, a the schedule's weight of the epoch (from 0).
        Factors are interpolated after clipping: it is as exact as `predicted`.

        Raises:
          ValueError: `epoch` is not an integer >= 0.
        """
        weight = Schedule.parse(self.schedule).weight(epoch)
        natural, final = np.array(self.counts), np.array(self.predicted, np.float64)
        return (1 - weight) * natural + weight * final

    def predicted_records_at(self, epoch: int) -> float:
        """Returns the expected number of records, all of them, emitted in an epoch.

        (1 - a) * num_records + a * predicted_records, as in `predicted_at`.

        Raises:
          ValueError: `epoch` is not an integer >= 0.
        """
        weight = Schedule.parse(self.schedule).weight(epoch)
        return (1 - weight) * self.num_records + weight * self.predicted_records

    def steps_per_epoch(self, batch_size: int, epoch: int | None = None) -> int:
        """Returns the expected batches of an epoch (None: a final one), at least 1.

        Raises:
          ValueError: `epoch` is neither None nor an integer >= 0, or a batch is empty.
        """
        check_integer("batch_size", batch_size, 1)
        records = self.predicted_records
        if epoch is not None:
            records = self.predicted_records_at(epoch)
        return max(1, math.ceil(records / batch_size))

    def scheduled(self, schedule: str) -> "Plan":
        """Returns this plan with another schedule: "constant", "linear:10", "step:5".

        Raises:
          ValueError: `schedule` is not valid.
        """
        return dataclasses.replace(self, schedule=schedule)

    def natural(self) -> "Plan":
        """Returns this plan with every factor 1: each record once, for evaluation."""
        return dataclasses.replace(
            self,
            target=tuple(self.natural_shares.tolist()),
            factors=(1.0,) * len(self.groups),
            unlabeled_factor=1.0,
            min_factor=1.0,
            max_factor=1.0,
            predicted=tuple(map(float, self.counts)),
            predicted_records=float(self.num_records),
            prediction="exact",
            schedule="constant",
            diagnostics={},
        )

    def applied(self) -> "Plan":
        """Returns the plan of reading what `Resampler` has materialized by this one.

        Every factor is 1, and the counts are those that this plan predicts.
        """
        counts = np.rint(self.predicted).astype(int).tolist()
        resampled = dataclasses.replace(
            self,
            counts=tuple(counts),
            num_records=round(self.predicted_records),
            num_unlabeled=round(self.num_unlabeled * self.unlabeled_factor),
            label_sets={},
        )
        return resampled.natural()

    def to_json(self) -> str:
        """Returns the contents of `plan.json`."""
        fields = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        return json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Plan":
        """Reads `plan.json` strictly; it is data, of which nothing is executed.

        Args:
          text: the contents, at most `MAX_BYTES`.

        Raises:
          ValueError: not JSON, of another schema version, a field missing, unknown or
            not valid.
        """
        fields = parse_object("plan", text, MAX_BYTES)
        if "schema_version" not in fields:
            raise ValueError("plan must be a JSON object with a schema_version.")
        version = fields.pop("schema_version")
        is_number = type(version) is int  # True is 1, and 2.0 is 2.
        if is_number and version == 1:
            fields = _from_version_1(fields)
            version = SCHEMA_VERSION
        if not is_number or version != SCHEMA_VERSION:
            raise ValueError(
                f"plan has schema_version {shown(version)[:100]}, this tfx-resampling "
                f"reads {SCHEMA_VERSION}. Upgrade tfx-resampling, or make the plan "
                "again."
            )
        names = {field.name for field in dataclasses.fields(cls)}
        if set(fields) != names:
            raise ValueError(
                f"plan fields do not match schema_version {version}: missing "
                f"{sorted(names - set(fields))}, unknown "
                f"{sorted(set(fields) - names)[:20]}."
            )
        plan = cls(**fields)
        try:
            _ = json.dumps(plan.provenance, allow_nan=False)
        except ValueError:
            raise ValueError("numbers of provenance must be finite.") from None
        return plan


_NUMBERS = (
    *("effective_sample_size", "largest_factor", "half_of_rarest"),
    "distinct_records",
)
_DIAGNOSTICS = (*_NUMBERS, "unreached", "clipped", "imbalance", "trade_off")


def _check_diagnostics(given: Mapping[str, Any]) -> None:
    """Raises ValueError unless diagnostics are such as `Plan` describes."""
    check_names("diagnostics", map(str, given), _DIAGNOSTICS)
    for name in _NUMBERS:
        if name in given:
            check_number(f"diagnostics[{name!r}]", given[name])
    for name in ("unreached", "clipped", "imbalance"):
        check_type(f"diagnostics[{name!r}]", given.get(name, {}), Mapping)
    for label, why in given.get("unreached", {}).items():
        check_type(f"diagnostics['unreached'][{label!r}]", why, str)
    measures = given.get("imbalance", {})
    for of, values in measures.items():
        check_type(f"diagnostics['imbalance'][{of!r}]", values, Mapping)
    trade_off = given.get("trade_off", ())
    check_type("diagnostics['trade_off']", trade_off, list, tuple)
    for each in trade_off:
        check_type("every one of diagnostics['trade_off']", each, Mapping)
        check_names(
            "fields in diagnostics['trade_off']", map(str, each), (*_WEIGHED, "chosen")
        )
        for name in _WEIGHED:
            check_number(f"diagnostics['trade_off'][...][{name!r}]", each.get(name))
    for label, value in given.get("clipped", {}).items():
        check_number(f"diagnostics['clipped'][{label!r}]", value)
    for name, value in (each for of in measures.values() for each in of.items()):
        # Nearly 0, as a sum ends, may be below it.
        check_number(f"size of {name!r} in diagnostics['imbalance']", _size(value))


_WEIGHED = ("distance", "effective_sample_size", "records")


def _size(value: Any) -> Any:
    return abs(value) if isinstance(value, (int, float)) else value


def _from_version_1(fields: Mapping) -> dict:
    """Returns the fields of a plan of version 1 as those of `SCHEMA_VERSION`.

    What is not of that version stays, to be refused as unknown.
    """
    names = {"labels": "groups", "strata": "grouping"}
    # Only label sets tell of empty lists.
    known = not fields.get("multi_label") or fields.get("prediction") == "exact"
    added = {
        # Records were known by their bytes then.
        "identity": "bytes",
        "key_features": (),
        "unknown_labels": "error",
        "unlabeled_known": known,
        "label_sets": {},
    }
    later = [*names.values(), *added]
    if given := sorted(set(fields) & set(later)):
        raise ValueError(f"plan of schema_version 1 has unknown fields {given}.")
    return {**{names.get(k, k): value for k, value in fields.items()}, **added}


def _read_grouping(fields: Mapping) -> Grouping:
    try:
        return Grouping(**fields)
    except TypeError as error:
        raise ValueError(f"grouping is not valid: {printable(str(error))}.") from None
