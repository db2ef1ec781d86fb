"""What is submitted, to whichever backend."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipelines.kfp.package import Package


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
      cache: whether executions are used again; None: as compiled.
    """

    package: Package
    parameters: Mapping[str, Any]
    run_name: str
    experiment: str | None = None
    pipeline_root: str | None = None
    service_account: str | None = None
    cache: bool | None = None


class SubmissionError(Exception):
    """A server refused, or could not be reached; the message is one line."""
