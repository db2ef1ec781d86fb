"""Figures of a plan, for papers and notebooks. Importing this needs matplotlib."""

import io

import numpy as np
from matplotlib import figure

from tfx_resampling.core.plan import Plan
from tfx_resampling.report import scales
from tfx_resampling.report.charts import MAX_ROWS
from tfx_resampling.report.text import by_frequency, measure, shortened

# The colours of the report on a light page.
_SERIES = {"natural": "#868e99", "target": "#d55e00", "predicted": "#0a66ad"}
_DROP, _COPY = "#8347a1", "#14793c"
_GRID = "#e6e9ec"
_NAME = 32  # Characters of a label on an axis.


class PlanFigure(figure.Figure):
    """A matplotlib figure that a notebook shows whatever its backend is.

    pyplot does not know of it: nothing is left open, and no display is needed.
    """

    def _repr_png_(self) -> bytes:
        contents = io.BytesIO()
        self.savefig(contents, format="png", dpi=110)
        return contents.getvalue()


def draw(plan: Plan) -> PlanFigure:
    """Returns the figure of `report.figure`."""
    order = by_frequency(plan)
    series = {
        "natural": plan.natural_shares[order],
        "target": np.array(plan.target)[order],
        "predicted": plan.predicted_shares[order],
    }
    name, factors = measure(plan)
    factors = factors[order]
    names = [shortened(plan.groups[i], _NAME) for i in order]
    many = len(order) > MAX_ROWS
    height = 3.2 if many else 1.3 + 0.3 * len(order)
    drawn = PlanFigure(figsize=(9.0, height), layout="constrained")
    left, right = drawn.subplots(
        1, 2, sharey=not many, width_ratios=[1, 1] if many else [1.5, 1]
    )
    share_axis = scales.share_scale(np.concatenate(list(series.values())))
    factor_axis = scales.factor_scale(factors)
    # A factor of 0 has no place on a log axis: its bar goes to the edge.
    ends = np.maximum(factors, factor_axis.low)
    if many:
        _share_curves(left, series, share_axis)
        _factor_curve(right, ends, factor_axis, name)
    else:
        _share_bars(left, series, share_axis)
        _factor_bars(right, ends, factor_axis, name)
        left.set_yticks(range(len(names)), names)
        for text in left.get_yticklabels():
            text.set_parse_math(False)  # A dollar in a label is a dollar.
        left.invert_yaxis()
    for axes in (left, right):
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    drawn.legend(
        *left.get_legend_handles_labels(),
        **dict(loc="outside upper left", ncols=3, frameon=False),
    )
    return drawn


def _share_bars(axes, series, scale: scales.Scale) -> None:
    rows = np.arange(len(series["natural"]))
    for i, (name, shares) in enumerate(series.items()):
        bars = np.maximum(shares, scale.low) - scale.low
        middles, look = rows + 0.26 * (i - 1), dict(color=_SERIES[name], label=name)
        axes.barh(middles, bars, 0.26, scale.low, **look)
    _set_scale(axes, "x", scale)
    axes.set_xlabel(_shares_of(scale))


def _factor_bars(axes, ends: np.ndarray, scale: scales.Scale, name: str) -> None:
    colours = np.where(ends < 1, _DROP, _COPY)
    axes.barh(np.arange(len(ends)), ends - 1, 0.55, 1.0, color=colours)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    _set_scale(axes, "x", scale)
    axes.set_xlabel(f"{name}: below 1 drop, above 1 replicate")


def _share_curves(axes, series, scale: scales.Scale) -> None:
    ranks = np.arange(1, len(series["natural"]) + 1)
    natural = np.maximum(series["natural"], scale.low)
    axes.fill_between(
        ranks, natural, scale.low, color=_SERIES["natural"], alpha=0.5, label="natural"
    )
    for name, width in (("target", 3.0), ("predicted", 1.2)):
        shares = np.maximum(series[name], scale.low)
        axes.plot(ranks, shares, color=_SERIES[name], linewidth=width, label=name)
    _set_scale(axes, "y", scale)
    axes.set(xlabel="label, by frequency", xmargin=0.01, ylabel=_shares_of(scale))


def _factor_curve(axes, ends: np.ndarray, scale: scales.Scale, name: str) -> None:
    ranks = np.arange(1, len(ends) + 1)
    for colour, bars in ((_DROP, np.minimum(ends, 1)), (_COPY, np.maximum(ends, 1))):
        # Vector formats would otherwise hold a shape per label.
        axes.fill_between(ranks, bars, 1.0, step="mid", color=colour, linewidth=0)
    axes.axhline(1.0, color="black", linewidth=0.8)
    _set_scale(axes, "y", scale)
    axes.set(xlabel="label, by frequency", xmargin=0.01, ylabel=name)


def _set_scale(axes, name: str, scale: scales.Scale) -> None:
    axis = axes.xaxis if name == "x" else axes.yaxis
    axes.set(**{f"{name}scale": "log" if scale.log else "linear"})
    axes.set(**{f"{name}lim": (scale.low, scale.high)})
    axis.set_ticks(
        [value for value, _ in scale.ticks], [text for _, text in scale.ticks]
    )
    axis.set_ticks([], minor=True)
    axes.grid(axis=name, color=_GRID)


def _shares_of(scale: scales.Scale) -> str:
    return "share of occurrences" + (" (log scale)" if scale.log else "")
