"""`ResamplePlanner` with an `examples` channel: label sets, group_by, quantiles."""

import os

import numpy as np
import pytest
import tensorflow as tf
import tfx_resampling as tr
from google.protobuf import text_format
from tensorflow_data_validation import StatsOptions
from tfx import v1 as tfx
from tfx.types import artifact_utils, channel_utils, standard_artifacts
from tfx_bsl.public.proto import slicing_spec_pb2
from tfx_resampling.artifacts import read_plan
from tfx_resampling.core import factors
from tfx_resampling.planner.statistics import from_statistics, with_boundaries
from tfx_resampling.records.files import Features

from tests.planner import make_statistics, planner_run
from tests.planner.make_statistics import example

# A train never comes without a person; ages spread evenly from 0 to 99.
RECORDS = [
    example(
        y=["person", "train"] if i % 10 == 0 else ["person"],
        site=["north" if i % 4 else "south"],
        age=[float(i % 100)],
    )
    for i in range(400)
] + [example(site=["north"], age=[1.0])] * 5


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """An Examples artifact, its split in one plain and one gzip file."""
    artifact = standard_artifacts.Examples()
    artifact.uri = str(tmp_path_factory.mktemp("examples"))
    artifact.split_names = artifact_utils.encode_split_names(["train", "eval"])
    folder = os.path.join(artifact.uri, "Split-train")
    os.makedirs(folder)
    make_statistics.write_records(os.path.join(folder, "0"), RECORDS[:200])
    with tf.io.TFRecordWriter(os.path.join(folder, "1.gz"), "GZIP") as writer:
        for record in RECORDS[200:]:
            writer.write(record)
    return artifact


@pytest.fixture(scope="module")
def statistics(tmp_path_factory):
    return make_statistics.artifact(
        str(tmp_path_factory.mktemp("statistics")), RECORDS, splits=["train", "eval"]
    )


def run_planner(directory, inputs, **options) -> tr.Plan:
    """Runs the executor and returns the plan that it wrote."""
    plan, _ = planner_run.execute(directory, inputs, **options)
    return read_plan(plan.uri)


@pytest.mark.long
def test_several_splits_are_counted_together(tmp_path):
    artifact = standard_artifacts.Examples()
    artifact.uri = str(tmp_path / "examples")
    artifact.split_names = artifact_utils.encode_split_names(["train", "extra", "eval"])
    for split, start in (("train", 0), ("extra", 200)):
        os.makedirs(tmp_path / "examples" / f"Split-{split}")
        path = tmp_path / "examples" / f"Split-{split}" / "0"
        make_statistics.write_records(path, RECORDS[start : start + 200])
    inputs = {"examples": artifact}
    plan = run_planner(str(tmp_path), inputs, split="train,extra")
    assert (plan.groups, plan.counts) == (("person", "train"), (400, 40))
    assert plan.splits == ("train", "extra") and plan.prediction == "exact"


@pytest.mark.long
def test_label_sets_are_counted_and_the_target_reached(tmp_path, examples):
    target = {"person": 0.7, "train": 0.3}
    artifact, _ = planner_run.execute(
        str(tmp_path), {"examples": examples}, target=target
    )
    plan = read_plan(artifact.uri)
    assert plan.groups == ("person", "train")
    assert plan.counts == (400, 40)
    assert (plan.num_records, plan.num_unlabeled) == (405, 5)
    assert plan.prediction == "exact" and plan.multi_label
    assert plan.predicted_shares == pytest.approx([0.7, 0.3], abs=1e-6)
    assert plan.predicted_records == pytest.approx(405, rel=1e-5)
    assert plan.provenance["source"]["examples"]
    # No counts are left behind, and none were where workers cannot write.
    assert sorted(os.listdir(artifact.uri)) == ["plan.json", "report.html"]
    assert not (tmp_path / "tmp" / "1").exists()
    page = (tmp_path / "plan" / "report.html").read_text(encoding="utf-8")
    assert 'title="person in train: 100%"' in page


INTEGERS = [example(x=[1])] * 40 + [example(y=[i % 2]) for i in range(40)]
TYPED = 'feature { name: "y" type: INT int_domain { min: 0 max: 3 } }'


def test_integers_behind_many_unlabeled_records(tmp_path, monkeypatch):
    artifact = standard_artifacts.Examples()
    artifact.uri = str(tmp_path / "examples")
    artifact.split_names = artifact_utils.encode_split_names(["train"])
    os.makedirs(tmp_path / "examples" / "Split-train")
    make_statistics.write_records(tmp_path / "examples/Split-train/0", INTEGERS)
    schema = standard_artifacts.Schema()
    schema.uri = str(tmp_path / "schema")
    os.makedirs(tmp_path / "schema")
    (tmp_path / "schema" / "schema.pbtxt").write_text(TYPED)
    # Nobody has to look for a label.
    monkeypatch.setattr(Features, "look_everywhere", None)
    plan = run_planner(str(tmp_path), {"examples": artifact, "schema": schema})
    assert (plan.label_dtype, plan.num_unlabeled) == ("int64", 40)
    # The schema has more classes than the split.
    assert dict(zip(plan.groups, plan.counts)) == {"0": 20, "1": 20, "2": 0, "3": 0}


@pytest.mark.long
def test_statistics_alone_miss_what_examples_reach(tmp_path, examples, statistics):
    target = {"person": 0.7, "train": 0.3}
    plan = run_planner(str(tmp_path), {"statistics": statistics}, target=target)
    assert plan.prediction == "independent"
    assert any("Give the planner examples" in text for text in plan.warnings)
    # What the marginal plan really emits, by the label sets.
    sets = tr.count_labels(os.path.join(examples.uri, "Split-train/*"), "y").label_sets
    emitted = factors.emission_of_sets(np.array(plan.factors), sets, plan.rule).counts
    assert abs(emitted[1] / emitted.sum() - 0.3) > 0.02


@pytest.mark.long
def test_slices_by_label_say_how_far_a_marginal_plan_will_miss(tmp_path, examples):
    slicing = text_format.Parse(
        'slicing_specs { feature_keys: "y" }', slicing_spec_pb2.SlicingConfig()
    )
    sliced = make_statistics.artifact(
        str(tmp_path), RECORDS, StatsOptions(slicing_config=slicing)
    )
    assert from_statistics(sliced, ["train"], "y").pairs.tolist() == [
        [400, 40],
        [40, 40],
    ]
    target = {"person": 0.7, "train": 0.3}
    plan = run_planner(str(tmp_path), {"statistics": sliced}, target=target)
    assert plan.prediction == "pairwise"
    miss = (
        f"misses the target by a total-variation distance of about {plan.distance:.3f}"
    )
    assert any(miss in text for text in plan.warnings)
    sets = tr.count_labels(os.path.join(examples.uri, "Split-train/*"), "y").label_sets
    # With two labels, pairs are all there is to know.
    emitted = factors.emission_of_sets(np.array(plan.factors), sets, plan.rule).counts
    assert plan.predicted == pytest.approx(emitted, rel=0.02)
    assert plan.distance > 0.02


@pytest.mark.nightly
def test_groups_of_two_columns_and_quantiles(tmp_path, examples, statistics):
    group_by = ["site", tr.Bucket("age", quantiles=2)]
    inputs = {"examples": examples, "statistics": statistics}
    plan = run_planner(str(tmp_path), inputs, target="uniform", group_by=group_by)
    (boundary,) = plan.grouping.columns[1].boundaries
    assert 48 <= boundary <= 52  # The median of 0 .. 99, but for five records.
    assert len(plan.groups) == 4 and plan.classes == ("person", "train")
    truth = [0, 0, 0, 0]
    for i in range(400):
        truth[2 * (i % 4 == 0) + (i % 100 >= boundary)] += 1
    truth[0] += 5
    assert plan.counts == tuple(truth)
    assert plan.predicted == pytest.approx([405 / 4] * 4)


def test_a_group_of_one_column_needs_no_examples(tmp_path, statistics):
    options = dict(target="uniform", group_by=["site"])
    plan = run_planner(str(tmp_path), {"statistics": statistics}, **options)
    assert dict(zip(plan.groups, plan.counts)) == {"site=north": 305, "site=south": 100}
    assert plan.classes == ("person", "train")


@pytest.mark.long
def test_groups_of_a_column_with_several_values_are_refused(tmp_path, statistics):
    with pytest.raises(ValueError, match="'y' .* more than one value"):
        run_planner(str(tmp_path), {"statistics": statistics}, group_by=["y"])


def test_quartiles_are_those_of_the_statistics(statistics):
    buckets = [tr.Bucket("age", quantiles=4), "site"]
    cut, other = with_boundaries(buckets, statistics, ["train"])
    assert cut.boundaries == pytest.approx((24.5, 49.5, 74.5), abs=2)
    assert other == "site"
    with pytest.raises(ValueError, match="no quantiles of 'site'"):
        with_boundaries([tr.Bucket("site", quantiles=4)], statistics, ["train"])


@pytest.mark.parametrize(
    ("given", "group_by", "message"),
    [
        (["statistics"], ["site", "y"], "combinations of columns: add examples="),
        (["statistics"], [tr.Bucket("age", [50])], "buckets: add examples="),
        (["examples"], [tr.Bucket("age", None, 3)], "add statistics="),
        ([], [], "statistics or examples must be given"),
    ],
)
def test_inputs_that_cannot_tell_are_refused_when_built(given, group_by, message):
    kinds = {
        "statistics": standard_artifacts.ExampleStatistics,
        "examples": standard_artifacts.Examples,
    }
    channels = {name: channel_utils.as_channel([kinds[name]()]) for name in given}
    with pytest.raises(ValueError, match=message):
        tr.ResamplePlanner(**channels, label_key="y", group_by=group_by)


def test_beam_arguments_are_accepted():
    examples = channel_utils.as_channel([standard_artifacts.Examples()])
    planner = tr.ResamplePlanner(examples=examples, label_key="y")
    planner.with_beam_pipeline_args(["--direct_num_workers=2"])
    assert planner.executor_spec.beam_pipeline_args == ["--direct_num_workers=2"]


def test_groups_cannot_be_a_runtime_parameter():
    examples = channel_utils.as_channel([standard_artifacts.Examples()])
    parameter = tfx.dsl.experimental.RuntimeParameter(name="group_by", ptype=str)
    with pytest.raises(ValueError, match="group_by must be known when"):
        tr.ResamplePlanner(examples=examples, label_key="y", group_by=parameter)


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(split="test"), r"split 'test' .* \['train', 'eval'\]"),
        (dict(payload="FORMAT_PARQUET"), "payload format FORMAT_PARQUET"),
    ],
)
def test_examples_that_cannot_be_counted(tmp_path, examples, change, message):
    artifact = standard_artifacts.Examples()
    artifact.uri, artifact.split_names = examples.uri, examples.split_names
    if "payload" in change:
        artifact.set_string_custom_property("payload_format", change.pop("payload"))
    with pytest.raises(ValueError, match=message):
        run_planner(str(tmp_path), {"examples": artifact}, **change)
    assert os.listdir(tmp_path / "plan") == []
