"""Compiling: what is in the spec, and that it takes nothing but this machine."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import tfx_resampling as tr
import yaml
from google.cloud import aiplatform_v1
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipelines.kfp.compile import main
from pipelines.kfp.spec import CompiledPipeline
from pipelines.kfp.tasks import TaskOptions
from tests.environments import REPOSITORY

ROOT = "gs://bucket/root"
ARGUMENTS = ["--pipeline-root", ROOT, "--image", "registry/image:1"]

# name -> (type in the UI, default)
PARAMETERS = {
    "data": ("STRING", f"{ROOT}/data"),
    "target": ("STRING", "sqrt"),
    "size": ("STRING", "auto"),
    "max_factor": ("NUMBER_DOUBLE", 100.0),
    "train_steps": ("NUMBER_INTEGER", 1500),
    "seed": ("NUMBER_INTEGER", 0),
}
COMPONENTS = {
    *("ImportExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator"),
    *("ResamplePlanner", "Trainer", "Evaluator", "Pusher"),
}


def compiled(tmp_path, *arguments, name="pipeline.yaml"):
    """Compiles by the command line; returns the spec as KFP's message."""
    path = str(tmp_path / name)
    assert main([*ARGUMENTS, "--output", path, *arguments]) == 0
    return read(path)


def read(path):
    with open(path) as file:
        first = next(yaml.safe_load_all(file))
    # Unknown fields are an error.
    return json_format.ParseDict(
        first.get("pipelineSpec", first), pipeline_spec_pb2.PipelineSpec()
    )


@pytest.mark.parametrize("version", ["2.1", "2.0"])
@pytest.mark.parametrize("name", ["pipeline.yaml", "pipeline.json"])
def test_the_spec_is_what_kfp_reads(tmp_path, name, version):
    spec = compiled(tmp_path, "--spec", version, name=name)
    assert spec.pipeline_info.name == "tfx-resampling"
    assert spec.schema_version == f"{version}.0"
    assert spec.default_pipeline_root == ROOT
    assert set(spec.root.dag.tasks) == COMPONENTS
    executors = spec.deployment_spec["executors"]
    for task in spec.root.dag.tasks.values():
        component = spec.components[task.component_ref.name]
        container = executors[component.executor_label]["container"]
        assert container["image"] == "registry/image:1"
    if name.endswith(".json"):
        content = json.loads((tmp_path / name).read_text())
        job = json_format.ParseDict(content, pipeline_spec_pb2.PipelineJob())
        assert job.runtime_config.gcs_output_directory == ROOT


def test_runtime_parameters_have_types_defaults_and_descriptions(tmp_path):
    spec = compiled(tmp_path)
    parameters = spec.root.input_definitions.parameters
    kinds = pipeline_spec_pb2.ParameterType.ParameterTypeEnum
    assert {
        name: (
            kinds.Name(one.parameter_type),
            json_format.MessageToDict(one.default_value),
        )
        for name, one in parameters.items()
    } == PARAMETERS
    assert all(one.description for one in parameters.values())
    # What the spec says at the top, to who reads the file.
    text = (tmp_path / "pipeline.yaml").read_text()
    assert "#    target: str [Default: 'sqrt']\n" in text


def test_old_spec_has_the_defaults_in_the_job_too(tmp_path):
    compiled(tmp_path, "--spec", "2.0", name="pipeline.json")
    content = json.loads((tmp_path / "pipeline.json").read_text())
    job = json_format.ParseDict(content, pipeline_spec_pb2.PipelineJob())
    values = job.runtime_config.parameters
    assert set(values) == set(PARAMETERS)
    assert values["target"].string_value == "sqrt"
    assert values["max_factor"].double_value == 100.0
    assert values["train_steps"].int_value == 1500


def test_parameters_reach_the_tasks_that_they_are_for(tmp_path):
    tasks = compiled(tmp_path).root.dag.tasks
    found = {
        (task, name)
        for task in tasks
        for name, source in tasks[task].inputs.parameters.items()
        if source.component_input_parameter
    }
    assert found == {
        ("ImportExampleGen", "input_base"),
        ("Trainer", "train_steps"),
        *(("ResamplePlanner", n) for n in ("target", "size", "max_factor", "seed")),
    }


def test_defaults_can_be_set(tmp_path):
    arguments = [f"--param={p}" for p in ("target=uniform", "train_steps=7")]
    parameters = compiled(tmp_path, *arguments).root.input_definitions.parameters
    assert parameters["target"].default_value.string_value == "uniform"
    assert parameters["train_steps"].default_value.number_value == 7


def test_kfp_loads_the_file(tmp_path):
    from kfp import components

    compiled(tmp_path)
    loaded = components.load_component_from_file(str(tmp_path / "pipeline.yaml"))
    inputs = loaded.component_spec.inputs
    assert {name: one.default for name, one in inputs.items()} == {
        name: default for name, (_, default) in PARAMETERS.items()
    }


TASKS = {
    "Trainer": {
        **{"image": "registry/gpu:1", "cpu": 8, "memory": 30, "retries": 3},
        **{"accelerator": "nvidia.com/gpu", "accelerator_count": 2},
        "node_selector": {"cloud.google.com/gke-spot": "true"},
        "tolerations": [
            {"key": "cloud.google.com/gke-spot", "operator": "Exists"},
        ],
    },
    "StatisticsGen": {"memory": 8},
    "ImportExampleGen": {"cpu": 2},
}


def test_tasks_have_images_machines_and_retries_of_their_own(tmp_path):
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump(TASKS))
    spec = compiled(tmp_path, "--tasks", str(tmp_path / "tasks.yaml"))
    executors = spec.deployment_spec["executors"]
    trainer = executors["Trainer_executor"]["container"]
    assert trainer["image"] == "registry/gpu:1"
    assert dict(trainer["resources"]["accelerator"]) == {
        **{"type": "nvidia.com/gpu", "count": "2"}
    }
    assert trainer["resources"]["cpuLimit"] == 8
    assert trainer["resources"]["memoryLimit"] == 30
    statistics = executors["StatisticsGen_executor"]["container"]
    assert statistics["image"] == "registry/image:1"
    assert dict(statistics["resources"]) == {"memoryLimit": 8}
    example_gen = executors["ImportExampleGen_executor"]["container"]
    assert dict(example_gen["resources"]) == {"cpuLimit": 2}
    assert "resources" not in executors["ResamplePlanner_executor"]["container"]
    assert spec.root.dag.tasks["Trainer"].retry_policy.max_retry_count == 3
    # What Kubernetes alone knows is a second document, as KFP's SDK reads it.
    from kfp.client import client

    document = client._extract_pipeline_yaml(str(tmp_path / "pipeline.yaml"))
    platform = json_format.MessageToDict(document.platform_spec)
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert kubernetes == {
        "Trainer_executor": {
            "nodeSelector": {"labels": TASKS["Trainer"]["node_selector"]},
            "tolerations": TASKS["Trainer"]["tolerations"],
        }
    }


@pytest.mark.long
def test_module_file_is_packed_here_and_named_by_its_uri(tmp_path, capsys):
    module = tmp_path / "module" / "module.py"
    os.makedirs(module.parent)
    shutil.copy(os.path.join(REPOSITORY, "pipelines/training/module.py"), module)
    spec = compiled(tmp_path, "--module-file", str(module))
    parameters = spec.root.dag.tasks["Trainer"].inputs.parameters
    path = parameters["module_path"].runtime_value.constant.string_value
    name = path.partition("_wheels/")[2]
    assert path == f"module@{ROOT}/_wheels/{name}"
    assert "run_fn" not in parameters
    # Nothing of this machine is in the spec: it would be in cache keys.
    assert str(tmp_path) not in (tmp_path / "pipeline.yaml").read_text()
    assert (tmp_path / "_wheels" / name).exists()
    command = f"cp {tmp_path}/_wheels/{name} {ROOT}/_wheels/{name}"
    assert command in capsys.readouterr().out


def test_the_trainer_may_be_a_custom_job_on_vertex(tmp_path):
    training = '{"project": "p", "region": "r", "spot": true}'
    spec = compiled(tmp_path, "--vertex-training", training)
    executors = spec.deployment_spec["executors"]
    arguments = list(executors["Trainer_executor"]["container"]["args"])
    path = "tfx_resampling.trainer.vertex.VertexExecutor"
    assert arguments[arguments.index("--executor_class_path") + 1] == path
    task = spec.root.dag.tasks["Trainer"]
    assert "resample_plan" in task.inputs.artifacts
    assert task.inputs.parameters["train_steps"].component_input_parameter
    config = task.inputs.parameters["custom_config"].runtime_value.constant.string_value
    job = json.loads(config)["ai_platform_training_args"]
    assert job["project"] == "p"
    (pool,) = job["job_spec"]["worker_pool_specs"]
    # The pipeline's image, where the job has none of its own.
    assert pool["container_spec"]["image_uri"] == "registry/image:1"


def test_options_of_the_input_reach_the_trainer_module(tmp_path):
    spec = compiled(tmp_path, "--input-options", '{"shuffle_records": 7}')
    parameters = spec.root.dag.tasks["Trainer"].inputs.parameters
    config = parameters["custom_config"].runtime_value.constant.string_value
    options = tr.InputOptions.from_dict(json.loads(config)["input_options"])
    assert options == tr.InputOptions(shuffle_records=7, deterministic=True)


def test_beam_arguments_reach_the_containers_and_the_driver(tmp_path):
    spec = compiled(tmp_path, "--beam-arg=--runner=DataflowRunner")
    executors = spec.deployment_spec["executors"]
    for name in ("ImportExampleGen", "StatisticsGen", "ResamplePlanner", "Evaluator"):
        container = executors[f"{name}_executor"]["container"]
        assert container["args"][-1] == "--runner=DataflowRunner"
        if name == "ImportExampleGen":
            hook = container["lifecycle"]["preCacheCheck"]
            assert hook["args"][-1] == "--runner=DataflowRunner"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--param", "target=unform"], "target must be .* got 'unform'"),
        (
            ["--param", "max_factor=much"],
            "max_factor must be of type float, got 'much'",
        ),
        (["--param", "train_steps=0"], "train_steps must be an integer >= 1, got 0"),
        (["--param", "tragets=a"], r"unknown parameters \['tragets'\]; valid"),
        (["--param", "target"], "--param must be of the form NAME=VALUE"),
        (["--label-dtype", "float"], "Invalid value for '--label-dtype': 'float' is"),
        (["--batch-size", "x"], "Invalid value for '--batch-size': 'x' is not a"),
        (["--lable-key", "x"], r"No such option:? '?--lable-key"),
        (["--run-fn", "a.b", "--module-file", "c"], "--module-file must be left out"),
        (["--spec", "2.2"], r"spec must be one of \['2.1', '2.0'\], got '2.2'"),
        (["--tasks", '{"Trianer": {}}'], r"unknown tasks \['Trianer'\]; valid: "),
        (
            ["--tasks", '{"Trainer": {"gpu": 1}}'],
            r"unknown options of Trainer \['gpu'\]",
        ),
        (["--tasks", '{"Trainer": {"cpu": 0}}'], "Trainer: cpu must be .* got 0"),
        (
            ["--tasks", '{"Trainer": {"tolerations": [{"keys": "a"}]}}'],
            r"Trainer: unknown fields of tolerations \['keys'\]; valid: \['key'",
        ),
        (["--tasks", "nowhere.yaml"], "No such file .*nowhere.yaml"),
        (["--planner", '{"bounds": 1}'], r"unknown fields of --planner \['bounds'\]"),
        (["--input-options", '{"shufle": 1}'], r"input options .*\['shufle'\]"),
        (["--vertex-training", '{"project": "p"}'], "missing .* 'region'"),
        (["--output", "pipeline.txt"], "output must end in .yaml, .yml or .json"),
    ],
)
def test_wrong_options_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main([*ARGUMENTS, *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.match(f"error: .*{message}", error), error
    assert os.listdir(tmp_path) == []


def vertex_package(name="pipeline", root=ROOT, **options):
    executors = {"container": {"resources": TaskOptions(**options).resources()}}
    spec = {
        "pipelineInfo": {"name": name},
        "deploymentSpec": {"executors": {"Trainer_executor": executors}},
        "root": {"inputDefinitions": {"parameters": {}}},
    }
    job = {"pipelineSpec": spec, "runtimeConfig": {"gcsOutputDirectory": root}}
    return CompiledPipeline(job, {})


@pytest.mark.parametrize(
    ("taken", "refused", "message"),
    [
        ({"cpu": 96}, {"cpu": 97}, "cpu of Trainer must be at most 96 .* got 97"),
        ({"memory": 624}, {"memory": 625}, "memory of Trainer must be at most 624"),
        (
            {"accelerator": "NVIDIA_TESLA_T4"},
            {"accelerator": "nvidia.com/gpu"},
            "accelerator of Trainer must be a name .* got 'nvidia.com/gpu'",
        ),
        ({"name": "a" * 113}, {"name": "a" * 114}, "name must .* up to 113 .* got 'aa"),
        ({"name": "run-2"}, {"name": "2-run"}, "name must begin with a letter"),
        (
            {"root": "gs://other"},
            {"root": "s3://other"},
            "root must begin with gs:// on Vertex AI, got 's3://other'",
        ),
    ],
)
def test_what_vertex_ai_refuses_is_refused_in_json(tmp_path, taken, refused, message):
    vertex_package(**taken).write(str(tmp_path / "pipeline.json"))
    vertex_package(**refused).write(str(tmp_path / "pipeline.yaml"))
    with pytest.raises(ValueError, match=message):
        vertex_package(**refused).write(str(tmp_path / "more.json"))
    assert not (tmp_path / "more.json").exists()


def test_the_job_is_what_vertex_ai_takes(tmp_path):
    """By the types of its own client; unknown fields are an error."""
    compiled(tmp_path, name="pipeline.json")
    content = json.loads((tmp_path / "pipeline.json").read_text())
    job = json_format.ParseDict(content, aiplatform_v1.PipelineJob.pb()())
    assert job.runtime_config.gcs_output_directory == ROOT
    assert job.pipeline_spec["schemaVersion"] == "2.1.0"


def test_node_selectors_are_refused_in_json():
    platform = {"platforms": {}}
    package = CompiledPipeline({"pipelineSpec": {}}, platform)
    with pytest.raises(ValueError, match="output must be a .yaml file where tasks"):
        package.write("pipeline.json")


@pytest.mark.parametrize("retries", [-1, 1.5])
def test_task_options_are_checked(retries):
    with pytest.raises(ValueError, match="retries must be an integer from 0"):
        TaskOptions(retries=retries)


def offline():
    """Returns the start of a command that has no network, where the kernel lets us."""
    command = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare"):
        done = subprocess.run([*command, "true"], capture_output=True)
        if done.returncode == 0:
            return command
    return pytest.skip("no right to make a network namespace here")


@pytest.mark.long
def test_compiling_needs_no_network_and_no_credentials(tmp_path):
    command = [
        *(*offline(), sys.executable, "-m", "pipelines.kfp.compile"),
        *(*ARGUMENTS, "--output", "pipeline.yaml", "--output", "pipeline.json"),
    ]
    environment = {
        **{"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")},
        "PYTHONPATH": os.pathsep.join([f"{REPOSITORY}/components", REPOSITORY]),
    }
    (tmp_path / "here").mkdir()
    done = subprocess.run(
        command, cwd=tmp_path / "here", env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    made = sorted((tmp_path / "here").iterdir())
    assert [path.name for path in made] == ["pipeline.json", "pipeline.yaml"]
    assert read(made[0]) == read(made[1])
