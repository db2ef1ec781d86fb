"""Which labels occur together, as a heat map."""

from html import escape

import numpy as np

from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.report.charts import shortened

# Up to so many labels are all shown; of more, half of them from either end.
MAX_LABELS = 24
# Up to so many labels, cells are wide enough for a number.
_MAX_NUMBERS = 14
# From this strength on, a number is legible in the other colour, dark page or light.
_STRONG = 0.76


def heat_map(counts: LabelCounts) -> str:
    """Returns the section's HTML, or "" where nothing is known or labels are single.

    Cell (row, column): of the records with the row's label, how many have the column's
    too. Rows and columns by frequency; labels that do not occur are left out.
    """
    order = sorted(range(len(counts.labels)), key=lambda i: -counts.counts[i])
    order = [i for i in order if counts.counts[i]]
    shown = order
    if len(order) > MAX_LABELS:
        shown = [*order[: MAX_LABELS // 2], *order[-MAX_LABELS // 2 :]]
    together = counts.together(shown)
    if together is None or len(shown) < 2:
        return ""
    shares = together / np.array([counts.counts[i] for i in shown])[:, None]
    off_diagonal = ~np.eye(len(shown), dtype=bool)
    largest = float(shares[off_diagonal].max())
    if not largest > 0:
        return "<p>No two labels occur in one record.</p>"
    names = [escape(shortened(counts.labels[i])) for i in shown]
    cut = MAX_LABELS // 2 if len(order) > MAX_LABELS else None
    head = "".join(f'<th scope="col"><span>{name}</span></th>' for name in names)
    rows = [f"<tr><td></td>{head}</tr>"]
    for i, name in enumerate(names):
        cells = "".join(
            _cell(shares[i, k], largest, f"{names[k]} in {name}", len(shown), i == k)
            for k in range(len(shown))
        )
        mark = ' class="cut"' if i == cut else ""
        rows.append(f'<tr{mark}><th scope="row">{name}</th>{cells}</tr>')
    which = ""
    if cut:
        which = (
            f" Shown are the {cut} most and the {cut} least frequent of "
            f"{len(order):,} labels."
        )
    return (
        "<p>Of the records with the row's label, the share that has the column's label "
        f"too.{which}</p>"
        f'<div class="legend heat">0%<i class="ramp"></i>{100 * largest:.3g}%</div>'
        f'<table class="heat">{"".join(rows)}</table>'
    )


def _cell(share: float, largest: float, title: str, size: int, same: bool) -> str:
    if same:
        return '<td class="same"></td>'
    strength = share / largest
    if share > 0:
        strength = max(0.05, strength)  # What is there must be seen to be there.
    percent = f"{100 * share:.0f}" if share >= 0.005 else ("<1" if share > 0 else "")
    number = f"<span>{escape(percent)}</span>" if size <= _MAX_NUMBERS else ""
    strong = ' class="strong"' if strength > _STRONG else ""
    return (
        f'<td{strong} style="--v:{strength:.2f}" '
        f'title="{title}: {100 * share:.3g}%">{number}</td>'
    )
