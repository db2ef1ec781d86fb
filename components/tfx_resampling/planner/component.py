"""`ResamplePlanner`: statistics in, resampling plan out."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.orchestration import data_types
from tfx.types import standard_artifacts

from tfx_resampling.artifacts import ResamplePlan, is_late, joined_splits
from tfx_resampling.core.config import PlannerConfig, option_fields, to_properties
from tfx_resampling.planner import executor, spec
from tfx_resampling.planner.statistics import check_group_by
from tfx_resampling.validate import check_names, shown
from tfx_resampling.version import __version__


class ResamplePlanner(base_beam_component.BaseBeamComponent):
    """Plans how to turn the label distribution of a split into a target distribution.

    Takes the label counts from statistics, or counts the label sets of examples with
    Beam, designs the target distribution and emits a resampling factor per label: below
    1 drop, above 1 replicate.

    Statistics alone know how often each label occurs, which is all there is to know of
    single labels. Where records carry several labels, give `examples` too: which labels
    occur together decides what a plan emits, and with it the target is really reached.

    ```python
    planner = ResamplePlanner(
        statistics=statistics_gen.outputs["statistics"],
        examples=example_gen.outputs["examples"],
        label_key="labels",
        target="sqrt",
        max_factor=20.0,
    )
    trainer = tfx_resampling.Trainer(
        examples=example_gen.outputs["examples"],
        resample_plan=planner.outputs["resample_plan"],
        run_fn="my_package.my_module.run_fn",
    )
    ```

    Component `outputs` contains:
      - `resample_plan`: channel of type `ResamplePlan`; `plan.json` and `report.html`.
      - `hyperparameters`: channel of type `standard_artifacts.HyperParameters` that
        carries the same plan into a stock TFX Trainer, see `tfx_resampling.load_plan`.
    """

    SPEC_CLASS = spec.ResamplePlannerSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        statistics: types.BaseChannel | None = None,
        *,
        examples: types.BaseChannel | None = None,
        schema: types.BaseChannel | None = None,
        config: PlannerConfig | None = None,
        exclude_splits: Sequence[str] | data_types.RuntimeParameter = (),
        **options: Any,
    ):
        """Builds the component.

        Args:
          statistics: channel of type `ExampleStatistics`: output of StatisticsGen, or
            `post_transform_stats` of Transform (all splits together). Optional with
            `examples`.
          examples: channel of type `Examples`, raw or transformed; its label sets are
            counted in one pass, on the runner of the pipeline's beam_pipeline_args.
          schema: channel of type `Schema`; labels of the label feature's domain (a
            string_domain, or the min and max of an int_domain) that the split lacks
            become part of the plan, with count 0.
          config: the options.
          exclude_splits: the plan is of all splits but these, instead of `split`.
          **options: fields of `PlannerConfig`, over those of `config`. A value may be a
            `RuntimeParameter` of the field's type; of type str, in the form that
            `PlannerConfig` parses, where the field takes several types. It may also be
            a placeholder, `component.outputs["value"].future()[0].value`.

        Raises:
          ValueError: neither statistics nor examples, an option that is not valid or
            not known, or group_by that the given inputs cannot tell. Runtime parameters
            are checked when the component runs.
        """
        if statistics is None and examples is None:
            raise ValueError("statistics or examples must be given, or both.")
        kinds = {option.name: option.wire for option in option_fields(PlannerConfig)}
        check_names("options", options, list(kinds))
        runtime = {name: value for name, value in options.items() if is_late(value)}
        if exclude_splits:
            if "split" in options:
                raise ValueError(
                    "split and exclude_splits must not be given together, got "
                    f"{options['split']!r} and {exclude_splits!r}."
                )
            exclude_splits = joined_splits("exclude_splits", exclude_splits)
        if "group_by" in runtime:
            raise ValueError(
                "group_by must be known when the pipeline is built, as the inputs that "
                f"it needs, got {shown(runtime['group_by'])}. Give its value."
            )
        static = {k: v for k, v in options.items() if k not in runtime}
        if config is None:
            if "label_key" not in options:
                raise ValueError("label_key must be given, the name of the feature.")
            # "label" stands in for a runtime parameter while the rest is checked.
            config = PlannerConfig(**{"label_key": "label", **static})
        else:
            config = dataclasses.replace(config, **static)
        check_group_by(config.group_by, statistics is not None, examples is not None)
        properties = {**to_properties(config), **runtime}
        properties[spec.EXCLUDE_SPLITS_KEY] = exclude_splits or None
        super().__init__(
            spec=spec.ResamplePlannerSpec(
                statistics=statistics,
                examples=examples,
                schema=schema,
                resample_plan=types.Channel(type=ResamplePlan),
                hyperparameters=types.Channel(type=standard_artifacts.HyperParameters),
                package_version=__version__,
                **{k: v for k, v in properties.items() if v is not None},
            )
        )
