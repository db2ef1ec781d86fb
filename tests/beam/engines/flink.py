"""A Flink cluster: a job manager, two task managers with Python workers, a job server.

Each task manager has a worker pool on its machine. Where all are on this one, each
starts its workers itself: they are named by numbers that start anew in each, so that
two that share a pool would end each other's.
"""

import json
import os
import pathlib
import urllib.request
from collections.abc import Iterable
from typing import Any

from tests.beam.engines.cluster import (
    JAVA_17,
    WORKERS,
    Cluster,
    environment,
    start_pool,
)
from tests.beam.engines.downloads import Downloaded
from tests.beam.engines.machines import Machine, are_private

# Two subtasks fit on one task manager, so that a job goes on without the other.
_SLOTS = 2
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


class Flink(Cluster):
    """A running cluster: its head has the job manager, others a task manager each."""

    def __init__(self, downloaded: Downloaded, directory: pathlib.Path):
        """Starts the cluster; `stop` ends all of it."""
        self._downloaded = downloaded
        super().__init__(directory, ("rpc", "rest"), first=1)

    def start(self) -> None:
        self._start_job_manager()
        self._start_job_server()
        for number in range(WORKERS):
            self.start_task_manager(number)
            start_pool(self.workers[number])
        self.wait_for_task_managers()
        self.wait_for_job_server()

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
            "jobmanager.rpc.port": self.ports["rpc"],
            "rest.address": self.head.address,
            "rest.bind-address": self.head.address,
            "rest.port": self.ports["rest"],
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
                f"{self.head.address}:{self.ports['rest']}",
                self.directory / "artifacts",
            ),
            *self.job_server_options,
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

    def python_workers(self, number: int) -> list[int]:
        """Returns the ids of the Python processes of a task manager."""
        parent = "pool" if are_private() else "task-manager"
        return self.workers[number].children(parent, "sdk_worker_main")

    def arguments(self, parallelism: int = WORKERS) -> list[str]:
        """Returns Beam's arguments of a pipeline that runs here."""
        return beam_arguments(self.endpoint, environment(), parallelism)

    def ask(self, path: str) -> Any:
        """Returns the answer of the job manager's REST interface."""
        url = f"http://{self.head.address}:{self.ports['rest']}/{path}"
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
        self.wait(lambda: self.task_managers() == number, f"{number} task managers")

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

    def logs(self, machine: Machine) -> Iterable[pathlib.Path]:
        """Returns the task manager's log: Python workers write to it."""
        return [machine.log("task-manager")]
