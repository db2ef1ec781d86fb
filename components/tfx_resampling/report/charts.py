"""What the pictures of the report show: bars, curves and a heat map, as numbers.

The template draws them. Positions and lengths are percentages of a plot, written with
as many digits as a screen can tell.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.plan import Plan
from tfx_resampling.report import scales
from tfx_resampling.report.text import (
    by_frequency,
    decimals,
    factor_text,
    format_cell,
    measure,
    shortened,
)

# Up to so many labels each has a row of bars.
MAX_ROWS = 40
# Of more, so many of the most and of the least frequent have one.
ENDS = 15
# Up to so many labels are all in the heat map; of more, half of them from either end.
MAX_HEAT = 24
# Up to so many labels, cells are wide enough for a number.
_MAX_NUMBERS = 14
# From this strength on, a number is legible in the other colour, dark page or light.
_STRONG = 0.76
# Characters of a label beside a bar and in its tooltip; the table has all of them.
_NAME, _TOOLTIP = 80, 200
# Pixels: a digit of the axes; the plots of shares and of factors, where the page is
# narrow, and where it is just not narrow, beside the longest factors.
_DIGIT = 8
_SHARES, _FACTORS = (150, 225), (105, 150)


def heat_map(counts: LabelCounts) -> dict[str, Any] | None:
    """Returns how labels occur together; None if unknown, or labels are single.

    Cell (row, column): of the records with the row's label, how many have the column's
    too. Rows and columns by frequency; labels that do not occur are left out.

    Returns:
      "largest": the largest share in percent, None if no two labels occur together;
      "total": how many labels occur; "cut": how many are shown from either end if not
      all are; "names": of labels; "rows": a list of cells each, None on the diagonal.
    """
    order = sorted(range(len(counts.groups)), key=lambda i: -counts.counts[i])
    order = [i for i in order if counts.counts[i]]
    shown, cut = order, None
    if len(order) > MAX_HEAT:
        cut = MAX_HEAT // 2
        shown = [*order[:cut], *order[-cut:]]
    together = counts.together(shown)
    if together is None or len(shown) < 2:
        return None
    shares = together / np.array([counts.counts[i] for i in shown])[:, None]
    np.fill_diagonal(shares, 0)
    largest = float(shares.max())
    numbers = len(shown) <= _MAX_NUMBERS
    return {
        "largest": f"{100 * largest:.3g}%" if largest > 0 else None,
        "total": len(order),
        "cut": cut,
        "names": [shortened(counts.groups[i], _NAME) for i in shown],
        "rows": [
            [None if i == k else _cell(x, largest, numbers) for k, x in enumerate(row)]
            for i, row in enumerate(shares.tolist())
        ],
    }


def _cell(share: float, largest: float, numbers: bool) -> dict[str, Any]:
    strength, number = 0.0, ""
    if share > 0:
        strength = max(0.05, share / largest)  # What is there must be seen to be there.
        number = f"{100 * share:.0f}" if share >= 0.005 else "<1"
    return {
        "strength": f"{strength:.2f}",
        "strong": strength > _STRONG,
        "share": f"{100 * share:.3g}%",
        "number": number if numbers else "",
    }


def shares_and_factors(plan: Plan) -> dict[str, Any]:
    """Returns the plots of shares and factors: bars, and curves where labels are many.

    Returns:
      "log": a sentence about the log scale, or ""; "curves": two, or none; "between":
      a sentence about the labels that have no bars, or ""; "shares", "factors": ticks
      and grid of the bars' axes; "digits": of the longest factor; "rows": the bars,
      None where labels are left out; "measure": what the plot of factors shows.
    """
    order = by_frequency(plan)
    series = {
        "natural": plan.natural_shares,
        "target": np.array(plan.target),
        "predicted": plan.predicted_shares,
    }
    name, factors = measure(plan)
    share_axis = scales.share_scale(np.concatenate(list(series.values())))
    factor_axis = scales.factor_scale(factors)
    shown: list[int | None] = [*order]
    between, curves = "", []
    if len(order) > MAX_ROWS:
        shown = [*order[:ENDS], None, *order[-ENDS:]]
        between = _between(plan, order)
        curves = [
            _share_curves({k: x[order] for k, x in series.items()}, share_axis),
            _factor_curves(factors[order], factor_axis, name),
        ]
    rows = _rows(plan, shown, series, share_axis, factor_axis)
    return {
        "log": _log_scale(share_axis, series),
        "curves": curves,
        "between": between,
        "shares": _axis(share_axis, 0.0, *_SHARES),
        "factors": _axis(factor_axis, float(factor_axis.position(1.0)), *_FACTORS),
        "digits": max(len(row["factor"]) for row in rows if row),
        "rows": rows,
        "measure": name,
    }


def trade_off(plan: Plan) -> dict[str, Any] | None:
    """Returns the plans that were weighed: distance against effective sample size.

    Returns:
      "x", "y": ticks, positions in percent from the left and from the top; "points":
      where each plan lies, its tooltip, and whether it was taken; "path": through them,
      in SVG's words. None where there was nothing to weigh.
    """
    found = plan.diagnostics.get("trade_off", [])
    if len(found) < 2:
        return None
    sizes = np.array([each["effective_sample_size"] for each in found])
    distances = np.array([each["distance"] for each in found])
    across = scales.range_scale(sizes.min(), sizes.max(), "{:,.4g}".format)
    up = scales.range_scale(distances.min(), distances.max(), "{:.3g}".format)
    lefts, tops = across.position(sizes), 100 - up.position(distances)
    order = np.argsort(lefts)
    return {
        "x": [(f"{at:.2f}", text) for at, text in _placed(across)],
        "y": [(f"{100 - at:.2f}", text) for at, text in _placed(up)],
        "digits": max(len(text) for _, text in up.ticks),
        "points": [
            {
                "left": f"{lefts[i]:.2f}",
                "top": f"{tops[i]:.2f}",
                "chosen": bool(found[i].get("chosen")),
                "tooltip": f"distance {distances[i]:.4f}, effective sample size "
                f"{sizes[i]:,.0f}, {found[i]['records']:,.0f} records per epoch",
            }
            for i in order
        ],
        "path": "M" + "L".join(f"{lefts[i]:.2f} {tops[i]:.2f}" for i in order),
    }


def _log_scale(axis: scales.Scale, series: dict) -> str:
    if not axis.log:
        return ""
    below = any(((0 < x) & (x < axis.low)).any() for x in series.values())
    return (
        f"Shares are on a log scale that starts at {axis.ticks[0][1]}: they differ by "
        f"more than {scales.LOG_FROM} times."
        f"{' Smaller shares are drawn at its start.' if below else ''}"
    )


def _between(plan: Plan, order: Sequence[int]) -> str:
    middle = order[ENDS:-ENDS]
    shares = plan.natural_shares[middle]
    name, factors = measure(plan)
    factors = factors[middle]
    places = decimals(plan)
    most, least = (
        format_cell("share", x, places) for x in (shares.max(), shares.min())
    )
    low, high = (factor_text(x) for x in (factors.min(), factors.max()))
    return (
        f"Rows: the {ENDS} most and the {ENDS} least frequent of {len(order):,} "
        f"labels. Between them are {len(middle):,} labels of {most} to {least} each, "
        f"{100 * shares.sum():.3g}% of all occurrences; {name}: {low} to {high}. "
        "The curves and the table have every label."
    )


def _rows(plan, shown, series, share_axis, factor_axis) -> list[dict[str, Any] | None]:
    places = decimals(plan)
    widths = {name: share_axis.position(values) for name, values in series.items()}
    name_of_factor, factors = measure(plan)
    ends, one = factor_axis.position(factors), float(factor_axis.position(1.0))
    rows: list[dict[str, Any] | None] = []
    for i in shown:
        if i is None:
            rows.append(None)
            continue
        label = shortened(plan.groups[i], _TOOLTIP)
        factor = format_cell(name_of_factor, factors[i])
        texts = [
            f"{name} {format_cell('share', x[i], places)}" for name, x in series.items()
        ]
        rows.append(
            {
                "name": shortened(plan.groups[i], _NAME),
                "tooltip": f"{label}: {', '.join(texts)}, {name_of_factor} {factor}",
                "bars": {name: f"{x[i]:.2f}" for name, x in widths.items()},
                "kind": "drop" if factors[i] < 1 else "copy",
                "left": f"{min(one, ends[i]):.2f}",
                "width": f"{abs(ends[i] - one):.2f}",
                "factor": factor,
            }
        )
    return rows


def _axis(axis: scales.Scale, strong: float, *widths: int) -> dict[str, Any]:
    """Returns the numbers above a plot, and its grid as a CSS background.

    Numbers that would touch their neighbour where the plot is as many pixels wide as
    the first of `widths` are shown where it is wider only ("wide"); those that would
    at the second one are left out. The grid line at `strong` is stronger.
    """
    placed = _placed(axis)
    narrow, wide = (_fitting(placed, width) for width in widths)
    lines = [("axis", strong), *(("grid", position) for position, _ in placed)]
    return {
        "ticks": [
            {"position": f"{position:.2f}", "text": text, "wide": i not in narrow}
            for i, (position, text) in enumerate(placed)
            if i in narrow or i in wide
        ],
        "grid": ",".join(
            f"linear-gradient(var(--{name}) 0 0) {position:.2f}% 0/1px 100% no-repeat"
            for name, position in lines
        ),
    }


def _fitting(placed: list[tuple[float, str]], width: int) -> set[int]:
    """Returns which numbers can be shown beside each other within `width` pixels."""
    # From left to right, but a 1 first: what a factor is measured by must be there.
    order = sorted(range(len(placed)), key=lambda i: placed[i][1] != "1")
    taken: dict[int, tuple[float, float]] = {}
    for i in order:
        position, text = placed[i]
        # The first and the last number stay within the plot.
        left = position / 100 * (width - _DIGIT * len(text))
        right = left + _DIGIT * len(text)
        if all(right + _DIGIT < a or b + _DIGIT < left for a, b in taken.values()):
            taken[i] = (left, right)
    return set(taken)


def _placed(axis: scales.Scale) -> list[tuple[float, str]]:
    return [(float(axis.position(value)), text) for value, text in axis.ticks]


def _share_curves(series: dict[str, np.ndarray], axis: scales.Scale) -> dict[str, Any]:
    heights = {name: 100 - axis.position(values) for name, values in series.items()}
    paths = {name: _line(values) for name, values in heights.items()}
    paths["natural"] = _area(heights["natural"], 100)
    return _curves("Shares", axis, paths, len(series["natural"]))


def _factor_curves(
    factors: np.ndarray, axis: scales.Scale, name: str
) -> dict[str, Any]:
    heights, one = 100 - axis.position(factors), 100 - float(axis.position(1.0))
    paths = {
        "drop": _area(np.maximum(heights, one), one),
        "copy": _area(np.minimum(heights, one), one),
    }
    return _curves(name.capitalize(), axis, paths, len(factors))


def _curves(title: str, axis: scales.Scale, paths: dict, size: int) -> dict[str, Any]:
    """Returns a plot over the labels' ranks; `paths` are in SVG's words."""
    ticks = [(f"{100 - position:.2f}", text) for position, text in _placed(axis)]
    return {
        "title": f"{title}, by rank of the label",
        "ticks": ticks,
        "digits": max(len(text) for _, text in ticks),
        "paths": paths,
        "size": size,
    }


def _line(heights: np.ndarray) -> str:
    steps = [f"V{y:.1f}H{i + 1}" for i, y in enumerate(heights)]
    return f"M0 {heights[0]:.1f}{''.join(steps)}"


def _area(heights: np.ndarray, base: float) -> str:
    return f"{_line(heights)}V{base:.1f}H0Z"
