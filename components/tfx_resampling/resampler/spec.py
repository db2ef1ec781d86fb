"""Inputs, outputs and execution properties of `Resampler`."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from tfx_resampling.artifacts import ResamplePlan
from tfx_resampling.beam.resample_options import ResampleOptions
from tfx_resampling.validate import check_choice

# An input and an output of a component cannot have the same name.
NATURAL_EXAMPLES_KEY = "natural_examples"
EXAMPLES_KEY = "examples"
RESAMPLE_PLAN_KEY = "resample_plan"
OPTIONS_KEY = "options"
SPLITS_KEY = "splits"
OTHER_SPLITS_KEY = "other_splits"
VERSION_KEY = "package_version"

OTHER_SPLITS = ("copy", "link")


class ResamplerSpec(ComponentSpec):
    """ComponentSpec of `Resampler`."""

    PARAMETERS = {
        OPTIONS_KEY: ExecutionParameter(type=str),
        SPLITS_KEY: ExecutionParameter(type=str),
        OTHER_SPLITS_KEY: ExecutionParameter(type=str),
        # In the cache key, which does not notice a change of code.
        VERSION_KEY: ExecutionParameter(type=str),
    }
    INPUTS = {
        NATURAL_EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        RESAMPLE_PLAN_KEY: ChannelParameter(type=ResamplePlan),
    }
    OUTPUTS = {EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples)}


def to_properties(
    options: ResampleOptions, splits: Sequence[str], other_splits: str
) -> Mapping[str, str]:
    """Returns the execution properties of options.

    Raises:
      ValueError: `splits` or `other_splits` is not valid.
    """
    is_list = isinstance(splits, (list, tuple))
    if not is_list or not splits or not all(isinstance(x, str) for x in splits):
        raise ValueError(f"splits must be a list of names, got {splits!r}.")
    check_choice("other_splits", other_splits, OTHER_SPLITS)
    return {
        OPTIONS_KEY: json.dumps(dataclasses.asdict(options), sort_keys=True),
        SPLITS_KEY: json.dumps(list(splits)),
        OTHER_SPLITS_KEY: other_splits,
    }


def from_properties(
    properties: Mapping[str, Any],
) -> tuple[ResampleOptions, Sequence[str], str]:
    """Returns (options, splits, other_splits), the inverse of `to_properties`."""
    return (
        ResampleOptions(**json.loads(properties[OPTIONS_KEY])),
        json.loads(properties[SPLITS_KEY]),
        properties[OTHER_SPLITS_KEY],
    )
