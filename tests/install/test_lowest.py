"""The oldest versions of each dependency that pyproject.toml allows are enough."""

import importlib.metadata
import json
import subprocess

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.environments import REPOSITORY

pytestmark = pytest.mark.nightly

# Without conftest.py, which needs TensorFlow, and what needs other extras.
OF_BASE = (
    *("--noconftest", "-p", "tests.tiers", "tests/core", "tests/fitting"),
    *("tests/report/test_page.py", "tests/report/test_scales.py"),
    *("tests/report/test_text.py", "tests/test_options.py"),
    *("tests/calibration/test_prior.py",),
)
OF_TF = (
    *("tests/calibration", "tests/decision", "tests/golden", "tests/images"),
    *("tests/monitoring", "tests/records", "tests/scan", "tests/stream"),
    "tests/tables",
)

VERSIONS = """
import importlib.metadata as metadata, json
print(json.dumps({d.name.lower(): d.version for d in metadata.distributions()}))
"""


def bounds(extra: str) -> dict[str, Version]:
    """Returns the oldest version of each requirement of the base and an extra."""
    found = {}
    for text in importlib.metadata.requires("tfx-resampling") or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": extra}):
            (oldest,) = [s for s in requirement.specifier if s.operator == ">="]
            found[requirement.name] = Version(oldest.version)
    return found


def run_tests(python: str, home: str, *arguments: str) -> None:
    """Runs fast tests in an environment, on the package that is installed there."""
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tier", "fast"]
        + list(arguments),
        cwd=REPOSITORY,
        env={"HOME": home, "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


@pytest.mark.parametrize("base", ["lowest"], indirect=True)
def test_the_base(base):
    installed = json.loads(base.script(VERSIONS))
    oldest = bounds("")
    assert {name: Version(installed[name]) for name in oldest} == oldest
    run_tests(base.python, base.home, *OF_BASE)


@pytest.mark.parametrize("tf", ["lowest"], indirect=True)
def test_the_extra_tf(tf):
    installed = json.loads(tf.script(VERSIONS))
    oldest = bounds("tf")
    del oldest["numpy"]  # TensorFlow needs a later one than the base.
    assert {name: Version(installed[name]) for name in oldest} == oldest
    run_tests(tf.python, tf.home, *OF_TF)
