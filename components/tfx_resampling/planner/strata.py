"""Strata from statistics: what they can tell, and boundaries of quantiles."""

from typing import Optional, Sequence

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx import types

from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.strata import (
    Bucket,
    Column,
    ColumnSpec,
    Strata,
    format_columns,
)
from tfx_resampling.planner import feature_statistics
from tfx_resampling.planner import statistics as statistics_lib


def stratum_counts(
    statistics: types.Artifact,
    split: str,
    label_key: str,
    strata: Sequence[ColumnSpec],
    schema: Optional[schema_pb2.Schema] = None,
) -> LabelCounts:
    """Returns the counts of the strata of one column, all that statistics can tell.

    Args:
      statistics: as `label_counts`.
      split: as `label_counts`.
      label_key: the label feature, whose values become the classes of the plan.
      strata: the columns, see `check_strata`.
      schema: as `label_counts`.

    Raises:
      ValueError: as `label_counts`, of the label feature or of the column; or a column
        with several values per record.
    """
    check_strata(strata, has_statistics=True, has_examples=False)
    (name,) = strata
    classes = statistics_lib.label_counts(statistics, split, label_key, schema)
    column = statistics_lib.label_counts(statistics, split, name)
    if column.multi_label:
        raise ValueError(
            f"column {name!r} of strata has records with more than one value. Strata "
            "take columns with one value per record."
        )
    resolved = Column(name, column.label_dtype, column.labels)
    codes = list(range(len(column.labels)))
    counts = list(column.counts)
    if column.num_unlabeled:
        codes.append(resolved.missing)
        counts.append(column.num_unlabeled)
    groups = Strata((resolved,), tuple((code,) for code in codes))
    return LabelCounts(
        label_key=label_key,
        labels=groups.names,
        counts=tuple(counts),
        num_records=column.num_records,
        label_dtype=classes.label_dtype,
        classes=classes.labels,
        strata=groups,
        notes=column.notes,
        source=column.source,
    )


def check_strata(
    strata: Sequence[ColumnSpec], has_statistics: bool, has_examples: bool
) -> None:
    """Raises ValueError where the inputs given cannot tell the strata asked for."""
    cut = [column for column in strata if isinstance(column, Bucket)]
    for column in cut:
        if column.quantiles is not None and not has_statistics:
            raise ValueError(
                f"quantiles of Bucket {column.name!r} are taken from statistics: add "
                "statistics=..., or give boundaries."
            )
    if has_examples or not strata:
        return
    if cut or len(strata) > 1:
        why = "buckets" if cut else "combinations of columns"
        raise ValueError(
            f"strata {format_columns(strata)} cannot be counted from statistics, which "
            f"do not count {why}: add examples=..."
        )


def with_boundaries(
    strata: Sequence[ColumnSpec], statistics: Optional[types.Artifact], split: str
) -> Sequence[ColumnSpec]:
    """Returns strata with quantiles turned into boundaries.

    Boundaries are interpolated in the quantiles histogram of the statistics, so that
    buckets hold about equally many records; equal boundaries are merged.

    Raises:
      ValueError: the statistics have no quantiles of the column.
    """
    result = []
    for column in strata:
        if isinstance(column, Bucket) and column.quantiles is not None:
            check_strata([column], statistics is not None, has_examples=True)
            path, _ = statistics_lib.locate(statistics, split)
            whole = feature_statistics.whole_dataset(
                feature_statistics.read_datasets(path), path, split
            )
            feature = feature_statistics.find_feature(whole, column.name, path)
            histograms = {h.type: h for h in feature.num_stats.histograms}
            quantiles = histograms.get(statistics_pb2.Histogram.QUANTILES)
            if quantiles is None or not quantiles.buckets:
                raise ValueError(
                    f"statistics {path!r} have no quantiles of {column.name!r}; is it "
                    "numeric? Give the Bucket boundaries."
                )
            edges = [quantiles.buckets[0].low_value]
            edges += [bucket.high_value for bucket in quantiles.buckets]
            positions = np.arange(1, column.quantiles) / column.quantiles
            cuts = np.interp(positions, np.linspace(0, 1, len(edges)), edges)
            column = Bucket(column.name, boundaries=np.unique(cuts).tolist())
        result.append(column)
    return result
