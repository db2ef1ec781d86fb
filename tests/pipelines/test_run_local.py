"""The whole pipeline on this machine, from TFRecords to a pushed model."""

import glob
import os
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
import tfx_resampling as tr
from ml_metadata.metadata_store import metadata_store
from sklearn.metrics import average_precision_score, log_loss
from tfx.dsl.components.base import executor_spec
from tfx_resampling import artifacts

from pipelines import pipeline
from tests import processes
from tests.conftest import NUM_EVAL, NUM_TRAIN, successful_run

pytestmark = pytest.mark.long

COMPONENTS = [
    *("ImportExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator"),
    *("ResamplePlanner", "Trainer", "Evaluator", "Pusher"),
]


def test_every_component_ran(run):
    assert run.executions == dict.fromkeys(COMPONENTS, "COMPLETE")
    for name in COMPONENTS:
        assert re.search(rf"^{name} +[0-9.]+ s$", run.output, re.M), run.output


def test_the_plan_is_the_one_made_without_tfx(run, one_epoch):
    plan, expected = run.results.plan, one_epoch[0]
    assert plan.groups == expected.groups
    assert plan.counts == expected.counts
    assert plan.factors == pytest.approx(expected.factors)
    assert (plan.num_records, plan.num_unlabeled) == (
        NUM_TRAIN,
        expected.num_unlabeled,
    )
    assert plan.predicted == pytest.approx(expected.predicted)


def test_training_saw_exactly_what_the_plan_emits(run, one_epoch):
    assert run.results.realised.tolist() == one_epoch[1].tolist()


def test_output_ends_with_table_and_paths(run):
    table = run.output[run.output.index("label ") :]
    lines = table.splitlines()
    assert re.split(r"\s{2,}", lines[0]) == [
        *("label", "natural", "share", "target", "factor", "emitted / natural"),
        *("predicted", "realised", "average precision"),
    ]
    assert len(lines[1].split()) == 9
    paths = dict(re.findall(r"^(plan|report|model): +(\S+)", table, re.M))
    assert set(paths) == {"plan", "report", "model"}
    assert artifacts.read_plan(paths["plan"]) == run.results.plan
    assert os.path.getsize(paths["report"]) > 0
    assert os.path.exists(os.path.join(paths["model"], "saved_model.pb"))
    assert paths["model"].startswith(os.path.join(run.runs, "pushed"))


def eval_truth(demo_data, labels):
    """Returns (serialized examples, multi-hot labels) of the eval split."""
    files = sorted(glob.glob(os.path.join(demo_data, "eval", "*")))
    examples = list(tf.data.TFRecordDataset(files).as_numpy_iterator())
    hot = np.zeros((len(examples), len(labels)))
    for row, serialized in zip(hot, examples):
        features = tf.train.Example.FromString(serialized).features.feature
        for value in features["labels"].bytes_list.value:
            row[labels.index(value.decode())] = 1
    return examples, hot


def test_pushed_model_serves_jpegs_and_was_evaluated_on_the_natural_split(
    run, demo_data
):
    examples, hot = eval_truth(demo_data, run.results.plan.groups)
    model = tf.saved_model.load(run.results.model_path)
    serve = model.signatures["serving_default"]
    probabilities = serve(examples=tf.constant(examples))["probabilities"].numpy()
    assert probabilities.shape == (NUM_EVAL, 10)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    # TFMA saw the same examples, each once: the eval split is not resampled.
    found = run.results.evaluation
    for i, precision in enumerate(found.average_precision):
        if hot[:, i].any():
            expected = average_precision_score(hot[:, i], probabilities[:, i])
            assert precision == pytest.approx(expected, abs=1e-4)
            ratio = probabilities[:, i].sum() / hot[:, i].sum()
            assert found.calibration[i] == pytest.approx(ratio, rel=1e-3)
            loss = log_loss(hot[:, i], probabilities[:, i].astype(float), labels=[0, 1])
            assert found.log_loss[i] == pytest.approx(loss, rel=1e-3)
        else:
            assert np.isnan(precision)
    # 10 labels that all have positives: 3, 4 and 3.
    rarest = np.argsort(hot.sum(axis=0), kind="stable")
    assert found.positives.tolist() == hot.sum(axis=0).tolist()
    for group, chosen in (("tail", rarest[:3]), ("head", rarest[-3:])):
        values = found.groups[group]
        mean = pytest.approx(found.average_precision[chosen].mean())
        assert values["average_precision"] == mean
        assert values["log_loss"] == pytest.approx(found.log_loss[chosen].mean())
    line = re.search(r"^  tail \((.*)\): average precision 0", run.output, re.M)
    assert line and len(line[1].split(", ")) == 3


# Without this package, as a server has it.
SERVED = """
import sys
sys.modules["tfx_resampling"] = sys.modules["pipelines"] = None
import numpy as np, tensorflow as tf
files = tf.io.gfile.glob(sys.argv[2])
examples = list(tf.data.TFRecordDataset(files).take(40).as_numpy_iterator())
signatures = tf.saved_model.load(sys.argv[1]).signatures
np.savez(sys.argv[3], **{
    name: signatures[name](examples=tf.constant(examples))["probabilities"]
    for name in ("serving_default", "raw")
})
"""


def test_a_server_without_this_package_gives_natural_and_raw_probabilities(
    run, demo_data, tmp_path
):
    path = str(tmp_path / "served.npz")
    files = os.path.join(demo_data, "eval", "*")
    done = processes.fork_server().run(
        "-c", SERVED, run.results.model_path, files, path
    )
    assert done.returncode == 0, done.stderr
    found = np.load(path)
    undo = tr.prior_correction(run.results.plan)
    expected = undo.probabilities(found["raw"])
    np.testing.assert_allclose(found["serving_default"], expected, atol=1e-4)
    assert np.abs(found["serving_default"] - found["raw"]).max() > 0.01
    assert run.results.probabilities == "corrected to the natural data"
    assert "Probabilities: corrected to the natural data." in run.output


def artifact_uri(run, name, number=0) -> str:
    store = metadata_store.MetadataStore(run.connection)
    return sorted(store.get_artifacts_by_type(name), key=lambda a: a.id)[number].uri


def test_evaluation_counted_each_eval_example_once(run):
    (result,) = tfma.load_metrics(artifact_uri(run, "ModelEvaluation"))
    counts = {
        item.key.name: item.value.double_value.value
        for item in result.metric_keys_and_values
    }
    assert counts["example_count"] == NUM_EVAL


def test_statistics_leave_the_image_bytes_alone(run):
    uri = artifact_uri(run, "ExampleStatistics")
    import tensorflow_data_validation as tfdv

    stats = tfdv.load_stats_binary(os.path.join(uri, "Split-train", "FeatureStats.pb"))
    assert [f.path.step[0] for f in stats.datasets[0].features] == ["labels"]


def test_logs_and_checkpoints(run):
    uri = artifact_uri(run, "ModelRun")
    assert glob.glob(os.path.join(uri, "train", "events.out.tfevents.*"))
    assert glob.glob(os.path.join(uri, "validation", "events.out.tfevents.*"))
    assert glob.glob(os.path.join(uri, "checkpoints", "epoch-*.weights.h5"))


def test_lineage_from_plan_to_model(run):
    store = metadata_store.MetadataStore(run.connection)
    (plan,) = store.get_artifacts_by_type("tfx_resampling.ResamplePlan")
    (trainer,) = store.get_executions_by_type(
        "tfx_resampling.trainer.component.Trainer"
    )
    events = store.get_events_by_artifact_ids([plan.id])
    kinds = {event.execution_id: event.type for event in events}
    assert kinds[trainer.id] == 3  # INPUT
    (model,) = store.get_artifacts_by_type("Model")
    (made,) = store.get_events_by_artifact_ids([model.id])[:1]
    assert made.execution_id == trainer.id


@pytest.fixture(scope="module")
def second_run(run, arguments):
    return successful_run(run.runs, *arguments)


def test_a_second_run_executes_nothing(run, second_run):
    assert second_run.executions == dict.fromkeys(COMPONENTS, "CACHED")
    assert second_run.results.plan == run.results.plan
    for name in COMPONENTS:
        assert re.search(rf"^{name} +cached$", second_run.output, re.M)


def test_a_changed_target_executes_the_planner_and_all_downstream_of_it(
    run, second_run, arguments
):
    changed = successful_run(
        second_run.runs,
        *arguments,
        *("--target", "uniform", "--min-tail-average-precision", "0.9999"),
        *("--train-steps", "2", "--max-drop", "0.0001"),
    )
    ran = ["ResamplePlanner", "Trainer", "Resolver", "Evaluator", "Pusher"]
    assert changed.executions == {
        name: "COMPLETE" if name in ran else "CACHED"
        for name in [*COMPONENTS, "Resolver"]
    }
    assert changed.results.plan.target == pytest.approx([0.1] * 10)
    # Two batches do not make a model of 0.9999, nor one that is better than the first.
    assert not changed.results.blessed
    assert "NOT BLESSED, not pushed" in changed.output
    uri = artifact_uri(changed, "ModelEvaluation", -1)
    (failed,) = tfma.load_validation_result(uri).metric_validations_per_slice
    assert {
        (one.metric_key.name, one.metric_threshold.HasField("change_threshold"))
        for one in failed.failures
    } == {
        ("average_precision", True),
        ("average_precision_tail", False),
        ("average_precision_tail", True),
    }
    better = run.results.evaluation.mean_average_precision
    assert changed.results.evaluation.mean_average_precision < better


@pytest.mark.nightly
@pytest.mark.parametrize("mode", ["stratify", "materialize"])
def test_resampled_offline_training_sees_the_same(
    second_run, arguments, one_epoch, mode
):
    found = successful_run(second_run.runs, *arguments, "--resample", mode)
    assert found.executions["Resampler"] == "COMPLETE"
    assert found.executions["ResamplePlanner"] == "CACHED"
    assert found.results.realised.tolist() == one_epoch[1].tolist()
    log = pathlib.Path(found.runs, "logs", "tfx-resampling.log").read_text()
    text = log[log.rindex("Split 'train':") :]
    assert text.splitlines()[1].startswith(f"{NUM_TRAIN:,} records read, 0 corrupt")


def test_beam_arguments_reach_every_beam_step(demo_data, tmp_path):
    options = pipeline.PipelineOptions(
        name="p",
        root=str(tmp_path),
        data=demo_data,
        planner=tr.PlannerConfig("labels"),
        push_to=str(tmp_path / "pushed"),
        resample="stratify",
        beam_pipeline_args=["--direct_num_workers=3"],
    )
    found = {
        component.id: component.executor_spec.beam_pipeline_args
        for component in pipeline.create_pipeline(options).components
        if isinstance(component.executor_spec, executor_spec.BeamExecutorSpec)
    }
    assert sorted(found) == [
        *("Evaluator", "ImportExampleGen", "ResamplePlanner", "Resampler"),
        "StatisticsGen",
    ]
    for name, beam_args in found.items():
        assert "--direct_num_workers=3" in beam_args, name


@pytest.mark.nightly
def test_own_records_with_integer_labels_gzip_and_no_splits(tmp_path, demo_data):
    """And other feature names; with a Resampler, whose shards train."""
    files = sorted(glob.glob(os.path.join(demo_data, "train", "*")))
    (tmp_path / "data").mkdir()
    truth = np.zeros(10, np.int64)
    names = [
        *("zero", "one", "two", "three", "four"),
        *("five", "six", "seven", "eight", "nine"),
    ]
    path = str(tmp_path / "data" / "scenes.tfrecord.gz")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for serialized in tf.data.TFRecordDataset(files).take(600).as_numpy_iterator():
            features = tf.train.Example.FromString(serialized).features.feature
            example = tf.train.Example()
            own = example.features.feature
            own["jpeg"].CopyFrom(features["image/encoded"])
            for value in features["labels"].bytes_list.value:
                digit = names.index(value.decode())
                own["classes"].int64_list.value.append(digit)
                truth[digit] += 1
            writer.write(example.SerializeToString())
    result = successful_run(
        str(tmp_path / "runs"),
        *("--data", str(tmp_path / "data"), "--label-key", "classes"),
        *("--image-key", "jpeg", "--train-steps", "3", "--image-size", "24", "24"),
        *("--resample", "stratify"),
    )
    assert result.executions["Resampler"] == "COMPLETE"
    plan = result.results.plan
    assert plan.label_dtype == "int64"
    assert plan.groups == tuple(str(n) for n in np.flatnonzero(truth))
    # Four fifths of the records, by hash, are the training split.
    assert 420 <= plan.num_records <= 540
    assert (np.array(plan.counts) <= truth[truth > 0]).all()
    assert result.results.samples == 3 * 64
