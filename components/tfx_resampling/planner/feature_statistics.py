"""A statistics file of TFDV -> the natural distribution of labels. Needs no TFX."""

import contextlib
import math
import warnings
from collections.abc import Sequence

import numpy as np
from google.protobuf import message
from tensorflow_metadata.proto.v0 import statistics_pb2

from tfx_resampling.core.counts import LabelCounts, label_order
from tfx_resampling.filesystem import read_bytes

STATS_FILE = "FeatureStats.pb"
# Bytes that it may have: a message of protobuf has less than 2 GB.
_MAX_BYTES = (2 << 30) - 1
# TFDV's name of the slice that is the whole split.
_ALL_EXAMPLES = "All Examples"
# What TFDV shows for every value that is not UTF-8.
_NOT_UTF8 = "__BYTES_VALUE__"

_Type = statistics_pb2.FeatureNameStatistics


def from_file(
    path: str, split: str, label_key: str, notes: Sequence[str] = ()
) -> LabelCounts:
    """Returns the label counts that a statistics file holds.

    Args:
      path: the file, local or remote.
      split: name of the split that it is of.
      label_key: the label feature: bytes, or integers that a schema calls categorical.
      notes: what is known of the statistics besides.

    Raises:
      ValueError: the feature is not there, it is not categorical, its labels are not
        text, or not all of its labels were counted.
    """
    datasets = read_datasets(path)
    dataset = whole_dataset(datasets, path, split)
    feature = _label_feature(dataset, label_key, path)
    counted = _counted_labels(feature, label_key, path)
    label_dtype = "int64" if feature.type == _Type.INT else "bytes"
    labels = sorted(counted, key=label_order(label_dtype))
    common = feature.string_stats.common_stats
    multi_label = common.max_num_values > 1
    num_unlabeled = dataset.num_examples - common.tot_num_values
    notes, unlabeled_known = list(notes), True
    if multi_label:
        num_unlabeled = common.num_missing
        if common.num_missing < dataset.num_examples and common.min_num_values == 0:
            unlabeled_known = False
            notes.append(
                "Some records have an empty label list, which statistics do not count: "
                f"there are more than the {num_unlabeled} unlabeled records shown."
            )
    return LabelCounts(
        label_key=label_key,
        groups=tuple(labels),
        counts=tuple(counted[label] for label in labels),
        num_records=dataset.num_examples,
        num_unlabeled=num_unlabeled,
        unlabeled_known=unlabeled_known,
        label_dtype=label_dtype,
        multi_label=multi_label,
        pairs=_pairs(datasets, label_key, labels) if multi_label else None,
        notes=tuple(notes),
        source={"statistics": path, "split": split},
    )


def read_datasets(path: str) -> Sequence[statistics_pb2.DatasetFeatureStatistics]:
    """Returns the data sets of a statistics file: the whole, and slices if any."""
    found, contents = None, read_bytes(path, _MAX_BYTES)
    # Older versions of protobuf warn of what they could not read to its end.
    with (
        warnings.catch_warnings(record=True) as warned,
        contextlib.suppress(message.DecodeError),
    ):
        warnings.simplefilter("always", RuntimeWarning)
        found = statistics_pb2.DatasetFeatureStatisticsList.FromString(contents)
    if found is None or any(issubclass(w.category, RuntimeWarning) for w in warned):
        raise ValueError(
            f"{path!r} is no {STATS_FILE} of TFDV, a serialized "
            "DatasetFeatureStatisticsList."
        )
    return found.datasets


def whole_dataset(
    datasets: Sequence[statistics_pb2.DatasetFeatureStatistics], path: str, split: str
) -> statistics_pb2.DatasetFeatureStatistics:
    """Returns the statistics of all examples.

    Raises:
      ValueError: there are no examples.
    """
    # Of sliced statistics the whole is one among many, not always the first.
    named = [dataset for dataset in datasets if dataset.name == _ALL_EXAMPLES]
    whole = (named or list(datasets) or [None])[0]
    if whole is None or not whole.num_examples:
        raise ValueError(
            f"empty statistics: no examples of split {split!r} in {path!r}. Is the "
            "split empty, or was it sampled down to nothing (sample_rate)?"
        )
    return whole


def find_feature(
    dataset: statistics_pb2.DatasetFeatureStatistics, name: str, path: str
) -> statistics_pb2.FeatureNameStatistics:
    """Returns the statistics of one feature.

    Raises:
      ValueError: they have no such feature; the message lists what they have.
    """
    features = {}
    for feature in dataset.features:
        features[feature.name or ".".join(feature.path.step)] = feature
    if name not in features:
        raise ValueError(
            f"feature {name!r} is not in the statistics {path!r}, which have "
            f"{sorted(features)}. Check the name, and the feature_allowlist of "
            "StatisticsGen."
        )
    return features[name]


def _label_feature(
    dataset: statistics_pb2.DatasetFeatureStatistics, label_key: str, path: str
) -> statistics_pb2.FeatureNameStatistics:
    feature = find_feature(dataset, label_key, path)
    if feature.WhichOneof("stats") == "string_stats":
        return feature
    if feature.type == _Type.INT:
        raise ValueError(
            f"label feature {label_key!r} is numeric in {path!r}: its values are not "
            "counted one by one. Give the planner examples=... (--examples), which it "
            "counts itself. Or give StatisticsGen a schema (its `schema` input or "
            f"stats_options.schema) in which feature {label_key!r} of type INT has "
            "int_domain { is_categorical: true }; for statistics of Transform its "
            "stats_options_updater_fn can put it into stats_options.schema."
        )
    raise ValueError(
        f"label feature {label_key!r} has {feature.WhichOneof('stats')} of type "
        f"{_Type.Type.Name(feature.type)} in {path!r}; labels must be bytes, or "
        "integers with int_domain { is_categorical: true }."
    )


def _counted_labels(
    feature: statistics_pb2.FeatureNameStatistics, label_key: str, path: str
) -> dict:
    stats = feature.string_stats
    buckets = stats.rank_histogram.buckets
    for bucket in buckets:
        if not 0 <= bucket.sample_count < math.inf:
            raise ValueError(
                f"counts of {label_key!r} in {path!r} must be finite numbers >= 0, got "
                f"{bucket.sample_count} of label {bucket.label!r}."
            )
    counted = {bucket.label: int(round(bucket.sample_count)) for bucket in buckets}
    if stats.invalid_utf8_count or _NOT_UTF8 in counted:
        raise ValueError(
            f"label feature {label_key!r} has values that are not UTF-8 in {path!r} "
            f"({stats.invalid_utf8_count} of them): statistics cannot tell such labels "
            "apart. Is it the image?"
        )
    if stats.unique > len(buckets) or (
        sum(counted.values()) < stats.common_stats.tot_num_values
    ):
        raise ValueError(
            f"truncated rank histogram of label feature {label_key!r} in {path!r}: "
            f"{len(buckets)} of {stats.unique} labels were kept. Set StatsOptions("
            f"num_rank_histogram_buckets=...) of StatisticsGen (of Transform, in its "
            f"stats_options_updater_fn) to at least {stats.unique}."
        )
    return counted


def _pairs(
    datasets: Sequence[statistics_pb2.DatasetFeatureStatistics],
    label_key: str,
    labels: Sequence[str],
) -> np.ndarray | None:
    """Returns pairwise counts of labels, if statistics were sliced by label value.

    The slice of label l is the examples that have it, and the rank histogram of the
    label feature in it says how often the others come with it.
    """
    slices = {dataset.name: dataset for dataset in datasets}
    index = {label: i for i, label in enumerate(labels)}
    result = np.zeros((len(labels), len(labels)))
    for label, row in zip(labels, result):
        dataset = slices.get(f"{label_key}_{label}")
        if dataset is None:
            return None
        feature = find_feature(dataset, label_key, label)
        for bucket in feature.string_stats.rank_histogram.buckets:
            if bucket.label in index:
                row[index[bucket.label]] = bucket.sample_count
    return result
