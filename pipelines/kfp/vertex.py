"""What Vertex AI refuses by its documentation, found before anything is sent."""

import re
from collections.abc import Mapping
from typing import Any

# Cores and GB that one task has at most, and the names of its accelerators ("Specify
# the machine configuration for a pipeline step"; AcceleratorType in the API).
_LIMITS = {"cpu": ("cpuLimit", 96), "memory": ("memoryLimit", 624)}
_ACCELERATOR = re.compile(r"(NVIDIA|TPU)_[A-Z0-9_]+")
# The job's id, which is that name, "-" and the time in 14 digits, has up to 128
# characters and begins with a letter.
_NAME = re.compile(r"[a-z][-a-z0-9]{0,112}")


def check(spec: Mapping[str, Any], root: str) -> None:
    """Raises ValueError for what Vertex AI would refuse.

    Args:
      spec: a PipelineSpec as JSON.
      root: the pipeline root of the run.
    """
    name = spec["pipelineInfo"]["name"]
    if not _NAME.fullmatch(name):
        raise ValueError(
            "the pipeline's name must begin with a letter and have up to 113 of a-z, "
            f"0-9 and - on Vertex AI, got {name!r}. Compile it with another --name."
        )
    if not root.startswith("gs://"):
        raise ValueError(
            f"the pipeline root must begin with gs:// on Vertex AI, got {root!r}. Set "
            "--pipeline-root."
        )
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    for label, executor in executors.items():
        resources = executor.get("container", {}).get("resources", {})
        task = label.removesuffix("_executor")
        for option, (field, most) in _LIMITS.items():
            if resources.get(field, 0) > most:
                raise ValueError(
                    f"{option} of {task} must be at most {most} on Vertex AI, got "
                    f"{resources[field]!r}. Set less in --tasks, or run it on Kubeflow."
                )
        accelerator = resources.get("accelerator", {}).get("type")
        if accelerator and not _ACCELERATOR.fullmatch(accelerator):
            raise ValueError(
                f"accelerator of {task} must be a name of Vertex AI's, such as "
                f"NVIDIA_TESLA_T4, got {accelerator!r}. Change it in --tasks."
            )
