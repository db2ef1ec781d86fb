"""`Resampler`: examples and a plan in, resampled examples out."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts

from tfx_resampling.beam.resample_options import ResampleOptions
from tfx_resampling.resampler import executor, spec
from tfx_resampling.validate import check_names
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
        splits: Sequence[str] = ("train",),
        other_splits: str = "copy",
        options: ResampleOptions | None = None,
        **fields: Any,
    ):
        """Builds the component.

        Args:
          examples: channel of type `Examples`, raw or transformed, of tf.train.Example.
          resample_plan: channel of type `ResamplePlan`, output of `ResamplePlanner`.
          splits: the splits to resample.
          other_splits: how the others come into the output: "copy", or "link" (hard
            links on a local file system, which take no time and no space).
          options: the options.
          **fields: fields of `ResampleOptions`, instead of those of `options`.

        Raises:
          ValueError: an option is not valid or unknown.
        """
        names = [field.name for field in dataclasses.fields(ResampleOptions)]
        check_names("options", fields, names)
        options = dataclasses.replace(options or ResampleOptions(), **fields)
        super().__init__(
            spec=spec.ResamplerSpec(
                natural_examples=examples,
                resample_plan=resample_plan,
                examples=types.Channel(type=standard_artifacts.Examples),
                package_version=__version__,
                **spec.to_properties(options, splits, other_splits),
            )
        )
