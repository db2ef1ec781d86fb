"""Runtime parameters: what is set when a run of the compiled pipeline starts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipelines import pipeline

# What people change between runs: name -> (type, default, description). The default of
# `data` is a folder of the pipeline root.
PARAMETERS = {
    "data": (str, None, "Directory of TFRecords of tf.train.Example."),
    "target": (str, "sqrt", "Target distribution: sqrt, uniform, power:0.3, a JSON..."),
    "size": (
        str,
        "auto",
        "Records per epoch: auto, preserve, undersample, ratio:0.5...",
    ),
    "max_factor": (float, 100.0, "Most copies of a record in an epoch."),
    "train_steps": (int, 1500, "Batches to train."),
    "seed": (int, 0, "Seed of the plan, of shuffling and of the model's weights."),
}
# Those of the plan.
PLANNER = ("target", "size", "max_factor", "seed")


def defaults(root: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the default of every runtime parameter.

    Args:
      root: the pipeline root.
      values: defaults that replace those of `PARAMETERS`, of any of its names.

    Raises:
      ValueError: a name that is not a runtime parameter, or a value of another type.
    """
    result = {name: default for name, (_, default, _) in PARAMETERS.items()}
    result["data"] = f"{root.rstrip('/')}/data"
    result.update(check_values(values))
    return result


def check_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values of runtime parameters in their types, from text or numbers.

    Raises:
      ValueError: a name that is not a runtime parameter, or a value of another type.
    """
    unknown = sorted(set(values) - set(PARAMETERS))
    if unknown:
        raise ValueError(
            f"unknown runtime parameters {unknown}; valid: {list(PARAMETERS)}."
        )
    result = {}
    for name, value in values.items():
        kind = PARAMETERS[name][0]
        try:
            result[name] = kind(value)
        except ValueError:
            raise ValueError(
                f"{name} must be of type {kind.__name__}, got {value!r}."
            ) from None
    return result


def with_parameters(
    options: pipeline.PipelineOptions, values: Mapping[str, Any]
) -> pipeline.PipelineOptions:
    """Returns options of a pipeline whose `PARAMETERS` are set when a run starts.

    Args:
      options: the other options.
      values: default of each parameter, see `defaults`.
    """
    runtime = {
        name: pipeline.RuntimeParameter(name, kind, values[name], description)
        for name, (kind, _, description) in PARAMETERS.items()
    }
    return dataclasses.replace(
        options,
        data=runtime["data"],
        train_steps=runtime["train_steps"],
        runtime_planner={name: runtime[name] for name in PLANNER},
    )
