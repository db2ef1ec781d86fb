"""Why a machine cannot make a Debian 13: said in one line, which CI passes on."""

import os
import pathlib
import shutil
import subprocess

import pytest

from tests.environments import REPOSITORY

SCRIPT = os.path.join(REPOSITORY, "tools", "test_next.sh")
# A machine that can.
PROGRAMS = {
    **{"id": "echo 0", "unshare": "exit 0", "chroot": "exit 0", "wget": "exit 0"},
    **{"mknod": 'touch "$1"', "df": "echo Avail; echo 100", "debootstrap": "exit 0"},
}


def check(directory: pathlib.Path, **programs: str | None):
    """Checks a machine with PROGRAMS, but for some of them; None: it has none."""
    for name, line in {**PROGRAMS, **programs}.items():
        if line is not None:
            (directory / name).write_text(f"#!/bin/sh\n{line}\n")
            (directory / name).chmod(0o755)
    for name in ("bash", "sh", "dirname", "tail", "head", "mkdir", "rm", "touch"):
        (directory / name).symlink_to(shutil.which(name) or name)
    environment = {"PATH": str(directory), "NEXT_ROOT": str(directory / "root")}
    bash = str(shutil.which("bash"))
    return subprocess.run(
        [bash, SCRIPT, "--check"], env=environment, capture_output=True, text=True
    )


def test_a_machine_that_can(tmp_path):
    done = check(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "programs, reason",
    [
        ({"id": "echo 1000"}, "root is needed for a Debian 13 beside this system"),
        ({"unshare": None}, "no program unshare"),
        ({"unshare": "exit 1"}, "this system lets root make no namespaces and mounts"),
        ({"mknod": "exit 1"}, "no device files can be made in {0}"),
        ({"df": "echo Avail; echo 3"}, "less than 6 GB in {0}"),
        (
            {"wget": "exit 4", "apt-get": "echo http://mirror.test/debian/"},
            "no answer from http://mirror.test/debian",
        ),
        ({"debootstrap": None}, "debootstrap cannot be downloaded: {0}/root.log"),
    ],
)
def test_a_machine_that_cannot(tmp_path, programs, reason):
    done = check(tmp_path, **programs)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == reason.format(tmp_path) + "\n"


def test_what_is_made_already_needs_less(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "made").touch()
    done = check(tmp_path, debootstrap=None, wget=None, df="echo Avail; echo 0")
    assert (done.returncode, done.stdout) == (0, "")
