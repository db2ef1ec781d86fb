"""An artifact of statistics -> counts of labels or groups; boundaries of quantiles."""

import functools
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.groups import (
    Bucket,
    Column,
    ColumnSpec,
    Grouping,
    column_name,
    format_columns,
)
from tfx_resampling.planner import feature_statistics
from tfx_resampling.planner.feature_statistics import STATS_FILE

# Custom property of StatisticsGen's output.
_SAMPLE_RATE_PROPERTY = "sample_rate_by_split"
# Types of features, in statistics and in a schema, and what they are called here.
_Type = statistics_pb2.FeatureNameStatistics
_OF_STATISTICS = {_Type.INT: "int64", _Type.STRING: "bytes", _Type.BYTES: "bytes"}
_OF_SCHEMA = {schema_pb2.INT: "int64", schema_pb2.BYTES: "bytes"}
# A domain of more integers than this is a range of numbers, and no list of labels.
_MOST_INTEGERS = 100_000


def from_statistics(
    statistics: types.Artifact,
    splits: Sequence[str],
    label_key: str,
    group_by: Sequence[ColumnSpec] = (),
    schema: schema_pb2.Schema | None = None,
) -> LabelCounts:
    """Returns the counts of labels, or of groups, that a statistics artifact holds.

    Args:
      statistics: output of StatisticsGen, or Transform's `post_transform_stats`, which
        has no splits.
      splits: names of splits, whose counts are added; not used for an artifact without
        splits.
      label_key: the label feature: bytes, or integers that a schema calls categorical.
      group_by: the only column whose values are counted instead, all that statistics
        can tell (`check_group_by`); labels become the classes of the plan. Empty to
        count labels.
      schema: if given, labels of the feature's domain that the data lacks are in the
        result with count 0.

    Raises:
      ValueError: the split or a feature is not there, it is not categorical, its values
        are not text, or not all of them were counted; or a column with several values
        per record.
    """
    check_group_by(group_by, has_statistics=True, has_examples=False)
    if group_by and len(splits) > 1:
        raise _several(splits)
    found = {
        locate(statistics, split)[0]: _from_split(
            statistics, split, label_key, group_by, schema
        )
        for split in splits
    }
    # One of all splits together counts once.
    return functools.reduce(LabelCounts.plus, found.values())


def _several(splits: Sequence[str]) -> ValueError:
    return ValueError(
        f"group_by cannot be taken from the statistics of several splits, got "
        f"{list(splits)}: add examples=..., and give buckets boundaries."
    )


def _from_split(
    statistics: types.Artifact,
    split: str,
    label_key: str,
    group_by: Sequence[ColumnSpec],
    schema: schema_pb2.Schema | None,
) -> LabelCounts:
    path, notes = locate(statistics, split)
    notes += _sampling_notes(statistics, split)
    labels = feature_statistics.from_file(path, split, label_key, notes)
    labels = labels.with_labels(domain(schema, label_key, labels.label_dtype))
    if not group_by:
        return labels
    name = column_name(group_by[0])
    column = feature_statistics.from_file(path, split, name, notes)
    if column.multi_label:
        raise ValueError(
            f"column {name!r} of group_by has records with more than one value. Groups "
            "take columns with one value per record."
        )
    resolved = Column(name, column.label_dtype, column.groups)
    codes, counts = list(range(len(column.groups))), list(column.counts)
    if column.num_unlabeled:
        codes.append(resolved.missing)
        counts.append(column.num_unlabeled)
    groups = Grouping((resolved,), tuple((code,) for code in codes))
    return LabelCounts(
        label_key=label_key,
        groups=groups.names,
        counts=tuple(counts),
        num_records=column.num_records,
        label_dtype=labels.label_dtype,
        classes=labels.groups,
        grouping=groups,
        notes=column.notes,
        source=column.source,
    )


def check_group_by(
    group_by: Sequence[ColumnSpec], has_statistics: bool, has_examples: bool
) -> None:
    """Raises ValueError where the given inputs cannot tell the groups wanted."""
    cut = [column for column in group_by if isinstance(column, Bucket)]
    for column in cut:
        if column.quantiles is not None and not has_statistics:
            raise _needs_statistics(column)
    if has_examples or not group_by:
        return
    if cut or len(group_by) > 1:
        why = "buckets" if cut else "combinations of columns"
        raise ValueError(
            f"group_by {format_columns(group_by)} cannot be counted from statistics, "
            f"which do not count {why}: add examples=..."
        )


def _needs_statistics(column: Bucket) -> ValueError:
    return ValueError(
        f"quantiles of Bucket {column.name!r} are taken from statistics: add "
        "statistics=..., or give boundaries."
    )


def with_boundaries(
    group_by: Sequence[ColumnSpec],
    statistics: types.Artifact | None,
    splits: Sequence[str],
) -> Sequence[ColumnSpec]:
    """Returns group_by with quantiles turned into boundaries.

    Boundaries are interpolated in the quantiles histogram of the statistics, so that
    buckets hold about equally many records; equal boundaries are merged.

    Raises:
      ValueError: the statistics have no quantiles of the column.
    """
    result = []
    for column in group_by:
        if isinstance(column, Bucket) and column.quantiles is not None:
            if statistics is None:
                raise _needs_statistics(column)
            if len(splits) > 1:
                raise _several(splits)
            (split,) = splits
            path, _ = locate(statistics, split)
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


def locate(statistics: types.Artifact, split: str) -> tuple[str, list[str]]:
    """Returns (path of the statistics file, notes)."""
    whole = os.path.join(statistics.uri, STATS_FILE)
    if fileio.exists(whole):
        # Transform writes one file for all the splits it analyses or transforms.
        return whole, [
            f"Counts are of all splits together: {STATS_FILE} of this artifact is not "
            f"split, so that {split!r} could not be told apart."
        ]
    splits = artifact_utils.decode_split_names(statistics.split_names)
    if split not in splits:
        raise ValueError(
            f"split {split!r} is not in the statistics at {statistics.uri!r}, which "
            f"have {splits}."
        )
    uri = artifact_utils.get_split_uri([statistics], split)
    path = os.path.join(uri, STATS_FILE)
    if not fileio.exists(path):
        raise ValueError(f"no statistics of split {split!r} at {path!r}.")
    return path, []


def label_dtype(
    statistics: types.Artifact | None,
    schema: schema_pb2.Schema | None,
    split: str,
    label_key: str,
) -> str | None:
    """Returns "bytes" or "int64", as the statistics or the schema have it, or None."""
    if statistics is not None:
        path, _ = locate(statistics, split)
        for dataset in feature_statistics.read_datasets(path):
            for feature in dataset.features:
                name = feature.name or ".".join(feature.path.step)
                if name == label_key and feature.type in _OF_STATISTICS:
                    return _OF_STATISTICS[feature.type]
    for feature in schema.feature if schema else ():
        if feature.name == label_key and feature.type in _OF_SCHEMA:
            return _OF_SCHEMA[feature.type]
    return None


def domain(
    schema: schema_pb2.Schema | None, label_key: str, label_dtype: str
) -> list[str]:
    """Returns the labels that a schema lists for the feature, if any.

    Those of a string_domain, or for integers all from min to max of the int_domain; but
    not -1, which Transform has in the domain of a vocabulary for what is not in it.
    """
    strings = schema.string_domain if schema else ()
    domains = {domain.name: domain for domain in strings}
    for feature in schema.feature if schema else ():
        if feature.name != label_key:
            continue
        if label_dtype == "int64":
            found = feature.int_domain
            if not found.HasField("min") or not found.HasField("max"):
                return []
            low = 0 if found.min == -1 else found.min
            if found.max - low >= _MOST_INTEGERS:
                return []
            return [str(number) for number in range(low, found.max + 1)]
        if feature.HasField("string_domain"):
            return list(feature.string_domain.value)
        if feature.domain in domains:
            return list(domains[feature.domain].value)
    return []


def _sampling_notes(statistics: types.Artifact, split: str) -> list[str]:
    rates: Any = statistics.get_json_value_custom_property(_SAMPLE_RATE_PROPERTY)
    rates = json.loads(rates) if isinstance(rates, str) else rates or {}
    rate = rates.get(split, 1.0)
    if rate >= 1:
        return []
    return [
        f"Counts are of a sample (sample_rate {rate:g}), which takes or leaves whole "
        "batches of records: shares are estimates and counts are not the data's."
    ]
