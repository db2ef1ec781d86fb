"""Inputs, outputs and execution properties of `ResamplePlanner`."""

from collections.abc import Mapping
from typing import Any

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

# One execution property each, so that each can be a RuntimeParameter.
_OPTIONS = option_fields(PlannerConfig)


class ResamplePlannerSpec(ComponentSpec):
    """ComponentSpec of `ResamplePlanner`."""

    PARAMETERS = {
        **{
            option.name: ExecutionParameter(type=option.wire, optional=True)
            for option in _OPTIONS
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


def properties_from_config(config: PlannerConfig) -> dict[str, Any]:
    """Returns the execution properties of a config; absent ones are None."""
    return {
        option.name: option.format(getattr(config, option.name)) for option in _OPTIONS
    }


def config_from_properties(properties: Mapping[str, Any]) -> PlannerConfig:
    """Returns the config of execution properties; runtime values are checked here.

    Raises:
      ValueError: an option is not valid.
    """
    # A runtime parameter of Kubeflow arrives as a float where an integer was meant.
    values = {
        option.name: option.wire(properties[option.name])
        for option in _OPTIONS
        if properties.get(option.name) is not None
    }
    return PlannerConfig(**values)
