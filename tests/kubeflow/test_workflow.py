"""The package as Kubeflow's API server and Argo take it: validated and compiled.

Needs Go and Kubeflow's sources, but neither root nor a network: see `backend.programs`.
"""

import dataclasses
import json
import subprocess

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from pipelines.kfp.compile import main
from pipelines.kfp.tasks import TaskOptions
from tests.kubeflow import test_backend
from tests.kubeflow.backend import programs, runner
from tests.kubeflow.test_compile import ARGUMENTS, TASKS

_MISSING = programs.missing("workflow")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(_MISSING), reason=_MISSING),
]


@pytest.fixture
def submit(kubeflow_programs, tmp_path):
    """Submits a package or a job; returns (the Workflow or None, the error)."""

    def run(package, **parameters):
        if isinstance(package, dict):
            path = tmp_path / "job.yaml"
            path.write_text(yaml.safe_dump(package["pipelineSpec"]))
            package = path
        done = subprocess.run(
            [f"{kubeflow_programs}/workflow", package, json.dumps(parameters)],
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout) if done.returncode == 0 else None, done.stderr

    return run


@pytest.fixture
def package(tmp_path):
    """Writes pipeline.yaml by the command line; returns its path."""

    def write(*arguments):
        path = tmp_path / "pipeline.yaml"
        assert main([*ARGUMENTS, "--output", str(path), *arguments]) == 0
        return path

    return write


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a Workflow's DAG, with the Workflow's parameters filled in."""

    template: str
    depends: str
    when: str
    arguments: dict[str, str]


def steps_of(workflow, dag="root"):
    """Returns the steps of a DAG by their names; "root" is the pipeline's own."""
    parameters = workflow["spec"]["arguments"]["parameters"]
    values = {
        f"{{{{workflow.parameters.{one['name']}}}}}": one["value"] for one in parameters
    }
    templates = {one["name"]: one for one in workflow["spec"]["templates"]}
    return {
        task["name"]: Step(
            task["template"],
            task.get("depends", ""),
            task.get("when", ""),
            {
                one["name"]: values.get(one["value"], one["value"])
                for one in task["arguments"]["parameters"]
            },
        )
        for task in templates[dag]["dag"]["tasks"]
    }


JOBS = {
    "whole": lambda options: test_backend.compiled(
        options, Trainer=TaskOptions(retries=2, memory=30)
    ),
    "condition": test_backend.conditional,
    "importers": lambda _: test_backend.offline("gs://bucket/a", "gs://bucket/b"),
}


@pytest.mark.parametrize("name", JOBS)
def test_argo_starts_what_the_runner_of_the_backend_tests_starts(submit, options, name):
    job = JOBS[name](options)
    workflow, error = submit(job)
    assert workflow, error
    steps = steps_of(workflow)
    spec = job["pipelineSpec"]
    expected = set()
    volumes = [
        one["mountPath"]
        for template in workflow["spec"]["templates"]
        for one in template.get("container", {}).get("volumeMounts", [])
    ]
    assert set(volumes) == set(runner.VOLUMES)
    for task_name, task in spec["root"]["dag"]["tasks"].items():
        component = spec["components"][task["componentRef"]["name"]]
        executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
        after = " && ".join(
            f"{one}.Succeeded" for one in task.get("dependentTasks", [])
        )
        handed = {
            "component": (component, pipeline_spec_pb2.ComponentSpec),
            "task": (task, pipeline_spec_pb2.PipelineTaskSpec),
        }
        config = pipeline_spec_pb2.PipelineDeploymentConfig
        if "importer" in executor:
            first = steps[task_name]
            assert first.template == "system-importer"
            handed["importer"] = (executor["importer"], config.ImporterSpec)
        else:
            first, second = steps[f"{task_name}-driver"], steps[task_name]
            assert first.template == "system-container-driver"
            container = (executor["container"], config.PipelineContainerSpec)
            handed["container"] = container
            assert second.depends == f"{task_name}-driver.Succeeded"
            decision = f"tasks.{task_name}-driver.outputs.parameters.condition"
            is_conditional = "condition" in task.get("triggerPolicy", {})
            assert second.when == (f"{{{{{decision}}}}} != false") * is_conditional
            retries = task.get("retryPolicy", {}).get("maxRetryCount", 0)
            assert int(second.arguments.get("retry-max-count", 0)) == retries
            expected.add(f"{task_name}-driver")
        expected.add(task_name)
        assert first.depends == after
        for argument, (content, kind) in handed.items():
            found = json_format.Parse(first.arguments[argument], kind())
            wanted = json_format.ParseDict(content, kind())
            if argument == "component":
                # Tasks of the same container share a component, by one of their names.
                wanted.executor_label = found.executor_label
            assert found == wanted, (task_name, argument)
    assert set(steps) == expected


def test_machines_and_parameters_are_in_the_workflow(submit, package):
    path = package("--tasks", json.dumps(TASKS))
    workflow, error = submit(path, target="uniform", train_steps=7)
    assert workflow, error
    platform = list(yaml.safe_load_all(path.read_text()))[1]["platforms"]["kubernetes"]
    trainer = steps_of(workflow)["Trainer-driver"]
    assert (
        json.loads(trainer.arguments["kubernetes-config"])
        == platform["deploymentSpec"]["executors"]["Trainer_executor"]
    )
    first = steps_of(workflow, "entrypoint")["root-driver"]
    values = json.loads(first.arguments["runtime-config"])["parameterValues"]
    assert (values["target"], values["train_steps"]) == ("uniform", 7)
    assert values["max_factor"] == 100


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"seed": "one"}, "seed requires type double or integer"),
        ({"tragets": "sqrt"}, "not required by pipeline: tragets"),
    ],
)
def test_wrong_parameters_are_refused(submit, package, parameters, message):
    workflow, error = submit(package(), **parameters)
    assert workflow is None and message in error


def test_the_old_spec_is_refused(submit, package):
    workflow, error = submit(package("--spec", "2.0"))
    assert workflow is None and "KFP only supports schema version 2.1.0" in error


def test_argo_refuses_what_the_compiler_lets_through(submit, options):
    job = test_backend.compiled(options)
    job["pipelineSpec"]["root"]["dag"]["tasks"]["Pusher"]["dependentTasks"] = ["Psher"]
    workflow, error = submit(job)
    assert workflow is None
    assert error.startswith("Argo: ") and "invalid dependency Psher" in error


def resolver():
    return tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=standard_artifacts.ModelBlessing),
    ).with_id("latest")


def conditional_importer():
    example_gen = tfx.components.ImportExampleGen(input_base="gs://bucket/data")
    examples = example_gen.outputs["examples"].future()[0]
    with tfx.dsl.Cond(examples.custom_property("full") == 1):
        imported = test_backend.importer(
            "Model", standard_artifacts.Model, "gs://bucket/model"
        )
    return [example_gen, imported]


@pytest.mark.parametrize(
    ("components", "message"),
    [
        (lambda: [resolver()], "non-importer executor not implemented"),
        (conditional_importer, "condition on importer task is not supported"),
    ],
)
def test_what_docs_say_that_kubeflow_has_not(submit, components, message):
    """Once one of these is taken, docs/kubeflow.md is out of date."""
    workflow, error = submit(test_backend.compile_others(components()))
    assert workflow is None and message in error
