"""Shares and factors as bars, of all labels or of the head and the tail."""

from collections.abc import Sequence
from html import escape

import numpy as np

from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.plan import Plan
from tfx_resampling.report import scales
from tfx_resampling.report.text import decimals, format_cell, printable

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
    order = sorted(range(len(counts.groups)), key=lambda i: -counts.counts[i])
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
    names = [escape(shortened(counts.groups[i])) for i in shown]
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


# Up to so many labels each has a row of bars.
MAX_ROWS = 40
# Of more, so many of the most and of the least frequent have one.
ENDS = 15
# Characters of a label beside a bar and in its tooltip; the table has all of them.
_NAME, _TOOLTIP = 80, 200
# Pixels, a digit of the axes where the page is narrow.
_DIGIT = 7


def shares_and_factors(plan: Plan) -> str:
    """Returns the section's HTML: legend, curves where labels are many, and bars."""
    order = sorted(range(len(plan.groups)), key=lambda i: -plan.counts[i])
    series = {
        "natural": plan.natural_shares,
        "target": np.array(plan.target),
        "predicted": plan.predicted_shares,
    }
    factors = np.array(plan.factors)
    share_axis = scales.share_scale(np.concatenate(list(series.values())))
    factor_axis = scales.factor_scale(factors)
    parts = [_legend()]
    if share_axis.log:
        parts.append(
            "<p>Shares are on a log scale that starts at "
            f"{share_axis.ticks[0][1]}: they differ by more than {scales.LOG_FROM} "
            "times.</p>"
        )
    shown = order
    if len(order) > MAX_ROWS:
        parts += [_curves(order, series, factors, share_axis, factor_axis)]
        parts += [f"<p>{_between(plan, order)}</p>"]
        shown = [*order[:ENDS], -1, *order[-ENDS:]]
    parts.append(_rows(plan, shown, series, factors, share_axis, factor_axis))
    return "\n".join(parts)


def shortened(text: str, length: int = _NAME) -> str:
    """Returns the text, printable, cut to a length with an ellipsis; "" in quotes."""
    text = printable(text) or '""'
    return text if len(text) <= length else text[: length - 1] + "…"


def _legend() -> str:
    names = {
        "natural": "natural share",
        "target": "target share",
        "predicted": "predicted share",
        "drop": "factor below 1: drop",
        "copy": "factor above 1: replicate",
    }
    items = "".join(f'<span><i class="{k}"></i>{v}</span>' for k, v in names.items())
    return f'<div class="legend">{items}</div>'


def _between(plan: Plan, order: Sequence[int]) -> str:
    middle = order[ENDS:-ENDS]
    shares = plan.natural_shares[middle]
    factors = np.array(plan.factors)[middle]
    places = decimals(plan)
    most, least = (
        format_cell("share", x, places) for x in (shares.max(), shares.min())
    )
    return (
        f"Rows: the {ENDS} most and the {ENDS} least frequent of {len(order):,} "
        f"labels. Between them are {len(middle):,} labels of {most} to {least} each, "
        f"{100 * shares.sum():.3g}% of all occurrences, with factors of "
        f"{factors.min():.4g} to {factors.max():.4g}. The curves and the table have "
        "every label."
    )


def _rows(plan, shown, series, factors, share_axis, factor_axis) -> str:
    places = decimals(plan)
    positions = {name: share_axis.position(values) for name, values in series.items()}
    ends, one = factor_axis.position(factors), float(factor_axis.position(1.0))
    lines = [
        '<div class="row head"><span class="name"></span>'
        f"{_ticks(share_axis, 175)}{_ticks(factor_axis, 125)}"
        '<span class="value">factor</span></div>'
    ]
    for i in shown:
        if i < 0:
            lines.append('<div class="gap">⋮</div>')
            continue
        texts = [
            f"{name} {format_cell('share', x[i], places)}" for name, x in series.items()
        ]
        factor = format_cell("factor", factors[i])
        tooltip = f"{shortened(plan.groups[i], _TOOLTIP)}: {', '.join(texts)}"
        bars = "".join(
            f'<i class="{name}" style="width:{x[i]:.2f}%"></i>'
            for name, x in positions.items()
        )
        kind = "drop" if factors[i] < 1 else "copy"
        left, width = min(one, ends[i]), abs(ends[i] - one)
        lines.append(
            f'<div class="row" title="{escape(tooltip)}, factor {factor}">'
            f'<span class="name">{escape(shortened(plan.groups[i]))}</span>'
            f'<div class="plot shares">{bars}</div>'
            f'<div class="plot"><i class="{kind}" '
            f'style="left:{left:.2f}%;width:{width:.2f}%"></i></div>'
            f'<span class="value">{factor}</span></div>'
        )
    grids = f"--shares:{_grid(share_axis)};--factors:{_grid(factor_axis, one)}"
    return (
        f'<div class="rows" style="{grids}" role="img" '
        'aria-label="Shares and factor of each label; the table has the numbers">'
        + "\n".join(lines)
        + "</div>"
    )


def _ticks(axis: scales.Scale, narrow: int) -> str:
    """Returns the numbers above a plot; the first and last stay within it.

    Those that would touch their neighbour where the plot is `narrow` pixels wide are
    shown where it is wider only.
    """
    placed = _placed(axis)
    # From left to right, but a 1 first: what a factor is measured by must be there.
    order = sorted(range(len(placed)), key=lambda i: placed[i][1] != "1")
    taken, spans = [], {}
    for i in order:
        position, text = placed[i]
        left = position / 100 * (narrow - _DIGIT * len(text))
        right = left + _DIGIT * len(text)
        fits = all(right + _DIGIT < a or b + _DIGIT < left for a, b in taken)
        if fits:
            taken.append((left, right))
        visible = "" if fits else ' class="wide"'
        spans[i] = (
            f'<span{visible} style="left:{position:.2f}%;'
            f'transform:translateX(-{position:.0f}%)">{text}</span>'
        )
    spans = [spans[i] for i in range(len(placed))]
    return f'<div class="ticks">{"".join(spans)}</div>'


def _placed(axis: scales.Scale) -> list[tuple]:
    return [(float(axis.position(value)), text) for value, text in axis.ticks]


def _grid(axis: scales.Scale, strong: float = 0.0) -> str:
    """Returns grid lines as a CSS background, the one at `strong` stronger."""
    lines = [f"linear-gradient(var(--axis) 0 0) {strong:.2f}% 0/1px 100% no-repeat"]
    lines += [
        f"linear-gradient(var(--grid) 0 0) {position:.2f}% 0/1px 100% no-repeat"
        for position, _ in _placed(axis)
    ]
    return ",".join(lines)


def _curves(order, series, factors, share_axis, factor_axis) -> str:
    """Returns two plots over the labels' ranks: all shares, all factors."""
    natural = 100 - share_axis.position(series["natural"][order])
    paths = [f'<path class="natural" d="{_area(natural, 100)}"/>']
    for name in ("target", "predicted"):
        heights = 100 - share_axis.position(series[name][order])
        paths.append(f'<path class="{name}" d="{_line(heights)}"/>')
    ends = 100 - factor_axis.position(factors[order])
    one = 100 - float(factor_axis.position(1.0))
    below = f'<path class="drop" d="{_area(np.maximum(ends, one), one)}"/>'
    above = f'<path class="copy" d="{_area(np.minimum(ends, one), one)}"/>'
    return (
        '<div class="curves">'
        + _curve("Shares, by rank of the label", share_axis, paths, len(order))
        + _curve(
            "Factors, by rank of the label", factor_axis, [below, above], len(order)
        )
        + "</div>"
    )


def _curve(title: str, axis: scales.Scale, paths: list[str], size: int) -> str:
    placed = [(100 - position, text) for position, text in _placed(axis)]
    numbers = "".join(
        f'<span style="top:{position:.2f}%">{text}</span>' for position, text in placed
    )
    grid = "".join(f'<path class="grid" d="M0 {y:.2f}H{size}"/>' for y, _ in placed)
    middle = (size + 1) // 2
    return (
        f'<figure class="curve"><figcaption>{title}</figcaption>'
        f'<div class="y">{numbers}</div>'
        f'<svg viewBox="0 0 {size} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{title}; the table has the numbers">{grid}{"".join(paths)}</svg>'
        f'<div class="x"><span>1</span><span>{middle:,}</span><span>{size:,}</span>'
        "</div></figure>"
    )


def _line(heights: np.ndarray) -> str:
    steps = [f"V{y:.1f}H{i + 1}" for i, y in enumerate(heights)]
    return f"M0 {heights[0]:.1f}{''.join(steps)}"


def _area(heights: np.ndarray, base: float) -> str:
    return f"{_line(heights)}V{base:.1f}H0Z"
