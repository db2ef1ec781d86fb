"""A plan in words, as an HTML page and as a figure.

In: a `Plan` and, for the heat map, its `LabelCounts`. Out: text, HTML, matplotlib figure.
May import: `core`, Jinja2; matplotlib in `figure` only.
"""

from tfx_resampling.report.page import as_html
from tfx_resampling.report.text import (
    as_text,
    decimals,
    format_cell,
    printable,
    rows,
    summary,
)

REPORT_FILE = "report.html"

__all__ = [
    "REPORT_FILE",
    "as_html",
    "as_text",
    "decimals",
    "format_cell",
    "printable",
    "rows",
    "summary",
]
