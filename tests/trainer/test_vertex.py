"""`VertexTrainer`: the custom job that it asks for, and what runs in that."""

import json
from typing import Any

import pytest
import tfx_resampling as tr
from google.auth import credentials
from google.cloud.aiplatform_v1 import JobServiceClient
from tfx.extensions.google_cloud_ai_platform import training_clients
from tfx.types import channel_utils, standard_artifacts
from tfx_resampling import artifacts
from tfx_resampling.trainer.vertex import VertexExecutor

from tests import processes
from tests.kubeflow.request_recorder import RequestRecorder
from tests.trainer.test_trainer import PLAN

TRAINING = tr.VertexTraining(
    project="my-project",
    region="europe-west4",
    image="registry/image:1",
    machine_type="n1-standard-16",
    accelerator_type="NVIDIA_TESLA_T4",
    accelerator_count=2,
    spot=True,
    timeout_hours=1.5,
    service_account="trainer@my-project.iam.gserviceaccount.com",
    network="projects/1/global/networks/private",
    labels={"team": "vision"},
)
PARENT = "projects/my-project/locations/europe-west4"


def component(examples, plan, **options):
    return tr.VertexTrainer(
        training=TRAINING,
        examples=channel_utils.as_channel([examples]),
        resample_plan=channel_utils.as_channel([plan]),
        run_fn="tests.trainer.test_trainer.run_fn",
        custom_config={"x": 1},
        train_steps=7,
        **options,
    )


def server(state):
    """Answers as Vertex AI: a job that is made, and then stands so."""

    def answer(request):
        job = {"name": f"{PARENT}/customJobs/1", "state": "JOB_STATE_PENDING"}
        return 200, job if request.method == "POST" else {**job, "state": state}

    return RequestRecorder(answer)


def start(tmp_path, monkeypatch, recorder):
    """Executes the component's executor against the server; returns the request."""
    plan, examples = tr.ResamplePlan(), standard_artifacts.Examples()
    plan.uri, examples.uri = str(tmp_path / "plan"), str(tmp_path / "examples")
    examples.split_names = '["train", "eval"]'
    artifacts.write_plan(PLAN, plan.uri)
    outputs = {
        "model": [standard_artifacts.Model()],
        "model_run": [standard_artifacts.ModelRun()],
    }
    for name, (artifact,) in outputs.items():
        artifact.uri = str(tmp_path / name)
    trainer = component(examples, plan)
    executor_spec: Any = trainer.executor_spec
    assert executor_spec.executor_class is VertexExecutor

    def local(client_options):
        # The real client, with another address and no credentials.
        expected = "europe-west4-aiplatform.googleapis.com"
        assert client_options == {"api_endpoint": expected}
        return JobServiceClient(
            credentials=credentials.AnonymousCredentials(),
            transport="rest",
            client_options={"api_endpoint": recorder.url},
        )

    gapic = vars(training_clients)["gapic"]
    assert gapic.JobServiceClient is JobServiceClient
    monkeypatch.setattr(gapic, "JobServiceClient", local)
    properties = {k: v for k, v in trainer.exec_properties.items() if v is not None}
    VertexExecutor().Do(
        {"examples": [examples], "resample_plan": [plan]}, outputs, properties
    )
    (request,) = recorder.sent("POST", "/customJobs")
    return request


@pytest.mark.long
def test_asks_for_the_job_and_the_plan_reaches_run_fn_there(tmp_path, monkeypatch):
    with server("JOB_STATE_SUCCEEDED") as recorder:
        request = start(tmp_path, monkeypatch, recorder)
    assert request.path.startswith(f"/v1/{PARENT}/customJobs")
    assert request.body["labels"]["team"] == "vision"
    spec = request.body["jobSpec"]
    assert spec["serviceAccount"] == TRAINING.service_account
    assert spec["network"] == TRAINING.network
    assert spec["scheduling"] == {
        **{"strategy": 4, "timeout": "5400s", "restartJobOnWorkerRestart": True}
    }
    (pool,) = spec["workerPoolSpecs"]
    assert pool["replicaCount"] == "1"
    assert pool["machineSpec"]["machineType"] == "n1-standard-16"
    assert pool["machineSpec"]["acceleratorCount"] == 2
    assert pool["containerSpec"]["imageUri"] == "registry/image:1"
    # What the job would run, runs here.
    command = pool["containerSpec"]["command"]
    assert command[:3] == ["python", "-m", "tfx.scripts.run_executor"]
    done = processes.fork_server().run(*command[1:])
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads((tmp_path / "model" / "Format-Serving/seen.json").read_text())
    assert tr.Plan.from_json(seen["plan"]) == PLAN
    assert seen["train_steps"] == 7
    assert seen["custom_config"]["x"] == 1


def test_a_job_that_fails_fails_the_step(tmp_path, monkeypatch):
    with server("JOB_STATE_FAILED") as recorder:
        with pytest.raises(RuntimeError, match="customJobs/1' did not succeed"):
            start(tmp_path, monkeypatch, recorder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"project": ""}, "project must be a non-empty string, got ''"),
        ({"accelerator_count": 1}, "accelerator_type and accelerator_count must be"),
        ({"timeout_hours": 0}, "timeout_hours must be a number over 0, got 0"),
        ({"gpus": 1}, r"unknown fields of Vertex training \['gpus'\]; valid:"),
        ({"region": None}, "region must be a non-empty string, got None"),
    ],
)
def test_wrong_jobs_are_refused(fields, message):
    valid = {"project": "p", "region": "r", "image": "i"}
    with pytest.raises(ValueError, match=message):
        tr.VertexTraining.from_dict({**valid, **fields})


def test_a_missing_field_is_named():
    with pytest.raises(ValueError, match="missing .* 'image'"):
        tr.VertexTraining.from_dict({"project": "p", "region": "r"})
