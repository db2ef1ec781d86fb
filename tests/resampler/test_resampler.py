"""The component `Resampler`, and its executor in a directory."""

import glob
import os
from collections import Counter

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tfx_resampling as tr
from tfx import types
from tfx.components.statistics_gen import executor as statistics_executor
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto.example_gen_pb2 import PayloadFormat
from tfx.types import artifact_utils, standard_artifacts
from tfx_resampling import artifacts
from tfx_resampling.core.config import from_properties
from tfx_resampling.resampler import executor, spec
from tfx_resampling.shards.manifest import read_manifest

from tests import plans, tfrecords

pytestmark = pytest.mark.long

PLAN = plans.make("ab", [0.25, 2.0], seed=1)
TRAIN = tfrecords.labeled(["a"] * 200 + ["b"] * 20)
EVAL = tfrecords.labeled(["a"] * 9 + ["b"])


def channel(kind):
    return types.Channel(type=kind)


def build(**options):
    return tr.Resampler(
        examples=channel(standard_artifacts.Examples),
        resample_plan=channel(tr.ResamplePlan),
        **options,
    )


def make_examples(folder, splits=("train", "eval"), compression="GZIP"):
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names(list(splits))
    records = {"train": TRAIN, "eval": EVAL}
    for split in splits:
        directory = folder / f"Split-{split}"
        directory.mkdir(parents=True)
        tfrecords.spread(directory, records[split], 2, compression)
    return artifact


def execute(folder, *examples, plan=PLAN, **options):
    """Runs the executor and returns the output artifact."""
    plan_artifact = tr.ResamplePlan()
    plan_artifact.uri = str(folder / "plan")
    artifacts.write_plan(plan, plan_artifact.uri)
    output = standard_artifacts.Examples()
    output.uri = str(folder / "output")
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=[],  # With any, TFX packages itself, for 3 s.
        tmp_dir=str(folder / "tmp"),
        unique_id="1",
    )
    properties = dict(build(**options).exec_properties)
    executor.Executor(context).Do(
        {
            spec.NATURAL_EXAMPLES_KEY: list(examples),
            spec.RESAMPLE_PLAN_KEY: [plan_artifact],
        },
        {spec.EXAMPLES_KEY: [output]},
        properties,
    )
    return output


def read(artifact, split) -> Counter:
    pattern = os.path.join(artifact_utils.get_split_uri([artifact], split), "*")
    files = sorted(glob.glob(pattern))
    kind = "GZIP" if files[0].endswith(".gz") else ""
    return Counter(tf.data.TFRecordDataset(files, kind).as_numpy_iterator())


@pytest.mark.fast
def test_component():
    component = build(mode="stratify", compression="GZIP")
    assert component.outputs["examples"].type is standard_artifacts.Examples
    options = from_properties(tr.ResampleOptions, component.exec_properties)
    assert options == tr.ResampleOptions(mode="stratify", compression="GZIP")
    assert "splits" not in component.exec_properties  # The plan's.
    assert component.exec_properties["other_splits"] == "copy"
    assert component.exec_properties["package_version"] == tr.__version__


@pytest.mark.fast
@pytest.mark.parametrize(
    "options, message",
    [
        ({"modes": "stratify"}, r"unknown options \['modes'\]; valid: \['mode'"),
        ({"mode": "x"}, "mode must be one of"),
        ({"splits": 3}, "splits must be a list of names, or names with commas.*got 3"),
        ({"splits": []}, "splits must be a list of names"),
        (
            {"other_splits": "move"},
            r"other_splits must be one of \['copy', 'link', 'dr",
        ),
        (
            {"splits": ["train"], "exclude_splits": ["eval"]},
            "splits and exclude_splits must not be given together",
        ),
    ],
)
def test_wrong_options_are_refused_when_the_pipeline_is_built(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.fast
def test_options_may_be_set_when_a_run_starts():
    kinds = dict(mode=str, epochs=int, num_shards=int, splits=str, other_splits=str)
    parameters = {name: RuntimeParameter(name, kind) for name, kind in kinds.items()}
    properties = build(**parameters).exec_properties
    for name, parameter in parameters.items():
        assert properties[name] is parameter
    # Kubeflow passes integers as floats; values are checked in the executor.
    found = from_properties(
        tr.ResampleOptions,
        {**properties, "mode": "materialize", "epochs": 2.0, "num_shards": 3.0},
    )
    assert found == tr.ResampleOptions(epochs=2, num_shards=3)
    with pytest.raises(ValueError, match="mode must be one of"):
        from_properties(tr.ResampleOptions, {"mode": "both"})


@pytest.mark.parametrize(
    "options, resampled, left",
    [
        pytest.param(
            dict(other_splits="drop"), "train", {"train"}, marks=pytest.mark.nightly
        ),
        (dict(exclude_splits=["train"], other_splits="drop"), "eval", {"eval"}),
    ],
)
def test_which_splits_are_resampled_and_what_is_left(
    tmp_path, options, resampled, left
):
    examples = make_examples(tmp_path / "examples")
    output = execute(tmp_path, examples, num_shards=1, **options)
    assert set(artifact_utils.decode_split_names(output.split_names)) == left
    assert {
        name[6:]
        for name in os.listdir(output.uri)
        if name[0] == "S" and "." not in name
    } == left
    # As the plan's own, where nothing else is said.
    assert output.get_int_custom_property(f"{resampled}_read") > 0


@pytest.mark.fast
def test_materialize(tmp_path):
    examples = make_examples(tmp_path / "examples")
    examples.set_int_custom_property("span", 7)
    output = execute(tmp_path, examples, num_shards=3)
    assert output.get_int_custom_property("span") == output.span == 7
    assert output.split_names == examples.split_names
    assert examples_utils.get_payload_format(output) == (
        PayloadFormat.FORMAT_TF_EXAMPLE
    )
    files = tfrecords.batches(f"{examples.uri}/Split-train/*", PLAN, epochs=1)
    found = read(output, "train")
    assert found.total() == sum(len(ids) for ids, _ in files)
    assert read(output, "eval") == Counter(EVAL)
    names = os.listdir(f"{output.uri}/Split-train")
    assert (
        sorted(names)[0] == "resampled_tfrecord-00000-of-00003.gz" and len(names) == 3
    )
    assert output.get_string_custom_property("resampled") == "materialize"
    assert output.get_int_custom_property("train_emitted") == found.total()
    assert output.get_int_custom_property("train_read") == len(TRAIN)
    assert output.get_int_custom_property("train_written") == found.total()


def test_stratify_and_several_splits(tmp_path):
    examples = make_examples(tmp_path / "examples", compression="")
    output = execute(
        tmp_path, examples, mode="stratify", splits=["train", "eval"], compression=""
    )
    assert read(output, "train") == Counter(TRAIN)
    assert read(output, "eval") == Counter(EVAL)
    for split in ("train", "eval"):
        layout = read_manifest(f"{output.uri}/Split-{split}")
        assert layout is not None and layout.mode == "stratify"
    assert output.get_int_custom_property("train_written") == len(TRAIN)
    assert not output.has_custom_property("train_emitted")  # Nothing is, as yet.


@pytest.mark.nightly
@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_a_stock_component_reads_what_is_written(tmp_path, compression):
    examples = make_examples(tmp_path / "examples")
    output = execute(tmp_path, examples, compression=compression)
    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri = str(tmp_path / "statistics")
    statistics_executor.Executor().Do(
        {"examples": [output]},
        {"statistics": [statistics]},
        {"exclude_splits": "[]"},
    )
    for split, expected in (("train", read(output, "train").total()), ("eval", 10)):
        found = tfdv.load_stats_binary(
            f"{statistics.uri}/Split-{split}/FeatureStats.pb"
        )
        assert found.datasets[0].num_examples == expected


def test_several_artifacts_become_one(tmp_path):
    both = [make_examples(tmp_path / name) for name in ("one", "two")]
    output = execute(tmp_path, *both, mode="stratify")
    assert read(output, "train") == Counter(TRAIN + TRAIN)
    assert read(output, "eval") == Counter(EVAL + EVAL)


def test_links(tmp_path):
    examples = make_examples(tmp_path / "examples")
    output = execute(tmp_path, examples, other_splits="link")
    (source, *_), (target, *_) = (
        sorted(glob.glob(f"{uri}/Split-eval/*")) for uri in (examples.uri, output.uri)
    )
    assert os.path.samefile(source, target)
    assert read(output, "eval") == Counter(EVAL)


def test_what_a_killed_try_left_is_replaced(tmp_path):
    examples = make_examples(tmp_path / "examples")
    for left in ("Split-train", "Split-eval", "Split-train.partial-0011"):
        (tmp_path / "output" / left).mkdir(parents=True)
        (tmp_path / "output" / left / "half.gz").write_bytes(b"half")
    (tmp_path / "output" / "Split-train.manifest.json").write_text("{}")
    output = execute(tmp_path, examples)
    assert read(output, "eval") == Counter(EVAL)
    assert sorted(os.listdir(output.uri)) == [
        *("Split-eval", "Split-train", "Split-train.manifest.json"),
    ]
    assert "half.gz" not in os.listdir(f"{output.uri}/Split-train")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"splits": ["test"]}, r"split 'test' is not in .*, which have \['train'"),
        ({"exclude_splits": ["test"]}, r"exclude_splits must be splits of .*'train'"),
    ],
)
def test_bad_input_leaves_nothing(tmp_path, options, message):
    examples = make_examples(tmp_path / "examples")
    with pytest.raises(ValueError, match=message):
        execute(tmp_path, examples, **options)
    assert not os.path.exists(tmp_path / "output")


@pytest.mark.nightly
def test_an_unknown_label_leaves_nothing(tmp_path):
    examples = make_examples(tmp_path / "examples")
    with pytest.raises(ValueError, match="has the label .b.*Make the plan from"):
        execute(tmp_path, examples, plan=plans.make("a", [0.5]))
    assert os.listdir(tmp_path / "output") == []


@pytest.mark.nightly
def test_resampled_examples_are_not_resampled_again(tmp_path):
    examples = make_examples(tmp_path / "examples")
    once = execute(tmp_path / "a", examples)
    with pytest.raises(ValueError, match="are resampled already"):
        execute(tmp_path / "b", once)


def test_another_payload_format(tmp_path):
    examples = make_examples(tmp_path / "examples")
    examples_utils.set_payload_format(examples, PayloadFormat.FORMAT_PROTO)
    with pytest.raises(ValueError, match="payload format FORMAT_PROTO"):
        execute(tmp_path, examples)
