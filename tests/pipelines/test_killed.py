"""The whole local pipeline, killed in each of its components and run again."""

import pytest

from tests import processes

pytestmark = pytest.mark.nightly
TRIES = 20


def test_runs_that_are_killed_and_run_again_are_as_undisturbed(tmp_path, demo_data):
    ran = processes.fork_server().run(
        *("-m", "tests.pipelines.killed_runs", str(tmp_path), demo_data),
        *(str(TRIES), "7"),
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = processes.answer(ran.stdout, "killed")
    # Some bytes of a model differ from run to run: what training saw does not.
    compared = found["compared"]
    assert "plan.json" in compared["ResamplePlanner/resample_plan"]
    assert len(compared["Resampler/examples"]) > 2
    assert "realised_labels.json" in compared["Trainer/model"]
    tries = found["tries"]
    assert len(tries) == TRIES
    assert {one["moment"][0] for one in tries if one["was_killed"]} >= {
        *found["components"]
    }
    for one in tries:
        # What ML Metadata calls live is whole, right after the kill and in the end.
        assert one["incomplete"] == [], one
        assert one["again"] == 0 and one["missing"] == [], one
