"""The manifest of shards, and which of them an epoch needs."""

import dataclasses

import numpy as np
import pytest
from tfx_resampling.core import draws
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.shards import classes as classes_lib
from tfx_resampling.shards.manifest import Manifest, manifest_path, needed, rule_digest

from tests import plans

LAYOUT = Manifest(
    mode="stratify",
    rule="0123",
    identity="the content of the record",
    counts={"read": 3},
    names=("a", "b"),
    records=(1, 2),
    classes=(0, 1),
    lows=(0.1, 2.0),
    highs=(0.1, 3.0),
    first_uniforms=(0, 0),
    last_uniforms=(7, 9),
)


def test_json_round_trip():
    assert Manifest.from_json(LAYOUT.to_json()) == LAYOUT
    assert manifest_path("/x/Split-train/") == "/x/Split-train.manifest.json"


def test_no_json():
    with pytest.raises(ValueError, match="manifest is not valid"):
        Manifest.from_json("{")


def test_the_digest_is_of_what_decides():
    plan = plans.make("ab", [0.5, 2.0])
    digest = rule_digest(plan)
    same = dataclasses.replace(plan.scheduled("linear:5"), predicted_records=7.0)
    assert rule_digest(same) == digest
    for other in (
        dataclasses.replace(plan, seed=1),
        dataclasses.replace(plan, max_factor=9.0),
        plans.make("ab", [0.5, 2.1]),
        dataclasses.replace(plan, key_features=("id",)),
        dataclasses.replace(plan, identity="bytes"),
        dataclasses.replace(plan, unknown_labels=1.0),
    ):
        assert rule_digest(other) != digest


@pytest.mark.parametrize("schedule", ["constant", "linear:7", "step:3"])
def test_what_has_copies_is_needed_and_little_else(schedule):
    rng = np.random.default_rng(3)
    # Of three factors by themselves, and many that share classes.
    own, shared = [0.0, 0.01, 0.05], rng.uniform(0.1, 0.2, 400)
    factors = draws.quantize(np.concatenate([np.repeat(own, 20_000), shared, [2.5]]))
    hashes = rng.integers(0, 2**64, len(factors), np.uint64)
    distinct, numbers = np.unique(factors, return_counts=True)
    classes = classes_lib.make(distinct, numbers * 10_000)
    cells = classes.cells(factors, hashes)
    columns = list(zip(*map(classes.describe, range(classes.num_cells))))
    names = ("classes", "lows", "highs", "first_uniforms", "last_uniforms")
    layout = Manifest(
        mode="stratify",
        rule="",
        identity="",
        counts={},
        names=tuple(map(str, range(classes.num_cells))),
        records=tuple(np.bincount(cells, minlength=classes.num_cells).tolist()),
        **dict(zip(names, columns)),
    )
    schedule = Schedule.parse(schedule)
    uniforms = (hashes >> np.uint64(32)).astype(np.float64) / 2**32
    for epoch in (0, 1, 2, 3, 8, 40, 1000):
        before, after = (
            draws.cumulative_factors(factors, schedule.cumulative(e), e)
            for e in (epoch, epoch + 1)
        )
        copies = draws.copies(uniforms, before, after)
        chosen = needed(layout, schedule, epoch)
        assert not copies[~chosen[cells]].any()
        if schedule.weight(epoch) == 1:
            # A window and one range more; the never needed are not read at all.
            for factor in own[1:]:
                mine = factors == draws.quantize(factor)
                assert chosen[cells][mine].mean() < 2 * factor
            assert not chosen[cells][factors == 0].any()
        else:
            assert chosen[cells].mean() > schedule.weight(epoch)
