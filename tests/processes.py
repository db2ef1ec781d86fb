"""Python processes that tests start, and end."""

import atexit
import contextlib
import functools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

# Seconds until a process must have said or done what a test waits for.
_TIME_LIMIT = 120
_REPOSITORY = os.path.dirname(os.path.dirname(__file__))
# What takes long to import. None of it is ours: our own modules are imported by each
# process that needs them, as without a server.
_PRELOADED = (
    *("tensorflow", "keras", "apache_beam", "tfx.v1"),
    *("tensorflow_model_analysis", "tensorflow_transform"),
)


class Forked:
    """A process forked by a server; it has the methods of `subprocess.Popen`."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self.pid = int(connection.recv(64))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Returns the exit code, or None while the process runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code; raises TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = int(self._connection.recv(64))
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired("fork", timeout or 0) from None
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class ForkServer:
    """Starts Python processes that need not import TensorFlow and TFX again."""

    def __init__(self, python: str, environment: Mapping[str, str]):
        """Starts the server, which ends with this process at the latest.

        Args:
          python: the interpreter.
          environment: all variables of the server.
        """
        folder = tempfile.mkdtemp(prefix="fork-server-")
        self._path = os.path.join(folder, "socket")
        self._log = pathlib.Path(folder, "log.txt")
        code = pathlib.Path(__file__).with_name("fork_server.py").read_text()
        self._process = subprocess.Popen(
            [python, "-c", code, self._path, *_PRELOADED],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE,
            stderr=self._log.open("w"),
            start_new_session=True,
        )
        atexit.register(self.stop)

    def start(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        directory: str,
        output: str,
        errors: str | None = None,
    ) -> Forked:
        """Starts what `python *arguments` would start.

        Args:
          *arguments: -m MODULE ... or -c CODE ...
          environment: all its variables.
          directory: its working directory.
          output: path of the file that its output is appended to.
          errors: the same of its standard error; None: `output`.
        """
        request = {
            "arguments": arguments,
            "environment": dict(environment),
            "directory": directory,
            "output": output,
            "errors": errors or output,
        }
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        deadline = time.monotonic() + _TIME_LIMIT
        while connection.connect_ex(self._path):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.01)
        connection.send(json.dumps(request).encode())
        return Forked(connection)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """Runs to its end what `python *arguments` would start, in the repository."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("output", "errors")]
            process = self.start(
                *arguments,
                environment=os.environ,
                directory=_REPOSITORY,
                output=paths[0],
                errors=paths[1],
            )
            code = process.wait()
            texts = [pathlib.Path(path).read_text() for path in paths]
        return subprocess.CompletedProcess(arguments, code, *texts)

    def stop(self) -> None:
        """Ends the server, but not the processes that it has started."""
        self._process.communicate()
        atexit.unregister(self.stop)


@functools.cache
def fork_server() -> ForkServer:
    """Returns the server of this environment."""
    # As the command line sets it; TensorFlow looks at it once, when it is imported.
    return ForkServer(sys.executable, {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})


def exit_code(process: subprocess.Popen | Forked, seconds: float) -> int | str:
    """Returns the exit code; after `seconds` ends the session and says so instead."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"no end after {seconds} s"


def free_port() -> int:
    """Returns a port of this machine that nobody listens at."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@contextlib.contextmanager
def running(log, code: str, *arguments: str, **environment: str):
    """Runs Python code in a process of the fork server that is killed in the end.

    Args:
      log: path of the file for its output.
      code: the program.
      *arguments: its `sys.argv[1:]`.
      **environment: variables beside those of this process.
    """
    process = fork_server().start(
        *("-c", code, *arguments),
        environment={**os.environ, **environment},
        directory=os.getcwd(),
        output=str(log),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(log, text: str, process: Forked) -> None:
    """Waits until a process has written `text`; fails if it ends before."""
    end = time.monotonic() + _TIME_LIMIT
    while not log.exists() or text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def answer(output: str, word: str) -> Any:
    """Returns the JSON behind `word` in the one line of `output` that has it first."""
    (line,) = [x for x in output.splitlines() if x.startswith(f"{word} ")]
    return json.loads(line.removeprefix(word))


def wait_until_done(log, process: Forked) -> str:
    """Waits for a process to end well, and returns its output."""
    try:
        code = process.wait(_TIME_LIMIT)
    except subprocess.TimeoutExpired:
        code = "none in time"
    assert code == 0, f"exit code {code}\n{log.read_text()}"
    return log.read_text()
