"""A plan, and what came of it, as a table of labels and a line per fact."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfx_resampling.core.plan import Plan
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.validate import printable

_COMBINED = {
    "product": "product",
    "max": "largest",
    "min": "smallest",
    "mean": "mean",
}
_HOW = {
    "exact": "exact expectation",
    "pairwise": "estimate from pairs of labels",
    "independent": "estimate: labels taken as independent",
}
# Measures of imbalance (`fitting.diagnostics`): what they are called, what they say.
_MEASURES = {
    "max_ir": ("max IR", "the most frequent label's count over the rarest one's"),
    "mean_ir": ("MeanIR", "the same over each label's count, averaged over the labels"),
    "cvir": ("CVIR", "how unequal these ratios are: standard deviation over mean"),
    "scumble": (
        "SCUMBLE",
        "how much frequent and rare labels share records: 0 is not at all",
    ),
}


# Expected occurrences in an epoch per natural one; `Plan.emission_ratios`.
EMITTED = "emitted / natural"


def rows(
    plan: Plan,
    realised: Sequence[float] | None = None,
    metrics: Mapping[str, Sequence[float]] | None = None,
) -> list[dict[str, Any]]:
    """Returns one dict per label, most frequent label first.

    Plans of several labels have a column of what comes of the factors, and, where
    bounds bind, of the share of each label's records whose factor is at a bound.

    Args:
      plan: the plan.
      realised: [labels], how often each label was really emitted, if known.
      metrics: name -> [labels], further columns, e.g. average precision.
    """
    columns = {
        "label": plan.groups,
        "natural": plan.counts,
        "share": plan.natural_shares,
        "target": plan.target,
        "factor": plan.factors,
    }
    if plan.multi_label:
        # Of single labels it is the factor.
        columns[EMITTED] = plan.emission_ratios
        clipped = plan.diagnostics.get("clipped")
        if clipped:
            columns["clipped"] = [clipped.get(label, 0.0) for label in plan.groups]
    columns["predicted"] = plan.predicted_shares
    if realised is not None:
        total = np.sum(realised) or 1.0
        columns["realised"] = np.asarray(realised, np.float64) / total
    columns.update(metrics or {})
    return [
        {name: values[i] for name, values in columns.items()}
        for i in by_frequency(plan)
    ]


def measure(plan: Plan) -> tuple[str, np.ndarray]:
    """Returns what a plot beside the shares shows, and its value for each label.

    Of several labels not T, which says little without the labels beside it, but what
    comes of it.
    """
    if plan.multi_label:
        return EMITTED, plan.emission_ratios
    return "factor", np.array(plan.factors)


def by_frequency(plan: Plan) -> list[int]:
    """Returns the indices of the labels, most frequent first."""
    return sorted(range(len(plan.groups)), key=lambda i: -plan.counts[i])


class Fact(NamedTuple):
    """A figure of a plan, and what it means."""

    name: str
    value: str
    note: str
    unit: str = ""

    def line(self) -> str:
        """Returns the figure as a line of text."""
        value = f"{self.value} {self.unit}".rstrip()
        return f"{self.name}: {value} ({self.note})."


def headline(plan: Plan) -> list[Fact]:
    """Returns the figures that matter most."""
    unlabeled = "all labeled"
    if plan.num_unlabeled:
        number, factor = f"{plan.num_unlabeled:,}", f"{plan.unlabeled_factor:g}"
        unlabeled = f"{number} of them unlabeled, factor {factor}"
    emitted = f"{plan.predicted_records:,.0f}"
    facts = [
        Fact("Records", f"{plan.num_records:,}", unlabeled),
        Fact("Emitted per epoch", emitted, _HOW[plan.prediction], "records"),
        Fact(
            "Distance to target",
            f"{plan.distance:.4f}",
            "total variation between predicted and target shares; 0 is reached",
        ),
    ]
    if "effective_sample_size" in plan.diagnostics:
        size = f"{plan.diagnostics['effective_sample_size']:,.0f}"
        note = "over many epochs; as many records, drawn evenly, tell as much"
        facts.append(Fact("Effective sample size", size, note, "records"))
    return facts


def details(plan: Plan) -> list[str]:
    """Returns what else holds for the plan as a whole, a line each."""
    lines = []
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
            f"at least {factor_text(plan.min_factor)} and at most "
            f"{factor_text(plan.max_factor)}."
        )
    known = plan.diagnostics
    if "largest_factor" in known:
        lines.append(
            f"Largest factor of a record: {factor_text(known['largest_factor'])}."
        )
    if known.get("half_of_rarest"):
        lines.append(
            "Distinct records behind half of the rarest label's samples: "
            f"{known['half_of_rarest']:,}."
        )
    measures = known.get("imbalance", {})
    before, after = measures.get("natural", {}), measures.get("predicted", {})
    for name, (text, note) in _MEASURES.items():
        if name in before and name in after:
            change = f"{_measure(before[name])} -> {_measure(after[name])}"
            lines.append(Fact(f"{text}, natural -> predicted", change, note).line())
    return lines


def summary(plan: Plan) -> list[str]:
    """Returns all that holds for the plan as a whole, a line each."""
    return [*(fact.line() for fact in headline(plan)), *details(plan)]


def _measure(value: float) -> str:
    # Nearly 0, as a fit ends, is 0.
    return f"{value:,.0f}" if value >= 1000 else f"{round(value, 4):.3g}"


def as_text(plan: Plan, **columns) -> str:
    """Returns the table and the summary as plain text; arguments as `rows`."""
    table = rows(plan, **columns)
    names = list(table[0])
    places = decimals(plan)
    cells = [names]
    cells += [[format_cell(name, row[name], places) for name in names] for row in table]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    lines = [
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in cells
    ]
    return "\n".join([*lines, "", *summary(plan)])


def shortened(text: str, length: int) -> str:
    """Returns the text, printable, cut to a length with an ellipsis; "" in quotes."""
    text = printable(text) or '""'
    return text if len(text) <= length else text[: length - 1] + "…"


def decimals(plan: Plan) -> int:
    """Returns the decimals, 2 to 6, by which a percentage tells the rarest label."""
    shares = plan.natural_shares
    smallest = 100 * shares[shares > 0].min()
    # A digit of the smallest: 0.004% and not 0.00%.
    return max(2, min(6, math.ceil(-math.log10(smallest))))


def format_cell(name: str, value: Any, places: int = 2) -> str:
    """Returns what a cell of the table shows.

    Args:
      name: the column, as in `rows`.
      value: what `rows` has there.
      places: decimals of a percentage (`decimals`).
    """
    if name == "label":
        return printable(str(value))
    if name in ("natural", "emitted per epoch", "predicted count"):
        return f"{value:,.0f}"
    if name in ("share", "target", "predicted", "realised"):
        return f"{100 * value:.{places}f}%"
    if name == "clipped":
        return f"{100 * value:.0f}%" if value else "-"
    return factor_text(value) if name in ("factor", EMITTED) else f"{value:.3f}"


def factor_text(value: float) -> str:
    """Returns a factor in four digits, and with a comma from 1,000 on."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
