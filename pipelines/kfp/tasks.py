"""What single tasks of a compiled pipeline run on: image, machine, retries."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfx_resampling.validate import check_names

# Of Kubernetes.
_TOLERATION = ("key", "operator", "value", "effect", "tolerationSeconds")


@dataclasses.dataclass(frozen=True)
class TaskOptions:
    """Where one task runs. Validated on construction.

    Attributes:
      image: container image; None: that of the pipeline.
      cpu: limit in cores; None: the cluster's default.
      memory: limit in GB (10^9 bytes); None: the cluster's default.
      accelerator: GPU type: "nvidia.com/gpu" on a cluster, "NVIDIA_TESLA_T4" and the
        like on Vertex AI; None: no GPU.
      accelerator_count: GPUs.
      node_selector: labels of the cluster's nodes that may run it. Not on Vertex AI.
      tolerations: taints of nodes that it may run on, in Kubernetes' fields. Not on
        Vertex AI.
      retries: how often it is started again when it fails.

    Raises:
      ValueError: a field is not valid; the message names it.
    """

    image: str | None = None
    cpu: float | None = None
    memory: float | None = None
    accelerator: str | None = None
    accelerator_count: int = 1
    node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tolerations: list[Mapping[str, Any]] = dataclasses.field(default_factory=list)
    retries: int = 0

    def __post_init__(self):
        for name in ("cpu", "memory"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be a number over 0, got {value!r}.")
        for name, least in (("accelerator_count", 1), ("retries", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"{name} must be an integer from {least}, got {value!r}."
                )
        for toleration in self.tolerations:
            check_names("fields of tolerations", toleration, _TOLERATION)

    @classmethod
    def from_dict(cls, task: str, values: Mapping[str, Any]) -> "TaskOptions":
        """Makes the options of a task from their fields by name.

        Raises:
          ValueError: a field that is not known or not valid.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        check_names(f"options of {task}", values, names)
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{task}: {error}") from None

    def resources(self) -> dict[str, Any]:
        """Returns the container's ResourceSpec as JSON, {} without limits."""
        result: dict[str, Any] = {}
        if self.cpu is not None:
            result["cpuLimit"] = float(self.cpu)
        if self.memory is not None:
            result["memoryLimit"] = float(self.memory)
        if self.accelerator is not None:
            # An integer of 64 bits is a string in protobuf's JSON.
            count = str(self.accelerator_count)
            result["accelerator"] = {"type": self.accelerator, "count": count}
        return result

    def kubernetes(self) -> dict[str, Any]:
        """Returns the task's KubernetesExecutorConfig, as JSON."""
        result: dict[str, Any] = {}
        if self.node_selector:
            result["nodeSelector"] = {"labels": dict(self.node_selector)}
        if self.tolerations:
            result["tolerations"] = [dict(one) for one in self.tolerations]
        return result
