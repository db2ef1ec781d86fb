"""`tfx-resampling check`: what a plan really does to records."""

import click

from tfx_resampling.cli import common
from tfx_resampling.options import InputOptions

_READING = ("epochs", "start_epoch", "compression", "on_corrupt")


@click.command(
    "check",
    short_help="Compares what a plan does with what it predicts.",
    cls=common.OptionsCommand,
    flags=lambda: common.option_flags(InputOptions, _READING, epochs=1),
)
@click.argument("plan")
@common.examples()
@common.json_flag
def check_command(plan, examples, as_json, **reading):
    """Decides on every record and compares with what the plan predicts.

    Nothing is decoded. Exits with 1 if a count is outside of its bound, which happens
    once in a thousand times to a plan for these records.
    """
    plan = common.read_plan(plan)
    common.import_tensorflow()
    from tfx_resampling.records import files
    from tfx_resampling.scan.audit import check_plan

    names = files.match_files(list(examples))
    with common.progress("deciding", names) as decided:
        found = check_plan(names, plan, InputOptions(**reading), decided)
    what = "groups" if plan.grouping else "labels"
    names = [*plan.groups, "all records"]
    rows = [
        {
            "label": label,
            "natural": int(natural),
            "predicted": float(predicted),
            "realised": int(emitted),
            "bound": float(bound),
            "outside": bool(outside),
        }
        for label, natural, predicted, emitted, bound, outside in zip(
            names,
            found.natural,
            found.predicted,
            found.emitted,
            found.bounds,
            found.is_outside,
        )
    ]
    num_outside = int(found.is_outside.sum())
    num_of_duplicates = int(found.is_of_duplicates.sum())
    if as_json:
        common.write_json(
            {
                "rows": rows,
                "outside": num_outside,
                "of_duplicates": num_of_duplicates,
                "distinct": found.num_distinct,
                "corrupt": found.num_corrupt,
            }
        )
    else:
        cells = [
            [
                row["label"],
                f"{row['natural']:,}",
                f"{row['predicted']:,.1f}",
                f"{row['realised']:,}",
                f"{row['realised'] - row['predicted']:+,.1f}",
                f"{row['bound']:,.1f}",
                "OUTSIDE" if row["outside"] else "",
            ]
            for row in sorted(rows[:-1], key=lambda row: -row["natural"]) + rows[-1:]
        ]
        names = [
            *("label", "natural", "predicted", "realised", "difference", "bound", ""),
        ]
        notes = [f"{num_outside:,} of {len(rows):,} counts are outside of their bound."]
        if num_of_duplicates:
            notes.append(
                f"{num_of_duplicates:,} of them are so because records share an "
                f"identity, and with it a uniform number: {found.natural[-1]:,} "
                f"records have {found.num_distinct:,} identities ({plan.known_by}). "
                "Plan with key_features that tell them apart, or with "
                "identity='position'."
            )
        if found.num_corrupt:
            notes.append(f"{found.num_corrupt:,} corrupt records were left out.")
        if plan.prediction != "exact":
            notes.append(
                f"Predicted counts are an estimate ({plan.prediction} {what})."
            )
        common.print_table(names, cells, ["", *notes])
    if num_outside:
        raise click.exceptions.Exit(1)
