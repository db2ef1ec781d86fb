"""Readers fed with bytes that reach more and more of their code."""

import importlib.util
import subprocess
import sys

import pytest

from tests.fuzz.fuzzing import MINUTES
from tests.fuzz.readers import READERS

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        importlib.util.find_spec("atheris") is None,
        reason="atheris is not installed: it has no package for this Python or machine",
    ),
]
# Without FUZZ_MINUTES, as few as show that they are fed.
_RUNS = 300


@pytest.mark.parametrize("name", READERS)
def test_readers(name, tmp_path):
    how = f"-max_total_time={MINUTES * 60:.0f}" if MINUTES else f"-runs={_RUNS}"
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(tmp_path), how]
    done = subprocess.run(
        [*command, "-seed=1"], capture_output=True, text=True, errors="replace"
    )
    failed = [path.read_bytes() for path in tmp_path.glob("failed-*")]
    assert done.returncode == 0, f"{failed}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    assert "DONE" in done.stderr
    # More than it was given has reached something.
    assert len(list(tmp_path.iterdir())) > len(READERS[name].wholes)
