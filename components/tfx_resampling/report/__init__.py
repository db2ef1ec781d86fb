"""A plan in words, as an HTML page and as a figure.

In: a `Plan` and, for the heat map, its `LabelCounts`. Out: text, HTML, a figure.
May import: `core`, `errors`, Jinja2; matplotlib in `plots` only.
"""

from typing import TYPE_CHECKING

from tfx_resampling import errors
from tfx_resampling.core.plan import Plan
from tfx_resampling.report.page import as_html
from tfx_resampling.report.text import (
    as_text,
    decimals,
    factor_text,
    format_cell,
    measure,
    rows,
    shortened,
    summary,
)

if TYPE_CHECKING:
    from tfx_resampling.report.plots import PlanFigure

REPORT_FILE = "report.html"

__all__ = [
    "REPORT_FILE",
    "as_html",
    "as_text",
    "decimals",
    "factor_text",
    "figure",
    "format_cell",
    "measure",
    "rows",
    "shortened",
    "summary",
]


def figure(plan: Plan) -> "PlanFigure":
    """Returns a matplotlib figure: natural, target and predicted shares; factors.

    A row of bars per label, most frequent first, or curves over the labels' ranks where
    they are many; on a log scale where shares differ by more than 100 times. A notebook
    shows it; elsewhere `report.figure(plan).savefig("plan.pdf")`. It needs no display
    and leaves nothing open in pyplot.

    Raises:
      ImportError: matplotlib is not installed.
    """
    with errors.needs("plot", "a figure of a plan"):
        from tfx_resampling.report import plots
    return plots.draw(plan)
