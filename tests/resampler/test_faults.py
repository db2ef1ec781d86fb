"""Killed at any moment, or without room: nothing half-written is taken for whole."""

import os

import numpy as np
import pytest
from apache_beam.pipeline import Pipeline
from tfx_resampling import artifacts
from tfx_resampling.beam import ResampleOptions
from tfx_resampling.beam.write import write_resampled

from tests import disks, plans, processes, tfrecords
from tests.resampler import killed_pipelines

PLAN = plans.make("ab", [0.6, 3.0], seed=1)


@pytest.mark.nightly
def test_pipelines_that_are_killed_and_run_again(tmp_path):
    num_tries = 20
    examples = tmp_path / "examples"
    for split, count in (("train", 4_000), ("eval", 40)):
        (examples / f"Split-{split}").mkdir(parents=True)
        records = tfrecords.labeled(["aaab"[i % 4] for i in range(count)])
        tfrecords.spread(examples / f"Split-{split}", records, 4, "GZIP")
    artifacts.write_plan(PLAN, str(tmp_path / "plan"))
    ran = processes.fork_server().run(
        *("-m", killed_pipelines.__name__),
        *(str(tmp_path / "runs"), str(examples), str(tmp_path / "plan")),
        *(str(num_tries), "7"),
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    tries = processes.answer(ran.stdout, "tries")
    assert len(tries) == num_tries
    # Some may have ended before; a few were killed behind the last write.
    assert sum(one["was_killed"] for one in tries) > num_tries / 2, tries
    for one in tries:
        assert all(one["after_kill"]), one
        assert one["again"] == 0, one
        assert one["in_the_end"] == [True] * len(one["in_the_end"]) != [], one
    assert any(one["kills_worker"] and one["was_killed"] for one in tries), tries


@pytest.mark.long
# Room for less than the runs, and for the runs but not for the shards.
@pytest.mark.parametrize(
    "size, mode",
    [
        ("1m", "stratify"),
        ("5m", "materialize"),
        pytest.param("1m", "materialize", marks=pytest.mark.nightly),
        pytest.param("5m", "stratify", marks=pytest.mark.nightly),
    ],
)
def test_a_full_disk(tmp_path, mode, size):
    rng = np.random.default_rng(3)
    records = [
        tfrecords.example({"image/id": i, "label": b"a", "x": rng.bytes(4_000)})
        for i in range(1_000)
    ]
    files = tfrecords.spread(tmp_path, records, 2)
    with disks.mounted(tmp_path / "disk", f"size={size}") as disk:
        with pytest.raises(OSError, match="No space left on device.* while writing"):
            write_resampled(
                {str(disk / "out"): files},
                plans.make("a", [1.0]),
                ResampleOptions(mode=mode),
                Pipeline,
            )
        assert os.listdir(disk) == []
