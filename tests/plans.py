"""Plans and label counts written by hand, with everything unimportant filled in."""

from collections.abc import Sequence

from tfx_resampling.core.counts import LabelCounts, LabelSets
from tfx_resampling.core.plan import Plan


def make(labels, factors, **changes) -> Plan:
    """Returns a valid plan with these factors; `changes` replace other fields."""
    size = len(labels)
    fields = dict(
        label_key="label",
        label_dtype="bytes",
        multi_label=True,
        groups=tuple(labels),
        counts=(1,) * size,
        target=(1 / size,) * size,
        factors=tuple(float(factor) for factor in factors),
        num_records=size,
        num_unlabeled=0,
        unlabeled_factor=1.0,
        combine="product",
        min_factor=0.0,
        max_factor=100.0,
        seed=0,
        predicted=(1.0,) * size,
        predicted_records=float(size),
        prediction="exact",
    )
    return Plan(**{**fields, **changes})


def counts(totals: dict, num_unlabeled: int = 0, **changes) -> LabelCounts:
    """Returns single-label counts of {label: count}."""
    fields = dict(
        label_key="label",
        groups=tuple(totals),
        counts=tuple(totals.values()),
        num_records=sum(totals.values()) + num_unlabeled,
        num_unlabeled=num_unlabeled,
    )
    return LabelCounts(**{**fields, **changes})


def set_counts(labels: str, table: dict) -> LabelCounts:
    """Returns multi-label counts of {"ab": records with exactly labels a and b}.

    Args:
      labels: the labels, one letter each.
      table: label set -> number of records; "" is unlabeled.
    """
    return LabelCounts(
        label_key="label",
        groups=tuple(labels),
        counts=tuple(sum(n for s, n in table.items() if l in s) for l in labels),
        num_records=sum(table.values()),
        num_unlabeled=table.get("", 0),
        multi_label=True,
        label_sets=label_sets(labels, table),
    )


def row_counts(
    rows: Sequence[Sequence[int]],
    weights: Sequence[float],
    num_labels: int | None = None,
    num_unlabeled: int = 0,
) -> LabelCounts:
    """Returns counts of label sets given as lists of label indices.

    Args:
      rows: labels of each set; label 7 is "l0007".
      weights: records with exactly each of these sets.
      num_labels: by default up to the last one that occurs.
      num_unlabeled: records without a label.
    """
    sets = LabelSets.from_sets([*rows, []], [*weights, num_unlabeled])
    num_labels = num_labels or 1 + max(max(row) for row in rows)
    totals = sets.label_totals(sets.weights, num_labels)
    return LabelCounts(
        label_key="y",
        groups=tuple(f"l{i:04d}" for i in range(num_labels)),
        counts=tuple(int(total) for total in totals),
        num_records=int(sets.weights.sum()),
        num_unlabeled=num_unlabeled,
        multi_label=any(len(set(row)) > 1 for row in rows),
        label_sets=sets,
    )


def label_sets(labels: Sequence[str], table: dict) -> LabelSets:
    """Returns the label sets of `table`, as in `set_counts`."""
    rows = [[labels.index(letter) for letter in letters] for letters in table]
    return LabelSets.from_sets(rows, list(table.values()))
