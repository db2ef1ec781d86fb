"""Python processes that tests start, and end."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

# Seconds until a process must have said or done what a test waits for.
_TIME_LIMIT = 120


def free_port() -> int:
    """Returns a port of this machine that nobody listens at."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@contextlib.contextmanager
def running(log, code: str, *arguments: str, **environment: str):
    """Runs Python code in a process that is killed in the end.

    Args:
      log: path of the file for its output.
      code: the program.
      *arguments: its `sys.argv[1:]`.
      **environment: variables beside those of this process.
    """
    with open(log, "w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(log, text: str, process: subprocess.Popen) -> None:
    """Waits until a process has written `text`; fails if it ends before."""
    end = time.monotonic() + _TIME_LIMIT
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def answer(output: str, word: str) -> Any:
    """Returns the JSON behind `word` in the one line of `output` that has it first."""
    (line,) = [x for x in output.splitlines() if x.startswith(f"{word} ")]
    return json.loads(line.removeprefix(word))


def wait_until_done(log, process: subprocess.Popen) -> str:
    """Waits for a process to end well, and returns its output."""
    try:
        code = process.wait(_TIME_LIMIT)
    except subprocess.TimeoutExpired:
        code = "none in time"
    assert code == 0, f"exit code {code}\n{log.read_text()}"
    return log.read_text()
