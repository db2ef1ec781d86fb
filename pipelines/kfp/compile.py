"""Compiles the pipeline: `python -m pipelines.kfp.compile --help`.

For Kubeflow Pipelines v2 and Vertex AI. Needs no network, no credentials and no
cluster, and touches no bucket.
"""

import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any

import click
import yaml
from tfx_resampling.cli.common import import_tensorflow
from tfx_resampling.validate import check_names

from pipelines import command_line
from pipelines.kfp.parameters import PARAMETERS, defaults


def _mapping(_: click.Context, option: click.Parameter, text: str) -> dict[str, Any]:
    """Returns the mapping of a YAML file or of JSON text; the callback of an option."""
    if not text.lstrip().startswith("{"):
        with open(text) as file:
            text = file.read()
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ValueError(f"{option.opts[0]} must be YAML or JSON: {problem}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{option.opts[0]} must be a mapping, got {values!r}.")
    return values


@click.command(context_settings={"show_default": True})
@click.option(
    "--pipeline-root", required=True, help="Bucket folder for artifacts, gs://..."
)
@click.option("--image", required=True, help="Container image of all tasks.")
@click.option(
    "--tasks",
    default="{}",
    callback=_mapping,
    help="YAML file, or JSON, of what single tasks run on: {Trainer: {image, cpu, "
    "memory (GB), accelerator, accelerator_count, node_selector, tolerations, "
    "retries}}.",
)
@click.option(
    "--vertex-training",
    default="{}",
    callback=_mapping,
    help="YAML file, or JSON, of the Vertex AI custom job that trains: {project, "
    "region, machine_type, accelerator_type, accelerator_count, spot, ...}, fields of "
    "tfx_resampling.VertexTraining. Without it the Trainer's own container trains.",
)
@click.option(
    "--beam-arg",
    "beam_args",
    multiple=True,
    help="Argument for Beam, e.g. --beam-arg=--runner=DataflowRunner; repeatable.",
)
@click.option(
    "--output",
    "outputs",
    multiple=True,
    default=["pipeline.yaml"],
    help="File, .yaml (Kubeflow, Vertex AI) or .json (Vertex AI); repeatable.",
)
@click.option("--spec", default="2.1", help="Version of the pipeline spec, 2.1 or 2.0.")
@click.option("--name", default="tfx-resampling", help="Name of the pipeline.")
@click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=command_line.pairs,
    help="Default of a runtime parameter, e.g. target=uniform; repeatable. Runtime "
    f"parameters are {', '.join(PARAMETERS)}; data is PIPELINE_ROOT/data by default.",
)
@click.option("--no-cache", is_flag=True, help="Execute every task.")
@click.option("--label-key", default="labels", help="Label feature.")
@click.option("--label-dtype", type=click.Choice(["bytes", "int64"]), default="bytes")
@click.option("--image-key", default="image/encoded", help="Image feature.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    metavar="NAME=PATTERN",
    default=["train=train/*", "eval=eval/*"],
    callback=command_line.pairs,
    help="A split and its files below the data directory; repeatable.",
)
@click.option(
    "--one-set", is_flag=True, help="There are no splits: all files, split 4 : 1."
)
@click.option("--push-to", help="Where models go.  [default: PIPELINE_ROOT/pushed]")
@click.option(
    "--planner",
    default="{}",
    callback=_mapping,
    help="YAML file, or JSON, of other fields of PlannerConfig, fixed for all runs.",
)
@click.option(
    "--statistics-only",
    is_flag=True,
    help="Plan from marginal counts, without a pass over the examples.",
)
@click.option(
    "--run-fn",
    help="Import path of the Trainer module's function, in the image.  [default: that "
    "of pipelines/training]",
)
@click.option(
    "--module-file",
    help="Trainer module, alone in its folder, instead of --run-fn; packed to a wheel "
    "in the output's folder, which must be copied to the pipeline root before a run.",
)
@click.option("--batch-size", type=int, default=64)
@click.option("--eval-steps", type=int, default=0, help="0 for all batches.")
@click.option(
    "--input-options",
    default="{}",
    callback=_mapping,
    help="YAML file, or JSON, of fields of InputOptions: how training reads records.",
)
@command_line.stages
@click.option("--image-size", type=(int, int), default=(32, 32), metavar="H W")
@click.option("--min-average-precision", type=float, default=0.0)
@click.option("--min-tail-average-precision", type=float, default=0.0)
def cli(
    *,
    pipeline_root: str,
    image: str,
    tasks: dict[str, Any],
    vertex_training: dict[str, Any],
    beam_args: Sequence[str],
    outputs: Sequence[str],
    spec: str,
    parameters: dict[str, str],
    no_cache: bool,
    label_key: str,
    splits: dict[str, str],
    one_set: bool,
    push_to: str | None,
    planner: dict[str, Any],
    input_options: dict[str, Any],
    statistics_only: bool,
    run_fn: str | None,
    module_file: str | None,
    **same: Any,
) -> None:
    """Compiles the pipeline for Kubeflow Pipelines v2 and Vertex AI, offline."""
    if run_fn and module_file:
        raise click.UsageError("--module-file must be left out with --run-fn.")
    # Importing TFX takes seconds; --help and wrong flags should not wait for it.
    import_tensorflow()
    from tfx_resampling import InputOptions, PlannerConfig, VertexTraining
    from tfx_resampling.beam.arguments import check_arguments

    from pipelines import pipeline
    from pipelines.kfp.spec import compile_pipeline
    from pipelines.kfp.tasks import TaskOptions

    fields = [field.name for field in dataclasses.fields(PlannerConfig)]
    check_names("fields of --planner", planner, fields)
    check_arguments(beam_args)
    root = pipeline_root.rstrip("/")
    training = {"image": image, **vertex_training} if vertex_training else None
    options = pipeline.PipelineOptions(
        root=root,
        data="",  # A runtime parameter, as are target, size, max_factor and seed.
        planner=PlannerConfig(**{"label_key": label_key, **planner}),
        input_options=InputOptions.from_dict({"deterministic": True, **input_options}),
        push_to=push_to or f"{root}/pushed",
        splits=None if one_set else splits,
        count_label_sets=not statistics_only,
        module_file=module_file or "",
        run_fn=None if module_file else run_fn or pipeline.TRAINER_RUN_FN,
        vertex_training=VertexTraining.from_dict(training) if training else None,
        enable_cache=not no_cache,
        beam_pipeline_args=beam_args,
        **same,
    )
    compiled = compile_pipeline(
        options,
        image,
        defaults(root, parameters),
        {name: TaskOptions.from_dict(name, one or {}) for name, one in tasks.items()},
        spec,
        staging=os.path.dirname(os.path.abspath(outputs[0])),
    )
    for path in outputs:
        compiled.write(path)
        print(f"wrote {path} (pipeline spec {spec})")
    if compiled.wheel:
        print(
            f"The Trainer module is in {compiled.wheel}. Before a run, copy it:\n"
            f"  gcloud storage cp {compiled.wheel} {compiled.wheel_uri}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Compiles; returns the exit code, 2 for options that are not valid."""
    return command_line.run(cli, argv, "python -m pipelines.kfp.compile")


if __name__ == "__main__":
    sys.exit(main())
