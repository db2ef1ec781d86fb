"""A plan, and what came of it, for people: a table as text and as HTML."""

import html
from typing import Dict, List, Optional, Sequence

import numpy as np

from tfx_resampling.core.plan import Plan
from tfx_resampling.core.schedule import Schedule

REPORT_FILE = "report.html"

_COMBINED = {
    "product": "product",
    "max": "largest",
    "min": "smallest",
    "mean": "mean",
}


def rows(
    plan: Plan,
    realised: Optional[Sequence[float]] = None,
    metrics: Optional[Dict[str, Sequence[float]]] = None,
) -> List[Dict[str, object]]:
    """Returns one dict per label, most frequent label first.

    Args:
      plan: the plan.
      realised: [labels], how often each label was really emitted, if known.
      metrics: name -> [labels], further columns, e.g. average precision.
    """
    columns = {
        "label": plan.labels,
        "natural": plan.counts,
        "share": plan.natural_shares,
        "target": plan.target,
        "factor": plan.factors,
        "predicted": plan.predicted_shares,
    }
    if realised is not None:
        total = np.sum(realised) or 1.0
        columns["realised"] = np.asarray(realised, np.float64) / total
    columns.update(metrics or {})
    order = sorted(range(len(plan.labels)), key=lambda i: -plan.counts[i])
    return [{name: values[i] for name, values in columns.items()} for i in order]


def summary(plan: Plan) -> List[str]:
    """Returns what holds for the plan as a whole, a line each."""
    unlabeled = f"{plan.num_unlabeled} unlabeled (factor {plan.unlabeled_factor:g})"
    how = {
        "exact": "exact expectation",
        "pairwise": "estimate from pairs of labels",
        "independent": "estimate: labels taken as independent",
    }[plan.prediction]
    lines = [
        f"Records: {plan.num_records}, of them {unlabeled}.",
        f"Emitted per epoch: {plan.predicted_records:.0f} records ({how}).",
        f"Distance of predicted to target shares (total variation): "
        f"{plan.distance:.4f}.",
    ]
    schedule = Schedule.parse(plan.schedule)
    if schedule.kind != "constant":
        # The last epoch of weight 0.
        last = 0 if schedule.kind == "linear" else schedule.epochs - 1
        natural = f"epochs 0 to {last}" if last else "epoch 0"
        lines.append(
            f"Schedule {schedule}: natural in {natural}, as planned from epoch "
            f"{schedule.epochs} on."
        )
    if plan.multi_label:
        lines.append(
            f"A record's factor: the {_COMBINED[plan.combine]} of its labels' factors, "
            f"clipped to {plan.min_factor:g} .. {plan.max_factor:g}."
        )
    known = plan.diagnostics
    if "effective_sample_size" in known:
        rarest = known.get("half_of_rarest")
        half = f"; {rarest} records make up half of the rarest label's samples"
        lines.append(
            "Effective sample size over many epochs: "
            f"{known['effective_sample_size']:.0f} records (Kish); largest factor "
            f"{known['largest_factor']:.4g}{half if rarest else ''}."
        )
    names = {"max_ir": "max IR", "mean_ir": "MeanIR", "cvir": "CVIR"}
    names["scumble"] = "SCUMBLE"
    measures = known.get("imbalance", {})
    before, after = measures.get("natural", {}), measures.get("predicted", {})
    changes = [
        f"{text} {before[name]:.3g} -> {after[name]:.3g}"
        for name, text in names.items()
        if name in before and name in after
    ]
    if changes:
        lines.append(f"Imbalance, natural -> predicted: {', '.join(changes)}.")
    return lines


def as_text(plan: Plan, **columns) -> str:
    """Returns the table and the summary as plain text; arguments as `rows`."""
    table = rows(plan, **columns)
    names = list(table[0])
    cells = [names] + [
        [format_cell(name, row[name]) for name in names] for row in table
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in cells
    ]
    return "\n".join([*lines, "", *summary(plan)])


def as_html(plan: Plan, **columns) -> str:
    """Returns one self-contained HTML page; arguments as `rows`."""
    emitted = {"emitted per epoch": plan.predicted, **columns.pop("metrics", {})}
    table = rows(plan, metrics=emitted, **columns)
    names = list(table[0])
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "\n".join(
        "<tr>"
        + "".join(f"<td>{html.escape(format_cell(n, row[n]))}</td>" for n in names)
        + "</tr>"
        for row in table
    )
    notes = "".join(f"<li>{html.escape(line)}</li>" for line in summary(plan))
    warnings = "".join(f"<li>{html.escape(line)}</li>" for line in plan.warnings)
    options = html.escape(str(plan.provenance.get("options", {})))
    title = f"Resampling plan for {html.escape(plan.label_key)}"
    return _PAGE.format(
        title=title,
        notes=notes,
        warnings=f"<h2>Warnings</h2><ul>{warnings}</ul>" if warnings else "",
        head=head,
        body=body,
        options=options,
    )


def format_cell(name: str, value: object) -> str:
    """Returns a value of `rows` as text."""
    if name == "label":
        # A control character in a label must not break the table.
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
    if name == "natural":
        return str(value)
    if name in ("emitted per epoch", "predicted count"):
        return f"{value:.0f}"
    if name in ("share", "target", "predicted", "realised"):
        return f"{100 * value:.2f}%"
    return f"{value:.4g}" if name == "factor" else f"{value:.3f}"


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
  padding: 0 1rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .75rem; text-align: right; border-bottom: 1px solid #8884; }}
th:first-child, td:first-child {{ text-align: left; overflow-wrap: anywhere; }}
code {{ overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>{title}</h1>
<ul>{notes}</ul>
{warnings}
<div class="scroll"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
<p>Options: <code>{options}</code></p>
</body>
</html>
"""
