"""Executor of `tfx_resampling.Trainer`."""

import numbers
from typing import Any

import tensorflow as tf
from absl import logging
from tfx import types
from tfx.components.trainer import executor, fn_args_utils
from tfx.types import artifact_utils

from tfx_resampling.artifacts import PLAN_URI_KEY
from tfx_resampling.errors import reason
from tfx_resampling.validate import check_integer, printable

RESAMPLE_PLAN_KEY = "resample_plan"
TRAIN_STEPS_KEY = "train_steps"


class Executor(executor.GenericExecutor):
    """TFX's Trainer executor, which also passes the plan's place to `run_fn`.

    Guarantee: `fn_args.train_steps` is the property "train_steps" if it is set.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Trains; an error of the input is a line of the log before its traceback."""
        try:
            super().Do(input_dict, output_dict, exec_properties)
        except tf.errors.OpError as error:
            logging.error("Training ended: %s", printable(reason(error)))
            raise

    def _GetFnArgs(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> fn_args_utils.FnArgs:
        fn_args = super()._GetFnArgs(input_dict, output_dict, exec_properties)
        config: Any = with_plan(fn_args.custom_config, input_dict)
        fn_args.custom_config = config
        steps = exec_properties.get(TRAIN_STEPS_KEY)
        if steps is not None:
            fn_args.train_steps = check_train_steps(steps)
        return fn_args


def with_plan(
    config: dict[str, Any] | None, input_dict: dict[str, list[types.Artifact]]
) -> dict[str, Any] | None:
    """Returns `custom_config` with the place of the plan, if there is one."""
    if not input_dict.get(RESAMPLE_PLAN_KEY):
        return config
    # FnArgs has no field for another artifact, but custom_config is free.
    uri = artifact_utils.get_single_uri(input_dict[RESAMPLE_PLAN_KEY])
    return {**(config or {}), PLAN_URI_KEY: uri}


def check_train_steps(steps: Any) -> int:
    """Returns the number of batches to train.

    Raises:
      ValueError: it is not a whole number >= 1.
    """
    # Kubeflow passes runtime parameters that are integers as floats.
    check_integer(TRAIN_STEPS_KEY, steps, 1, kind=numbers.Real)
    return int(steps)
