"""Outputs that cannot be written: one line that names them, and nothing is left."""

import os
import re

import pytest
from tfx_resampling.cli import main

from tests import disks, plans, tfrecords

LABELS = ["a"] * 9 + ["b"] * 3


@pytest.fixture
def run(tmp_path, capfd, monkeypatch):
    """Returns a function of what is written where, which returns the error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.json").write_text(plans.make("ab", [1.0, 0.5]).to_json())
    tfrecords.write(tmp_path / "records", tfrecords.labeled(LABELS))
    commands = {
        "show": ["show", "plan.json", "--html"],
        "plan": ["plan", "--label-key", "label", "--examples", "records", "--output"],
        "apply": ["apply", "plan.json", "--examples", "records", "--output"],
    }

    def written(command: str, path) -> str:
        assert main.main([*commands[command], str(path)]) == 2
        output, errors = capfd.readouterr()
        assert output == ""
        return errors.splitlines()[-1]

    return written


LONG = ["show", *(pytest.param(x, marks=pytest.mark.long) for x in ("plan", "apply"))]


@pytest.mark.parametrize("command", LONG)
def test_a_read_only_disk(run, tmp_path, command):
    with disks.read_only(tmp_path / "disk") as disk:
        error = run(command, disk / "out")
        assert re.search("Read-only file system", error) and f"{disk}/out" in error
        assert os.listdir(disk) == []


@pytest.mark.parametrize("command", LONG[:2])
def test_a_full_disk(run, tmp_path, command):
    with disks.full(tmp_path / "disk") as disk:
        assert run(command, disk / "out") == (
            f"error: No space left on device: '{disk}/out'"
        )
        assert os.listdir(disk) == ["given"]
