"""Inputs, outputs and execution properties of `ResamplePlanner`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from tfx_resampling.artifacts import ResamplePlan
from tfx_resampling.core import config as config_lib
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.groups import format_columns

STATISTICS_KEY = "statistics"
EXAMPLES_KEY = "examples"
SCHEMA_KEY = "schema"
RESAMPLE_PLAN_KEY = "resample_plan"
HYPERPARAMETERS_KEY = "hyperparameters"
HYPERPARAMETERS_FILE = "hyperparameters.json"
VERSION_KEY = "package_version"

# How each field of PlannerConfig travels: one execution property each, so that each can
# be a RuntimeParameter. Fields with several types travel as the string that
# PlannerConfig reads back.
_PROPERTY_TYPES = {
    "label_key": str,
    "target": str,
    "size": str,
    "min_factor": float,
    "max_factor": float,
    "combine": str,
    "unlabeled": str,
    "group_by": str,
    "split": str,
    "seed": int,
    "key_feature": str,
    "unknown_labels": str,
    "on_unreachable": str,
    "tolerance": float,
    "schedule": str,
}


class ResamplePlannerSpec(ComponentSpec):
    """ComponentSpec of `ResamplePlanner`."""

    PARAMETERS = {
        **{
            name: ExecutionParameter(type=kind, optional=True)
            for name, kind in _PROPERTY_TYPES.items()
        },
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
    values = dataclasses.asdict(config)
    values["target"] = config_lib.format_target(config.target)
    values["size"] = config_lib.format_size(config.size)
    values["unlabeled"] = str(config.unlabeled)
    values["unknown_labels"] = str(config.unknown_labels)
    values["group_by"] = format_columns(config.group_by)
    return values


def config_from_properties(properties: Mapping[str, Any]) -> PlannerConfig:
    """Returns the config of execution properties; runtime values are checked here.

    Raises:
      ValueError: an option is not valid.
    """
    # A runtime parameter of Kubeflow arrives as a float where an integer was meant.
    values = {
        name: kind(properties[name])
        for name, kind in _PROPERTY_TYPES.items()
        if properties.get(name) is not None
    }
    return PlannerConfig(**values)
