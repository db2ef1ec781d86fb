"""From what TFDV writes to the natural distribution."""

import json
import os
import shutil

import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx_bsl.public.proto import slicing_spec_pb2
from tfx_resampling.planner.statistics import from_statistics, label_dtype

from tests.planner import make_statistics
from tests.planner.make_statistics import example


def schema(text: str) -> schema_pb2.Schema:
    return text_format.Parse(text, schema_pb2.Schema())


CATEGORICAL = schema(
    'feature { name: "y" type: INT int_domain { is_categorical: true } }'
)


@pytest.mark.long
def test_single_labels_with_missing_and_empty(tmp_path):
    records = [example(y=["cat"])] * 5 + [example(y=["dog"])] * 3
    records += [example(x=[1])] * 2 + [example(y=[])] * 4
    counts = from_statistics(
        make_statistics.artifact(tmp_path, records), ["train"], "y"
    )
    assert counts.groups == ("cat", "dog")
    assert counts.counts == (5, 3)
    assert (counts.num_records, counts.num_unlabeled) == (14, 6)
    assert (counts.multi_label, counts.label_dtype) == (False, "bytes")


def test_several_labels(tmp_path):
    records = [example(y=["a", "b"])] * 4 + [example(y=["b"])] + [example(x=[1])] * 2
    counts = from_statistics(
        make_statistics.artifact(tmp_path, records), ["train"], "y"
    )
    assert dict(zip(counts.groups, counts.counts)) == {"a": 4, "b": 5}
    assert (counts.num_records, counts.num_unlabeled) == (7, 2)
    assert counts.multi_label
    assert counts.notes == () and counts.unlabeled_known


@pytest.mark.long
def test_empty_lists_among_several_labels_are_said_to_be_uncounted(tmp_path):
    records = [example(y=["a", "b"])] * 4 + [example(y=[])] * 2 + [example(x=[1])]
    counts = from_statistics(
        make_statistics.artifact(tmp_path, records), ["train"], "y"
    )
    assert counts.num_unlabeled == 1
    assert any("empty label list" in note for note in counts.notes)
    assert not counts.unlabeled_known


@pytest.mark.long
def test_integers_that_a_schema_calls_categorical_in_numeric_order(tmp_path):
    records = [example(y=[10])] * 3 + [example(y=[2])] * 2 + [example(y=[-1])]
    options = tfdv.StatsOptions(schema=CATEGORICAL)
    artifact = make_statistics.artifact(tmp_path, records, options)
    counts = from_statistics(artifact, ["train"], "y")
    assert counts.groups == ("-1", "2", "10")
    assert counts.counts == (1, 2, 3)
    assert counts.label_dtype == "int64"


@pytest.mark.long
def test_sliced_statistics_are_read_whole(tmp_path):
    records = [example(y=["a", "b"])] * 4 + [example(y=["b"])] * 2
    slicing = text_format.Parse(
        'slicing_specs { feature_keys: "y" }', slicing_spec_pb2.SlicingConfig()
    )
    options = tfdv.StatsOptions(slicing_config=slicing)
    artifact = make_statistics.artifact(tmp_path, records, options)
    path = os.path.join(artifact.uri, "Split-train", "FeatureStats.pb")
    # The whole is not always the first: put it last.
    with open(path, "rb") as file:
        stats = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read())
    assert len(stats.datasets) == 3
    datasets = sorted(stats.datasets, key=lambda d: d.name == "All Examples")
    stats = statistics_pb2.DatasetFeatureStatisticsList(datasets=datasets)
    with open(path, "wb") as file:
        file.write(stats.SerializeToString())
    counts = from_statistics(artifact, ["train"], "y")
    assert dict(zip(counts.groups, counts.counts)) == {"a": 4, "b": 6}
    assert counts.num_records == 6


@pytest.mark.long
def test_labels_of_the_schema_that_the_data_lacks_have_count_0(tmp_path):
    artifact = make_statistics.artifact(tmp_path, [example(y=["b"])] * 3)
    for text in (
        'feature { name: "y" string_domain { value: "a" value: "b" } }',
        'feature { name: "y" domain: "d" } '
        'string_domain { name: "d" value: "a" value: "b" }',
    ):
        counts = from_statistics(artifact, ["train"], "y", schema=schema(text))
        assert dict(zip(counts.groups, counts.counts)) == {"a": 0, "b": 3}


@pytest.mark.parametrize(
    ("int_domain", "labels"),
    [
        ("min: 0 max: 2", "0 1 2"),
        ("min: 1 max: 3", "1 2 3"),
        # What Transform gives to values that are not in the vocabulary.
        ("min: -1 max: 2", "0 1 2"),
        ("min: -2 max: 1", "-2 -1 0 1"),
        ("max: 2", "1"),
        ("min: 0 max: 2000000", "1"),
    ],
)
def test_the_domain_of_integers_has_all_classes(tmp_path, int_domain, labels):
    text = f'feature {{ name: "y" type: INT int_domain {{ {int_domain} }} }}'
    options = tfdv.StatsOptions(schema=CATEGORICAL)
    records = [example(y=[1])] * 3
    artifact = make_statistics.artifact(tmp_path, records, options)
    counts = from_statistics(artifact, ["train"], "y", schema=schema(text))
    assert counts.groups == tuple(labels.split())
    assert sum(counts.counts) == counts.counts[counts.groups.index("1")] == 3


def test_types_are_those_of_statistics_or_else_the_schema(tmp_path):
    artifact = make_statistics.artifact(tmp_path, [example(y=[1], z=["b"], f=[0.5])])
    integers = schema('feature { name: "w" type: INT }')
    expected = {"y": "int64", "z": "bytes", "w": "int64", "f": None, "v": None}
    for name, dtype in expected.items():
        assert label_dtype(artifact, integers, "train", name) == dtype
    assert label_dtype(None, integers, "train", "w") == "int64"
    assert label_dtype(None, None, "train", "w") is None


@pytest.mark.long
def test_statistics_of_transform_have_no_splits(tmp_path):
    artifact = make_statistics.artifact(tmp_path, [example(y=["b"])] * 3)
    shutil.move(
        os.path.join(artifact.uri, "Split-train", "FeatureStats.pb"), artifact.uri
    )
    counts = from_statistics(artifact, ["train"], "y")
    assert counts.counts == (3,)
    assert "all splits together" in counts.notes[0]


@pytest.mark.long
def test_a_sample_is_noted(tmp_path):
    artifact = make_statistics.artifact(tmp_path, [example(y=["b"])] * 3)
    artifact.set_json_value_custom_property(
        "sample_rate_by_split", json.dumps({"train": 0.1})
    )
    assert "sample_rate 0.1" in from_statistics(artifact, ["train"], "y").notes[0]


@pytest.mark.long
@pytest.mark.parametrize(
    ("records", "options", "split", "key", "message"),
    [
        ([example(y=["a"])], None, "test", "y", r"split 'test' .* have \['train'\]"),
        ([example(y=["a"])], None, "train", "z", r"'z' is not in .* \['y'\]"),
        ([example(y=[1])], None, "train", "y", "numeric .* is_categorical: true"),
        ([example(y=[1])], None, "train", "y", "planner examples=.* Transform its st"),
        ([example(y=[1.5])], None, "train", "y", "num_stats of type FLOAT"),
        ([example(y=[b"\xff\xfe"])], None, "train", "y", "not UTF-8"),
        (
            [example(y=[f"label {i}"]) for i in range(20)],
            tfdv.StatsOptions(num_rank_histogram_buckets=7),
            "train",
            "y",
            "truncated rank histogram .* 7 of 20 .*num_rank_histogram_buckets",
        ),
    ],
)
def test_what_cannot_be_planned_from(tmp_path, records, options, split, key, message):
    artifact = make_statistics.artifact(tmp_path, records * 3, options)
    with pytest.raises(ValueError, match=message):
        from_statistics(artifact, [split], key)


@pytest.mark.parametrize(
    "stats",
    [
        statistics_pb2.DatasetFeatureStatisticsList(),
        statistics_pb2.DatasetFeatureStatisticsList(
            datasets=[statistics_pb2.DatasetFeatureStatistics(num_examples=0)]
        ),
    ],
    ids=["no data set", "no examples"],
)
def test_empty_statistics(tmp_path, stats):
    artifact = make_statistics.from_proto(tmp_path, stats)
    with pytest.raises(ValueError, match="empty statistics: .* split 'train'"):
        from_statistics(artifact, ["train"], "y")
