"""`tfx-resampling diff`: what changed between two plans."""

import json
import math

import click

from tfx_resampling.cli import common
from tfx_resampling.validate import printable

# What is shown per label, or says nothing of what a plan does.
_ELSEWHERE = {
    *("groups", "classes", "counts", "target", "factors", "predicted"),
    *("diagnostics", "provenance", "warnings", "label_sets"),
}


@click.command("diff", short_help="Shows what changed between two plans.")
@click.argument("before")
@click.argument("after")
@common.json_flag
def diff_command(before, after, as_json):
    """Shows what changed between two plans; labels that did not change are left out."""
    if before == after == common.STANDARD_STREAM:
        raise click.UsageError("only one plan can come from standard input.")
    plans = [common.read_plan(path) for path in (before, after)]
    old, new = (json.loads(plan.to_json()) for plan in plans)
    fields = {
        name: [old[name], new[name]]
        for name in old
        if name not in _ELSEWHERE and not _same(old[name], new[name])
    }
    labels = _labels(*plans)
    if as_json:
        common.write_json({"labels": labels, "fields": fields})
        return
    if labels:
        names = ["label", "count", "->", "factor", "->", "predicted", "->"]
        rows = [
            [
                row["label"],
                *(
                    "" if value is None else form(value)
                    for key, form in _FORMS.items()
                    for value in row[key]
                ),
            ]
            for row in labels
        ]
        common.print_table(names, rows, together=2)
    for name, (old, new) in fields.items():
        click.echo(printable(f"{name}: {_short(old)} -> {_short(new)}"))
    if not labels and not fields:
        click.echo("no difference")


def _factor(value: float) -> str:
    from tfx_resampling.report import factor_text

    return factor_text(value)


_FORMS = {"counts": "{:,}".format, "factors": _factor, "predicted": "{:,.1f}".format}


def _same(before, after) -> bool:
    if isinstance(before, float) and isinstance(after, float):
        # A fit ends at slightly different numbers.
        return math.isclose(before, after, rel_tol=1e-6, abs_tol=1e-9)
    return before == after


def _labels(before, after) -> list:
    columns = [
        {
            label: {key: getattr(plan, key)[i] for key in _FORMS}
            for i, label in enumerate(plan.groups)
        }
        for plan in (before, after)
    ]
    rows = []
    for label in dict.fromkeys([*before.groups, *after.groups]):
        both = [column.get(label) for column in columns]
        row = {key: [one and one[key] for one in both] for key in _FORMS}
        if None in both or not all(_same(*values) for values in row.values()):
            rows.append({"label": label, **row})
    return rows


def _short(value) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
