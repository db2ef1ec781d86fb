"""Inputs, outputs and execution properties of `Resampler`."""

from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from tfx_resampling.artifacts import ResamplePlan
from tfx_resampling.beam.resample_options import ResampleOptions
from tfx_resampling.core.config import option_fields

# An input and an output of a component cannot have the same name.
NATURAL_EXAMPLES_KEY = "natural_examples"
EXAMPLES_KEY = "examples"
RESAMPLE_PLAN_KEY = "resample_plan"
SPLITS_KEY = "splits"
EXCLUDE_SPLITS_KEY = "exclude_splits"
OTHER_SPLITS_KEY = "other_splits"
VERSION_KEY = "package_version"

OTHER_SPLITS = ("copy", "link", "drop")


class ResamplerSpec(ComponentSpec):
    """ComponentSpec of `Resampler`."""

    PARAMETERS = {
        # One each, so that each can be a RuntimeParameter.
        **{
            option.name: ExecutionParameter(type=option.wire, optional=True)
            for option in option_fields(ResampleOptions)
        },
        SPLITS_KEY: ExecutionParameter(type=str, optional=True),
        EXCLUDE_SPLITS_KEY: ExecutionParameter(type=str, optional=True),
        OTHER_SPLITS_KEY: ExecutionParameter(type=str),
        # In the cache key, which does not notice a change of code.
        VERSION_KEY: ExecutionParameter(type=str),
    }
    INPUTS = {
        NATURAL_EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        RESAMPLE_PLAN_KEY: ChannelParameter(type=ResamplePlan),
    }
    OUTPUTS = {EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples)}
