"""What is submitted, to whichever backend."""

import dataclasses
from typing import Any, Mapping, Optional

from pipelines.kfp_package import Package


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
    experiment: Optional[str] = None
    pipeline_root: Optional[str] = None
    service_account: Optional[str] = None
    cache: Optional[bool] = None


class SubmissionError(Exception):
    """A server refused, or could not be reached; the message is one line."""
