"""Compiles the pipeline for Kubeflow Pipelines v2 and Vertex AI: `--help`.

Needs no network, no credentials and no cluster, and touches no bucket.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

# TensorFlow reads this when it is first imported; its start-up notes help nobody here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The pipeline's definition is no part of the installed package.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from pipelines.arguments import pairs  # noqa: E402


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(
        description="Compiles the pipeline for Kubeflow Pipelines v2 and Vertex AI, "
        "offline.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    where = parser.add_argument_group("where it runs")
    where.add_argument(
        "--pipeline-root", required=True, help="bucket folder for artifacts, gs://..."
    )
    where.add_argument("--image", required=True, help="container image of all nodes")
    where.add_argument(
        "--nodes",
        default="{}",
        help="YAML file, or JSON, of what single nodes run on: {Trainer: {image, cpu, "
        "memory (GB), accelerator, accelerator_count, node_selector, tolerations, "
        "retries}}",
    )
    where.add_argument(
        "--vertex-training",
        default="",
        help="YAML file, or JSON, of the Vertex AI custom job that trains: {project, "
        "region, machine_type, accelerator_type, accelerator_count, spot, ...}, fields "
        "of tfx_resampling.VertexTraining; empty: the Trainer's own container trains",
    )
    where.add_argument(
        "--beam-arg",
        action="append",
        default=[],
        help="argument for Beam, e.g. --beam-arg=--runner=DataflowRunner; repeatable",
    )
    out = parser.add_argument_group("output")
    out.add_argument(
        "--output",
        action="append",
        help="file, .yaml (Kubeflow, Vertex AI) or .json (Vertex AI); repeatable "
        "(default: pipeline.yaml)",
        default=None,
    )
    out.add_argument(
        "--spec", default="2.1", help="version of the pipeline spec, 2.1 or 2.0"
    )
    out.add_argument("--name", default="tfx-resampling", help="name of the pipeline")
    out.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="default of a runtime parameter, e.g. target=uniform; repeatable. They "
        "are data (PIPELINE_ROOT/data), target, size, max_factor, train_steps, seed",
    )
    out.add_argument("--no-cache", action="store_true", help="execute every node")
    data = parser.add_argument_group("data")
    data.add_argument("--label-key", default="labels", help="label feature")
    data.add_argument("--label-dtype", choices=("bytes", "int64"), default="bytes")
    data.add_argument("--image-key", default="image/encoded", help="image feature")
    data.add_argument(
        "--split",
        action="append",
        metavar="NAME=PATTERN",
        help="a split and its files below the data root; repeatable (default: "
        "train=train/* and eval=eval/*)",
        default=None,
    )
    data.add_argument(
        "--one-set", action="store_true", help="no splits: all files, split 4 : 1"
    )
    data.add_argument("--push-to", default="", help="(default: PIPELINE_ROOT/pushed)")
    plan = parser.add_argument_group("plan and training")
    plan.add_argument(
        "--planner",
        default="{}",
        help="YAML file, or JSON, of other fields of PlannerConfig, fixed for all runs",
    )
    plan.add_argument("--statistics-only", action="store_true", help="see run_local")
    module = plan.add_mutually_exclusive_group()
    module.add_argument(
        "--run-fn",
        default="",
        help="import path of the Trainer module's function, in the image (default: "
        "that of pipelines/training)",
    )
    module.add_argument(
        "--module-file",
        default="",
        help="Trainer module, alone in its folder; packed to a wheel in the output's "
        "folder, which must be copied to the pipeline root before a run",
    )
    plan.add_argument("--batch-size", type=int, default=64)
    plan.add_argument("--eval-steps", type=int, default=0, help="0 for all batches")
    plan.add_argument(
        "--image-size", type=int, nargs=2, default=(32, 32), metavar=("H", "W")
    )
    plan.add_argument("--min-average-precision", type=float, default=0.0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Compiles; returns the exit code, 2 for options that are not valid."""
    args = parse_args(argv)
    try:
        _compile(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _compile(args: argparse.Namespace) -> None:
    # Importing TFX takes seconds; --help and wrong flags should not wait for it.
    from tfx_resampling import PlannerConfig, VertexTraining

    from pipelines import pipeline
    from pipelines.kfp import parameters, spec
    from pipelines.kfp.tasks import TaskOptions

    root = args.pipeline_root.rstrip("/")
    training = _mapping("--vertex-training", args.vertex_training or "{}")
    planner = _mapping("--planner", args.planner)
    unknown = sorted(set(planner) - {f.name for f in dataclasses.fields(PlannerConfig)})
    if unknown:
        raise ValueError(f"--planner has unknown fields {unknown}; see PlannerConfig.")
    options = pipeline.PipelineOptions(
        name=args.name,
        root=root,
        data="",  # A runtime parameter, as are target, size, max_factor and seed.
        planner=PlannerConfig(**{"label_key": args.label_key, **planner}),
        push_to=args.push_to or f"{root}/pushed",
        splits=None
        if args.one_set
        else pairs("--split", args.split or ["train=train/*", "eval=eval/*"]),
        label_dtype=args.label_dtype,
        count_label_sets=not args.statistics_only,
        image_key=args.image_key,
        image_size=tuple(args.image_size),
        batch_size=args.batch_size,
        eval_steps=args.eval_steps,
        min_average_precision=args.min_average_precision,
        module_file=args.module_file,
        run_fn=None if args.module_file else args.run_fn or pipeline.TRAINER_RUN_FN,
        vertex_training=VertexTraining.from_dict({"image": args.image, **training})
        if training
        else None,
        enable_cache=not args.no_cache,
        beam_pipeline_args=args.beam_arg,
    )
    nodes = {
        name: TaskOptions.from_dict(name, values or {})
        for name, values in _mapping("--nodes", args.nodes).items()
    }
    outputs = args.output or ["pipeline.yaml"]
    compiled = spec.compile_pipeline(
        options,
        args.image,
        parameters.defaults(root, pairs("--param", args.param)),
        nodes,
        args.spec,
        staging=os.path.dirname(os.path.abspath(outputs[0])),
    )
    for path in outputs:
        compiled.write(path)
        print(f"wrote {path} (pipeline spec {args.spec})")
    if compiled.wheel:
        print(
            f"The Trainer module is in {compiled.wheel}. Before a run, copy it:\n"
            f"  gcloud storage cp {compiled.wheel} {compiled.wheel_uri}"
        )


def _mapping(option: str, text: str) -> Mapping[str, Any]:
    """Returns the mapping of a YAML file or of JSON text."""
    import yaml

    if not text.lstrip().startswith("{"):
        with open(text) as file:
            text = file.read()
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ValueError(f"{option} must be YAML or JSON: {problem}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{option} must be a mapping, got {values!r}.")
    return values


if __name__ == "__main__":
    sys.exit(main())
