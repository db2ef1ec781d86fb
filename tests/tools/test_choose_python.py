"""What `make install` chooses: by glibc, by the Pythons that run, by hand."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.environments import REPOSITORY

SCRIPT = os.path.join(REPOSITORY, "tools", "choose_python.sh")
ALL = ("3.10", "3.11", "3.12", "3.13")
# The programs of every system that the script needs.
SYSTEM = ("sh", "sed", "sort", "head", "printf")


def choose(
    directory: pathlib.Path,
    glibc: str,
    pythons=(),
    shims=(),
    uv: bool = False,
    wanted: str = "",
) -> subprocess.CompletedProcess:
    """Chooses on a machine that has only these programs."""
    programs = {f"python{version}": "exit 0" for version in pythons}
    programs |= {f"python{version}": "exit 127" for version in shims}
    programs["getconf"] = f"echo glibc {glibc}"
    if uv:
        programs["uv"] = "exit 0"
    for name, line in programs.items():
        (directory / name).write_text(f"#!/bin/sh\n{line}\n")
        (directory / name).chmod(0o755)
    for name in SYSTEM:
        (directory / name).symlink_to(shutil.which(name) or name)
    return subprocess.run(
        [SCRIPT, wanted], env={"PATH": str(directory)}, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    "glibc, pythons, tfx, version",
    [
        ("2.36", ALL, "1.16", "3.10"),
        ("2.38", ALL, "1.16", "3.10"),
        ("2.4", ALL, "1.16", "3.10"),
        ("2.39", ALL, "1.21", "3.13"),
        ("2.41", ("3.11", "3.12"), "1.21", "3.12"),
        ("2.41", ("3.10", "3.11"), "1.21", "3.11"),
        ("2.41", ("3.10",), "1.16", "3.10"),
        ("3.0", ALL, "1.21", "3.13"),
    ],
)
def test_the_newest_that_runs_here(tmp_path, glibc, pythons, tfx, version):
    done = choose(tmp_path, glibc, pythons)
    assert done.stdout == f"python{version} -m venv\n"
    assert done.stderr == f"TFX {tfx} with Python {version} (glibc {glibc})\n"


def test_a_shim_is_no_python(tmp_path):
    done = choose(tmp_path, "2.41", ("3.11",), shims=("3.12", "3.13"))
    assert done.stdout == "python3.11 -m venv\n"


def test_by_hand(tmp_path):
    done = choose(tmp_path, "2.41", ALL, wanted="1.16")
    assert done.stdout == "python3.10 -m venv\n"
    assert done.stderr == "TFX 1.16 with Python 3.10 (glibc 2.41, TFX=1.16)\n"


@pytest.mark.parametrize("glibc, version", [("2.36", "3.10"), ("2.41", "3.13")])
def test_uv_fetches_what_is_not_there(tmp_path, glibc, version):
    done = choose(tmp_path, glibc, uv=True)
    assert done.stdout == f"uv venv --quiet --seed --python {version}\n"


@pytest.mark.parametrize(
    "glibc, pythons, wanted, message",
    [
        ("2.36", ALL, "1.21", "TFX must be 1.16 with glibc 2.36, got 1.21"),
        ("2.41", ALL, "1.17", "TFX must be 1.16 or 1.21, got '1.17'."),
        ("2.36", ("3.13",), "", "no Python of 3.10 runs here"),
        ("2.41", ("3.10",), "1.21", "no Python of 3.13 3.12 3.11 runs here"),
    ],
)
def test_one_line_if_nothing_fits(tmp_path, glibc, pythons, wanted, message):
    done = choose(tmp_path, glibc, pythons, wanted=wanted)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_a_python_must_be_of_its_version(tmp_path):
    """The one that runs the tests, under a name that is not its own."""
    name = tmp_path / f"python3.{13 if sys.version_info[1] != 13 else 12}"
    name.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    name.chmod(0o755)
    done = choose(tmp_path, "2.41", ("3.11",))
    assert done.stdout == "python3.11 -m venv\n"
