"""Python environments with the wheel in them, as users install it."""

import contextlib
import glob
import os
import shutil
import subprocess
import sys
import sysconfig

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(__file__))
# The pinned versions for the Python that the tests run on.
PINS = os.path.join(
    REPOSITORY, "constraints", "python{}.{}.txt".format(*sys.version_info)
)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> str:
    """The wheel, built from a copy: `build/` in the checkout may hold deleted files."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(os.path.join(REPOSITORY, name), source)
    shutil.copytree(
        os.path.join(REPOSITORY, "components"),
        source / "components",
        ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"),
    )
    _run(
        *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"),
        *("--quiet", "--wheel-dir", str(source / "dist"), str(source)),
    )
    (path,) = glob.glob(str(source / "dist" / "*.whl"))
    return path


def create(directory: str, *requirements: str) -> str:
    """Makes an environment with the pinned versions of requirements.

    Returns:
      The path of its interpreter.
    """
    python = os.path.join(directory, "bin", "python")
    uv = (sys.executable, "-m", "uv")
    _run(*uv, "venv", "--quiet", "--python", sys.executable, directory)
    _run(
        *(*uv, "pip", "install", "--quiet", "--python", python),
        *("--constraint", PINS),
        *requirements,
    )
    _share_bytecode(os.path.dirname(os.path.dirname(python)))
    return python


def create_lowest(directory: str, wheel: str, extra: str | None = None) -> str:
    """Makes an environment with the oldest versions that pyproject.toml allows.

    Of what it names itself; and with pytest, and Pillow with which tests make images.

    Returns:
      The path of its interpreter.
    """
    python = os.path.join(directory, "bin", "python")
    uv = (sys.executable, "-m", "uv")
    install = (*uv, "pip", "install", "--quiet", "--python", python)
    _run(*uv, "venv", "--quiet", "--python", sys.executable, directory)
    _run(
        *(*install, "--resolution", "lowest-direct", "--only-binary", ":all:"),
        *("--requirement", os.path.join(REPOSITORY, "pyproject.toml")),
        *(("--extra", extra) if extra else ()),
    )
    _run(*install, "--no-deps", wheel)
    _run(*install, "--constraint", PINS, "pytest", "pytest-xdist", "pillow")
    return python


def _share_bytecode(environment: str) -> None:
    """Links the bytecode of this environment into another, where it has none yet.

    To compile TensorFlow and TFX takes 15 s. Python itself sees whether bytecode is of
    the source beside it: where uv copies and does not link, it is written again.
    """
    relative = sysconfig.get_path("purelib", vars={"base": "", "platbase": ""})
    ours = sysconfig.get_path("purelib")
    theirs = os.path.join(environment, relative.lstrip(os.sep))
    for folder, _, names in os.walk(ours):
        target = os.path.join(theirs, os.path.relpath(folder, ours))
        is_package = os.path.isdir(os.path.dirname(target))
        if os.path.basename(folder) != "__pycache__" or not is_package:
            continue
        os.makedirs(target, exist_ok=True)
        for name in names:
            with contextlib.suppress(OSError):  # There already, or on another disk.
                os.link(os.path.join(folder, name), os.path.join(target, name))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
