"""Executes a compiled job without a cluster: what a backend does for each task.

From the job alone: the DAG, the parameters and their defaults, the containers' commands
with the placeholder `{{$}}`, the driver of example-gen, and the cache. Commands run as
processes in an environment that stands for the image.

There are two backends. Kubeflow's adds an output for the log, loses the types of
inputs, and knows no driver of example-gen; executor_inputs.json has what its own driver
made of the same pipeline. Vertex AI's is as TFX describes it.
"""

import concurrent.futures
import dataclasses
import itertools
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kfp.pipeline_spec import pipeline_spec_pb2

from tests import processes

# As many tasks at a time as there are cores where the tests are made for.
_PARALLEL = 2
_TIMEOUT_SECONDS = 300

# Output that Kubeflow's driver adds to each task.
LOGS = "executor-logs"

Artifact = dict[str, Any]  # A RuntimeArtifact as JSON.


@dataclasses.dataclass
class Task:
    """One task of a run, ready to be executed.

    Attributes:
      name: name of the task.
      executor_input: its ExecutorInput as JSON.
      container: its PipelineContainerSpec as JSON.
      directory: where its outputs go.
    """

    name: str
    executor_input: dict[str, Any]
    container: Mapping[str, Any]
    directory: str

    def command(self, part: Mapping[str, Any]) -> list[str]:
        """Returns command and arguments with the placeholder filled."""
        text = json.dumps(self.executor_input)
        arguments = [*part["command"], *part.get("args", [])]
        return [argument.replace("{{$}}", text) for argument in arguments]

    @property
    def log(self) -> str:
        path = os.path.join(self.directory, "log.txt")
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as file:
            return file.read()


@dataclasses.dataclass
class JobRun:
    """What a run made.

    Attributes:
      outputs: task -> output -> artifact.
      executed: tasks that ran; the others of `outputs` came from the cache.
      tasks: task -> as it was executed.
    """

    outputs: dict[str, dict[str, Artifact]]
    executed: list[str]
    tasks: dict[str, Task]

    def uri(self, task: str, output: str) -> str:
        return self.outputs[task][output]["uri"]


class Cluster:
    """Stands for a cluster: one environment, one storage, one cache.

    Guarantee: a task sees its ExecutorInput, the environment given and nothing else.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        root: str,
        vertex: bool = False,
        prefix: Sequence[str] = (),
        server: processes.ForkServer | None = None,
    ):
        """Makes a cluster.

        Args:
          environment: variables of the containers; PATH finds `python`.
          root: directory that stands for the bucket.
          vertex: whether tasks are started as Vertex AI does it, else as Kubeflow.
          prefix: command that runs a command in a container; empty: none, the
            environment alone stands for the image.
          server: forks `python -m` of the environment, which saves imports.
        """
        self._environment = dict(environment)
        self._root = root
        self._vertex = vertex
        self._prefix = list(prefix)
        self._server = server
        self._cache: dict[str, dict[str, Artifact]] = {}
        self._numbers = itertools.count(1)  # Runs may start in several threads.

    def run(
        self,
        job: Mapping[str, Any],
        parameters: Mapping[str, Any] | None = None,
        only: Callable[[str], bool] | None = None,
        given: Mapping[str, dict[str, Artifact]] | None = None,
    ) -> JobRun:
        """Executes the tasks of a job in the order of their dependencies.

        Args:
          job: a PipelineJob as JSON.
          parameters: values of runtime parameters, over their defaults.
          only: whether a task is to be executed; None: all are.
          given: outputs of tasks that are not to be executed.

        Raises:
          RuntimeError: a task failed; with the end of its log.
        """
        directory = os.path.join(self._root, f"run-{next(self._numbers)}")
        spec = job["pipelineSpec"]
        values = parameter_values(job, parameters or {})
        result = JobRun(dict(given or {}), [], {})
        waiting = {
            name: task
            for name, task in spec["root"]["dag"]["tasks"].items()
            if name not in result.outputs and (only is None or only(name))
        }
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
            running: dict[Any, str] = {}
            while waiting or running:
                for name in [
                    name
                    for name, task in waiting.items()
                    if all(d in result.outputs for d in task.get("dependentTasks", []))
                ]:
                    definition = waiting.pop(name)
                    task = make_task(
                        spec,
                        name,
                        definition,
                        values,
                        result.outputs,
                        directory,
                        vertex=self._vertex,
                    )
                    result.tasks[name] = task
                    running[pool.submit(self._execute_or_reuse, task)] = name
                done, _ = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in done:
                    name = running.pop(future)
                    result.outputs[name], executed = future.result()
                    if executed:
                        result.executed.append(name)
        return result

    def _execute_or_reuse(self, task: Task):
        changed = {}
        hook = task.container.get("lifecycle", {}).get("preCacheCheck")
        if hook and self._vertex:
            self.execute(task, hook)
            changed = _read(task.executor_input["outputs"]["outputFile"])
            for key, made in changed.get("artifacts", {}).items():
                (artifact,) = task.executor_input["outputs"]["artifacts"][key][
                    "artifacts"
                ]
                artifact["metadata"] = made["artifacts"][0].get("metadata", {})
        # What a backend goes by: the container and all inputs, and what the driver
        # made of them (the fingerprint of the files); no names, no output paths.
        inputs = json.loads(json.dumps(task.executor_input["inputs"]))
        for artifacts in inputs["artifacts"].values():
            for artifact in artifacts["artifacts"]:
                del artifact["name"]
        key = json.dumps(
            [task.container, inputs, changed.get("parameterValues")], sort_keys=True
        )
        if key in self._cache:
            return self._cache[key], False
        self.execute(task, task.container)
        self._cache[key] = outputs_of(task)
        return self._cache[key], True

    def execute(self, task: Task, part: Mapping[str, Any]) -> None:
        """Runs a command of a task to its end.

        Raises:
          RuntimeError: it failed; with the end of its log.
        """
        code = processes.exit_code(self.start(task, part), _TIMEOUT_SECONDS)
        if code != 0:
            raise RuntimeError(f"{task.name}: exit {code}\n{task.log[-4000:]}")

    def start(
        self, task: Task, part: Mapping[str, Any]
    ) -> subprocess.Popen | processes.Forked:
        """Starts a command of a task, as a container of its own is started."""
        if self._server:
            python, *arguments = task.command(part)
            assert python == "python"
            return self._server.start(
                *arguments,
                environment=self._environment,
                directory=task.directory,
                output=os.path.join(task.directory, "log.txt"),
            )
        with open(os.path.join(task.directory, "log.txt"), "ab") as log:
            return subprocess.Popen(
                [*self._prefix, *task.command(part)],
                env=self._environment,
                cwd=task.directory,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def parameter_values(
    job: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the value of each runtime parameter: as given, or its default."""
    definitions = job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    unknown = set(given) - set(definitions)
    assert not unknown, unknown
    return {
        name: given[name] if name in given else definition["defaultValue"]
        for name, definition in definitions.items()
    }


def make_task(
    spec: Mapping[str, Any],
    name: str,
    task: Mapping[str, Any],
    values: Mapping[str, Any],
    outputs: Mapping[str, Mapping[str, Artifact]],
    directory: str,
    vertex: bool = False,
) -> Task:
    """Makes a task of its definition, and the directories of its outputs.

    Nothing in a container makes those: in a bucket there are no directories.
    """
    component = spec["components"][task["componentRef"]["name"]]
    own = os.path.join(directory, name)
    artifacts = {}
    definitions = component.get("outputDefinitions", {}).get("artifacts", {})
    for key, definition in definitions.items():
        uri = os.path.join(own, key)
        os.makedirs(uri, exist_ok=True)
        artifact = {"name": f"{own}/{key}", "uri": uri}
        artifact["type"] = definition["artifactType"]
        artifacts[key] = {"artifacts": [artifact]}
    if not vertex:
        log = {"name": LOGS, "type": {"schemaTitle": "system.Artifact"}}
        log["uri"] = os.path.join(own, LOGS)
        artifacts[LOGS] = {"artifacts": [log]}
    inputs: dict[str, Any] = {"artifacts": {}}
    for key, source in task["inputs"].get("artifacts", {}).items():
        origin = source["taskOutputArtifact"]
        artifact = outputs[origin["producerTask"]][origin["outputArtifactKey"]]
        if not vertex:
            added = {
                "display_name": origin["outputArtifactKey"],
                "store_session_info": "{}",
            }
            artifact = {
                **artifact,
                "type": {"instanceSchema": ""},
                "metadata": {**artifact["metadata"], **added},
            }
        inputs["artifacts"][key] = {"artifacts": [artifact]}
    is_new = spec["schemaVersion"] >= "2.1.0"
    types = component.get("inputDefinitions", {}).get("parameters", {})
    parameters = {
        key: _value(source, values, types[key], is_new)
        for key, source in task["inputs"].get("parameters", {}).items()
    }
    inputs["parameterValues" if is_new else "parameters"] = parameters
    executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
    return Task(
        name=name,
        executor_input={
            "inputs": inputs,
            "outputs": {
                "artifacts": artifacts,
                "outputFile": os.path.join(own, "executor_output.json"),
            },
        },
        container=executor["container"],
        directory=own,
    )


def outputs_of(task: Task) -> dict[str, Artifact]:
    """Returns the artifacts of a task that has ended, as the next one gets them."""
    made = _read(task.executor_input["outputs"]["outputFile"]).get("artifacts", {})
    result = {}
    for key, planned in task.executor_input["outputs"]["artifacts"].items():
        if key == LOGS:
            continue  # Of the backend itself.
        (artifact,) = planned["artifacts"]
        (own,) = made[key]["artifacts"]
        # A container names URI and metadata; the type is the backend's.
        result[key] = {
            **artifact,
            "uri": own.get("uri", artifact["uri"]),
            "metadata": own.get("metadata", {}),
        }
    return result


def _value(
    source: Mapping[str, Any], values: Mapping[str, Any], kind: Mapping, is_new: bool
) -> Any:
    if "componentInputParameter" in source:
        value = values[source["componentInputParameter"]]
        if is_new:
            return value
        field = {"STRING": "stringValue", "INT": "intValue", "DOUBLE": "doubleValue"}
        return {field[kind["type"]]: value}
    constant = source["runtimeValue"]
    return constant["constant"] if is_new else constant["constantValue"]


def _read(path: str) -> dict[str, Any]:
    with open(path) as file:
        text = file.read()
    from google.protobuf import json_format

    # Read as the message that it is to be, not as any JSON.
    json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())
    return json.loads(text)
