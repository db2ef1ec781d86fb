"""`VertexTrainer`: the Trainer in a custom job on Vertex AI."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base import executor_spec
from tfx.extensions.google_cloud_ai_platform import constants
from tfx.extensions.google_cloud_ai_platform.trainer import executor as cloud_executor

from tfx_resampling.trainer import component, executor
from tfx_resampling.validate import check_names, check_text, shown


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
      accelerator_count: number of GPUs.
      boot_disk_gb: size of the boot disk, GB (Vertex AI's default).
      spot: whether the machine may be taken away at any time, for a lower price.
      restart: whether the job starts again after its machine was taken away; it then
        goes on from the last backup in its `model_run` directory.
      timeout_hours: hours after which the job ends (7 days is Vertex AI's default).
      service_account: the job runs as this account; None: Vertex AI's own.
      network: full name of the VPC network to peer with; None: none.
      labels: labels of the job.

    Raises:
      ValueError: a field is not valid; the message names it.
    """

    project: str
    region: str
    image: str
    machine_type: str = "n1-standard-8"
    accelerator_type: str | None = None
    accelerator_count: int = 0
    boot_disk_gb: int = 100
    spot: bool = False
    restart: bool = True
    timeout_hours: float = 168.0
    service_account: str | None = None
    network: str | None = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for name in ("project", "region", "image", "machine_type"):
            check_text(name, getattr(self, name))
        if bool(self.accelerator_type) != (self.accelerator_count > 0):
            raise ValueError(
                "accelerator_type and accelerator_count must be given together, got "
                f"{self.accelerator_type!r} and {self.accelerator_count!r}. A job "
                "without a GPU has neither."
            )
        if not self.timeout_hours > 0:
            raise ValueError(
                "timeout_hours must be a number over 0, got "
                f"{shown(self.timeout_hours)}."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "VertexTraining":
        """Makes a job of its fields by name.

        Raises:
          ValueError: a field is missing, unknown or not valid.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        check_names("fields of Vertex training", values, names)
        try:
            return cls(**values)
        except TypeError as error:  # A field without a default is missing.
            raise ValueError(f"Vertex training: {error}.") from None

    def custom_config(self) -> dict[str, Any]:
        """Returns the part of `custom_config` that TFX's Vertex trainer reads."""
        machine: dict[str, Any] = {"machine_type": self.machine_type}
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
        return {
            cloud_executor.TRAINING_ARGS_KEY: job,
            constants.ENABLE_VERTEX_KEY: True,
            constants.VERTEX_REGION_KEY: self.region,
        }


class VertexExecutor(cloud_executor.GenericExecutor):
    """Starts a custom job that runs the executor which passes the plan on.

    TFX's own starts its stock executor there, to which the plan is an unknown input:
    `run_fn` would not find it.
    """

    def _GetExecutorClass(self):
        return executor.Executor


class VertexTrainer(component.Trainer):
    """`tfx_resampling.Trainer` whose `run_fn` runs in a custom job on Vertex AI.

    The component's own process only starts the job and waits for it, so that one step
    of a pipeline, wherever that runs, gets a machine with a GPU. `run_fn(fn_args)`
    finds the plan with `tfx_resampling.load_plan(fn_args)` as it does elsewhere.

    ```python
    trainer = tfx_resampling.VertexTrainer(
        training=tfx_resampling.VertexTraining(
            project="my-project", region="europe-west4", image="...",
            accelerator_type="NVIDIA_TESLA_T4", accelerator_count=1, spot=True),
        examples=example_gen.outputs["examples"],
        resample_plan=planner.outputs["resample_plan"],
        run_fn="pipelines.training.module.run_fn",
        train_steps=2000,
    )
    ```

    Component `outputs` contains:
      - `model`: channel of type `standard_artifacts.Model`.
      - `model_run`: channel of type `standard_artifacts.ModelRun`, e.g. logs.
    """

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(VertexExecutor)

    def __init__(
        self,
        *,
        training: VertexTraining,
        custom_config: dict[str, Any] | None = None,
        **options: Any,
    ):
        """Builds the component.

        Args:
          training: the job.
          custom_config: dict that reaches `fn_args.custom_config`, beside the job.
          **options: as in `tfx_resampling.Trainer`.

        Raises:
          ValueError: as in `tfx_resampling.Trainer`.
        """
        super().__init__(
            custom_config={**(custom_config or {}), **training.custom_config()},
            **options,
        )
