"""`VertexTrainer`: the Trainer as a custom job on Vertex AI, with the plan."""

from typing import Any, Dict, Optional

from tfx.dsl.components.base import executor_spec

from tfx_resampling.trainer import component, vertex_executor
from tfx_resampling.trainer.vertex_job import VertexTraining


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

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(vertex_executor.Executor)

    def __init__(
        self,
        *,
        training: VertexTraining,
        custom_config: Optional[Dict[str, Any]] = None,
        **options: Any,
    ):
        """Builds the component.

        Args:
          training: the job.
          custom_config: dict that reaches `fn_args.custom_config`, beside the job.
          **options: as of `tfx_resampling.Trainer`.

        Raises:
          ValueError: as `tfx_resampling.Trainer`.
        """
        super().__init__(
            custom_config={**(custom_config or {}), **training.custom_config()},
            **options,
        )
