#!/usr/bin/env python
"""Becomes one of Beam's Python workers; what /opt/apache/beam/boot is in its images.

A worker pool or a task manager starts it for each worker. The packages are those of
this environment.
"""

import argparse
import os
import sys


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("id", "logging_endpoint", "control_endpoint"):
        parser.add_argument(f"--{name}")
    options, _ = parser.parse_known_args()
    os.environ.update(
        WORKER_ID=options.id,
        LOGGING_API_SERVICE_DESCRIPTOR=f'url: "{options.logging_endpoint}"',
        CONTROL_API_SERVICE_DESCRIPTOR=f'url: "{options.control_endpoint}"',
    )
    # The pool does not read what its workers print, who then wait for it for ever.
    os.dup2(2, 1)
    module = "apache_beam.runners.worker.sdk_worker_main"
    os.execv(sys.executable, [sys.executable, "-m", module])


if __name__ == "__main__":
    main()
