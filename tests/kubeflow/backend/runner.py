"""Plays Argo: runs Kubeflow's own driver and launcher for each task of a pipeline.

These (`programs`) resolve inputs, decide about the cache and conditions, start the
container's command, publish its log, and write ML Metadata. Only what Argo and
Kubernetes do is done here: the order of the tasks, retries, the pods and their
variables. test_workflow.py checks that the compiled Workflow says the same.
"""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import uuid
from collections.abc import Mapping
from typing import Any

from ml_metadata.proto import metadata_store_pb2

from tests.kubeflow.backend import gcs, pods, programs, services

_PARALLEL = 2
_LAUNCHER = "/kfp-launcher/launch"  # Where the driver says that it is.
# The image's, which Kubernetes takes where the Workflow names none.
_USER, _HOME = 1000, "/home/tfx"
# Volumes of the Workflow's pods; test_workflow.py compares them.
VOLUMES = ("/gcs", "/s3", "/minio", "/.local", "/.cache", "/.config", "/kfp-launcher")
_OUTPUTS = ("execution-id", "iteration-count", "condition", "cached-decision")


def missing() -> str:
    """Returns what of the backend is missing on this machine, "" if nothing."""
    return programs.missing("driver", "launcher-v2") or gcs.missing() or pods.missing()


@dataclasses.dataclass
class Task:
    """One task of a run.

    Attributes:
      execution: its id in ML Metadata.
      state: "complete", "cached", "skipped" or "failed".
      executor_input: what the driver made for it; None if it was skipped or cached.
      log: of the last pod that ran it, that of the launcher and of the container.
    """

    execution: int
    state: str
    executor_input: dict[str, Any] | None = None
    log: str = ""


@dataclasses.dataclass
class Run:
    """What a run made.

    Attributes:
      id: of the run.
      tasks: name -> task, of all that were started.
      outputs: task -> output -> artifact, as ML Metadata has them.
      flags: of the driver, as the API server is configured.
    """

    id: str
    tasks: dict[str, Task]
    outputs: dict[str, dict[str, metadata_store_pb2.Artifact]]
    flags: list[str]

    def states(self, state: str) -> list[str]:
        """Returns the names of the tasks in a state, sorted."""
        return sorted(name for name, task in self.tasks.items() if task.state == state)

    def uri(self, task: str, output: str) -> str:
        return self.outputs[task][output].uri


class Backend:
    """One installation: a bucket, ML Metadata, a cache, and pods."""

    def __init__(
        self,
        folder: str,
        bucket: gcs.Bucket,
        variables: Mapping[str, str],
        directory: pathlib.Path,
    ):
        """Makes an installation.

        Args:
          folder: of Kubeflow's programs.
          bucket: the object store.
          variables: environment variables of the image.
          directory: for the pods.
        """
        self.bucket = bucket
        self.services = services.Services(
            bucket.address, bucket.certificate, bucket.key
        )
        self._folder = folder
        self._directory = directory
        self._image = dict(variables)
        self._numbers = 0

    def stop(self) -> None:
        self.services.stop()

    def run(
        self,
        job: Mapping[str, Any],
        parameters: Mapping[str, Any] | None = None,
        kill: Mapping[str, str] | None = None,
        publish_logs: bool = True,
    ) -> Run:
        """Runs a pipeline.

        Args:
          job: a PipelineJob as JSON.
          parameters: values of runtime parameters, over their defaults.
          kill: task -> name of an object; the first pod of the task is killed when an
            object of the run whose name ends so is in the bucket.
          publish_logs: as the API server is configured; it is on as it is shipped.
        """
        spec = job["pipelineSpec"]
        root = spec["root"]
        values = {
            name: definition["defaultValue"]
            for name, definition in root.get("inputDefinitions", {})
            .get("parameters", {})
            .items()
            if "defaultValue" in definition
        }
        config = {
            "gcsOutputDirectory": job["runtimeConfig"]["gcsOutputDirectory"],
            "parameterValues": {**values, **(parameters or {})},
        }
        flags = ["--publish_logs", str(publish_logs).lower()]
        run = Run(str(uuid.uuid4()), {}, {}, flags)
        driver = self._drive(
            run,
            spec,
            [
                *("--type", "ROOT_DAG", "--component", json.dumps(root)),
                *("--runtime_config", json.dumps(config)),
            ],
        )
        dag = int(driver["execution-id"])
        waiting = dict(root["dag"]["tasks"])
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
            running: dict[Any, str] = {}
            while True:
                for name, task in list(waiting.items()):
                    states = [
                        run.tasks[x].state if x in run.tasks else "waiting"
                        for x in task.get("dependentTasks", [])
                    ]
                    # Argo's `depends: a.Succeeded && b.Succeeded`.
                    if all(state in ("complete", "cached") for state in states):
                        del waiting[name]
                        future = pool.submit(
                            self._run,
                            run,
                            spec,
                            dag,
                            name,
                            task,
                            (kill or {}).get(name),
                        )
                        running[future] = name
                if not running:
                    break
                done, _ = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in done:
                    name = running.pop(future)
                    run.tasks[name] = future.result()
                    run.outputs[name] = self.artifacts(run.tasks[name].execution)
        return run

    def artifacts(
        self, execution: int, kind: Any = metadata_store_pb2.Event.OUTPUT
    ) -> dict[str, metadata_store_pb2.Artifact]:
        """Returns inputs or outputs of an execution by their names."""
        store = self.services.store
        names = {
            event.artifact_id: event.path.steps[0].key
            for event in store.get_events_by_execution_ids([execution])
            if event.type == kind
        }
        found = store.get_artifacts_by_id(list(names))
        return {names[artifact.id]: artifact for artifact in found}

    def _run(self, run, spec, dag, name, task, kill) -> Task:
        component = spec["components"][task["componentRef"]["name"]]
        executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
        common = ["--component", json.dumps(component), "--task", json.dumps(task)]
        if "importer" in executor:
            return self._import(run, spec, dag, name, task, component, executor)
        flags = [
            *("--type", "CONTAINER", *common, "--task_name", name),
            *("--container", json.dumps(executor["container"])),
            *("--dag_execution_id", str(dag)),
        ]
        driver = self._drive(run, spec, flags)
        execution = self._execution(dag, name)
        if driver["condition"] == "false":
            return Task(execution, "skipped")
        if driver["cached-decision"] == "true":
            return Task(execution, "cached")
        (container,) = driver["pod-spec-patch"]["containers"]
        result = Task(execution, "failed")
        command = [*container["command"], *container["args"]]
        text = command[command.index("--executor_input") + 1]
        result.executor_input = json.loads(text)
        retries = task.get("retryPolicy", {}).get("maxRetryCount", 0)
        for attempt in range(retries + 1):
            index = {"KFP_RETRY_INDEX": str(attempt)} if retries else {}
            pod, environment = self._pod(name, index)
            process = pod.start(
                [self._program(one, environment) for one in command], environment
            )
            if kill and not attempt:
                self._kill(process, run.id, kill)
            code = process.wait()
            result.log = pod.log
            pod.remove()
            if code == 0:
                result.state = "complete"
                break
        return result

    def _kill(self, process: subprocess.Popen, run: str, name: str) -> None:
        """Kills a pod as soon as the run has an object whose name ends so."""
        while process.poll() is None:
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                names = self.bucket.names()
                if any(one.endswith(name) and run in one for one in names):
                    os.killpg(process.pid, signal.SIGKILL)
                    return

    def _import(self, run, spec, dag, name, task, component, executor) -> Task:
        pod, environment = self._pod(name, {})
        flags = [
            *("--executor_type", "importer", "--task_spec", json.dumps(task)),
            *("--component_spec", json.dumps(component)),
            *("--importer_spec", json.dumps(executor["importer"])),
            *("--pipeline_name", spec["pipelineInfo"]["name"], "--run_id", run.id),
            *("--parent_dag_id", str(dag), "--pod_name", "pod", "--pod_uid", "uid"),
            *self.services.flags,
        ]
        process = pod.start(
            [self._program(one, environment) for one in [_LAUNCHER, *flags]],
            environment,
        )
        state = "failed" if process.wait() else "complete"
        result = Task(self._execution(dag, name), state, log=pod.log)
        pod.remove()
        return result

    def _drive(self, run: Run, spec, flags: list[str]) -> dict[str, Any]:
        """Runs the driver in a pod; returns what it has written for Argo."""
        pod, environment = self._pod("driver", {})
        outputs = {name: f"/outputs/{name}" for name in (*_OUTPUTS, "pod-spec-patch")}
        command = [
            *(os.path.join(self._folder, "driver"), *flags, *run.flags),
            *self.services.flags,
            *("--pipeline_name", spec["pipelineInfo"]["name"], "--run_id", run.id),
            *("--run_name", f"run-{run.id}", "--run_display_name", "run"),
            *("--http_proxy", "", "--https_proxy", "", "--no_proxy", ""),
        ]
        for name, path in outputs.items():
            command += [f"--{name.replace('-', '_')}_path", path]
        pod.run(command, environment)
        result = {
            name: pod.path(path).read_text() if pod.path(path).exists() else ""
            for name, path in outputs.items()
        }
        if patch := result["pod-spec-patch"]:
            result["pod-spec-patch"] = json.loads(patch)
        pod.remove()
        return result

    def _execution(self, dag: int, name: str) -> int:
        """Returns the id of a task's execution, the only one of that name in a run."""
        (found,) = [
            execution.id
            for execution in self.services.store.get_executions()
            if execution.custom_properties["parent_dag_id"].int_value == dag
            and execution.custom_properties["task_name"].string_value == name
        ]
        return found

    def _pod(self, name: str, variables: Mapping[str, str]):
        self._numbers += 1
        pod = pods.Pod(
            self._directory / f"{self._numbers}-{name}",
            {**self.bucket.files, **self.services.files},
            _USER,
            [*VOLUMES, _HOME, "/outputs"],
        )
        environment = gcs.environment(self.bucket, self._image)
        environment |= {**self.services.variables, "HOME": _HOME}
        environment |= {"KFP_POD_NAME": f"pod-{self._numbers}"}
        environment |= {"KFP_POD_UID": str(uuid.uuid4()), **variables}
        return pod, environment

    def _program(self, argument: str, environment: Mapping[str, str]) -> str:
        """Fills in what Kubernetes and the compiled Workflow do."""
        if argument == _LAUNCHER:
            return os.path.join(self._folder, "launcher-v2")
        for name in ("KFP_POD_NAME", "KFP_POD_UID"):
            argument = argument.replace(f"$({name})", environment[name])
        return argument
