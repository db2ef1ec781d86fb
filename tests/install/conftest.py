"""Environments with the wheel and nothing else than an extra's dependencies."""

import dataclasses
import os
import subprocess

import pytest

from tests import environments


@dataclasses.dataclass(frozen=True)
class Installed:
    """An environment in which commands run that cannot see the checkout.

    Attributes:
      python: its interpreter.
      home: the directory that commands run in.
    """

    python: str
    home: str

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess:
        """Runs one of the environment's commands."""
        folder = os.path.dirname(self.python)
        return subprocess.run(
            [os.path.join(folder, command), *arguments],
            cwd=self.home,
            env={"HOME": self.home, "PATH": folder, "TF_CPP_MIN_LOG_LEVEL": "2"},
            capture_output=True,
            text=True,
        )

    def done(self, command: str, *arguments: str) -> str:
        """Runs a command that must succeed; returns what it prints."""
        finished = self.run(command, *arguments)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def script(self, code: str) -> str:
        """Runs Python code that must succeed; returns what it prints."""
        return self.done("python", "-I", "-c", code)


# Those of constraints/, and at night the oldest that pyproject.toml allows.
_VERSIONS = ["pinned", pytest.param("lowest", marks=pytest.mark.nightly)]


@pytest.fixture(scope="session", params=_VERSIONS)
def base(request, tmp_path_factory, wheel) -> Installed:
    """The package without extras."""
    return _installed(tmp_path_factory.mktemp("base"), wheel, request.param)


@pytest.fixture(scope="session", params=_VERSIONS)
def tf(request, tmp_path_factory, wheel) -> Installed:
    """The package with the extra tf."""
    return _installed(tmp_path_factory.mktemp("tf"), wheel, request.param, "tf")


def _installed(root, wheel, versions, extra=None) -> Installed:
    folder = str(root / "venv")
    if versions == "lowest":
        python = environments.create_lowest(folder, wheel, extra)
    else:
        extras = f"[{extra}]" if extra else ""
        python = environments.create(folder, f"tfx-resampling{extras} @ file://{wheel}")
    (root / "home").mkdir()
    return Installed(python, str(root / "home"))
