"""Submits a compiled pipeline: `python -m pipelines.kfp.submit --help`."""

import contextlib
import dataclasses
import datetime
import hashlib
import io
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import yaml

from pipelines import command_line
from pipelines.kfp.package import Package
from pipelines.kfp.vertex import check


class SubmissionError(Exception):
    """A server refused, or could not be reached; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Submission:
    """One run of a compiled pipeline.

    Attributes:
      package: the compiled pipeline.
      parameters: values of runtime parameters; others have their defaults.
      run_name: name of the run.
      experiment: name of the experiment; None: the backend's default.
      pipeline_root: where artifacts go; None: as compiled.
      service_account: the account that tasks run as; None: the backend's default.
      cache: whether results of earlier executions are reused; None: as compiled.
    """

    package: Package
    parameters: Mapping[str, Any]
    run_name: str
    experiment: str | None = None
    pipeline_root: str | None = None
    service_account: str | None = None
    cache: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns what a run is started with, the defaults of parameters included."""
        return {
            **vars(self),
            "package": self.package.path,
            "parameters": {**self.package.defaults, **self.parameters},
            "pipeline_root": self.pipeline_root or self.package.root,
        }


@dataclasses.dataclass(frozen=True)
class Kubeflow:
    """A server of Kubeflow Pipelines v2; submits with `kfp.Client`.

    Attributes:
      host: its URL.
      namespace: user namespace; None where there is only one.
      token: bearer token; None: none, or as kfp finds it.
      upload: whether the package is also kept there, as a version of a pipeline.
    """

    host: str
    namespace: str | None = None
    token: str | None = None
    upload: bool = False

    def submit(self, submission: Submission) -> str:
        """Starts a run and returns a line that says where to see it.

        Raises:
          SubmissionError: the server refused, or could not be reached.
        """
        import kfp_server_api
        import urllib3

        try:
            run_id = self._start(submission)
        except kfp_server_api.ApiException as error:
            raise SubmissionError(
                f"{self.host} answered {error.status} {error.reason}: "
                f"{_message(error.body)}"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise SubmissionError(f"no answer from {self.host}: {error}") from error
        host = self.host.rstrip("/")
        return f"started {submission.run_name}: {host}/#/runs/details/{run_id}"

    def _start(self, submission: Submission) -> str:
        client = self._client()
        # The client prints links as it goes; ours is the only one that is asked for.
        with contextlib.redirect_stdout(io.StringIO()), _file(submission) as path:
            experiment = client.create_experiment(
                submission.experiment or "Default", namespace=self.namespace
            )
            package: dict[str, Any] = {"pipeline_package_path": path}
            if self.upload:
                package = self._upload(client, submission.package.name, path)
            return client.run_pipeline(
                experiment_id=experiment.experiment_id,
                job_name=submission.run_name,
                params=dict(submission.parameters),
                pipeline_root=submission.pipeline_root,
                service_account=submission.service_account,
                **package,
            ).run_id

    def _client(self) -> Any:
        import kfp  # Takes a second.

        class Client(kfp.Client):
            def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
                # Once: kfp asks five times in 25 s, and then hides the answer.
                api: Any = self._healthz_api
                if hasattr(api, "get_healthz"):  # Of kfp-server-api before 2.17.
                    return api.get_healthz()
                return api.healthz_service_get_healthz()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # That it is for servers of version 2.
            return Client(
                host=self.host,
                existing_token=self.token,
                namespace=self.namespace or "kubeflow",  # kfp's own default.
            )

    def _upload(self, client: Any, name: str, path: str) -> dict[str, Any]:
        """Keeps the package, once per content; returns what a run refers to."""
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


@dataclasses.dataclass(frozen=True)
class Vertex:
    """A project and region of Vertex AI; submits with `aiplatform.PipelineJob`.

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
        """Starts a run and returns a line that says where to see it.

        Raises:
          SubmissionError: Vertex AI refused, or could not be reached.
        """
        # Takes seconds to import.
        import google.auth.exceptions
        import requests
        from google.api_core import exceptions

        try:
            job_id = self._start(submission)
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
            f"locations/{self.region}/pipelines/runs/{job_id}?project={self.project}"
        )

    def _start(self, submission: Submission) -> str:
        from google.cloud import aiplatform

        aiplatform.init(
            project=self.project,
            location=self.region,
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
        return job.job_id


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leaves the client's warnings, and of a traceback the last line.

    The client logs one if it cannot look at the bucket, and goes on. Since 1.165 it
    also logs one about an attack, where it may not ask for the project's number.
    """
    logger = logging.getLogger("google.cloud.aiplatform.pipeline_jobs")

    def shorten(record: logging.LogRecord) -> bool:
        if record.exc_info:
            text = str(record.exc_info[1])
            if "bucket squatting" in text:
                text = (
                    "the pipeline root's bucket is another project's, or the account "
                    "lacks resourcemanager.projects.get, which would tell; the run "
                    "starts all the same"
                )
            record.msg = f"{record.msg}: {text}"
            record.exc_info = None
        return record.levelno >= logging.WARNING

    logger.addFilter(shorten)
    try:
        yield
    finally:
        logger.removeFilter(shorten)


def _of_both(command: Any) -> Any:
    """Adds the argument and the options that both backends have."""
    for add in (
        click.option(
            "--dry-run",
            is_flag=True,
            help="Print the package and all parameters of the run; contact no server.",
        ),
        click.option(
            "--cache/--no-cache",
            default=None,
            help="Whether to reuse results of earlier executions with the same inputs."
            "  [default: as compiled]",
        ),
        click.option("--service-account", help="Account that the tasks run as."),
        click.option("--pipeline-root", help="Overrides the compiled root."),
        click.option("--run-name", help="Name of the run."),
        click.option("--experiment", help="Its name; created if it does not exist."),
        click.option(
            "--param",
            "parameters",
            multiple=True,
            metavar="NAME=VALUE",
            callback=command_line.pairs,
            help="Value of a runtime parameter, e.g. target=sqrt; repeatable.",
        ),
        click.argument("package"),
    ):
        command = add(command)
    return command


@click.group()
def cli() -> None:
    """Submits a compiled PACKAGE, which pipelines.kfp.compile wrote."""


@cli.command()
@_of_both
@click.option("--host", required=True, help="URL of Kubeflow Pipelines.")
@click.option("--namespace", help="User namespace, where there are several.")
@click.option(
    "--token-file", help="File with a bearer token, where the server wants one."
)
@click.option(
    "--upload",
    is_flag=True,
    help="Also keep the package there as a pipeline, to be started from the UI.",
)
def kfp(
    host: str,
    namespace: str | None,
    token_file: str | None,
    upload: bool,
    **common: Any,
) -> None:
    """Submits to Kubeflow Pipelines (standalone, GKE)."""
    token = None
    if token_file is not None:
        with open(token_file) as file:
            token = file.read().strip()
    _submit(Kubeflow(host, namespace, token, upload), **common)


@cli.command()
@_of_both
@click.option("--project", required=True)
@click.option("--region", required=True)
@click.option("--network", help="Full name of a VPC network to peer with.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE",
    callback=command_line.pairs,
    help="Label of the job; repeatable.",
)
@click.option(
    "--api-endpoint", help="Another address of Vertex AI, such as a private one."
)
def vertex(
    project: str,
    region: str,
    network: str | None,
    labels: dict[str, str],
    api_endpoint: str | None,
    **common: Any,
) -> None:
    """Submits to Vertex AI."""
    _submit(Vertex(project, region, network, labels, api_endpoint), **common)


def _submit(
    backend: Kubeflow | Vertex,
    package: str,
    parameters: dict[str, str],
    run_name: str | None,
    dry_run: bool,
    **others: Any,
) -> None:
    read = Package.read(package)
    if isinstance(backend, Vertex):
        if read.platform:
            raise ValueError(
                f"{package!r} has node_selector or tolerations, which Vertex AI does "
                "not have. Compile it again without."
            )
        check(read.spec, others["pipeline_root"] or read.root or "")
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    submission = Submission(
        package=read,
        parameters=read.parameters(parameters),
        run_name=run_name or f"{read.name}-{now}",
        **others,
    )
    if dry_run:
        where = {k: v for k, v in vars(backend).items() if k != "token"}
        print(json.dumps({**where, **submission.as_dict()}, indent=1))
    else:
        print(backend.submit(submission))


def main(argv: Sequence[str] | None = None) -> int:
    """Submits; returns the exit code: 2 if it was refused, here or there."""
    return command_line.run(
        cli,
        argv,
        "python -m pipelines.kfp.submit",
        (ValueError, OSError, SubmissionError),
    )


if __name__ == "__main__":
    sys.exit(main())
