"""Statistics of StatisticsGen or Transform -> the natural distribution of labels."""

import json
import os
from typing import List, Optional

from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.planner import feature_statistics
from tfx_resampling.planner.feature_statistics import STATS_FILE

_SAMPLE_RATE_PROPERTY = "sample_rate_by_split"


def label_counts(
    statistics: types.Artifact,
    split: str,
    label_key: str,
    schema: Optional[schema_pb2.Schema] = None,
) -> LabelCounts:
    """Returns the label counts that a statistics artifact holds.

    Args:
      statistics: output of StatisticsGen, or Transform's `post_transform_stats`, which
        has no splits.
      split: name of the split; not used for an artifact without splits.
      label_key: the label feature: bytes, or integers that a schema calls categorical.
      schema: if given, labels of the feature's domain that the data lacks are in the
        result with count 0.

    Raises:
      ValueError: the split or the feature is not there, it is not categorical, its
        labels are not text, or not all of its labels were counted.
    """
    path, notes = locate(statistics, split)
    notes += _sampling_notes(statistics, split)
    counts = feature_statistics.label_counts(path, split, label_key, notes)
    return counts.with_labels(domain(schema, label_key))


def locate(statistics: types.Artifact, split: str) -> tuple:
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


def domain(schema: Optional[schema_pb2.Schema], label_key: str) -> List[str]:
    """Returns the labels that a schema lists for the feature, if any."""
    if schema is None:
        return []
    domains = {domain.name: domain for domain in schema.string_domain}
    for feature in schema.feature:
        if feature.name == label_key:
            if feature.HasField("string_domain"):
                return list(feature.string_domain.value)
            if feature.domain in domains:
                return list(domains[feature.domain].value)
    return []


def _sampling_notes(statistics: types.Artifact, split: str) -> List[str]:
    rates = statistics.get_json_value_custom_property(_SAMPLE_RATE_PROPERTY)
    rates = json.loads(rates) if isinstance(rates, str) else rates or {}
    rate = rates.get(split, 1.0)
    if rate >= 1:
        return []
    return [
        f"Counts are of a sample (sample_rate {rate:g}), which takes or leaves whole "
        "batches of records: shares are estimates and counts are not the data's."
    ]
