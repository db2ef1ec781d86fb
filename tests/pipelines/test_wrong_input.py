"""What is wrong with options and data is said in a line, before anything runs."""

import contextlib
import importlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest

from pipelines import run_local
from tests import conftest, disks
from tests.environments import REPOSITORY


def test_workers_by_the_size_of_the_data(tmp_path):
    two = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    assert run_local.beam_args(2, str(tmp_path)) == two
    assert run_local.beam_args(None, str(tmp_path)) == []
    with open(tmp_path / "large", "wb") as file:
        file.truncate(300 << 20)
    cores = os.cpu_count()
    expected = f"--direct_num_workers={cores}" if cores > 1 else None
    assert (run_local.beam_args(None, str(tmp_path)) or [None])[-1] == expected
    with pytest.raises(ValueError, match="--workers must be at least 1, got 0"):
        run_local.beam_args(0, str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "unform"], "target must be .* got 'unform'"),
        (["--chunk-size", "0"], "chunk_size must be .* got 0"),
        (
            ["--label-key", "lables"],
            "'lables' has no labels.*Valid: .*'labels'",
        ),
        (["--image-key", "png"], r"image feature 'png' is not a feature"),
        (["--data", "nowhere"], "DATA must be a directory .* got '.*nowhere'"),
    ],
)
def test_wrong_input_is_one_error_before_anything_runs(
    tmp_path, capfd, demo_data, arguments, message
):
    # TFX's notes on its first import: pytest's stderr is none that goes to the log.
    importlib.import_module("pipelines.results")
    capfd.readouterr()
    code = run_local.main(["--runs", str(tmp_path), "--data", demo_data, *arguments])
    output, errors = capfd.readouterr()
    assert code == 2
    assert re.search(f"^error: .*{message}", errors), errors
    assert "Traceback" not in errors
    assert os.listdir(tmp_path) == ["logs"]
    assert output == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image-size", "3"], "Option '--image-size' requires 2 arguments"),
        (["--train-steps", "many"], "Invalid value for '--train-steps': 'many' is"),
        (["--resample", "ofline"], "Invalid value for '--resample': 'ofline' is not"),
        (["--tragets", "sqrt"], r"No such option:? '?--tragets"),
    ],
)
def test_wrong_options_are_one_line(tmp_path, capfd, arguments, message):
    assert run_local.main(["--runs", str(tmp_path), *arguments]) == 2
    output, errors = capfd.readouterr()
    assert output == "" and len(errors.splitlines()) == 1
    assert re.match(f"error: {message}", errors), errors
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "module", ["pipelines.run_local", "pipelines.kfp.compile", "pipelines.kfp.submit"]
)
def test_help_needs_neither_tensorflow_nor_tfx(module):
    code = (
        "import importlib, sys\n"
        f"assert importlib.import_module({module!r}).main(['--help']) == 0\n"
        "slow = {'tensorflow', 'tfx', 'apache_beam', 'kfp', 'google.auth'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: python -m " + module in done.stdout


@pytest.mark.long
def test_a_corrupt_file_is_named(tmp_path, demo_data):
    shutil.copytree(demo_data, tmp_path / "data")
    broken = sorted((tmp_path / "data" / "eval").iterdir())[1]
    content = bytearray(broken.read_bytes())
    content[len(content) // 2] ^= 0xFF
    broken.write_bytes(content)
    arguments = ("--runs", str(tmp_path / "runs"), "--data", str(tmp_path / "data"))
    code, _, errors = conftest.run_local(*arguments)
    assert code == 2
    first = errors.splitlines()[0]
    assert re.search(rf"corrupt or truncated.* {broken}: record \d+ at byte", first)
    assert len(errors) < 1500 and "Traceback" not in errors


def test_a_locked_database_is_one_line(tmp_path, capfd, demo_data, monkeypatch):
    monkeypatch.setattr(run_local, "_LOCK_SECONDS", 0.1)
    path = str(tmp_path / "metadata.sqlite")
    other = sqlite3.connect(path, isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN EXCLUSIVE")
        code = run_local.main(["--runs", str(tmp_path), "--data", demo_data])
    assert code == 1
    _, errors = capfd.readouterr()
    assert re.search(
        f"^error: the database of ML Metadata, '{path}', cannot be written: database "
        "is locked. Is another run under way",
        errors,
        re.M,
    )


def test_a_read_only_disk_is_one_line(tmp_path, capfd):
    with disks.read_only(tmp_path / "disk") as disk:
        assert run_local.main(["--runs", str(disk / "runs")]) == 1
    error = f"error: Read-only file system: '{disk}/runs'\n"
    assert capfd.readouterr().err == error
