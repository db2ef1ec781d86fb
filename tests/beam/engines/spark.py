"""A Spark cluster: a master, two workers with an executor each, Beam's job server.

Started by its classes, as what Beam's job server is made of: `pyspark`'s jars.
"""

import pathlib
import re
from collections.abc import Iterable

from tests.beam.engines.cluster import (
    JAVA_17,
    WORKERS,
    Cluster,
    environment,
    start_pool,
)
from tests.beam.engines.downloads import SparkJars
from tests.beam.engines.machines import Machine

# Of the first machine, beside those of a Flink cluster.
_FIRST = 11
# Of the job server, which is the driver.
_PROPERTIES = {
    # One on each machine: Python workers are named by numbers, as those of Flink are.
    "spark.executor.cores": 1,
    "spark.executor.memory": "700m",
    "spark.ui.enabled": "false",
    # A job begins when all executors are there.
    "spark.cores.max": WORKERS,
    "spark.scheduler.minRegisteredResourcesRatio": 1,
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    # The names of the files come from one machine, which else reads what it can get
    # hold of within seconds, and the others nothing.
    "spark.locality.wait": 0,
}

_JAVA_17 = (
    *JAVA_17,
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


class Spark(Cluster):
    """A running cluster: its head has the master, others a worker each."""

    def __init__(self, jars: SparkJars, directory: pathlib.Path):
        """Starts the cluster; `stop` ends all of it."""
        self._jars = jars
        super().__init__(directory, ("master",), _FIRST)

    def start(self) -> None:
        master = f"{self.head.address}:{self.ports['master']}"
        self._run(
            self.head,
            "master",
            "org.apache.spark.deploy.master.Master",
            *("--host", self.head.address, "--port", str(self.ports["master"])),
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
            start_pool(machine)
        self._start_job_server(f"spark://{master}")
        self.wait(self._has_workers, "Spark's workers")
        self.wait_for_job_server()

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
            *job_server_options(master, self.directory / "artifacts"),
            *self.job_server_options,
        ]
        self.head.start("job-server", command, self._variables(self.head))

    def _has_workers(self) -> bool:
        text = self.head.log("master").read_text(errors="replace")
        return len(re.findall("Registering worker", text)) == WORKERS

    def arguments(self) -> list[str]:
        """Returns Beam's arguments of a pipeline that runs here."""
        kind, config = environment()
        some_jar = min(self._jars.beam.iterdir())
        return [
            "--runner=PortableRunner",
            f"--job_endpoint={self.endpoint}",
            f"--environment_type={kind}",
            f"--environment_config={config}",
            "--environment_cache_millis=10000",
            # Executors have all jars already; without it all are sent to them.
            f"--files_to_stage={some_jar}",
        ]

    def logs(self, machine: Machine) -> Iterable[pathlib.Path]:
        """Returns the logs of its executors: Python workers write to them."""
        return (machine.directory / "work").glob("*/*/stderr")
