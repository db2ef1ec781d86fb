"""`Resampler`: examples and a plan in, resampled examples out."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.orchestration import data_types
from tfx.types import standard_artifacts

from tfx_resampling.artifacts import is_late, joined_splits
from tfx_resampling.beam.resample_options import ResampleOptions
from tfx_resampling.core.config import to_properties
from tfx_resampling.resampler import executor, spec
from tfx_resampling.validate import check_choice, check_names
from tfx_resampling.version import __version__


class Resampler(base_beam_component.BaseBeamComponent):
    """Resamples splits of examples offline, on Beam.

    `mode="materialize"` writes the samples themselves, so that a stock Trainer,
    Transform or Tuner gets resampled data as it is. They are exactly the samples that
    `tfx_resampling.input_fn` emits in the same epochs, in random order.

    `mode="stratify"` writes every record once, in shards of similar repeat factors.
    Given the same plan, `input_fn` reads only the records that an epoch emits and a few
    more, instead of all of the original files; the samples are the same. Other readers
    see ordinary examples.

    ```python
    resampler = Resampler(
        examples=example_gen.outputs["examples"],
        resample_plan=planner.outputs["resample_plan"],
        mode="stratify",
    )
    trainer = tfx_resampling.Trainer(
        examples=resampler.outputs["examples"],
        resample_plan=planner.outputs["resample_plan"],
        run_fn="my_package.my_module.run_fn",
    )
    ```

    Component `outputs` contains:
      - `examples`: channel of type `standard_artifacts.Examples`, with the splits, the
        payload format, the span and the version of the input. Its custom properties
        "train_read", "train_corrupt" and "train_written" count records of a split that
        was resampled; of mode "materialize" also "train_dropped" and "train_emitted".
    """

    SPEC_CLASS = spec.ResamplerSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        resample_plan: types.BaseChannel,
        *,
        splits: Sequence[str] | data_types.RuntimeParameter | None = None,
        exclude_splits: Sequence[str] | data_types.RuntimeParameter = (),
        other_splits: str | data_types.RuntimeParameter = "copy",
        options: ResampleOptions | None = None,
        **fields: Any,
    ):
        """Builds the component.

        Args:
          examples: channel of type `Examples`, raw or transformed, of tf.train.Example.
          resample_plan: channel of type `ResamplePlan`, output of `ResamplePlanner`.
          splits: the splits to resample, a list or separated by commas; None: those
            that the plan is made of.
          exclude_splits: instead of `splits`, resample all but these.
          other_splits: how the others come into the output: "copy", "link" (hard links
            on a local file system, which take no time and no space) or "drop" (not).
          options: the options.
          **fields: fields of `ResampleOptions`, instead of those of `options`. A value,
            as of the three arguments above, may be a `RuntimeParameter` of its type or
            a placeholder.

        Raises:
          ValueError: an option is not valid or unknown.
        """
        names = [field.name for field in dataclasses.fields(ResampleOptions)]
        check_names("options", fields, names)
        late = {name: value for name, value in fields.items() if is_late(value)}
        static = {name: value for name, value in fields.items() if name not in late}
        options = dataclasses.replace(options or ResampleOptions(), **static)
        if splits is not None and exclude_splits:
            raise ValueError(
                "splits and exclude_splits must not be given together, got "
                f"{splits!r} and {exclude_splits!r}."
            )
        if not is_late(other_splits):
            check_choice("other_splits", other_splits, spec.OTHER_SPLITS)
        properties = {**to_properties(options), **late}
        if splits is not None:
            properties[spec.SPLITS_KEY] = joined_splits("splits", splits)
        if exclude_splits:
            excluded = joined_splits("exclude_splits", exclude_splits)
            properties[spec.EXCLUDE_SPLITS_KEY] = excluded
        super().__init__(
            spec=spec.ResamplerSpec(
                natural_examples=examples,
                resample_plan=resample_plan,
                examples=types.Channel(type=standard_artifacts.Examples),
                other_splits=other_splits,
                package_version=__version__,
                **{k: v for k, v in properties.items() if v is not None},
            )
        )
