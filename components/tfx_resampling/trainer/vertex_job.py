"""`VertexTraining`: the custom job on Vertex AI that runs a Trainer."""

import dataclasses
from typing import Any, Dict, Mapping, Optional

# Keys of `custom_config` that TFX's Vertex trainer reads, from
# tfx.extensions.google_cloud_ai_platform, which takes seconds to import.
_ARGS_KEY = "ai_platform_training_args"
_ENABLE_KEY = "ai_platform_enable_vertex"
_REGION_KEY = "ai_platform_vertex_region"


@dataclasses.dataclass(frozen=True)
class VertexTraining:
    """A machine, and the image that it runs. Validated on construction.

    Attributes:
      project: project that pays for the job.
      region: region of Vertex AI, for example "europe-west4".
      image: container image with this package, and with the Trainer module where that
        is named by `run_fn`.
      machine_type: Compute Engine machine type.
      accelerator_type: GPU of the machine, for example "NVIDIA_TESLA_T4"; None: none.
      accelerator_count: GPUs.
      boot_disk_gb: size of the boot disk, GB (Vertex AI's default).
      spot: whether the machine may be taken away at any time, for a lower price.
      restart: whether the job is started again when its machine was taken away; it then
        goes on from the last backup in its `model_run` directory.
      timeout_hours: after which the job is ended (7 days is Vertex AI's default).
      service_account: the job runs as this account; None: Vertex AI's own.
      network: full name of the VPC network to peer with; None: none.
      labels: of the job.

    Raises:
      ValueError: a field is not valid; the message names it.
    """

    project: str
    region: str
    image: str
    machine_type: str = "n1-standard-8"
    accelerator_type: Optional[str] = None
    accelerator_count: int = 0
    boot_disk_gb: int = 100
    spot: bool = False
    restart: bool = True
    timeout_hours: float = 168.0
    service_account: Optional[str] = None
    network: Optional[str] = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for name in ("project", "region", "image", "machine_type"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name} must be a non-empty string, got {value!r}.")
        if bool(self.accelerator_type) != (self.accelerator_count > 0):
            raise ValueError(
                "accelerator_type and accelerator_count must be given together, got "
                f"{self.accelerator_type!r} and {self.accelerator_count!r}. A job "
                "without a GPU has neither."
            )
        if not self.timeout_hours > 0:
            raise ValueError(
                f"timeout_hours must be a number over 0, got {self.timeout_hours!r}."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "VertexTraining":
        """Makes a job of its fields by name.

        Raises:
          ValueError: a field that is missing, not known or not valid.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise ValueError(
                f"unknown fields {unknown} of Vertex training; there are {names}."
            )
        try:
            return cls(**values)
        except TypeError as error:  # A field without a default is missing.
            raise ValueError(f"Vertex training: {error}.") from None

    def custom_config(self) -> Dict[str, Any]:
        """Returns what TFX's Vertex trainer reads in `custom_config`."""
        machine: Dict[str, Any] = {"machine_type": self.machine_type}
        if self.accelerator_type:
            machine["accelerator_type"] = self.accelerator_type
            machine["accelerator_count"] = self.accelerator_count
        spec = {
            "worker_pool_specs": [
                {
                    "machine_spec": machine,
                    # One: a second would run the same module on the same directory.
                    "replica_count": 1,
                    "disk_spec": {"boot_disk_size_gb": self.boot_disk_gb},
                    "container_spec": {"image_uri": self.image},
                }
            ],
            "scheduling": {
                "strategy": "SPOT" if self.spot else "STANDARD",
                "restart_job_on_worker_restart": self.restart,
                "timeout": f"{round(self.timeout_hours * 3600)}s",
            },
        }
        if self.service_account:
            spec["service_account"] = self.service_account
        if self.network:
            spec["network"] = self.network
        job = {"project": self.project, "job_spec": spec, "labels": dict(self.labels)}
        return {_ARGS_KEY: job, _ENABLE_KEY: True, _REGION_KEY: self.region}
