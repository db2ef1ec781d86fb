"""Runs the pipeline on this machine: `python -m pipelines.run_local --help`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence

# TensorFlow reads this when it is first imported; its start-up notes help nobody here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tfx_resampling.errors import reason

from pipelines import console

# Characters of an error on the terminal; the log has all of it. Some of Beam's show the
# bytes of a whole record.
_LONGEST_ERROR = 1_000
# Bytes of data: each Beam step takes 10 s to start processes of its own.
_WORTH_WORKERS = 256 << 20


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the command line's options."""
    from tfx_resampling.core import config, targets

    defaults = config.PlannerConfig("labels")
    target_help = "; ".join(f"{k} ({v})" for k, v in targets.describe().items())
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.run_local",
        description="Imports TFRecords, plans the resampling, trains, evaluates and "
        "pushes a model; ends with a table of what the plan did.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        default="",
        help="directory of TFRecords of tf.train.Example, with train/ and eval/ (or "
        "files named so, or one set to be split); empty: demo data is made",
    )
    data.add_argument("--label-key", default="labels", help="label feature")
    data.add_argument("--image-key", default="image/encoded", help="image feature")
    data.add_argument("--runs", default="runs", help="where everything is written")
    data.add_argument("--name", default="tfx-resampling", help="pipeline name")
    plan = parser.add_argument_group("plan (fields of PlannerConfig)")
    plan.add_argument(
        "--target", default="sqrt", help=f"{target_help}; or a JSON object label -> "
        "share or count".replace("%", "%%"),
    )  # fmt: skip
    plan.add_argument(
        "--size",
        default=None,
        help="preserve, undersample, oversample, ratio:R or records:N",
    )
    plan.add_argument("--min-factor", type=float, default=defaults.min_factor)
    plan.add_argument("--max-factor", type=float, default=defaults.max_factor)
    plan.add_argument(
        "--combine", choices=config.COMBINE_RULES, default=defaults.combine
    )
    plan.add_argument(
        "--unlabeled", default=defaults.unlabeled, help="keep, drop or a factor"
    )
    plan.add_argument(
        "--group-by",
        default="[]",
        help="JSON list of columns whose groups are resampled instead of labels: "
        'feature names, and objects such as {"name": "age", "boundaries": [18, 65]} or '
        '{"name": "age", "quantiles": 4}',
    )
    plan.add_argument("--split", default=defaults.split, help="split to resample")
    plan.add_argument(
        "--key-feature", help="feature that identifies a record; default: all its bytes"
    )
    plan.add_argument(
        "--unknown-labels",
        default=defaults.unknown_labels,
        help="what a label that the plan does not know does: error, or its factor",
    )
    plan.add_argument(
        "--on-unreachable",
        choices=config.ON_UNREACHABLE,
        default=defaults.on_unreachable,
        help="what a target is that the data or the bounds do not allow",
    )
    plan.add_argument("--tolerance", type=float, default=defaults.tolerance)
    plan.add_argument(
        "--schedule",
        default=defaults.schedule,
        help="how factors come in over the epochs: constant, linear:E (from natural "
        "in epoch 0 to the plan in epoch E) or step:E (natural, then the plan from "
        "epoch E on)",
    )
    plan.add_argument(
        "--statistics-only",
        action="store_true",
        help="plan from marginal counts, without a pass over the examples",
    )
    plan.add_argument("--seed", type=int, default=defaults.seed)
    plan.add_argument(
        "--resample",
        choices=("online", "stratify", "materialize"),
        default="online",
        help="while training; while training, from shards laid out so that little else "
        "is read; or before it, an epoch of samples",
    )
    training = parser.add_argument_group("training")
    training.add_argument("--train-steps", type=int, default=1500, help="batches")
    training.add_argument(
        "--eval-steps", type=int, default=0, help="validation batches, 0 for all"
    )
    training.add_argument("--batch-size", type=int, default=64)
    training.add_argument(
        "--image-size", type=int, nargs=2, default=(32, 32), metavar=("H", "W")
    )
    training.add_argument(
        "--min-average-precision",
        type=float,
        default=0.0,
        help="mean over labels that a model needs to be blessed and pushed",
    )
    running = parser.add_argument_group("running")
    running.add_argument(
        "--no-cache", action="store_true", help="execute every component again"
    )
    running.add_argument(
        "--workers",
        type=int,
        default=None,
        help="processes of Beam's DirectRunner; 1 runs in this one; by default one per "
        "core, but 1 for less than 256 MB of data, where starting them would take "
        "longer than the work",
    )
    running.add_argument(
        "--beam-arg",
        action="append",
        default=[],
        help="argument for every Beam step, instead of --workers; e.g. "
        "--beam-arg=--runner=FlinkRunner; repeatable",
    )
    running.add_argument(
        "--debug", action="store_true", help="show tracebacks of errors"
    )
    return parser.parse_args(argv)


def beam_args(workers: int | None, data: str) -> list[str]:
    """Returns the arguments that run Beam on this machine.

    Args:
      workers: number of processes; None for what suits the data.
      data: directory of the data.

    Raises:
      ValueError: fewer than one worker.
    """
    if workers is None:
        sizes = (
            os.path.getsize(os.path.join(folder, name))
            for folder, _, names in os.walk(data)
            for name in names
        )
        workers = (os.cpu_count() or 1) if sum(sizes) >= _WORTH_WORKERS else 1
    if workers < 1:
        raise ValueError(f"--workers must be at least 1, got {workers!r}.")
    if workers == 1:
        return []
    return [
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={workers}",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the pipeline and prints the table; returns the exit code."""
    args = parse_args(argv)
    started = time.monotonic()
    runs = os.path.abspath(args.runs)
    log = os.path.join(runs, "logs", f"{args.name}.log")
    try:
        with console.logged(log):
            text = _run(args, runs)
    except Exception as error:
        if args.debug:
            raise
        # A wrong option or wrong data is said in a ValueError of our own.
        is_usage = isinstance(error, ValueError)
        text = reason(error)
        if len(text) > _LONGEST_ERROR:
            text = f"{text[:_LONGEST_ERROR]} ..."
        print(f"error: {text}\n(log: {log})", file=sys.stderr)
        return 2 if is_usage else 1
    print(text)
    print(f"log:    {log}\n\nTook {time.monotonic() - started:.0f} s.")
    return 0


def _run(args: argparse.Namespace, runs: str) -> str:
    """Runs the pipeline and returns the text of its results."""
    # Importing TFX takes seconds; --help and wrong flags should not wait for it.
    from tfx import v1 as tfx
    from tfx_resampling import PlannerConfig

    from pipelines import demo_data, find_data, pipeline, results

    planner = PlannerConfig(
        label_key=args.label_key,
        target=args.target,
        size=args.size,
        min_factor=args.min_factor,
        max_factor=args.max_factor,
        combine=args.combine,
        unlabeled=args.unlabeled,
        group_by=args.group_by,
        split=args.split,
        seed=args.seed,
        key_feature=args.key_feature,
        unknown_labels=args.unknown_labels,
        on_unreachable=args.on_unreachable,
        tolerance=args.tolerance,
        schedule=args.schedule,
    )
    data = os.path.abspath(args.data) if args.data else os.path.join(runs, "demo")
    if not args.data:
        demo_data.build(data)
    layout = find_data.inspect(data, args.label_key, args.image_key)
    options = pipeline.PipelineOptions(
        name=args.name,
        root=os.path.join(runs, "artifacts", args.name),
        data=data,
        splits=layout.splits,
        file_pattern=layout.file_pattern,
        label_dtype=layout.label_dtype,
        count_label_sets=not args.statistics_only,
        resample=args.resample,
        planner=planner,
        push_to=os.path.join(runs, "pushed", args.name),
        image_key=args.image_key,
        image_size=tuple(args.image_size),
        batch_size=args.batch_size,
        train_steps=args.train_steps,
        eval_steps=args.eval_steps,
        min_average_precision=args.min_average_precision,
        enable_cache=not args.no_cache,
        beam_pipeline_args=args.beam_arg or beam_args(args.workers, data),
    )
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(
        os.path.join(runs, "metadata.sqlite")
    )
    try:
        tfx.orchestration.LocalDagRunner().run(
            pipeline.create_pipeline(options, connection)
        )
    except Exception as error:
        if "TFRecord" in str(error):
            corrupt = find_data.find_corrupt(data, layout)
            if corrupt:
                raise ValueError(corrupt) from error
        raise
    return results.read(connection, args.name).as_text()


if __name__ == "__main__":
    sys.exit(main())
