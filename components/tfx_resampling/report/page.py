"""The report: one HTML page that needs nothing else, neither network nor script."""

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.plan import Plan
from tfx_resampling.report import charts
from tfx_resampling.report.text import (
    decimals,
    details,
    format_cell,
    headline,
    rows,
)
from tfx_resampling.validate import printable


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
    provenance = dict(plan.provenance)
    options = provenance.pop("options", {})
    return _template().render(
        plan=plan,
        facts=headline(plan),
        details=details(plan),
        chart=charts.shares_and_factors(plan),
        trade_off=charts.trade_off(plan),
        heat=None if counts is None else charts.heat_map(counts),
        parameters=_given(options),
        provenance=_given(provenance),
        table=_table(plan, **columns),
    )


@functools.cache
def _template() -> jinja2.Template:
    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("tfx_resampling.report", ""),
        autoescape=True,  # Labels are whatever the data has.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters["printable"] = printable
    style = resources.files("tfx_resampling.report") / "report.css"
    pages.globals["css"] = Markup(style.read_text(encoding="utf-8"))
    return pages.get_template("page.html.j2")


def _given(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns names and values as text, each part of the source one of its own."""
    lines: list[tuple[Any, Any]] = []
    for name, value in values.items():
        is_source = name == "source" and isinstance(value, Mapping)
        lines += value.items() if is_source else [(name, value)]
    return [(str(name), _written(value)) for name, value in lines]


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _table(plan: Plan, metrics: Mapping | None = None, **columns) -> dict[str, Any]:
    metrics = {"emitted per epoch": plan.predicted, **(metrics or {})}
    table = rows(plan, metrics=metrics, **columns)
    places = decimals(plan)
    cells = [[format_cell(name, row[name], places) for name in row] for row in table]
    return {
        "names": list(table[0]),
        "rows": cells,
        # Where the page is narrow, numbers are under their label in so wide columns.
        "digits": max(len(text) for row in cells for text in row[1:]),
    }
