"""Submits a compiled pipeline: `submit.py kfp --help`, `submit.py vertex --help`."""

import argparse
import datetime
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

# The code of the submission is no part of the installed package.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from pipelines.arguments import pairs  # noqa: E402
from pipelines.kfp import (
    kfp_submit,
    vertex_submit,  # noqa: E402
)
from pipelines.kfp.package import Package  # noqa: E402
from pipelines.kfp.submission import Submission, SubmissionError  # noqa: E402


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the command line's options."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("package", help="what compile.py wrote")
    common.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="value of a runtime parameter, e.g. target=sqrt; repeatable",
    )
    common.add_argument("--experiment", help="name; it is made if it is not there")
    common.add_argument("--run-name", help="name of the run")
    common.add_argument("--pipeline-root", help="over the one that was compiled in")
    common.add_argument("--service-account", help="the tasks run as this account")
    cache = common.add_mutually_exclusive_group()
    cache.add_argument("--cache", dest="cache", action="store_true", default=None)
    cache.add_argument(
        "--no-cache",
        dest="cache",
        action="store_false",
        help="whether executions with the same inputs are used again (default: as "
        "compiled)",
    )
    common.add_argument(
        "--dry-run",
        action="store_true",
        help="print the requests that would be sent, and send none",
    )
    parser = argparse.ArgumentParser(description="Submits a compiled pipeline.")
    backends = parser.add_subparsers(dest="backend", required=True)
    kfp = backends.add_parser(
        "kfp", parents=[common], help="to Kubeflow Pipelines (standalone, GKE)"
    )
    kfp.add_argument("--host", required=True, help="URL of Kubeflow Pipelines")
    kfp.add_argument("--namespace", help="user namespace, where there are several")
    kfp.add_argument(
        "--token-file", help="file with a bearer token, where the server wants one"
    )
    kfp.add_argument(
        "--upload",
        action="store_true",
        help="also keep the package there as a pipeline, to be started from the UI",
    )
    vertex = backends.add_parser("vertex", parents=[common], help="to Vertex AI")
    vertex.add_argument("--project", required=True)
    vertex.add_argument("--region", required=True)
    vertex.add_argument("--network", help="full name of a VPC network to peer with")
    vertex.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="label of the job; repeatable",
    )
    vertex.add_argument(
        "--api-endpoint", help="another address of Vertex AI, such as a private one"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Submits; returns the exit code: 2 if it was refused, here or there."""
    args = parse_args(argv)
    try:
        print(_submit(args))
    except (ValueError, OSError, SubmissionError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _submit(args: argparse.Namespace) -> str:
    package = Package.read(args.package)
    name = package.spec["pipelineInfo"]["name"]
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    submission = Submission(
        package=package,
        parameters=package.parameters(pairs("--param", args.param)),
        run_name=args.run_name or f"{name}-{now}",
        experiment=args.experiment,
        pipeline_root=args.pipeline_root,
        service_account=args.service_account,
        cache=args.cache,
    )
    if args.backend == "kfp":
        target: Any = kfp_submit.Kubeflow(
            args.host, args.namespace, _token(args.token_file), args.upload
        )
    else:
        target = vertex_submit.Vertex(
            args.project,
            args.region,
            args.network,
            pairs("--label", args.label),
            args.api_endpoint,
        )
    if args.dry_run:
        return json.dumps(target.dry_run(submission), indent=1)
    return target.submit(submission)


def _token(path: str | None) -> str | None:
    if path is None:
        return None
    with open(path) as file:
        return file.read().strip()


if __name__ == "__main__":
    sys.exit(main())
