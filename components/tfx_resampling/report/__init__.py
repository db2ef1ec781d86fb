"""A plan, and what came of it, for people: as text and as a page of pictures."""

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
