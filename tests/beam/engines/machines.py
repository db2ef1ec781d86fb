"""The machines of a cluster: namespaces of the kernel, each with a network of its own.

`python -m tests.beam.engines.machines COMMAND` runs a command where such machines can
be made: with processes and a network that nobody else sees, and that end with it.
Elsewhere all machines are this one.
"""

import contextlib
import functools
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

# Set where this process has a network of its own.
_PRIVATE = "ENGINES_PRIVATE_NETWORK"
_NAMESPACES = ("--net", "--pid", "--mount", "--uts")
_UNSHARE = ("unshare", *_NAMESPACES, "--fork", "--kill-child", "--mount-proc")
_SWITCH = "switch"
# Addresses that nobody else sees, by a machine's number.
_ADDRESS = "10.77.0.{}"
_SECONDS_TO_START = 10


def are_private() -> bool:
    """Returns whether machines have networks of their own."""
    return _PRIVATE in os.environ


@functools.cache
def missing() -> str:
    """Returns why there can be no machines but this one, "" if there can."""
    if os.geteuid():
        return "network namespaces need root"
    test = f"ip link set lo up && ip link add {_SWITCH} type bridge"
    try:
        done = subprocess.run(
            [*_UNSHARE, "sh", "-c", test], capture_output=True, text=True
        )
    except OSError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


class Machine:
    """A machine, and the processes on it."""

    def __init__(self, number: int, directory: pathlib.Path):
        """Starts the machine.

        Args:
          number: 0 is the one that this process is on.
          directory: for the logs of its processes.
        """
        self.name = f"worker-{number}" if number else "head"
        self.directory = directory / self.name
        self.directory.mkdir(parents=True, exist_ok=True)
        self.address = "127.0.0.1"
        self._enter: tuple[str, ...] = ()
        self._init: subprocess.Popen | None = None
        self._processes: dict[str, subprocess.Popen] = {}
        if are_private():
            self.address = _ADDRESS.format(1 + number)
            self._make_network() if number == 0 else self._make_namespaces(number)

    def _make_network(self) -> None:
        # Not in /sys, which may be that of another network.
        if _SWITCH not in (name for _, name in socket.if_nameindex()):
            _ip("link", "set", "lo", "up")
            _ip("link", "add", _SWITCH, "type", "bridge")
            _ip("addr", "add", f"{self.address}/24", "dev", _SWITCH)
            _ip("link", "set", _SWITCH, "up")

    def _make_namespaces(self, number: int) -> None:
        begin = f"hostname {self.name} && ip link set lo up && exec sleep infinity"
        self._init = subprocess.Popen([*_UNSHARE, "sh", "-c", begin])
        pid = _until(lambda: _descendants(self._init.pid), "a machine")[0]
        self._enter = ("nsenter", "--target", str(pid), *_NAMESPACES)
        # Until it has its name, it may not have its own network either.
        _until(lambda: self._ask("hostname") == self.name, "a machine")
        cable = f"cable-{number}"
        inside = ("type", "veth", "peer", "name", "eth0", "netns", str(pid))
        _ip("link", "add", cable, *inside)
        _ip("link", "set", cable, "master", _SWITCH, "up")
        self._ask("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self._ask("ip", "link", "set", "eth0", "up")

    def _ask(self, *command: str) -> str:
        done = subprocess.run(
            [*self._enter, *command], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Starts a process.

        Args:
          name: what it is called here, and its log.
          command: the program and its arguments.
          environment: variables beside those of this process.
        """
        with open(self.log(name), "ab") as log:
            self._processes[name] = subprocess.Popen(
                [*self._enter, *command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name: str) -> pathlib.Path:
        """Returns the path of what a process writes."""
        return self.directory / f"{name}.log"

    def check(self) -> None:
        """Fails with the log of a process that has ended."""
        for name, process in self._processes.items():
            code = process.poll()
            text = self.log(name).read_text(errors="replace")[-4000:]
            assert code is None, f"{name} on {self.name} has ended ({code}):\n{text}"

    def children(self, name: str, word: str) -> list[int]:
        """Returns the ids of processes below one of ours whose command has `word`."""
        return [
            pid
            for pid in _descendants(self._processes[name].pid)
            if word in _command(pid)
        ]

    def has(self, name: str) -> bool:
        """Returns whether a process of ours was started, and not killed since."""
        return name in self._processes

    def kill(self, name: str) -> None:
        """Kills a process of ours, and whatever it has started."""
        process = self._processes.pop(name)
        for pid in [*_descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Ends the machine and everything on it."""
        for name in list(self._processes):
            self.kill(name)
        if self._init:
            self._init.kill()
            self._init.wait()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _descendants(pid: int) -> list[int]:
    """Returns the ids of all processes that a process has started, parents first."""
    found = []
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # A thread or process that has ended.
            found += map(int, path.read_text().split())
    return [*found, *(below for child in found for below in _descendants(child))]


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def _until(condition, what: str):
    """Waits for a true value of a function, and returns it."""
    end = time.monotonic() + _SECONDS_TO_START
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} has not started"
        time.sleep(0.02)
    return value


def listens(address: str, port: int) -> bool:
    """Returns whether somebody listens at a port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((address, port)) == 0


def main() -> None:
    command = sys.argv[1:]
    if reason := missing():
        print(f"All machines of the cluster are this one: {reason}.", flush=True)
        os.execvp(command[0], command)
    os.environ[_PRIVATE] = "1"
    os.execvp("unshare", [*_UNSHARE, *command])


if __name__ == "__main__":
    main()
