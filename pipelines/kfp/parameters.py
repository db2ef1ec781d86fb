"""Runtime parameters: what is set when a run of the compiled pipeline starts."""

from collections.abc import Mapping
from typing import Any

from tfx_resampling.core.config import PlannerConfig, option_fields
from tfx_resampling.validate import check_names

# Those of the plan -> default; None for that of PlannerConfig.
PLANNER = {"target": "sqrt", "size": "auto", "max_factor": None, "seed": None}
# What people change between runs: name -> (type, default, description). The default of
# `data` is a folder of the pipeline root.
PARAMETERS: dict[str, tuple[type, Any, str]] = {
    "data": (str, None, "Directory of TFRecords of tf.train.Example."),
    **{
        field.name: (
            field.wire,
            field.default if PLANNER[field.name] is None else PLANNER[field.name],
            field.help,
        )
        for field in option_fields(PlannerConfig)
        if field.name in PLANNER
    },
    "train_steps": (int, 1500, "Batches to train."),
}


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
    kinds = {name: kind for name, (kind, _, _) in PARAMETERS.items()}
    return {**result, **typed(values, kinds)}


def typed(values: Mapping[str, Any], kinds: Mapping[str, type]) -> dict[str, Any]:
    """Returns values of runtime parameters in their types, from text or numbers.

    Raises:
      ValueError: a name that is not one of `kinds`, or a value of another type.
    """
    check_names("parameters", values, list(kinds))
    result = {}
    for name, value in values.items():
        try:
            result[name] = kinds[name](value)
        except ValueError:
            raise ValueError(
                f"{name} must be of type {kinds[name].__name__}, got {value!r}."
            ) from None
    return result
