"""The manifest of a directory of shards that a resampling has written."""

import dataclasses
import hashlib
import json
from typing import Any, Mapping, Optional, Tuple, Union

import numpy as np

from tfx_resampling.core import draws
from tfx_resampling.core.plan import Plan
from tfx_resampling.core.schedule import Schedule

SCHEMA_VERSION = 1
MODES = ("materialize", "stratify")

# How the names of shards begin: of samples, also where somebody has copied them away
# from their manifest, and of records.
SAMPLES_PREFIX = "resampled_tfrecord-"
RECORDS_PREFIX = "data_tfrecord-"

_PER_SHARD = ("names", "records")
_PER_STRATUM = ("strata", "lows", "highs", "first_bets", "last_bets")


def layout_path(directory: str) -> str:
    """Returns the path of the manifest of a directory: beside it, not in it.

    Whatever reads all files of the directory is therefore not bothered by it.
    """
    return directory.rstrip("/") + ".layout.json"


@dataclasses.dataclass(frozen=True)
class Layout:
    """What the shards of a directory hold. One JSON object, read strictly.

    Attributes:
      mode: "materialize": the shards hold the samples of some epochs. "stratify": they
        hold every record once, a shard those of like factor with bets in a range.
      rule: digest of the decision rule that they were written by, `rule_digest`.
      counts: number of records "read", "dropped" (without a copy), "emitted" (copies),
        "corrupt" (left out).
      names: file name of each shard.
      records: records of each shard.
      start_epoch: first epoch whose samples they are, 0 for "stratify".
      epochs: number of epochs, 0 for "stratify".
      strata: class of factors that each shard is of; this and the following are empty
        unless `mode` is "stratify".
      lows: smallest repeat factor in each shard.
      highs: largest repeat factor in each shard.
      first_bets: smallest bet that each shard can have, in units of 2**-32.
      last_bets: largest bet that each shard can have.
    """

    mode: str
    rule: str
    counts: Mapping[str, int]
    names: Tuple[str, ...]
    records: Tuple[int, ...]
    start_epoch: int = 0
    epochs: int = 0
    strata: Tuple[int, ...] = ()
    lows: Tuple[float, ...] = ()
    highs: Tuple[float, ...] = ()
    first_bets: Tuple[int, ...] = ()
    last_bets: Tuple[int, ...] = ()

    def __post_init__(self):
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {list(MODES)}, got {self.mode!r}.")
        for name in (*_PER_SHARD, *_PER_STRATUM):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        columns = _PER_SHARD + (_PER_STRATUM if self.mode == "stratify" else ())
        for name in columns:
            if len(getattr(self, name)) != len(self.names):
                raise ValueError(
                    f"{name} must have one value per shard: {len(self.names)} shards, "
                    f"got {len(getattr(self, name))} values."
                )

    def to_json(self) -> str:
        """Returns the contents of the manifest."""
        fields = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        return json.dumps(fields, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Layout":
        """Reads a manifest strictly.

        Raises:
          ValueError: not JSON, of another schema version, or fields that are missing,
            unknown or do not fit together.
        """
        try:
            fields = dict(json.loads(text))
            version = fields.pop("schema_version", None)
            if version != SCHEMA_VERSION:
                raise ValueError(
                    f"schema_version {version!r}, this tfx-resampling reads "
                    f"{SCHEMA_VERSION}"
                )
            return cls(**fields)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"layout is not valid: {error}. Write the directory again."
            ) from None


def rule_digest(
    plan: Plan, key_feature: Optional[str], unknown_labels: Union[str, float]
) -> str:
    """Returns a digest of all that decides the bets and final factors of records.

    The schedule is not part of it: it says when factors come in.
    """
    rule: Mapping[str, Any] = dict(
        label_key=plan.label_key,
        label_dtype=plan.label_dtype,
        labels=plan.labels,
        factors=plan.factors,
        strata=None if plan.strata is None else dataclasses.asdict(plan.strata),
        seed=plan.seed,
        key_feature=key_feature,
        unknown_labels=unknown_labels,
        **plan.rule,
    )
    text = json.dumps(rule, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def needed(layout: Layout, schedule: Schedule, epoch: int) -> np.ndarray:
    """Returns bool [shards]: which shards may have records with copies in an epoch.

    A record of bet u and factor r has copies if floor(u + P_{e+1}(r)) exceeds
    floor(u + P_e(r)) (`core.draws`). Both grow with u and r, so no record of a shard
    has any unless that holds for its last bet and largest factor on the left, and its
    first bet and smallest factor on the right.
    """
    resolution = 2.0**draws.RESOLUTION_BITS
    lows, highs = (np.array(x, np.float64) for x in (layout.lows, layout.highs))
    first, last = (
        np.array(x) / resolution for x in (layout.first_bets, layout.last_bets)
    )
    before = draws.cumulative_factors(lows, schedule.cumulative(epoch), epoch)
    after = draws.cumulative_factors(highs, schedule.cumulative(epoch + 1), epoch + 1)
    return (np.floor(last + after) > np.floor(first + before)) & (after > before)
