"""What clusters of both engines have: machines, worker pools, a job server."""

import json
import os
import pathlib
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable

from tests import processes
from tests.beam.engines import boot
from tests.beam.engines.machines import Machine, are_private, listens
from tests.environments import REPOSITORY

WORKERS = 2
_POOL_PORT = 50_000
_SECONDS_TO_START = 120
# From the configuration of Flink 1.18, the first that knows Java 17.
JAVA_17 = (
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            *("java.lang", "java.lang.reflect", "java.net", "java.io", "java.nio"),
            *("sun.nio.ch", "java.text", "java.time", "java.util"),
            *("java.util.concurrent", "java.util.concurrent.atomic"),
            "java.util.concurrent.locks",
        )
    ),
)
# A worker's line about a file that it has read, or a part of one.
_READ = r" (\S+)(?: from byte \d+ on)?: \d+ records read"
# Kind and place of a task manager's Python workers.
POOL = "EXTERNAL", f"localhost:{_POOL_PORT}"


def pool_command(program: str) -> list[str]:
    """Returns the arguments of `python` that start a worker pool."""
    return [
        *("-m", "apache_beam.runners.worker.worker_pool_main"),
        f"--service_port={_POOL_PORT}",
        f"--container_executable={program}",
    ]


def python_variables() -> dict[str, str]:
    """Returns variables for Python workers, which are started by `python`."""
    paths = [REPOSITORY, os.path.join(REPOSITORY, "components")]
    programs = [os.path.dirname(sys.executable), os.environ["PATH"]]
    return {
        "PATH": os.pathsep.join(programs),
        "PYTHONPATH": os.pathsep.join(paths),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def start_pool(machine: Machine) -> None:
    """Starts the worker pool of a machine, if it has a network of its own."""
    if are_private():
        command = [sys.executable, *pool_command(boot.__file__)]
        machine.start("pool", command, python_variables())


def environment() -> tuple[str, str]:
    """Returns kind and place of Python workers: in pools, or started where needed."""
    if are_private():
        return POOL
    program = {"command": boot.__file__, "env": python_variables()}
    return "PROCESS", json.dumps(program)


class Cluster:
    """A running cluster.

    Attributes:
      directory: for the logs and files of all machines.
      ports: numbers of free ports, by what listens there.
      head: the machine with the job server, and with what hands out work.
      workers: those with a worker pool each, and what works.
    """

    def __init__(self, directory: pathlib.Path, ports: Iterable[str], first: int):
        """Starts the cluster; `stop` ends all of it.

        Args:
          directory: as the attribute.
          ports: what listens at a port of the head, beside the job server.
          first: number of the first of the machines that work.
        """
        self.directory = directory
        names = (*ports, "job", "artifact")
        self.ports = {name: processes.free_port() for name in names}
        self.head = Machine(0, directory)
        self.workers: list[Machine] = []
        try:
            for number in range(WORKERS):
                self.workers.append(Machine(first + number, directory))
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Starts all processes, and waits until the cluster can be used."""
        raise NotImplementedError

    @property
    def job_server_options(self) -> list[str]:
        """Arguments of Beam's job server, whatever the engine."""
        return [
            *("--job-host", self.head.address),
            *("--job-port", str(self.ports["job"])),
            *("--artifact-port", str(self.ports["artifact"])),
            *("--expansion-port", "0"),
        ]

    @property
    def endpoint(self) -> str:
        """Address of the job server."""
        return f"{self.head.address}:{self.ports['job']}"

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Waits until something is there, and fails if a process has ended."""
        end = time.monotonic() + _SECONDS_TO_START
        while not condition():
            for machine in (self.head, *self.workers):
                machine.check()
            assert time.monotonic() < end, f"{what} did not start"
            time.sleep(0.2)

    def wait_for_job_server(self) -> None:
        self.wait(
            lambda: listens(self.head.address, self.ports["job"]), "the job server"
        )

    def logs(self, machine: Machine) -> Iterable[pathlib.Path]:
        """Returns the logs with what a machine's Python workers write."""
        raise NotImplementedError

    def files_read(self, names: Collection[str]) -> dict[str, set[str]]:
        """Returns which of some files each machine has read, by its workers' logs."""
        found = {}
        for machine in self.workers:
            text = "".join(p.read_text(errors="replace") for p in self.logs(machine))
            found[machine.name] = set(names) & set(re.findall(_READ, text))
        return found

    def stop(self) -> None:
        """Ends everything that was started."""
        for machine in (*self.workers, self.head):
            machine.stop()
