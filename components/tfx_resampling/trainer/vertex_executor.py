"""Executor of `tfx_resampling.VertexTrainer`."""

from tfx.extensions.google_cloud_ai_platform.trainer import executor as vertex_executor

from tfx_resampling.trainer import executor


class Executor(vertex_executor.GenericExecutor):
    """Starts a custom job that runs the executor which hands on the plan.

    TFX's own starts its stock executor there, to which the plan is an unknown input:
    `run_fn` would not find it.
    """

    def _GetExecutorClass(self):
        return executor.Executor
