"""A plan, and what came of it, as a table of labels and a line per fact."""

import math
from collections.abc import Sequence

import numpy as np

from tfx_resampling.core.plan import Plan
from tfx_resampling.core.schedule import Schedule

_COMBINED = {
    "product": "product",
    "max": "largest",
    "min": "smallest",
    "mean": "mean",
}


def rows(
    plan: Plan,
    realised: Sequence[float] | None = None,
    metrics: dict[str, Sequence[float]] | None = None,
) -> list[dict[str, object]]:
    """Returns one dict per label, most frequent label first.

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
        "predicted": plan.predicted_shares,
    }
    if realised is not None:
        total = np.sum(realised) or 1.0
        columns["realised"] = np.asarray(realised, np.float64) / total
    columns.update(metrics or {})
    order = sorted(range(len(plan.groups)), key=lambda i: -plan.counts[i])
    return [{name: values[i] for name, values in columns.items()} for i in order]


def summary(plan: Plan) -> list[str]:
    """Returns what holds for the plan as a whole, a line each."""
    unlabeled = f"{plan.num_unlabeled} unlabeled (factor {plan.unlabeled_factor:g})"
    how = {
        "exact": "exact expectation",
        "pairwise": "estimate from pairs of labels",
        "independent": "estimate: labels taken as independent",
    }[plan.prediction]
    lines = [
        f"Records: {plan.num_records}, of them {unlabeled}.",
        f"Emitted per epoch: {plan.predicted_records:.0f} records ({how}).",
        f"Distance of predicted to target shares (total variation): "
        f"{plan.distance:.4f}.",
    ]
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
            f"clipped to {plan.min_factor:g} .. {plan.max_factor:g}."
        )
    known = plan.diagnostics
    if "effective_sample_size" in known:
        rarest = known.get("half_of_rarest")
        half = f"; {rarest} records make up half of the rarest label's samples"
        lines.append(
            "Effective sample size over many epochs: "
            f"{known['effective_sample_size']:.0f} records (Kish); largest factor "
            f"{known['largest_factor']:.4g}{half if rarest else ''}."
        )
    names = {"max_ir": "max IR", "mean_ir": "MeanIR", "cvir": "CVIR"}
    names["scumble"] = "SCUMBLE"
    measures = known.get("imbalance", {})
    before, after = measures.get("natural", {}), measures.get("predicted", {})
    changes = [
        f"{text} {before[name]:.3g} -> {after[name]:.3g}"
        for name, text in names.items()
        if name in before and name in after
    ]
    if changes:
        lines.append(f"Imbalance, natural -> predicted: {', '.join(changes)}.")
    return lines


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


def printable(text: str) -> str:
    """Returns the text with every control character escaped, bidirectional ones too.

    They would break a table, or turn around what follows them. The two joiners stay:
    emoji and Persian are written with them, and they do no harm.
    """
    keep = "\u200c\u200d"
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


def decimals(plan: Plan) -> int:
    """Returns the decimals, 2 to 6, by which a percentage tells the rarest label."""
    shares = plan.natural_shares
    smallest = 100 * shares[shares > 0].min()
    # A digit of the smallest: 0.004% and not 0.00%.
    return max(2, min(6, math.ceil(-math.log10(smallest))))


def format_cell(name: str, value: object, places: int = 2) -> str:
    """Returns what a cell of the table shows.

    Args:
      name: the column, as in `rows`.
      value: what `rows` has there.
      places: decimals of a percentage (`decimals`).
    """
    if name == "label":
        return printable(str(value))
    if name == "natural":
        return str(value)
    if name in ("emitted per epoch", "predicted count"):
        return f"{value:.0f}"
    if name in ("share", "target", "predicted", "realised"):
        return f"{100 * value:.{places}f}%"
    return f"{value:.4g}" if name == "factor" else f"{value:.3f}"
