"""Runs the executor of `ResamplePlanner` in a directory."""

import os

import tfx_resampling as tr
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts
from tfx_resampling.core.config import to_properties
from tfx_resampling.planner import executor, spec


def execute(directory, inputs, exclude_splits=None, **options):
    """Returns the output artifacts (plan, hyperparameters).

    Args:
      directory: where outputs and temporary files are written.
      inputs: input name -> artifact.
      exclude_splits: the component's execution property.
      **options: of `PlannerConfig`, for the label feature "y".
    """
    plan, hyperparameters = tr.ResamplePlan(), standard_artifacts.HyperParameters()
    for artifact, name in ((plan, "plan"), (hyperparameters, "hyperparameters")):
        artifact.uri = os.path.join(directory, name)
        os.makedirs(artifact.uri)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=[],  # With any, TFX packages itself, for 3 s.
        tmp_dir=os.path.join(directory, "tmp"),
        unique_id="1",
    )
    config = tr.PlannerConfig("y", **options)
    executor.Executor(context).Do(
        {name: [artifact] for name, artifact in inputs.items()},
        {"resample_plan": [plan], "hyperparameters": [hyperparameters]},
        {
            **to_properties(config),
            spec.EXCLUDE_SPLITS_KEY: exclude_splits,
            "package_version": tr.__version__,
        },
    )
    return plan, hyperparameters
