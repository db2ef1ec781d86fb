"""Compiles the pipeline for Kubeflow Pipelines v2 and Vertex AI, without either."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import yaml
from tfx import v1 as tfx
from tfx_resampling.kubeflow import KUBEFLOW_COMMAND
from tfx_resampling.trainer.executor import check_train_steps
from tfx_resampling.validate import check_names

from pipelines import pipeline
from pipelines.kfp import vertex
from pipelines.kfp.parameters import PARAMETERS, PLANNER
from pipelines.kfp.tasks import TaskOptions

# Of the pipeline spec, as TFX writes them.
VERSIONS = ("2.1", "2.0")


@dataclasses.dataclass(frozen=True)
class CompiledPipeline:
    """A pipeline as Kubeflow Pipelines v2 and Vertex AI read it.

    Attributes:
      job: a PipelineJob as JSON; "pipelineSpec" of it is the PipelineSpec.
      platform: a PlatformSpec as JSON, what Kubernetes alone understands; may be empty.
      wheel: the packed Trainer module, which must be copied to `wheel_uri` before a
        run; None without one, or where it is there already.
      wheel_uri: where the Trainer expects the wheel.
    """

    job: dict[str, Any]
    platform: dict[str, Any]
    wheel: str | None = None
    wheel_uri: str | None = None

    def write(self, path: str) -> None:
        """Writes a PipelineSpec (.yaml, .yml) or a PipelineJob (.json).

        `kfp.Client` reads YAML only, Vertex AI both.

        Raises:
          ValueError: another ending, what the format cannot hold, or, in JSON, what
            Vertex AI refuses.
        """
        spec = self.job["pipelineSpec"]
        if path.endswith((".yaml", ".yml")):
            documents = [spec] + ([self.platform] if self.platform else [])
            text = _comment(spec) + yaml.safe_dump_all(documents, sort_keys=True)
        elif path.endswith(".json"):
            if self.platform:
                raise ValueError(
                    "output must be a .yaml file where tasks have node_selector or "
                    f"tolerations, got {path!r}. Vertex AI has neither."
                )
            vertex.check(spec, self.job["runtimeConfig"]["gcsOutputDirectory"])
            text = json.dumps(self.job, indent=1, sort_keys=True)
        else:
            raise ValueError(f"output must end in .yaml, .yml or .json, got {path!r}.")
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)


def compile_pipeline(
    options: pipeline.PipelineOptions,
    image: str,
    values: Mapping[str, Any],
    tasks: Mapping[str, TaskOptions] | None = None,
    version: str = "2.1",
    staging: str | None = None,
) -> CompiledPipeline:
    """Compiles a pipeline, without network and credentials.

    Args:
      options: the pipeline; `options.root` may be remote, nothing is written there.
      image: container image of the tasks.
      values: default of each runtime parameter, see `parameters.defaults`.
      tasks: component id -> what is special about where it runs.
      version: version of the pipeline spec, of `VERSIONS`.
      staging: local directory to which a `module_file` is packed; None for the current
        one. Not used if `options.root` is local: the wheel then goes where the Trainer
        expects it.

    Raises:
      ValueError: options that are not valid; the message names them.
    """
    if version not in VERSIONS:
        raise ValueError(f"spec must be one of {list(VERSIONS)}, got {version!r}.")
    # The values of a run are checked where it starts; these can be checked now.
    dataclasses.replace(options.planner, **{name: values[name] for name in PLANNER})
    check_train_steps(values["train_steps"])
    tasks = dict(tasks or {})
    root = options.root.rstrip("/")
    staged = os.path.abspath(staging or ".") if "://" in root else root
    built = pipeline.create_pipeline(_with_parameters(options, values))
    check_names("tasks", tasks, [component.id for component in built.components])
    images = {name: task.image for name, task in tasks.items() if task.image}
    config = tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(
        default_image={"default_image_path": image, **images} if images else image,
        default_commands=KUBEFLOW_COMMAND,
        use_pipeline_spec_2_1=version == "2.1",
    )
    # TFX writes the wheel of a module file to the root while compiling, which may be a
    # bucket; so it compiles for the staging directory, and the real root comes after.
    built.pipeline_info.pipeline_root = staged
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(config)
    job = runner.run(built, write_out=False)
    spec = job["pipelineSpec"]
    job.setdefault("runtimeConfig", {})["gcsOutputDirectory"] = root
    spec["defaultPipelineRoot"] = root
    _set_defaults(job, values, version)
    _set_machines(spec, tasks)
    wheel, wheel_uri = _move_wheel(spec, staged, root)
    executors = {
        spec["components"][name]["executorLabel"]: task.kubernetes()
        for name, task in tasks.items()
        if task.kubernetes()
    }
    platform = {"kubernetes": {"deploymentSpec": {"executors": executors}}}
    return CompiledPipeline(
        job, {"platforms": platform} if executors else {}, wheel, wheel_uri
    )


def _with_parameters(
    options: pipeline.PipelineOptions, values: Mapping[str, Any]
) -> pipeline.PipelineOptions:
    """Returns options of a pipeline whose `PARAMETERS` are set when a run starts."""
    runtime = {
        name: pipeline.RuntimeParameter(name, kind, values[name], description)
        for name, (kind, _, description) in PARAMETERS.items()
    }
    return dataclasses.replace(
        options,
        data=runtime["data"],
        train_steps=runtime["train_steps"],
        runtime_planner={name: runtime[name] for name in PLANNER},
    )


def _set_defaults(job: dict[str, Any], values: Mapping[str, Any], version: str) -> None:
    """Puts defaults and descriptions into the spec, which TFX leaves out."""
    inputs = job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    for name, definition in inputs.items():
        definition["defaultValue"] = values[name]
        definition["description"] = PARAMETERS[name][2]
    if version == "2.0":
        # A backend of that time takes defaults from the job.
        kinds = {str: "stringValue", float: "doubleValue", int: "intValue"}
        job["runtimeConfig"]["parameters"] = {
            # An integer of 64 bits is a string in JSON.
            name: {kinds[kind]: str(values[name]) if kind is int else values[name]}
            for name, (kind, _, _) in PARAMETERS.items()
        }


def _set_machines(spec: dict[str, Any], tasks: Mapping[str, TaskOptions]) -> None:
    """Puts limits and retries into the spec.

    Limits not by TFX's `with_platform_config`, which leaves out those of example-gen.
    """
    for name, options in tasks.items():
        label = spec["components"][name]["executorLabel"]
        if resources := options.resources():
            executor = spec["deploymentSpec"]["executors"][label]
            executor["container"]["resources"] = resources
        if options.retries:
            task = spec["root"]["dag"]["tasks"][name]
            task["retryPolicy"] = {"maxRetryCount": options.retries}


def _move_wheel(
    spec: dict[str, Any], staged: str, root: str
) -> tuple[str | None, str | None]:
    """Names the Trainer's module by where it will be; returns (wheel, URI) to copy."""
    parameters = spec["root"]["dag"]["tasks"]["Trainer"]["inputs"]["parameters"]
    if "module_path" not in parameters:
        return None, None
    module, _, wheel = _constant(parameters["module_path"]).partition("@")
    uri = wheel.replace(staged, root, 1)
    _set_constant(parameters["module_path"], f"{module}@{uri}")
    return (None, uri) if wheel == uri else (wheel, uri)


def _constant(parameter: Mapping[str, Any]) -> str:
    value = parameter["runtimeValue"]
    return value.get("constant") or value["constantValue"]["stringValue"]


def _set_constant(parameter: dict[str, Any], text: str) -> None:
    value = parameter["runtimeValue"]
    if "constant" in value:
        value["constant"] = text
    else:
        value["constantValue"]["stringValue"] = text


def _comment(spec: Mapping[str, Any]) -> str:
    name = spec["pipelineInfo"]["name"]
    lines = ["# PIPELINE DEFINITION", f"# Name: {name}", "# Inputs:"]
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    for name, definition in sorted(inputs.items()):
        kind = PARAMETERS[name][0].__name__
        lines.append(f"#    {name}: {kind} [Default: {definition['defaultValue']!r}]")
    return "\n".join(lines) + "\n"
