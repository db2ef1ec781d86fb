"""`Tuner`: TFX's Tuner with one more input, the plan."""

from typing import Any

from tfx import types
from tfx.components.tuner import component
from tfx.components.tuner import executor as stock_executor
from tfx.components.util import udf_utils
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.utils import json_utils

from tfx_resampling.artifacts import ResamplePlan
from tfx_resampling.trainer import executor
from tfx_resampling.validate import check_names
from tfx_resampling.version import __version__

_CUSTOM_CONFIG_KEY = standard_component_specs.CUSTOM_CONFIG_KEY


class TunerSpec(standard_component_specs.TunerSpec):
    """TFX's TunerSpec with an optional plan."""

    PARAMETERS = {
        **standard_component_specs.TunerSpec.PARAMETERS,
        # In the cache key, which does not notice a change of `input_fn`.
        "package_version": ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {
        **standard_component_specs.TunerSpec.INPUTS,
        executor.RESAMPLE_PLAN_KEY: ChannelParameter(type=ResamplePlan, optional=True),
    }


class Executor(stock_executor.Executor):
    """TFX's Tuner executor, which also passes the plan's place to `tuner_fn`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Tunes; as the stock executor, with the plan in custom_config."""
        config = json_utils.loads(exec_properties.get(_CUSTOM_CONFIG_KEY) or "null")
        config = json_utils.dumps(executor.with_plan(config, input_dict))
        super().Do(
            input_dict, output_dict, {**exec_properties, _CUSTOM_CONFIG_KEY: config}
        )


class Tuner(component.Tuner):
    """TFX's Tuner with one more input channel, `resample_plan`.

    `tuner_fn(fn_args)` gets the plan with `tfx_resampling.load_plan(fn_args)`, and
    hands batches of `input_fn` on in the `fit_kwargs` of its TunerFnResult.

    ```python
    tuner = tfx_resampling.Tuner(
        examples=example_gen.outputs["examples"],
        resample_plan=planner.outputs["resample_plan"],
        module_file="trainer_module.py",
    )
    trainer = tfx_resampling.Trainer(
        examples=example_gen.outputs["examples"],
        resample_plan=planner.outputs["resample_plan"],
        hyperparameters=tuner.outputs["best_hyperparameters"],
        module_file="trainer_module.py",
    )
    ```

    Component `outputs` contains:
      - `best_hyperparameters`: channel of type `standard_artifacts.HyperParameters`.
      - `tuner_results`: channel of type `standard_artifacts.TunerResults`.
    """

    SPEC_CLASS = TunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        examples: types.BaseChannel,
        resample_plan: types.BaseChannel | None = None,
        module_file: str | None = None,
        tuner_fn: str | None = None,
        train_args: TrainArgs | None = None,
        eval_args: EvalArgs | None = None,
        custom_config: dict[str, Any] | None = None,
        **inputs: types.BaseChannel | None,
    ):
        """Builds the component.

        Args:
          examples: channel of type `Examples`, raw or transformed.
          resample_plan: channel of type `ResamplePlan`, output of `ResamplePlanner`.
          module_file: path of a Python file with `tuner_fn`; or give `tuner_fn`.
          tuner_fn: import path of a function `tuner_fn(fn_args)`; or `module_file`.
          train_args: splits and number of steps to train.
          eval_args: splits and number of steps to evaluate.
          custom_config: dict that reaches `fn_args.custom_config`.
          **inputs: the stock Tuner's other input channels: schema, transform_graph,
            base_model.

        Raises:
          ValueError: both or neither of module_file and tuner_fn, or an unknown input.
        """
        if bool(module_file) == bool(tuner_fn):
            raise ValueError("Exactly one of module_file and tuner_fn must be given.")
        known = set(TunerSpec.INPUTS) - {"examples", executor.RESAMPLE_PLAN_KEY}
        check_names("inputs", inputs, sorted(known))
        spec = TunerSpec(
            examples=examples,
            resample_plan=resample_plan,
            module_file=module_file,
            tuner_fn=tuner_fn,
            train_args=train_args or TrainArgs(),
            eval_args=eval_args or EvalArgs(),
            custom_config=json_utils.dumps(custom_config),
            package_version=__version__,
            best_hyperparameters=types.Channel(type=standard_artifacts.HyperParameters),
            tuner_results=types.Channel(type=standard_artifacts.TunerResults),
            **inputs,
        )
        # As in `Trainer`: the stock __init__ builds a spec of its own class.
        base_component.BaseComponent.__init__(self, spec=spec)
        if udf_utils.should_package_user_modules():
            udf_utils.add_user_module_dependency(
                self,
                standard_component_specs.MODULE_FILE_KEY,
                standard_component_specs.MODULE_PATH_KEY,
            )
