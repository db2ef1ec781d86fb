"""`tfx-resampling plan` and `show`: a plan of label counts; a plan that is there."""

import functools
import io
import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from tfx_resampling.cli import common
from tfx_resampling.filesystem import is_file
from tfx_resampling.options import InputOptions

if TYPE_CHECKING:  # It loads NumPy.
    from tfx_resampling.core.config import PlannerConfig


# Characters of a target in the head of a column: it may be JSON of all labels.
_LONGEST_TARGET = 24


def _flags() -> list[click.Option]:
    from tfx_resampling.core.config import PlannerConfig

    (target,) = common.option_flags(PlannerConfig, ("target",))
    return [
        click.Option(
            ["--target", "targets"],
            multiple=True,
            default=("uniform",),
            show_default=True,
            metavar="TARGET",
            help=f"{target.help} Given several targets, it "
            "compares them and writes nothing.",
        ),
        *common.option_flags(PlannerConfig, leave_out=("target",)),
        *common.option_flags(InputOptions, ("compression", "on_corrupt")),
    ]


@click.command(
    "plan",
    short_help="Makes a plan, or compares targets.",
    cls=common.OptionsCommand,
    flags=_flags,
)
@click.option(
    "--statistics",
    metavar="PATH",
    help="FeatureStats.pb of TFDV, or the artifact of StatisticsGen it is in.",
)
@common.examples(required=False)
@click.option(
    "--output",
    metavar="PATH",
    help="Where the plan goes, - for standard output.  [default: plan.json]",
)
@common.overwrite_flag
@common.json_flag
def plan_command(
    statistics,
    examples,
    targets,
    compression,
    on_corrupt,
    output,
    overwrite,
    as_json,
    **options,
):
    """Plans how to turn the label distribution into a target.

    The labels are counted in --examples, which knows which labels occur together, or
    taken from --statistics.
    """
    if bool(statistics) == bool(examples):
        raise click.UsageError("give --statistics or --examples, and one of them only.")
    if len(targets) > 1 and output:
        raise click.UsageError("--output must be left out with several targets.")
    output = output or "plan.json"
    if len(targets) == 1:
        common.check_outputs(output, overwrite=overwrite)
    from tfx_resampling.core.config import PlannerConfig
    from tfx_resampling.fitting.planning import make_plan

    configs = [PlannerConfig(target=target, **options) for target in targets]
    if statistics:
        if configs[0].group_by:
            raise ValueError("--group-by must be counted: give --examples.")
        counts = _from_statistics(statistics, configs[0])
    else:
        counts = _from_examples(
            examples,
            configs[0],
            InputOptions(compression=compression, on_corrupt=on_corrupt),
        )
    plans = [make_plan(counts, config) for config in configs]
    if len(plans) > 1:
        _compare(targets, plans, as_json)
        return
    (plan,) = plans
    common.write(output, plan.to_json(), overwrite)
    if output == common.STANDARD_STREAM:
        print_plan(plan, err=True)
    elif as_json:
        common.write_json({"output": output, **summary(plan)})
    else:
        print_plan(plan)
        click.echo(f"\nplan: {output}")


def _from_statistics(path: str, config: "PlannerConfig"):
    from tfx_resampling.planner import feature_statistics

    split, *others = config.splits
    if others:
        raise ValueError(
            f"--split must be one split with --statistics, got {config.split!r}. Give "
            "--examples of all of them instead."
        )
    name = feature_statistics.STATS_FILE
    places = [
        path,
        os.path.join(path, name),
        os.path.join(path, f"Split-{split}", name),
    ]
    common.import_to_open(*places)
    found = next(filter(is_file, places), None)
    if found is None:
        raise ValueError(
            f"--statistics must be a {name} or a directory with one, got {path!r}; "
            f"there is none of {places}."
        )
    return feature_statistics.from_file(found, split, config.label_key)


def _from_examples(
    patterns: Sequence[str], config: "PlannerConfig", options: InputOptions
):
    common.import_tensorflow()
    from tfx_resampling.records import files
    from tfx_resampling.scan.count import count_labels

    names = files.match_files(list(patterns))
    with common.progress("counting", names) as counted:
        return count_labels(
            names,
            config.label_key,
            group_by=config.group_by,
            identity=config.known_by,
            options=options,
            progress=counted,
        )


def print_plan(plan, err: bool = False) -> None:
    """Prints a plan as a table, with its summary and warnings."""
    from tfx_resampling import report

    rows = report.rows(plan, metrics={"predicted count": plan.predicted})
    names = list(rows[0])
    places = report.decimals(plan)
    cells = [
        [report.format_cell(name, row[name], places) for name in names] for row in rows
    ]
    notes = ["", *report.summary(plan)]
    common.print_table(names, cells, notes, plan.warnings, err)


def summary(plan) -> dict:
    """Returns what a plan does, in JSON types."""
    columns = {
        "label": plan.groups,
        "natural": plan.counts,
        "share": plan.natural_shares.tolist(),
        "target": plan.target,
        "factor": plan.factors,
        "emitted_per_natural": plan.emission_ratios.tolist(),
        "predicted_share": plan.predicted_shares.tolist(),
        "predicted_count": plan.predicted,
    }
    return {
        "labels": [
            dict(zip(columns, row, strict=True))
            for row in zip(*columns.values(), strict=True)
        ],
        "records": plan.num_records,
        "predicted_records": plan.predicted_records,
        "distance": plan.distance,
        "diagnostics": json.loads(plan.to_json())["diagnostics"],
        "warnings": list(plan.warnings),
    }


def _compare(targets: Sequence[str], plans: list, as_json: bool) -> None:
    if as_json:
        common.write_json(dict(zip(targets, map(summary, plans), strict=True)))
        return
    from tfx_resampling import report

    places = report.decimals(plans[0])
    cell = functools.partial(report.format_cell, places=places)
    names = ["label", "natural", "share"]
    rows = [[cell(name, row[name]) for name in names] for row in report.rows(plans[0])]
    totals = {
        "records per epoch": lambda plan: f"{plan.predicted_records:,.0f}",
        "distance to target": lambda plan: f"{plan.distance:.4f}",
        "effective sample size": lambda plan: _known(plan, "effective_sample_size"),
        "largest factor": lambda plan: _known(
            plan, "largest_factor", report.factor_text
        ),
    }
    total_rows = [[name, "", ""] for name in totals]
    warnings = []
    for target, plan in zip(targets, plans, strict=True):
        target = report.shortened(target, _LONGEST_TARGET)
        name, _ = report.measure(plan)
        names += [f"{target}: {name}", "share"]
        for cells, row in zip(rows, report.rows(plan), strict=True):
            cells += [cell(name, row[name]), cell("share", row["predicted"])]
        for cells, value in zip(total_rows, totals.values(), strict=True):
            cells += [value(plan), ""]
        warnings += [f"{target}: {text}" for text in plan.warnings]
    rows += [[""] * len(names), *total_rows]
    common.print_table(names, rows, warnings=warnings, together=2)


def _known(plan, name: str, form: Callable[[float], str] = "{:,.0f}".format) -> str:
    value = plan.diagnostics.get(name)
    return "" if value is None else form(value)


@click.command("show", short_help="Shows a plan: table, page or figure.")
@click.argument("plan")
@click.option("--html", metavar="PATH", help="Write the report, one HTML page.")
@click.option("--png", metavar="PATH", help="Write the figure; needs Matplotlib.")
@common.overwrite_flag
@common.json_flag
def show_command(plan, html, png, overwrite, as_json):
    """Shows a plan.json, the directory it is in, or - for standard input."""
    if common.STANDARD_STREAM in (html, png) and (as_json or html == png):
        raise click.UsageError("only one thing can go to standard output.")
    common.check_outputs(html, png, overwrite=overwrite)
    from tfx_resampling import report

    plan = common.read_plan(plan)
    if html:
        common.write(html, report.as_html(plan), overwrite)
    if png:
        contents = io.BytesIO()
        figure = report.figure(plan)
        figure.savefig(contents, format="png", dpi=150, bbox_inches="tight")
        common.write(png, contents.getvalue(), overwrite)
    if as_json:
        common.write_json(summary(plan))
    elif common.STANDARD_STREAM not in (html, png):
        print_plan(plan)
