"""The report: one HTML page that needs nothing else, neither network nor script."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.plan import Plan
from tfx_resampling.report import charts
from tfx_resampling.report.charts import heat_map
from tfx_resampling.report.style import CSS
from tfx_resampling.report.text import decimals, format_cell, printable, rows, summary

# Characters of a label in the table; all of them are in its tooltip.
_LABEL = 100
# A longer text is folded: its beginning is seen, a click shows the rest.
_FOLD = 400


def as_html(plan: Plan, counts: LabelCounts | None = None, **columns) -> str:
    """Returns the plan's page: one file, without network, script or outside reference.

    Pictures of shares and factors, which labels occur together, warnings, options,
    provenance, and the table. Whatever labels are, they are shown as text. Light or
    dark, as the reader's system is.

    Args:
      plan: the plan.
      counts: what the plan was made from; how labels occur together is taken from it.
      **columns: `realised` and `metrics`, as in `rows`.

    Raises:
      ValueError: `counts` are of other labels than the plan.
    """
    if counts is not None and counts.groups != plan.groups:
        raise ValueError(
            f"counts must have the {len(plan.groups)} labels of the plan, got "
            f"{len(counts.groups)}, not the same. Give those that it was made from."
        )
    together = "" if counts is None else heat_map(counts)
    title = escape(printable(f"Resampling plan for {plan.label_key}"))
    sections = [
        f"<h1>{title}</h1>",
        _facts(plan),
        _list(summary(plan)),
        _warnings(plan),
        "<h2>Shares and factors</h2>",
        charts.shares_and_factors(plan),
        f"<h2>Labels that occur together</h2>\n{together}" if together else "",
        "<h2>Parameters</h2>",
        _given(plan.provenance.get("options", {})),
        "<h2>Provenance</h2>",
        _given({k: v for k, v in plan.provenance.items() if k != "options"}),
        "<h2>All labels</h2>",
        _table(plan, **columns),
    ]
    body = "\n".join(section for section in sections if section)
    return _PAGE.format(title=title, css=CSS, body=body)


def _facts(plan: Plan) -> str:
    known = plan.diagnostics
    facts: list[tuple[str, str]] = [
        ("Labels" if plan.grouping is None else "Groups", f"{len(plan.groups):,}"),
        ("Records", f"{plan.num_records:,}"),
        ("Emitted per epoch", f"{plan.predicted_records:,.0f}"),
        ("Distance to target", f"{plan.distance:.4f}"),
    ]
    if "effective_sample_size" in known:
        size = f"{known['effective_sample_size']:,.0f}"
        facts.append(("Effective sample size", size))
    items = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts)
    return f'<dl class="facts">{items}</dl>'


def _warnings(plan: Plan) -> str:
    if not plan.warnings:
        return ""
    return f'<div class="warnings"><h2>Warnings</h2>{_list(plan.warnings)}</div>'


def _list(lines) -> str:
    return f"<ul>{''.join(f'<li>{_folded(line)}</li>' for line in lines)}</ul>"


def _given(values: Mapping[str, Any]) -> str:
    """Returns a table of names and values, each part of the source a line."""
    lines: list[tuple[Any, Any]] = []
    for name, value in values.items():
        is_source = name == "source" and isinstance(value, Mapping)
        lines += value.items() if is_source else [(name, value)]
    return (
        '<table class="given">'
        + "".join(
            f'<tr><th scope="row">{escape(printable(str(name)))}</th>'
            f"<td><code>{_folded(_written(value))}</code></td></tr>"
            for name, value in lines
        )
        + "</table>"
    )


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _folded(text: str) -> str:
    text = printable(text)
    if len(text) <= _FOLD:
        return escape(text)
    return (
        f"<details><summary>{escape(text[: _FOLD // 2])}…</summary>"
        f"{escape(text)}</details>"
    )


def _table(plan: Plan, **columns) -> str:
    metrics = columns.pop("metrics", None) or {}
    metrics = {"emitted per epoch": plan.predicted, **metrics}
    table = rows(plan, metrics=metrics, **columns)
    places = decimals(plan)
    # Where the page is narrow, numbers are put under their label in so wide columns.
    widest = max(
        len(_text(name, row[name], places))
        for row in table
        for name in row
        if name != "label"
    )
    head = "".join(
        f'<th scope="col">{escape(printable(name))}</th>' for name in table[0]
    )
    body = "\n".join(
        f"<tr>{''.join(_cell(n, row[n], places) for n in row)}</tr>" for row in table
    )
    return (
        f'<div class="scroll"><table class="labels" style="--cell:{widest}ch">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _cell(name: str, value: Any, places: int) -> str:
    text = _text(name, value, places)
    if name == "label" and len(text) > _LABEL:
        short = charts.shortened(text, _LABEL)
        return f'<td title="{escape(text)}">{escape(short)}</td>'
    return f"<td>{escape(text)}</td>"


def _text(name: str, value: Any, places: int) -> str:
    if name == "natural":
        return f"{value:,}"
    if name == "emitted per epoch":
        return f"{value:,.0f}"
    return format_cell(name, value, places) or '""'


# The policy is a second lock: even an unescaped label could load and run nothing.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
{body}
</body>
</html>
"""
