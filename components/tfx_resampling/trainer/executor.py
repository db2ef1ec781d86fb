"""Executor of `tfx_resampling.Trainer`."""

from typing import Any

from tfx import types
from tfx.components.trainer import executor, fn_args_utils
from tfx.types import artifact_utils

from tfx_resampling.artifacts import PLAN_URI_KEY

RESAMPLE_PLAN_KEY = "resample_plan"
TRAIN_STEPS_KEY = "train_steps"


class Executor(executor.GenericExecutor):
    """TFX's Trainer executor, which also passes the plan's place to `run_fn`.

    Guarantee: `fn_args.train_steps` is the property "train_steps" if it is set.
    """

    def _GetFnArgs(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> fn_args_utils.FnArgs:
        fn_args = super()._GetFnArgs(input_dict, output_dict, exec_properties)
        if input_dict.get(RESAMPLE_PLAN_KEY):
            # FnArgs has no field for another artifact, but custom_config is free.
            fn_args.custom_config = {
                **(fn_args.custom_config or {}),
                PLAN_URI_KEY: artifact_utils.get_single_uri(
                    input_dict[RESAMPLE_PLAN_KEY]
                ),
            }
        steps = exec_properties.get(TRAIN_STEPS_KEY)
        if steps is not None:
            fn_args.train_steps = check_train_steps(steps)
        return fn_args


def check_train_steps(steps: Any) -> int:
    """Returns the number of batches to train.

    Raises:
      ValueError: it is not a whole number from 1.
    """
    # A runtime parameter of Kubeflow arrives as a float where an integer was meant.
    is_number = isinstance(steps, (int, float)) and not isinstance(steps, bool)
    if not is_number or steps != int(steps) or steps < 1:
        raise ValueError(f"train_steps must be an integer from 1, got {steps!r}.")
    return int(steps)
