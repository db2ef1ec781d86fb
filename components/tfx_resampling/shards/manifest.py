"""The manifest of a directory of shards that a resampling has written."""

import dataclasses
import hashlib
import json
import numbers
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_resampling.core import draws
from tfx_resampling.core.plan import Plan
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.filesystem import read_bytes
from tfx_resampling.validate import (
    check_choice,
    check_integer,
    check_number,
    check_text,
    check_type,
    parse_object,
    printable,
)

SCHEMA_VERSION = 1
# Bytes that a manifest may have: 100,000 shards take 10 MB.
MAX_BYTES = 64 << 20
MODES = ("materialize", "stratify")

# How the names of shards begin: of samples, also where somebody has copied them away
# from their manifest, and of records.
SAMPLES_PREFIX = "resampled_tfrecord-"
RECORDS_PREFIX = "data_tfrecord-"

_PER_SHARD = ("names", "records")
_PER_CLASS = ("classes", "lows", "highs", "first_uniforms", "last_uniforms")


def manifest_path(directory: str) -> str:
    """Returns the path of the manifest of a directory: beside it, not in it.

    So it does not disturb whatever reads all files of the directory.
    """
    return directory.rstrip("/") + ".manifest.json"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What the shards of a directory hold. One JSON object, read strictly.

    Attributes:
      mode: "materialize": the shards hold the samples of some epochs. "stratify": they
        hold every record once, a shard those of like factor with uniforms in a range.
      rule: digest of the decision rule that they were written by, `rule_digest`.
      identity: what records were known by, in words.
      counts: number of records "read", "dropped" (without a copy), "emitted" (copies),
        "corrupt" (left out).
      names: file name of each shard.
      records: records of each shard.
      start_epoch: first epoch whose samples they are, 0 for "stratify".
      epochs: number of epochs, 0 for "stratify".
      classes: class of factors that each shard is of; this and the following are empty
        unless `mode` is "stratify".
      lows: smallest repeat factor in each shard.
      highs: largest repeat factor in each shard.
      first_uniforms: smallest uniform that each shard can have, in units of 2**-32.
      last_uniforms: largest uniform that each shard can have.
    """

    mode: str
    rule: str
    identity: str
    counts: Mapping[str, int]
    names: tuple[str, ...]
    records: tuple[int, ...]
    start_epoch: int = 0
    epochs: int = 0
    classes: tuple[int, ...] = ()
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    first_uniforms: tuple[int, ...] = ()
    last_uniforms: tuple[int, ...] = ()

    def __post_init__(self):
        check_choice("mode", self.mode, MODES)
        for name in (*_PER_SHARD, *_PER_CLASS):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        columns = _PER_SHARD + (_PER_CLASS if self.mode == "stratify" else ())
        for name in columns:
            if len(getattr(self, name)) != len(self.names):
                raise ValueError(
                    f"{name} must have one value per shard: {len(self.names)} shards, "
                    f"got {len(getattr(self, name))} values."
                )
        for name in self.names:
            check_text("every one of names", name)
            # They are joined to the directory.
            if name != os.path.basename(name) or name in (os.curdir, os.pardir):
                raise ValueError(
                    f"names must be of files in the directory, got {name!r}."
                )
        check_type("counts", self.counts, Mapping)
        for name, values in {"counts": self.counts.values(), **self._numbers()}.items():
            for value in values:
                if name in ("lows", "highs"):
                    check_number(f"every one of {name}", value)
                else:
                    check_integer(
                        f"every one of {name}",
                        value,
                        below=2**63,
                        kind=numbers.Integral,
                    )

    def _numbers(self) -> dict[str, tuple]:
        names = ("records", *_PER_CLASS)
        one = {name: (getattr(self, name),) for name in ("start_epoch", "epochs")}
        return {**one, **{name: getattr(self, name) for name in names}}

    def to_json(self) -> str:
        """Returns the contents of the manifest."""
        fields = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        return json.dumps(fields, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Manifest":
        """Reads a manifest strictly.

        Raises:
          ValueError: not JSON, of another schema version, or fields that are missing,
            unknown or do not fit together.
        """
        try:
            fields = parse_object("the text", text, MAX_BYTES)
            version = fields.pop("schema_version", None)
            if type(version) is not int or version != SCHEMA_VERSION:
                raise ValueError(
                    f"schema_version {version!r}, this tfx-resampling reads "
                    f"{SCHEMA_VERSION}"
                )
            return cls(**fields)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"manifest is not valid: {printable(str(error))}. Write the directory "
                "again."
            ) from None


def rule_digest(plan: Plan) -> str:
    """Returns a digest of all that decides the uniforms and final factors of records.

    The schedule is not part of it: it says when factors come in.
    """
    rule: Mapping[str, Any] = dict(
        label_key=plan.label_key,
        label_dtype=plan.label_dtype,
        groups=plan.groups,
        factors=plan.factors,
        grouping=None if plan.grouping is None else dataclasses.asdict(plan.grouping),
        seed=plan.seed,
        identity=plan.identity,
        key_features=plan.key_features,
        unknown_labels=plan.unknown_labels,
        **dataclasses.asdict(plan.rule),
    )
    text = json.dumps(rule, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def needed(manifest: Manifest, schedule: Schedule, epoch: int) -> np.ndarray:
    """Returns bool [shards]: which shards may have records with copies in an epoch.

    A record of uniform u and factor r has copies if floor(u + P_{e+1}(r)) exceeds
    floor(u + P_e(r)) (`core.draws`). Both grow with u and r, so no record of a shard
    has any unless that holds for its last uniform and largest factor on the left, and
    its first uniform and smallest factor on the right.
    """
    resolution = 2.0**draws.RESOLUTION_BITS
    lows, highs = (np.array(x, np.float64) for x in (manifest.lows, manifest.highs))
    first, last = (
        np.array(x) / resolution
        for x in (manifest.first_uniforms, manifest.last_uniforms)
    )
    before = draws.cumulative_factors(lows, schedule.cumulative(epoch), epoch)
    after = draws.cumulative_factors(highs, schedule.cumulative(epoch + 1), epoch + 1)
    return (np.floor(last + after) > np.floor(first + before)) & (after > before)


def read_manifest(directory: str) -> Manifest | None:
    """Returns the manifest of a directory of shards; None where it has none.

    Raises:
      ValueError: a manifest that is not valid; the message names it.
    """
    path = manifest_path(directory)
    if not tf.io.gfile.exists(path):
        return None
    contents = read_bytes(path, MAX_BYTES)
    try:
        return Manifest.from_json(contents)
    except ValueError as error:
        raise ValueError(f"{path!r}: {error}") from None


def read_manifests(files: Sequence[str]) -> dict[str, Manifest]:
    """Returns directory -> manifest, of the directories of some files that have one.

    Raises:
      ValueError: as `read_manifest`.
    """
    directories = dict.fromkeys(map(os.path.dirname, files))
    found = {directory: read_manifest(directory) for directory in directories}
    return {name: manifest for name, manifest in found.items() if manifest}


def records_written(
    files: Sequence[str], manifests: Mapping[str, Manifest]
) -> list[int]:
    """Returns how many records each file was written with; -1 where nobody says."""
    written = {
        os.path.join(directory, name): records
        for directory, manifest in manifests.items()
        for name, records in zip(manifest.names, manifest.records)
    }
    return [written.get(name, -1) for name in files]


def check_natural(name: str, plan: Plan) -> None:
    """Raises ValueError if a plan would resample a file of samples once more."""
    is_samples = os.path.basename(name).startswith(SAMPLES_PREFIX)
    if is_samples and not plan.is_natural:
        raise ValueError(
            f"{name!r} holds samples that are resampled already; the plan would "
            "resample them again. Read them with plan.applied(), or give the records "
            "they were made of."
        )
