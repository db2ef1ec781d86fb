"""A Flink cluster: a job manager, two task managers with Python workers, a job server.

Each task manager has a worker pool on its machine. Where all are on this one, each
starts its workers itself: they are named by numbers that start anew in each, so that
two that share a pool would end each other's.
"""

import json
import os
import pathlib
import re
import sys
import time
import urllib.request
from collections.abc import Collection
from typing import Any

from tests import processes
from tests.beam.engines import boot
from tests.beam.engines.downloads import Downloaded
from tests.beam.engines.machines import Machine, are_private, listens
from tests.environments import REPOSITORY

WORKERS = 2
# Two subtasks fit on one task manager, so that a job goes on without the other.
_SLOTS = 2
_POOL_PORT = 50_000
_SECONDS_TO_START = 90
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
# What Flink's own scripts would compute for a task manager.
_TASK_MANAGER = {
    # Else each step that waits for another takes 512 of 32 kB; Evaluator has many.
    "taskmanager.network.sort-shuffle.min-buffers": 64,
    "taskmanager.numberOfTaskSlots": _SLOTS,
    "taskmanager.cpu.cores": 1,
    "taskmanager.memory.task.heap.size": "256m",
    "taskmanager.memory.task.off-heap.size": "0",
    "taskmanager.memory.network.min": "256m",
    "taskmanager.memory.network.max": "256m",
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
}
# The job manager takes a task manager for gone after `heartbeat.timeout`.
RESTARTING = {
    "restart-strategy": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 5,
    "restart-strategy.fixed-delay.delay": "10 s",
}
_LOGGING = """
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
appender.out.name = out
appender.out.type = Console
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} %m%n
"""


# A worker's line about a file that it has read, or a part of one.
READ = r" (\S+)(?: from byte \d+ on)?: \d+ records read"
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


def job_server_command(jar: os.PathLike, master: str, artifacts: os.PathLike) -> list:
    """Returns the arguments of `java` that start the job server of a cluster."""
    return [
        *("-jar", str(jar)),
        f"--flink-master={master}",
        f"--artifacts-dir={artifacts}",
    ]


def beam_arguments(
    endpoint: str, workers: tuple[str, str], parallelism: int
) -> list[str]:
    """Returns Beam's arguments of a pipeline that runs on a cluster."""
    return [
        "--runner=PortableRunner",
        f"--job_endpoint={endpoint}",
        f"--environment_type={workers[0]}",
        f"--environment_config={workers[1]}",
        f"--parallelism={parallelism}",
        # Else each step starts a Python process of its own, which loads TensorFlow.
        "--environment_cache_millis=10000",
    ]


class Flink:
    """A running cluster.

    Attributes:
      head: the machine with the job manager and the job server.
      workers: those with a task manager and a worker pool each.
    """

    def __init__(self, downloaded: Downloaded, directory: pathlib.Path):
        """Starts the cluster; `stop` ends all of it."""
        self._downloaded = downloaded
        self._directory = directory
        self._ports = {
            name: processes.free_port() for name in ("rpc", "rest", "job", "artifact")
        }
        self.head = Machine(0, directory)
        self.workers: list[Machine] = []
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        for number in range(WORKERS):
            self.workers.append(Machine(number + 1, self._directory))
        self._start_job_manager()
        self._start_job_server()
        for number in range(WORKERS):
            self.start_task_manager(number)
            self.start_pool(number)
        self.wait_for_task_managers()
        self._wait(
            lambda: listens(self.head.address, self._ports["job"]), "the job server"
        )

    def _java(self, *arguments: str, heap: str) -> list[str]:
        return ["java", *JAVA_17, f"-Xmx{heap}", "-XX:+UseSerialGC", *arguments]

    def _run_flink(
        self, machine: Machine, name: str, main: str, heap: str, **options: Any
    ) -> None:
        """Starts a process of Flink, which has its configuration in a directory."""
        folder = machine.directory / name
        folder.mkdir(exist_ok=True)
        options = {
            "jobmanager.rpc.address": self.head.address,
            "jobmanager.rpc.port": self._ports["rpc"],
            "rest.address": self.head.address,
            "rest.bind-address": self.head.address,
            "rest.port": self._ports["rest"],
            "io.tmp.dirs": folder,
            "cluster.evenly-spread-out-slots": "true",
            # A machine that has gone is noticed within seconds.
            "heartbeat.interval": 2_000,
            "heartbeat.timeout": 20_000,
            **options,
        }
        text = "".join(f"{name}: {value}\n" for name, value in options.items())
        (folder / "flink-conf.yaml").write_text(text)
        logging = folder / "log4j.properties"
        logging.write_text(_LOGGING)
        command = self._java(
            f"-Dlog4j.configurationFile={logging}",
            *("-cp", f"{self._downloaded.libraries}/*", main),
            *("--configDir", str(folder)),
            heap=heap,
        )
        machine.start(name, command, {})

    def _start_job_manager(self, **options: Any) -> None:
        self._run_flink(
            self.head,
            "job-manager",
            "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
            "400m",
            **{"jobmanager.bind-host": "0.0.0.0", **options},
        )

    def restart_job_manager(self, **options: Any) -> None:
        """Starts the job manager anew, with more in its configuration."""
        self.head.kill("job-manager")
        self._start_job_manager(**options)
        self.wait_for_task_managers()

    def _start_job_server(self) -> None:
        command = self._java(
            *job_server_command(
                self._downloaded.job_server,
                f"{self.head.address}:{self._ports['rest']}",
                self._directory / "artifacts",
            ),
            *("--job-host", self.head.address),
            *("--job-port", str(self._ports["job"])),
            *("--artifact-port", str(self._ports["artifact"])),
            *("--expansion-port", "0"),
            heap="500m",
        )
        self.head.start("job-server", command, {})

    def start_task_manager(self, number: int) -> None:
        machine = self.workers[number]
        own = {"taskmanager.host": machine.address, "taskmanager.bind-host": "0.0.0.0"}
        self._run_flink(
            machine,
            "task-manager",
            "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
            "500m",
            **{**_TASK_MANAGER, **own, "taskmanager.resource-id": machine.name},
        )

    def start_pool(self, number: int) -> None:
        """Starts the worker pool of a machine that has a network of its own."""
        start_pool(self.workers[number])

    def python_workers(self, number: int) -> list[int]:
        """Returns the ids of the Python processes of a task manager."""
        parent = "pool" if are_private() else "task-manager"
        return self.workers[number].children(parent, "sdk_worker_main")

    def arguments(self, parallelism: int = WORKERS) -> list[str]:
        """Returns Beam's arguments of a pipeline that runs here."""
        endpoint = f"{self.head.address}:{self._ports['job']}"
        return beam_arguments(endpoint, environment(), parallelism)

    def ask(self, path: str) -> Any:
        """Returns the answer of the job manager's REST interface."""
        url = f"http://{self.head.address}:{self._ports['rest']}/{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)

    def task_managers(self) -> int:
        """Returns how many task managers the job manager knows."""
        try:
            return len(self.ask("taskmanagers")["taskmanagers"])
        except OSError:  # It does not listen yet.
            return 0

    def wait_for_task_managers(self, number: int = WORKERS) -> None:
        """Waits until the job manager knows so many of them."""
        self._wait(lambda: self.task_managers() == number, f"{number} task managers")

    def subtasks(self, name: str) -> dict[str, int]:
        """Returns what the steps of all jobs whose names have `name` read, by machine.

        Returns:
          machine -> number of elements.
        """
        found: dict[str, int] = {}
        for job in self.ask("jobs/overview")["jobs"]:
            path = f"jobs/{job['jid']}"
            for vertex in self.ask(path)["vertices"]:
                if name not in vertex["name"]:
                    continue
                for one in self.ask(f"{path}/vertices/{vertex['id']}")["subtasks"]:
                    read = one["metrics"]["read-records"]
                    found[one["host"]] = found.get(one["host"], 0) + read
        return found

    def files_read(self, names: Collection[str]) -> dict[str, set[str]]:
        """Returns which of some files was read by which machine, by the workers' logs.

        Workers log to their task managers.
        """
        found = {}
        for machine in self.workers:
            text = machine.log("task-manager").read_text(errors="replace")
            read = re.findall(READ, text)
            found[machine.name] = set(names) & set(read)
        return found

    def _wait(self, condition, what: str) -> None:
        end = time.monotonic() + _SECONDS_TO_START
        while not condition():
            for machine in (self.head, *self.workers):
                machine.check()
            assert time.monotonic() < end, f"{what} did not start"
            time.sleep(0.2)

    def stop(self) -> None:
        """Ends everything that was started."""
        for machine in (*self.workers, self.head):
            machine.stop()
