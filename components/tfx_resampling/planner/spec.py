"""Inputs, outputs and execution properties of `ResamplePlanner`."""

from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from tfx_resampling.artifacts import ResamplePlan
from tfx_resampling.core.config import PlannerConfig, option_fields

STATISTICS_KEY = "statistics"
EXAMPLES_KEY = "examples"
SCHEMA_KEY = "schema"
RESAMPLE_PLAN_KEY = "resample_plan"
HYPERPARAMETERS_KEY = "hyperparameters"
HYPERPARAMETERS_FILE = "hyperparameters.json"
EXCLUDE_SPLITS_KEY = "exclude_splits"
VERSION_KEY = "package_version"


class ResamplePlannerSpec(ComponentSpec):
    """ComponentSpec of `ResamplePlanner`."""

    PARAMETERS = {
        # One each, so that each can be a RuntimeParameter.
        **{
            option.name: ExecutionParameter(type=option.wire, optional=True)
            for option in option_fields(PlannerConfig)
        },
        EXCLUDE_SPLITS_KEY: ExecutionParameter(type=str, optional=True),
        # In the cache key, which does not notice a change of code.
        VERSION_KEY: ExecutionParameter(type=str),
    }
    INPUTS = {
        STATISTICS_KEY: ChannelParameter(
            type=standard_artifacts.ExampleStatistics, optional=True
        ),
        EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples, optional=True),
        SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema, optional=True),
    }
    OUTPUTS = {
        RESAMPLE_PLAN_KEY: ChannelParameter(type=ResamplePlan),
        HYPERPARAMETERS_KEY: ChannelParameter(type=standard_artifacts.HyperParameters),
    }
