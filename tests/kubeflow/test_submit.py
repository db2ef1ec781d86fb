"""Submitting: the real clients against servers on this machine."""

import json
import os
import re
import socket

import google.auth
import pytest
import yaml
from google.api_core import exceptions
from google.auth import credentials
from google.cloud.aiplatform import initializer
from google.cloud.aiplatform.utils import gcs_utils, resource_manager_utils

from pipelines.kfp.parameters import defaults
from pipelines.kfp.spec import compile_pipeline
from pipelines.kfp.submit import main
from pipelines.kfp.tasks import TaskOptions
from tests.kubeflow.request_recorder import RequestRecorder

pytestmark = pytest.mark.long

PARAMS = ("--param", "target=uniform", "--param", "seed=4", "--param", "max_factor=2")
VALUES = {"target": "uniform", "seed": 4, "max_factor": 2.0}


@pytest.fixture(scope="module")
def package(options, tmp_path_factory):
    """A compiled package, of a pipeline root in a bucket."""
    import dataclasses

    in_bucket = dataclasses.replace(options, root="gs://bucket/root")
    compiled = compile_pipeline(in_bucket, "image:1", defaults("gs://bucket/root", {}))
    directory = tmp_path_factory.mktemp("package")
    for name in ("pipeline.yaml", "pipeline.json"):
        compiled.write(str(directory / name))
    return str(directory / "pipeline.yaml")


@pytest.fixture(scope="module")
def spec(package):
    with open(package) as file:
        return yaml.safe_load(file)


def submit(capsys, *arguments):
    """Returns (exit code, standard output, standard error)."""
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


class KubeflowServer:
    """Answers as Kubeflow Pipelines does, and remembers what was made."""

    def __init__(self):
        self.experiments, self.versions = [], []

    def __call__(self, request):
        path = request.path.partition("?")[0].removeprefix("/apis/v2beta1/")
        if path == "experiments":
            if request.method == "POST":
                made = {**request.body, "experiment_id": "e-1"}
                self.experiments.append(made)
                return 200, made
            return 200, {"experiments": self.experiments} if self.experiments else {}
        if path == "pipelines":
            found = [{"pipeline_id": "p-1", "display_name": "tfx-resampling"}]
            return 200, {"pipelines": found} if self.versions else {}
        if path == "pipelines/upload":
            self.versions.append({"display_name": "tfx-resampling"})
            return 200, {"pipeline_id": "p-1"}
        if path == "pipelines/p-1/versions":
            return 200, {"pipeline_versions": self.versions}
        if path == "pipelines/upload_version":
            name = re.search("name=([^&]+)", request.path)[1]
            made = {"display_name": name, "pipeline_version_id": f"v-{name}"}
            self.versions.append(made)
            return 200, {"pipeline_id": "p-1", **made}
        if path == "runs":
            return 200, {"run_id": "r-1"}
        return 200, {}  # healthz


def test_kfp_starts_a_run_of_the_package(package, spec, capsys):
    with RequestRecorder(KubeflowServer()) as server:
        code, out, err = submit(
            *(capsys, "kfp", package, "--host", server.url, *PARAMS),
            *("--experiment", "long tail", "--run-name", "first", "--no-cache"),
            *("--service-account", "trainer", "--pipeline-root", "gs://other/root"),
        )
    assert (code, err) == (0, "")
    assert out == f"started first: {server.url}/#/runs/details/r-1\n"
    (experiment,) = server.sent("POST", "/experiments")
    assert experiment.body["display_name"] == "long tail"
    (run,) = server.sent("POST", "/runs")
    assert run.body["experiment_id"] == "e-1"
    assert run.body["display_name"] == "first"
    assert run.body["service_account"] == "trainer"
    assert run.body["runtime_config"] == {
        **{"parameters": VALUES, "pipeline_root": "gs://other/root"}
    }
    sent = run.body["pipeline_spec"]
    tasks = sent["root"]["dag"]["tasks"].values()
    # False is what is left out.
    assert not any(task["cachingOptions"].get("enableCache") for task in tasks)
    for task in [*tasks, *spec["root"]["dag"]["tasks"].values()]:
        task.pop("cachingOptions", None)
    assert sent == spec


def test_kfp_takes_the_caching_of_the_package(package, capsys):
    with RequestRecorder(KubeflowServer()) as server:
        assert submit(capsys, "kfp", package, "--host", server.url)[0] == 0
    (run,) = server.sent("POST", "/runs")
    tasks = run.body["pipeline_spec"]["root"]["dag"]["tasks"].values()
    assert all(task["cachingOptions"] == {"enableCache": True} for task in tasks)


def test_kfp_upload_keeps_one_version_per_content(package, capsys):
    with RequestRecorder(KubeflowServer()) as server:
        arguments = ("kfp", package, "--host", server.url, "--upload", *PARAMS)
        for more in ((), (), ("--no-cache",)):
            code, _, err = submit(capsys, *arguments, *more)
            assert (code, err) == (0, "")
    assert len(server.sent("POST", "/pipelines/upload")) == 1
    uploads = server.sent("POST", "/pipelines/upload_version")
    assert len(uploads) == 2  # The second with caching off.
    assert "enableCache: true" in uploads[0].body
    assert "enableCache: true" not in uploads[1].body
    first, second, third = server.sent("POST", "/runs")
    assert first.body["runtime_config"]["parameters"] == VALUES
    reference = first.body["pipeline_version_reference"]
    assert reference["pipeline_id"] == "p-1"
    assert reference["pipeline_version_id"].startswith("v-tfx-resampling-")
    assert second.body["pipeline_version_reference"] == reference
    assert third.body["pipeline_version_reference"] != reference


def test_kfp_sends_node_selectors(options, tmp_path, capsys):
    values = defaults(options.root, {})
    tasks = {"Trainer": TaskOptions(node_selector={"pool": "gpu"})}
    path = str(tmp_path / "pipeline.yaml")
    compile_pipeline(options, "image:1", values, tasks).write(path)
    with RequestRecorder(KubeflowServer()) as server:
        assert submit(capsys, "kfp", path, "--host", server.url)[0] == 0
    (run,) = server.sent("POST", "/runs")
    platform = run.body["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    (selector,) = platform["deploymentSpec"]["executors"].values()
    assert selector == {"nodeSelector": {"labels": {"pool": "gpu"}}}
    code, _, err = submit(
        capsys, "vertex", path, "--project", "p", "--region", "r", "--dry-run"
    )
    assert code == 2
    assert "has node_selector or tolerations, which Vertex AI does not" in err


def test_what_vertex_refuses_is_refused_before_anything_is_sent(package, capsys):
    """A .yaml file, which may be for Kubeflow, is looked at here."""
    place = ("--project", "p", "--region", "r", "--dry-run")
    assert submit(capsys, "vertex", package, *place)[0] == 0
    other = ("--pipeline-root", "s3://bucket/root")
    code, _, err = submit(capsys, "vertex", package, *place, *other)
    assert code == 2
    assert "root must begin with gs:// on Vertex AI, got 's3://bucket/root'" in err


def test_kfp_token_is_sent(package, tmp_path, capsys):
    (tmp_path / "token").write_text("secret\n")
    with RequestRecorder(KubeflowServer()) as server:
        arguments = ("--host", server.url, "--token-file", str(tmp_path / "token"))
        assert submit(capsys, "kfp", package, *arguments)[0] == 0
    (run,) = server.sent("POST", "/runs")
    assert run.headers["authorization"] == "Bearer secret"


REFUSALS = [
    (403, {"error": "x", "code": 7, "message": "User lacks\nkfp.create."}),
    (400, {"error": "y", "code": 3, "message": "Invalid input error: no parameter z."}),
    (502, "<html>Bad gateway</html>"),
]


@pytest.mark.parametrize(("status", "body"), REFUSALS)
@pytest.mark.parametrize("where", ["/runs", "/healthz", "/experiments"])
def test_a_refusal_of_kfp_is_one_line(package, capsys, status, body, where):
    works = KubeflowServer()

    def answer(request):
        ours = request.path.partition("?")[0].endswith(where)
        return (status, body) if ours else works(request)

    with RequestRecorder(answer) as server:
        code, out, err = submit(capsys, "kfp", package, "--host", server.url)
    assert code == 2
    message = body["message"] if isinstance(body, dict) else "Bad gateway"
    assert len(err.splitlines()) == 1
    assert err.startswith(f"error: {server.url} answered {status} ")
    assert " ".join(message.split()) in err
    assert out == ""


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_no_answer_of_kfp_is_one_line(package, capsys):
    url = f"http://127.0.0.1:{closed_port()}"
    code, _, err = submit(capsys, "kfp", package, "--host", url)
    assert code == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith(f"error: no answer from {url}: ")


@pytest.fixture
def anonymous(monkeypatch):
    """Credentials that ask no server for a token, and a project of a known number."""
    found = (credentials.AnonymousCredentials(), "some-project")
    monkeypatch.setattr(google.auth, "default", lambda *args, **kwargs: found)
    # aiplatform >= 1.165 asks Resource Manager, at an address that is fixed.
    monkeypatch.setattr(
        resource_manager_utils, "get_project_number", lambda *args, **kwargs: "1"
    )


def vertex_answer(request):
    if request.method == "POST" and "/pipelineJobs" in request.path:
        name = "projects/1/locations/europe-west4/pipelineJobs/job-1"
        return 200, {"name": name, "state": "PIPELINE_STATE_PENDING"}
    return 200, {"kind": "storage#bucket", "name": "bucket", "projectNumber": "1"}


def submit_vertex(capsys, monkeypatch, server, package, *arguments):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)  # The root's bucket.
    return submit(
        *(capsys, "vertex", package, "--project", "my-project"),
        *("--region", "europe-west4", "--api-endpoint", server.url, *arguments),
    )


VERTEX = (
    *("--run-name", "first", "--no-cache", "--label", "team=vision"),
    *("--service-account", "trainer@my-project.iam.gserviceaccount.com"),
    *("--network", "projects/1/global/networks/private", *PARAMS),
)


@pytest.mark.parametrize("ending", [".yaml", ".json"])
def test_vertex_creates_a_pipeline_job(
    package, spec, capsys, monkeypatch, anonymous, ending
):
    path = package.replace(".yaml", ending)
    with RequestRecorder(vertex_answer) as server:
        code, out, err = submit_vertex(capsys, monkeypatch, server, path, *VERTEX)
    assert (code, err) == (0, "")
    assert "started first: https://console.cloud.google.com/vertex-ai/" in out
    (sent,) = server.sent("POST", "/pipelineJobs")
    parent = "/v1/projects/my-project/locations/europe-west4/pipelineJobs?"
    assert sent.path.startswith(parent)
    body = sent.body
    assert body["displayName"] == "first"
    assert body["labels"] == {"team": "vision"}
    assert body["serviceAccount"] == "trainer@my-project.iam.gserviceaccount.com"
    assert body["network"] == "projects/1/global/networks/private"
    assert body["runtimeConfig"] == {
        **{"gcsOutputDirectory": "gs://bucket/root", "parameterValues": VALUES}
    }
    tasks = body["pipelineSpec"]["root"]["dag"]["tasks"].values()
    assert not any(task["cachingOptions"]["enableCache"] for task in tasks)
    for task in [*tasks, *spec["root"]["dag"]["tasks"].values()]:
        task.pop("cachingOptions", None)
    assert body["pipelineSpec"] == spec


@pytest.mark.parametrize(("status", "reason"), [(403, "PERMISSION_DENIED"), (400, "X")])
def test_a_refusal_of_vertex_is_one_line(
    package, capsys, monkeypatch, anonymous, status, reason
):
    text = "Permission 'aiplatform.pipelineJobs.create'\ndenied."

    def answer(request):
        if "/pipelineJobs" in request.path:
            error = {"code": status, "message": text, "status": reason}
            return status, {"error": error}
        return vertex_answer(request)

    with RequestRecorder(answer) as server:
        code, out, err = submit_vertex(capsys, monkeypatch, server, package)
    assert code == 2
    line = f"error: Vertex AI answered {status}: .*{' '.join(text.split())}"
    assert re.fullmatch(line, err.strip())
    assert out == ""


def test_a_bucket_that_may_not_be_looked_at_is_one_line(
    package, capsys, monkeypatch, anonymous, caplog
):
    def answer(request):
        if "/storage/" in request.path:
            return 403, {"error": {"code": 403, "message": "no storage.buckets.get"}}
        return vertex_answer(request)

    with RequestRecorder(answer) as server:
        code, _, _ = submit_vertex(capsys, monkeypatch, server, package)
    assert code == 0  # The account of the tasks may have the right.
    (record,) = [r for r in caplog.records if "bucket" in r.getMessage()]
    assert "no storage.buckets.get" in record.getMessage()
    assert record.exc_info is None


def test_a_project_whose_number_is_not_told_is_no_attack(
    package, capsys, monkeypatch, anonymous, caplog
):
    def refused(*args, **kwargs):
        raise exceptions.PermissionDenied("no resourcemanager.projects.get")

    monkeypatch.setattr(resource_manager_utils, "get_project_number", refused)
    with RequestRecorder(vertex_answer) as server:
        code, out, _ = submit_vertex(capsys, monkeypatch, server, package)
    assert code == 0 and out.startswith("started ")
    texts = [r.getMessage() for r in caplog.records if "bucket" in r.getMessage()]
    asks = hasattr(gcs_utils, "_verify_bucket_ownership")  # aiplatform >= 1.165.
    assert len(texts) == (1 if asks else 0)
    for text in texts:
        assert "resourcemanager.projects.get" in text and "attack" not in text


def test_no_answer_of_vertex_is_one_line(package, capsys, monkeypatch, anonymous):
    with RequestRecorder(vertex_answer) as storage:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
        arguments = ("--project", "p", "--region", "europe-west4")
        endpoint = f"http://127.0.0.1:{closed_port()}"
        code, _, err = submit(
            capsys, "vertex", package, *arguments, "--api-endpoint", endpoint
        )
    assert code == 2
    assert err.startswith("error: no answer from Vertex AI: ")
    assert len(err.splitlines()) == 1


def test_vertex_without_credentials_is_one_line(package, capsys, monkeypatch):
    def default(*args, **kwargs):
        raise google.auth.exceptions.DefaultCredentialsError("none were\nfound.")

    monkeypatch.setattr(google.auth, "default", default)
    # Of this process: the command line starts with none of it.
    initializer.global_config.__init__()
    arguments = ("--project", "p", "--region", "europe-west4")
    code, _, err = submit(capsys, "vertex", package, *arguments)
    assert code == 2
    assert err.strip().endswith("none were found.") and len(err.splitlines()) == 1


def test_dry_run_of_kfp_prints_what_a_run_starts_with(package, capsys, monkeypatch):
    arguments = ("kfp", package, *PARAMS, "--run-name", "first", "--experiment", "e")
    host = f"http://127.0.0.1:{closed_port()}"  # Nobody is there.
    with monkeypatch.context() as offline:
        offline.setattr(socket, "socket", None)
        code, out, err = submit(capsys, *arguments, "--host", host, "--dry-run")
    assert (code, err) == (0, "")
    with RequestRecorder(KubeflowServer()) as server:
        submit(capsys, *arguments, "--host", server.url)
    printed = json.loads(out)
    assert printed["host"] == host
    assert printed["package"] == package
    experiment, run = [r.body for r in server.requests if r.method == "POST"]
    assert printed["experiment"] == experiment["display_name"]
    assert printed["run_name"] == run["display_name"]
    sent = run["runtime_config"]["parameters"]
    assert sent == VALUES
    # And what the server adds: defaults, and the root as compiled.
    assert printed["parameters"] == {**defaults("gs://bucket/root", {}), **sent}
    assert printed["pipeline_root"] == "gs://bucket/root"


def test_dry_run_prints_no_token(package, tmp_path, capsys):
    (tmp_path / "token").write_text("secret")
    arguments = (
        "--host",
        "http://127.0.0.1:1",
        "--token-file",
        str(tmp_path / "token"),
    )
    code, out, _ = submit(capsys, "kfp", package, *arguments, "--dry-run")
    assert code == 0 and "secret" not in out


def test_dry_run_of_vertex_prints_what_a_run_starts_with(
    package, capsys, monkeypatch, anonymous
):
    with RequestRecorder(vertex_answer) as server:
        submit_vertex(capsys, monkeypatch, server, package, *VERTEX)
    (really,) = [request.body for request in server.sent("POST", "/pipelineJobs")]
    monkeypatch.undo()  # No credentials, no bucket and no network from here on.
    monkeypatch.setattr(google.auth, "default", None)
    monkeypatch.setattr(socket, "socket", None)
    arguments = ("--project", "my-project", "--region", "europe-west4")
    code, out, err = submit(
        capsys, "vertex", package, *arguments, *VERTEX, "--dry-run", "--experiment", "e"
    )
    assert (code, err) == (0, "")
    printed = json.loads(out)
    assert (printed["project"], printed["region"]) == ("my-project", "europe-west4")
    assert printed["experiment"] == "e" and printed["cache"] is False
    sent = really["runtimeConfig"]["parameterValues"]
    assert printed["parameters"] == {**defaults("gs://bucket/root", {}), **sent}
    assert printed["pipeline_root"] == really["runtimeConfig"]["gcsOutputDirectory"]
    for name, theirs in (
        *(("run_name", "displayName"), ("service_account", "serviceAccount")),
        *(("network", "network"), ("labels", "labels")),
    ):
        assert printed[name] == really[theirs]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--param", "tragets=x"],
            r"unknown parameters \['tragets'\]; valid: \['da",
        ),
        (["--param", "seed=x"], "seed must be of type int, got 'x'"),
        (["--param", "target=unform"], "target must be .* got 'unform'"),
        (["--param", "size=huge"], "size must be .* got 'huge'"),
        (["--param", "seed"], "--param must be of the form NAME=VALUE, got 'seed'"),
        (["--run-nmae", "x"], r"No such option:? '?--run-nmae"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_sent(
    package, capsys, arguments, message
):
    with RequestRecorder(KubeflowServer()) as server:
        code, _, err = submit(capsys, "kfp", package, "--host", server.url, *arguments)
    assert code == 2
    assert re.match(f"error: .*{message}", err), err
    assert server.requests == []


def test_what_is_no_package_is_refused(tmp_path, capsys):
    (tmp_path / "other.yaml").write_text("a: 1")
    for path in ("other.yaml", "missing.yaml"):
        arguments = ("kfp", str(tmp_path / path), "--host", "http://127.0.0.1:1")
        code, _, err = submit(capsys, *arguments)
        assert code == 2 and len(err.splitlines()) == 1, err
        assert os.path.basename(path) in err


def test_vertex_experiment_is_made_and_the_run_put_into_it(
    package, capsys, monkeypatch, anonymous
):
    store = "projects/1/locations/europe-west4/metadataStores/default"
    there = {}

    def answer(request):
        path = request.path.partition("?")[0].removeprefix("/v1/")
        if path.endswith("/pipelineJobs/job-1"):
            context = {"name": f"{store}/contexts/job-1"}
            return 200, {
                **{"name": path, "state": "PIPELINE_STATE_RUNNING"},
                "jobDetail": {"pipelineRunContext": context},
            }
        if path.endswith("/contexts"):
            name = f"{store}/contexts/long-tail"
            there["long-tail"] = {**request.body, "name": name}
            return 200, there["long-tail"]
        if "/contexts/" in path and request.method == "GET":
            error = {"code": 404, "message": "not found", "status": "NOT_FOUND"}
            found = there.get(os.path.basename(path))
            return (200, found) if found else (404, {"error": error})
        if "metadataStores" in path:
            return 200, {"name": store}
        return vertex_answer(request)

    with RequestRecorder(answer) as server:
        code, _, err = submit_vertex(
            capsys, monkeypatch, server, package, "--experiment", "long-tail"
        )
    assert (code, err) == (0, "")
    (made,) = server.sent("POST", "/contexts")
    assert made.body["schemaTitle"] == "system.Experiment"
    assert "contextId=long-tail" in made.path
    (child,) = server.sent("POST", ":addContextChildren")
    assert child.body["childContexts"] == [f"{store}/contexts/job-1"]
