"""`Trainer`: TFX's Trainer with one more input, the plan."""

from typing import Any

from tfx import types
from tfx.components.trainer import component
from tfx.components.util import udf_utils
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration import data_types
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.utils import json_utils

from tfx_resampling.artifacts import ResamplePlan
from tfx_resampling.trainer import executor
from tfx_resampling.validate import check_names
from tfx_resampling.version import __version__


class TrainerSpec(standard_component_specs.TrainerSpec):
    """TFX's TrainerSpec with an optional plan."""

    PARAMETERS = {
        **standard_component_specs.TrainerSpec.PARAMETERS,
        # In the cache key, which does not notice a change of `input_fn`.
        "package_version": ExecutionParameter(type=str, optional=True),
        # Apart from train_args, because a runtime parameter can be an integer, but not
        # a field within JSON.
        executor.TRAIN_STEPS_KEY: ExecutionParameter(type=int, optional=True),
    }
    INPUTS = {
        **standard_component_specs.TrainerSpec.INPUTS,
        executor.RESAMPLE_PLAN_KEY: ChannelParameter(type=ResamplePlan, optional=True),
    }


class Trainer(component.Trainer):
    """TFX's Trainer with one more input channel, `resample_plan`.

    All parameters of the stock Trainer work the same. `run_fn(fn_args)` gets the plan
    with `tfx_resampling.load_plan(fn_args)`; ML Metadata records that the model was
    made from it.

    ```python
    trainer = tfx_resampling.Trainer(
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        resample_plan=planner.outputs["resample_plan"],
        module_file="trainer_module.py",
        train_args=tfx.proto.TrainArgs(num_steps=2000),
    )
    ```

    Component `outputs` contains:
      - `model`: channel of type `standard_artifacts.Model`.
      - `model_run`: channel of type `standard_artifacts.ModelRun`, e.g. logs.
    """

    SPEC_CLASS = TrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        examples: types.BaseChannel | None = None,
        transformed_examples: types.BaseChannel | None = None,
        resample_plan: types.BaseChannel | None = None,
        module_file: None | str | data_types.RuntimeParameter = None,
        run_fn: None | str | data_types.RuntimeParameter = None,
        train_args: None | TrainArgs | data_types.RuntimeParameter = None,
        eval_args: None | EvalArgs | data_types.RuntimeParameter = None,
        train_steps: None | int | data_types.RuntimeParameter = None,
        custom_config: None | dict[str, Any] | data_types.RuntimeParameter = None,
        custom_executor_spec: executor_spec.ExecutorSpec | None = None,
        **inputs: types.BaseChannel | None,
    ):
        """Builds the component.

        Args:
          examples: channel of type `Examples`, raw or transformed.
          transformed_examples: the older name of `examples` after a Transform; then
            transform_graph is needed too.
          resample_plan: channel of type `ResamplePlan`, output of `ResamplePlanner`.
          module_file: path of a Python file with `run_fn`; or give `run_fn`.
          run_fn: import path of a function `run_fn(fn_args)`; or give `module_file`.
          train_args: splits and number of steps to train.
          eval_args: splits and number of steps to evaluate.
          train_steps: batches to train, instead of the number in train_args; may be a
            `RuntimeParameter` of type int.
          custom_config: dict that reaches `fn_args.custom_config`.
          custom_executor_spec: another executor, which must find the plan itself in
            its input_dict["resample_plan"].
          **inputs: the stock Trainer's other input channels: transform_graph, schema,
            base_model, hyperparameters and those of later versions of TFX.

        Raises:
          ValueError: both or neither of module_file and run_fn, or of examples and
            transformed_examples, an unknown input, or train_steps below 1.
        """
        if bool(examples) == bool(transformed_examples):
            raise ValueError(
                "Exactly one of examples and transformed_examples must be given."
            )
        if transformed_examples and not inputs.get("transform_graph"):
            raise ValueError("transformed_examples needs transform_graph.")
        if bool(module_file) == bool(run_fn):
            raise ValueError("Exactly one of module_file and run_fn must be given.")
        known = set(TrainerSpec.INPUTS) - {"examples", executor.RESAMPLE_PLAN_KEY}
        check_names("inputs", inputs, sorted(known))
        if train_steps is not None and not isinstance(
            train_steps, data_types.RuntimeParameter
        ):
            train_steps = executor.check_train_steps(train_steps)
        config = custom_config
        if not isinstance(config, data_types.RuntimeParameter):
            config = json_utils.dumps(config)
        spec = TrainerSpec(
            examples=examples or transformed_examples,
            resample_plan=resample_plan,
            module_file=module_file,
            run_fn=run_fn,
            train_args=train_args or TrainArgs(),
            eval_args=eval_args or EvalArgs(),
            custom_config=config,
            train_steps=train_steps,
            package_version=__version__,
            model=types.Channel(type=standard_artifacts.Model),
            model_run=types.Channel(type=standard_artifacts.ModelRun),
            **inputs,
        )
        # The stock __init__ builds a spec of its own class, and does only these two
        # steps besides.
        base_component.BaseComponent.__init__(
            self, spec=spec, custom_executor_spec=custom_executor_spec
        )
        if udf_utils.should_package_user_modules():
            udf_utils.add_user_module_dependency(
                self,
                standard_component_specs.MODULE_FILE_KEY,
                standard_component_specs.MODULE_PATH_KEY,
            )
