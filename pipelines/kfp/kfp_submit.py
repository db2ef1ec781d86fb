"""Submits to Kubeflow Pipelines, with `kfp.Client`."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import kfp_server_api
import urllib3
import yaml

from pipelines.kfp.submission import Submission, SubmissionError
from pipelines.request_recorder import Answer, Request, RequestRecorder


@dataclasses.dataclass(frozen=True)
class Kubeflow:
    """A server of Kubeflow Pipelines v2.

    Attributes:
      host: its URL.
      namespace: user namespace; None where there is one only.
      token: bearer token; None: none, or as kfp finds it.
      upload: whether the package is kept there as a version of a pipeline.
    """

    host: str
    namespace: str | None = None
    token: str | None = None
    upload: bool = False

    def submit(self, submission: Submission) -> str:
        """Starts a run and returns where it is to be seen.

        Raises:
          SubmissionError: the server refused, or could not be reached.
        """
        try:
            return self._submit(submission)
        except kfp_server_api.ApiException as error:
            raise SubmissionError(
                f"{self.host} answered {error.status} {error.reason}: "
                f"{_message(error.body)}"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise SubmissionError(f"no answer from {self.host}: {error}") from error

    def dry_run(self, submission: Submission) -> dict[str, Any]:
        """Returns what would be sent: the real client's requests to this machine."""
        with RequestRecorder(_answer_nothing_known) as recorder:
            dataclasses.replace(self, host=recorder.url).submit(submission)
            sent = [
                request for request in recorder.requests if request.method == "POST"
            ]
        return {
            "host": self.host,
            "requests": [
                {"method": r.method, "path": r.path, "body": r.body} for r in sent
            ],
        }

    def _submit(self, submission: Submission) -> str:
        client = self._client()
        # The client prints links as it goes; ours is the only one that is asked for.
        with contextlib.redirect_stdout(io.StringIO()), _file(submission) as path:
            experiment = client.create_experiment(
                submission.experiment or "Default", namespace=self.namespace
            )
            package: dict[str, Any] = {"pipeline_package_path": path}
            if self.upload:
                package = self._upload(client, submission, path)
            run = client.run_pipeline(
                experiment_id=experiment.experiment_id,
                job_name=submission.run_name,
                params=dict(submission.parameters),
                pipeline_root=submission.pipeline_root,
                service_account=submission.service_account,
                **package,
            )
        host = self.host.rstrip("/")
        return f"started {submission.run_name}: {host}/#/runs/details/{run.run_id}"

    def _client(self):
        import kfp  # Takes a second.

        class Client(kfp.Client):
            def get_kfp_healthz(self, sleep_duration: int = 5):
                # Once: kfp asks five times in 25 s, and then hides the answer.
                return self._healthz_api.get_healthz()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # That it is for servers of version 2.
            return Client(
                host=self.host,
                existing_token=self.token,
                **({"namespace": self.namespace} if self.namespace else {}),
            )

    def _upload(self, client, submission: Submission, path: str) -> dict[str, Any]:
        """Keeps the package, once per content; returns what a run refers to."""
        name = submission.package.spec["pipelineInfo"]["name"]
        with open(path, "rb") as file:
            version = f"{name}-{hashlib.sha256(file.read()).hexdigest()[:12]}"
        pipeline_id = client.get_pipeline_id(name)
        if pipeline_id is None:
            pipeline_id = client.upload_pipeline(
                path, pipeline_name=name, namespace=self.namespace
            ).pipeline_id
        versions = client.list_pipeline_versions(pipeline_id, page_size=100)
        found = {
            one.display_name: one.pipeline_version_id
            for one in versions.pipeline_versions or []
        }
        if version not in found:
            found[version] = client.upload_pipeline_version(
                path, version, pipeline_id=pipeline_id
            ).pipeline_version_id
        return {"pipeline_id": pipeline_id, "version_id": found[version]}


@contextlib.contextmanager
def _file(submission: Submission) -> Iterator[str]:
    """Yields a YAML file of the package, with the caching that is asked for.

    kfp.Client reads nothing but YAML, and sets caching only in specs that it sends with
    the run, not in those that it uploads.
    """
    spec = json.loads(json.dumps(submission.package.spec))
    if submission.cache is not None:
        for task in spec["root"]["dag"]["tasks"].values():
            task["cachingOptions"] = {"enableCache": submission.cache}
    platform = submission.package.platform
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "pipeline.yaml")
        with open(path, "w") as file:
            documents = [spec, platform] if platform else [spec]
            yaml.safe_dump_all(documents, file, sort_keys=True)
        yield path


def _message(body: Any) -> str:
    """Returns the text of an error's body: JSON of the API, or of a proxy before it."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        content = json.loads(text)
        return str(content.get("error_description") or content.get("message") or text)
    except (ValueError, AttributeError):
        return text[:500] or "no message"


def _answer_nothing_known(request: Request) -> Answer:
    """Answers as a server on which nothing of that name is there yet."""
    path = request.path.partition("?")[0]
    if request.method == "POST":
        if path.endswith("/experiments"):
            return 200, {**request.body, "experiment_id": "NEW-EXPERIMENT"}
        if path.endswith("/runs"):
            return 200, {"run_id": "NEW-RUN"}
        return 200, {
            "pipeline_id": "NEW-PIPELINE",
            "pipeline_version_id": "NEW-VERSION",
        }
    return 200, {}
