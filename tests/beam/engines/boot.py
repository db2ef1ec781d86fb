#!/usr/bin/env python
"""Becomes one of Beam's Python workers; what /opt/apache/beam/boot is in its images.

A worker pool or a task manager starts it for each worker. The packages are those of
this environment.
"""

import argparse
import os
import sys

import grpc
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
)
from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("id", "provision_endpoint"):
        parser.add_argument(f"--{name}")
    options, _ = parser.parse_known_args()
    channel = grpc.intercept_channel(
        grpc.insecure_channel(options.provision_endpoint),
        WorkerIdInterceptor(options.id),
    )
    stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
    request = beam_provision_api_pb2.GetProvisionInfoRequest()
    info = stub.GetProvisionInfo(request).info
    os.environ.update(
        WORKER_ID=options.id,
        LOGGING_API_SERVICE_DESCRIPTOR=f'url: "{info.logging_endpoint.url}"',
        CONTROL_API_SERVICE_DESCRIPTOR=f'url: "{info.control_endpoint.url}"',
    )
    # The pool does not read what its workers print, who then wait for it for ever.
    os.dup2(2, 1)
    module = "apache_beam.runners.worker.sdk_worker_main"
    os.execv(sys.executable, [sys.executable, "-m", module])


if __name__ == "__main__":
    main()
