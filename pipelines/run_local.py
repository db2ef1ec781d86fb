"""Runs the pipeline on this machine: `python -m pipelines.run_local --help`."""

import contextlib
import dataclasses
import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from typing import Any

import click
from tfx_resampling.cli.common import OptionsCommand, option_flags
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.errors import reason
from tfx_resampling.options import InputOptions

from pipelines import command_line, console

# Characters of an error on the terminal; the log has all of it. Some of Beam's show the
# bytes of a whole record.
_LONGEST_ERROR = 1_000
# Bytes of data: each Beam step takes 10 s to start processes of its own.
_WORTH_WORKERS = 256 << 20


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


# For so long another run may write to the database.
_LOCK_SECONDS = 10

# The Trainer counts epochs itself, and what it reads is written by TFX.
_NO_FLAGS = ("epochs", "start_epoch", "compression")


def _flags() -> list[click.Option]:
    return [
        *option_flags(PlannerConfig, label_key="labels", target="sqrt"),
        *option_flags(InputOptions, leave_out=_NO_FLAGS, deterministic=True),
    ]


@click.command(
    cls=OptionsCommand, flags=_flags, context_settings={"show_default": True}
)
@click.option(
    "--data",
    help="Directory of TFRecords of tf.train.Example, with train/ and eval/ (or files "
    "named so, or one set to be split).  [default: demo data is made]",
)
@click.option("--image-key", default="image/encoded", help="Image feature.")
@click.option("--runs", default="runs", help="Where everything is written.")
@click.option("--name", default="tfx-resampling", help="Pipeline name.")
@click.option(
    "--statistics-only",
    is_flag=True,
    help="Plan from marginal counts, without a pass over the examples.",
)
@click.option(
    "--resample",
    type=click.Choice(["online", "stratify", "materialize"]),
    default="online",
    help="While training; while training, from shards laid out so that little else is "
    "read; or before it, an epoch of samples.",
)
@click.option("--train-steps", type=int, default=1500, help="Batches to train.")
@click.option(
    "--eval-steps", type=int, default=0, help="Validation batches, 0 for all."
)
@click.option("--batch-size", type=int, default=64)
@command_line.stages
@click.option("--image-size", type=(int, int), default=(32, 32), metavar="H W")
@click.option(
    "--tuner-trials",
    type=int,
    default=0,
    help="Plans (target exponent, max_factor) and learning rates to try first.",
)
@click.option("--tuner-steps", type=int, default=300, help="Batches of each of these.")
@click.option(
    "--min-average-precision",
    type=float,
    default=0.0,
    help="Mean over labels that a model needs to be blessed and pushed.",
)
@click.option(
    "--min-tail-average-precision",
    type=float,
    default=0.0,
    help="The same of the rarest third of the labels.",
)
@click.option(
    "--max-drop",
    type=float,
    help="How far both may be below those of the last model that was blessed.  "
    "[default: models are not compared]",
)
@click.option("--no-cache", is_flag=True, help="Execute every component again.")
@click.option(
    "--workers",
    type=int,
    help="Processes of Beam's DirectRunner; 1 runs in this one.  [default: one per "
    "core, but 1 for less than 256 MB of data, where starting them takes longer than "
    "the work]",
)
@click.option(
    "--beam-arg",
    "beam_arguments",
    multiple=True,
    help="Argument for every Beam step, instead of --workers; e.g. "
    "--beam-arg=--runner=FlinkRunner; repeatable.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
def cli(runs: str, name: str, debug: bool, **options: Any) -> int:
    """Imports TFRecords, plans the resampling, trains, evaluates and pushes a model.

    Ends with a table of what the plan did. The flags from --label-key on are the
    options of the plan (PlannerConfig) and of reading records (InputOptions).
    """
    started = time.monotonic()
    runs = os.path.abspath(runs)
    log = os.path.join(runs, "logs", f"{name}.log")
    try:
        with console.logged(log):
            text = _run(runs, name, **options)
    except Exception as error:
        if debug:
            raise
        # A wrong option or wrong data is said in a ValueError of our own.
        is_usage = isinstance(error, ValueError)
        text = reason(error)
        if len(text) > _LONGEST_ERROR:
            text = f"{text[:_LONGEST_ERROR]} ..."
        print(f"error: {text}", file=sys.stderr)
        if os.path.exists(log):
            print(f"(log: {log})", file=sys.stderr)
        return 2 if is_usage else 1
    print(text)
    print(f"log:    {log}\n\nTook {time.monotonic() - started:.0f} s.")
    return 0


def _run(
    runs: str,
    name: str,
    *,
    data: str | None,
    statistics_only: bool,
    no_cache: bool,
    workers: int | None,
    beam_arguments: Sequence[str],
    **options: Any,
) -> str:
    """Runs the pipeline and returns the text of its results."""
    # Importing TFX takes seconds; --help and wrong flags should not wait for it.
    from tfx import v1 as tfx
    from tfx_resampling.beam.arguments import check_arguments

    from pipelines import demo_data, find_data, pipeline, results

    check_arguments(beam_arguments)
    database = os.path.join(runs, "metadata.sqlite")
    _check_database(database)
    planner = _from_flags(PlannerConfig, options)
    input_options = _from_flags(InputOptions, options)
    if data:
        data = os.path.abspath(data)
    else:
        data = os.path.join(runs, "demo")
        demo_data.build(data)
    found = find_data.inspect(data, planner.label_key, options["image_key"])
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(database)
    built = pipeline.create_pipeline(
        pipeline.PipelineOptions(
            name=name,
            root=os.path.join(runs, "artifacts", name),
            data=data,
            splits=found.splits,
            file_pattern=found.file_pattern,
            label_dtype=found.label_dtype,
            count_label_sets=not statistics_only,
            planner=planner,
            input_options=input_options,
            push_to=os.path.join(runs, "pushed", name),
            enable_cache=not no_cache,
            beam_pipeline_args=beam_arguments or beam_args(workers, data),
            **options,
        ),
        connection,
    )
    try:
        tfx.orchestration.LocalDagRunner().run(built)
    except Exception as error:
        if "TFRecord" in str(error) and (corrupt := find_data.find_corrupt(found)):
            raise ValueError(corrupt) from error
        raise
    return results.read(connection, name).as_text()


def _check_database(path: str) -> None:
    """Raises OSError if a database is there that cannot be written.

    ML Metadata tries again for minutes, without a word.
    """
    if not os.path.exists(path):
        return
    try:
        database = sqlite3.connect(path, timeout=_LOCK_SECONDS)
        with contextlib.closing(database):
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.Error as error:
        raise OSError(
            f"the database of ML Metadata, {path!r}, cannot be written: {error}. Is "
            "another run under way?"
        ) from None


def _from_flags(kind: type, flags: dict[str, Any]) -> Any:
    """Returns a dataclass of its fields among `flags`, and takes them out of it."""
    names = [field.name for field in dataclasses.fields(kind) if field.name in flags]
    return kind(**{name: flags.pop(name) for name in names})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the pipeline and prints the table; returns the exit code."""
    # Before TensorFlow is imported; its start-up notes help nobody here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return command_line.run(cli, argv, "python -m pipelines.run_local", ())


if __name__ == "__main__":
    sys.exit(main())
