"""A Spark cluster: a master, two workers with an executor each, Beam's job server.

Started by its classes, as what Beam's job server is made of: `pyspark`'s jars.
"""

import pathlib
import re
import time
from collections.abc import Collection

from tests import processes
from tests.beam.engines import flink
from tests.beam.engines.downloads import SparkJars
from tests.beam.engines.machines import Machine, listens

_SECONDS_TO_START = 120
# Of the first machine, beside those of a Flink cluster.
_FIRST = 11
# Of the job server, which is the driver.
_PROPERTIES = {
    # One on each machine: Python workers are named by numbers, as those of Flink are.
    "spark.executor.cores": 1,
    "spark.executor.memory": "700m",
    "spark.ui.enabled": "false",
}

_JAVA_17 = (
    *flink.JAVA_17,
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            *("java.lang.invoke", "jdk.internal.ref", "sun.nio.cs"),
            *("sun.security.action", "sun.util.calendar"),
        )
    ),
)


def job_server_options(master: str, artifacts: pathlib.Path) -> list[str]:
    """Returns the arguments of the job server of a cluster."""
    return [f"--spark-master-url={master}", f"--artifacts-dir={artifacts}"]


class Spark:
    """A running cluster.

    Attributes:
      head: the machine with the master and the job server.
      workers: those with a worker and a pool of Python workers each.
    """

    def __init__(self, jars: SparkJars, directory: pathlib.Path):
        """Starts the cluster; `stop` ends all of it."""
        self._jars = jars
        self._directory = directory
        self._ports = {
            name: processes.free_port() for name in ("master", "job", "artifact")
        }
        self.head = Machine(0, directory)
        self.workers: list[Machine] = []
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        for number in range(flink.WORKERS):
            self.workers.append(Machine(number + _FIRST, self._directory))
        master = f"{self.head.address}:{self._ports['master']}"
        self._run(
            self.head,
            "master",
            "org.apache.spark.deploy.master.Master",
            *("--host", self.head.address, "--port", str(self._ports["master"])),
            *("--webui-port", "0"),
        )
        for machine in self.workers:
            self._run(
                machine,
                "worker",
                "org.apache.spark.deploy.worker.Worker",
                *("--host", machine.address, "--cores", "1", "--memory", "1g"),
                *("--work-dir", str(machine.directory / "work"), "--webui-port", "0"),
                f"spark://{master}",
            )
            flink.start_pool(machine)
        self._start_job_server(f"spark://{master}")
        self._wait_for_workers()

    def _run(self, machine: Machine, name: str, main: str, *arguments: str) -> None:
        jars = f"{self._jars.home}/jars/*"
        command = ["java", "-Xmx300m", "-cp", jars, main, *arguments]
        machine.start(name, command, self._variables(machine))

    def _variables(self, machine: Machine) -> dict[str, str]:
        return {
            # Read by every `java`, so by executors too.
            "JDK_JAVA_OPTIONS": " ".join(_JAVA_17),
            "SPARK_HOME": str(self._jars.home),
            # Else it is looked for in directories of a build.
            "SPARK_SCALA_VERSION": "2.12",
            "SPARK_LOCAL_DIRS": str(machine.directory / "local"),
            "SPARK_LOCAL_IP": machine.address,
        }

    def _start_job_server(self, master: str) -> None:
        properties = {
            **_PROPERTIES,
            "spark.driver.host": self.head.address,
            "spark.executor.extraClassPath": f"{self._jars.beam}/*",
        }
        command = [
            *("java", "-Xmx600m", *(f"-D{x}={y}" for x, y in properties.items())),
            # Spark's own jars first: it does not take newer ones of Jackson.
            *("-cp", f"{self._jars.home}/jars/*:{self._jars.beam}/*"),
            "org.apache.beam.runners.spark.SparkJobServerDriver",
            *job_server_options(master, self._directory / "artifacts"),
            *("--job-host", self.head.address),
            *("--job-port", str(self._ports["job"])),
            *("--artifact-port", str(self._ports["artifact"])),
            *("--expansion-port", "0"),
        ]
        self.head.start("job-server", command, self._variables(self.head))

    def _wait_for_workers(self) -> None:
        end = time.monotonic() + _SECONDS_TO_START
        while not self._is_ready():
            for machine in (self.head, *self.workers):
                machine.check()
            assert time.monotonic() < end, "Spark did not start"
            time.sleep(0.2)

    def _is_ready(self) -> bool:
        text = self.head.log("master").read_text(errors="replace")
        registered = len(re.findall("Registering worker", text))
        is_listening = listens(self.head.address, self._ports["job"])
        return registered == flink.WORKERS and is_listening

    def arguments(self) -> list[str]:
        """Returns Beam's arguments of a pipeline that runs here."""
        kind, config = flink.environment()
        some_jar = min(self._jars.beam.iterdir())
        return [
            "--runner=PortableRunner",
            f"--job_endpoint={self.head.address}:{self._ports['job']}",
            f"--environment_type={kind}",
            f"--environment_config={config}",
            "--environment_cache_millis=10000",
            # Executors have all jars already; without it all are sent to them.
            f"--files_to_stage={some_jar}",
        ]

    def files_read(self, names: Collection[str]) -> dict[str, set[str]]:
        """Returns which of some files was read on which machine, by executors' logs."""
        found = {}
        for machine in self.workers:
            logs = (machine.directory / "work").glob("*/*/stderr")
            text = "".join(log.read_text(errors="replace") for log in logs)
            read = re.findall(flink.READ, text)
            found[machine.name] = set(names) & set(read)
        return found

    def stop(self) -> None:
        """Ends everything that was started."""
        for machine in (*self.workers, self.head):
            machine.stop()
