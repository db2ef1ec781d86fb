"""Executor of `tfx_resampling.Trainer`."""

from typing import Any, Dict, List

from tfx import types
from tfx.components.trainer import executor, fn_args_utils
from tfx.types import artifact_utils

from tfx_resampling.artifacts import PLAN_URI_KEY

RESAMPLE_PLAN_KEY = "resample_plan"


class Executor(executor.GenericExecutor):
    """TFX's Trainer executor, which also tells `run_fn` where the plan is."""

    def _GetFnArgs(
        self,
        input_dict: Dict[str, List[types.Artifact]],
        output_dict: Dict[str, List[types.Artifact]],
        exec_properties: Dict[str, Any],
    ) -> fn_args_utils.FnArgs:
        fn_args = super()._GetFnArgs(input_dict, output_dict, exec_properties)
        if input_dict.get(RESAMPLE_PLAN_KEY):
            # FnArgs has no field for another artifact; custom_config is its open end.
            fn_args.custom_config = {
                **(fn_args.custom_config or {}),
                PLAN_URI_KEY: artifact_utils.get_single_uri(
                    input_dict[RESAMPLE_PLAN_KEY]
                ),
            }
        return fn_args
