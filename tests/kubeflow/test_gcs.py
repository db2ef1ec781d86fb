"""What local tests never see: `gs://`, by TensorFlow's and Beam's own clients.

There a directory is an empty object, if it is anything; a rename is a copy; and nothing
can be appended. Needs root, Go and openssl; each test is a pod with its own view of the
machine, as `gs://` has its servers' names built in.
"""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tfx_resampling as tr

from tests import plans, tfrecords
from tests.conftest import BATCH_SIZE
from tests.environments import REPOSITORY
from tests.kubeflow.backend import gcs, pods
from tests.kubeflow.test_execute import library_plan
from tests.monitoring import test_restart

pytestmark = pytest.mark.nightly


@pytest.fixture
def pod(bucket_server, tmp_path):
    """Makes pods, by their names."""
    return lambda name: pods.Pod(tmp_path / name, bucket_server.files)


@pytest.fixture(scope="module")
def environment(bucket_server):
    paths = [REPOSITORY, os.path.join(REPOSITORY, "components")]
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": "/root",
        "PYTHONPATH": os.pathsep.join(paths),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    return gcs.environment(bucket_server, variables)


def python(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


def kill_when(pod, bucket, name, command, environment):
    """Starts a pod, and kills it when there is an object whose name has `name`."""
    process = pod.start(command, environment)
    while not any(name in one for one in bucket.names()):
        assert process.poll() is None, pod.log[-3000:]
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


LOCAL_RUN = """
import dataclasses, sys
from tfx import v1 as tfx
import tfx_resampling as tr
from pipelines import pipeline

data, steps, batch_size, store = sys.argv[1:]
config = tfx.orchestration.metadata.sqlite_metadata_connection_config(store)
options = pipeline.PipelineOptions(
    name="on-gcs", root="gs://bucket/local", data=data, push_to="gs://bucket/models",
    planner=tr.PlannerConfig("labels", target="sqrt", seed=3),
    splits={"train": "train/*", "eval": "eval/*"}, batch_size=int(batch_size),
    train_steps=int(steps), run_fn=pipeline.TRAINER_RUN_FN, eval_steps=2,
)
for resample in ("online", "stratify", "materialize"):
    built = pipeline.create_pipeline(
        dataclasses.replace(options, resample=resample), config
    )
    tfx.orchestration.LocalDagRunner().run(built)
"""


def test_the_pipeline_in_all_its_modes(
    pod, environment, bucket_server, demo_data, one_epoch, tmp_path
):
    """Planner with its report, Resampler, monitor, backup and model."""
    data = bucket_server.upload(demo_data, "gcs-data")
    plan, counts, steps = one_epoch
    store = tmp_path / "metadata.sqlite"
    own = pod("pipelines")
    own.run(python(LOCAL_RUN, data, steps, BATCH_SIZE, store), environment)
    names = bucket_server.names("local/")
    (path,) = [name for name in names if name.endswith("/plan.json")]
    made = tr.Plan.from_json(bucket_server.read(path).decode())
    assert made.factors == pytest.approx(
        library_plan(demo_data, target="sqrt", seed=3).factors
    )
    report = bucket_server.read(path.replace("plan.json", "report.html"))
    assert report.rstrip().endswith(b"</html>")
    realised = {
        name: json.loads(bucket_server.read(name))
        for name in names
        if name.endswith("/realised_labels.json")
    }
    assert len(realised) == 3
    # Online and from stratified shards, an epoch is the same samples.
    same = [one for one in realised.values() if one["counts"] == counts.tolist()]
    assert len(same) >= 2
    manifests = [name for name in names if name.endswith("Split-train.manifest.json")]
    assert len(manifests) == 2
    assert not [name for name in names if "unfinished" in name or "beam-temp" in name]


RESAMPLE = """
import sys
import tfx_resampling as tr
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import channel_utils, standard_artifacts
from tfx_resampling.resampler.executor import Executor

mode, target = sys.argv[1:]
examples, out = standard_artifacts.Examples(), standard_artifacts.Examples()
examples.uri, out.uri = "gs://bucket/faults/examples", target
examples.split_names = '["train", "eval"]'
plan = tr.ResamplePlan()
plan.uri = "gs://bucket/faults/plan"
component = tr.Resampler(
    examples=channel_utils.as_channel([examples]),
    resample_plan=channel_utils.as_channel([plan]),
    mode=mode,
)
Executor(BaseBeamExecutor.Context(tmp_dir="/tmp/x", unique_id="1")).Do(
    {"natural_examples": [examples], "resample_plan": [plan]},
    {"examples": [out]},
    dict(component.exec_properties),
)
"""


@pytest.mark.parametrize("mode", ["materialize", "stratify"])
def test_a_resampler_that_is_killed_and_run_again(
    pod, environment, bucket_server, tmp_path, mode
):
    plan = plans.make("ab", [0.6, 3.0], seed=1)
    bucket_server.write("faults/plan/plan.json", plan.to_json().encode())
    for split, count in (("train", 20_000), ("eval", 40)):
        records = tfrecords.labeled(["aaab"[i % 4] for i in range(count)])
        folder = tmp_path / "examples" / f"Split-{split}"
        folder.mkdir(parents=True)
        tfrecords.spread(folder, records, 4, "GZIP")
    bucket_server.upload(str(tmp_path / "examples"), "faults/examples")
    target = f"faults/{mode}"
    command = python(RESAMPLE, mode, f"gs://bucket/{target}")
    # As soon as something is written; the manifest is written last.
    kill_when(pod("killed"), bucket_server, f"{target}/", command, environment)
    assert not [x for x in bucket_server.names(target) if x.endswith("manifest.json")]
    pod("again").run(command, environment)
    clean = python(RESAMPLE, mode, f"gs://bucket/{target}-clean")
    pod("clean").run(clean, environment)

    def contents(name):
        found = {}
        for path in bucket_server.names(f"{name}/"):
            if not path.endswith("/"):  # A marker of a directory.
                found[path.removeprefix(f"{name}/")] = bucket_server.read(path)
        return found

    again, never_killed = contents(target), contents(f"{target}-clean")
    assert sorted(again) == sorted(never_killed)
    for name in again:
        if "manifest" not in name:
            paths = [tmp_path / "a", tmp_path / "b"]
            for path, made in zip(paths, (again, never_killed)):
                path.write_bytes(made[name])
            read = [
                list(tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator())
                for path in paths
            ]
            assert sorted(read[0]) == sorted(read[1]), name


def test_a_killed_job_goes_on_from_its_backup(
    pod, environment, bucket_server, tmp_path
):
    """As in test_restart.py, but the examples and the backup are in the bucket."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, [8, 8, 3], np.uint8) for _ in range(210)]
    labels = ["", "a", "b", "c", "ab", "bc", "abc"] * 30
    records = [
        tfrecords.example(
            {
                "image/encoded": tf.io.encode_png(image).numpy(),
                "label": [letter.encode() for letter in letters],
            }
        )
        for image, letters in zip(images, labels)
    ]
    (tmp_path / "files").mkdir()
    tfrecords.spread(tmp_path / "files", records, files=3)
    files = bucket_server.upload(str(tmp_path / "files"), "restart/files")
    kept = "keras.callbacks.BackupAndRestore(backup)"
    assert kept in test_restart.JOB
    job = test_restart.JOB.replace(kept, "tr.BackupAndRestore(backup)")

    def command(name, kill_at):
        return python(job, f"{files}/*", f"gs://bucket/restart/{name}", kill_at)

    undisturbed, killed, again = (pod(name) for name in ("undisturbed", "kill", "go"))
    undisturbed.run(command("one", -1), environment)
    # In the third epoch.
    assert killed.start(command("two", 26), environment).wait(300) == -9, killed.log
    again.run(command("two", -1), environment)
    expected, expected_counts = test_restart.trained(undisturbed.log)
    found, counts = test_restart.trained(again.log)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected))
    assert counts[:2] == expected_counts[:2] and counts[2] == 2
    assert not [x for x in bucket_server.names("restart/two") if "unfinished" in x]


def test_directory_markers_are_removed_and_nothing_else(
    pod, environment, bucket_server
):
    code = """
import tensorflow as tf
from tfx_resampling import kubeflow
out = "gs://bucket/marked/out"
tf.io.gfile.makedirs(out + "/a/b")
tf.io.gfile.makedirs(out + "/empty")
for name in ("x", "a/y", "a/b/z"):
    with tf.io.gfile.GFile(f"{out}/{name}", "w") as file:
        file.write(name)
tf.io.gfile.makedirs("gs://bucket/marked/out_too")
print(tf.io.gfile.glob(out + "/*"))
kubeflow.remove_directory_markers([out, "/local", "gs://bucket/marked/nothing"])
kubeflow.remove_directory_markers([out + "/x"])
"""
    pod("markers").run(python(code), environment)
    assert sorted(bucket_server.names("marked/")) == [
        *("marked/", "marked/out/a/b/z", "marked/out/a/y", "marked/out/x"),
        "marked/out_too/",
    ]
