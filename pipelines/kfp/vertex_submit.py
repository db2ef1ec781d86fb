"""Submits to Vertex AI, with `google.cloud.aiplatform.PipelineJob`."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.kfp.submission import Submission, SubmissionError
from pipelines.request_recorder import Answer, Request, RequestRecorder


@dataclasses.dataclass(frozen=True)
class Vertex:
    """A project and region of Vertex AI.

    Attributes:
      project: project that pays for the run.
      region: for example "europe-west4".
      network: full name of a VPC network to peer with; None: none.
      labels: of the job.
      api_endpoint: another address than that of the region.
    """

    project: str
    region: str
    network: str | None = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    api_endpoint: str | None = None

    def submit(self, submission: Submission) -> str:
        """Starts a run and returns where it is to be seen.

        Raises:
          ValueError: what Vertex AI does not have, or does not take.
          SubmissionError: Vertex AI refused, or could not be reached.
        """
        return self._submit(submission, credentials=None)

    def dry_run(self, submission: Submission) -> dict[str, Any]:
        """Returns what would be sent: the real client's requests to this machine.

        Needs no credentials. Without the experiment, which is made in several steps
        that depend on the answers.
        """
        from google.auth import credentials

        with RequestRecorder(_answer_created) as recorder:
            with _storage_at(recorder.url):
                dataclasses.replace(self, api_endpoint=recorder.url)._submit(
                    dataclasses.replace(submission, experiment=None),
                    credentials.AnonymousCredentials(),
                )
            (sent,) = recorder.sent("POST", "/pipelineJobs")
        host = self.api_endpoint or f"https://{self.region}-aiplatform.googleapis.com"
        result = {"host": host, "experiment": submission.experiment}
        body = {"method": sent.method, "path": sent.path, "body": sent.body}
        return {**result, "requests": [body]}

    def _submit(self, submission: Submission, credentials) -> str:
        if submission.package.platform:
            raise ValueError(
                f"{submission.package.path!r} has node_selector or tolerations, which "
                "Vertex AI does not have. Compile it again without."
            )
        # Takes seconds to import.
        import google.auth.exceptions
        import requests
        from google.api_core import exceptions
        from google.cloud import aiplatform

        try:
            aiplatform.init(
                project=self.project,
                location=self.region,
                credentials=credentials,
                api_endpoint=self.api_endpoint,
                # Errors come with a text in JSON, and proxies let it through.
                api_transport="rest",
            )
            job = aiplatform.PipelineJob(
                display_name=submission.run_name,
                template_path=submission.package.path,
                pipeline_root=submission.pipeline_root,
                parameter_values=dict(submission.parameters),
                enable_caching=submission.cache,
                labels=dict(self.labels) or None,
            )
            with _quiet():
                job.submit(
                    service_account=submission.service_account,
                    network=self.network,
                    experiment=submission.experiment,
                )
        except exceptions.GoogleAPICallError as error:
            raise SubmissionError(
                f"Vertex AI answered {int(error.code or 0)}: {error.message}"
            ) from error
        except google.auth.exceptions.GoogleAuthError as error:
            raise SubmissionError(f"no credentials: {error}") from error
        except (exceptions.GoogleAPIError, requests.RequestException) as error:
            raise SubmissionError(f"no answer from Vertex AI: {error}") from error
        return (
            f"started {submission.run_name}: https://console.cloud.google.com/vertex-ai/"
            f"locations/{self.region}/pipelines/runs/{job.job_id}?project={self.project}"
        )


@contextlib.contextmanager
def _storage_at(url: str) -> Iterator[None]:
    """Has the client look for the root's bucket there; it makes it if need be."""
    name = "STORAGE_EMULATOR_HOST"
    before = os.environ.get(name)
    os.environ[name] = url
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leaves the client's warnings, and of a traceback the last line.

    The client logs one if it cannot look at the bucket, and goes on.
    """
    logger = logging.getLogger("google.cloud.aiplatform.pipeline_jobs")

    def shorten(record: logging.LogRecord) -> bool:
        if record.exc_info:
            record.msg = f"{record.msg}: {record.exc_info[1]}"
            record.exc_info = None
        return record.levelno >= logging.WARNING

    logger.addFilter(shorten)
    try:
        yield
    finally:
        logger.removeFilter(shorten)


def _answer_created(request: Request) -> Answer:
    """Answers as Vertex AI where all is in order."""
    if request.method == "POST" and request.path.partition("?")[0].endswith("Jobs"):
        parent = request.path.partition("?")[0].partition("projects/")[2]
        return 200, {
            "name": f"projects/{parent}/new",
            "state": "PIPELINE_STATE_PENDING",
        }
    return 200, {"name": "bucket", "kind": "storage#bucket"}
