"""Every task executes from the compiled spec alone, in the image's environment."""

import dataclasses
import functools
import glob
import json
import os
import signal
import time

import numpy as np
import pytest
import tensorflow as tf
import tfx_resampling as tr
from tfx_resampling import artifacts, kubeflow

from pipelines import results
from pipelines.kfp.parameters import defaults
from pipelines.kfp.spec import compile_pipeline
from pipelines.training.module import REALISED_FILE
from tests.conftest import BATCH_SIZE, NUM_TRAIN
from tests.kubeflow import emulator

pytestmark = pytest.mark.long

COMPONENTS = [
    *("ImportExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator"),
    *("ResamplePlanner", "Trainer", "Evaluator", "Pusher"),
]
UPSTREAM = COMPONENTS[:4]


def plan_of(run):
    return artifacts.read_plan(run.uri("ResamplePlanner", "resample_plan"))


def realised_of(run):
    with open(os.path.join(run.uri("Trainer", "model"), REALISED_FILE)) as file:
        return json.load(file)


def library_plan(demo_data, **options):
    """The plan without TFX."""
    pattern = os.path.join(demo_data, "train", "*")
    counts = tr.count_labels(pattern, "labels")
    return tr.make_plan(counts, tr.PlannerConfig("labels", **options))


def first_batches(run, plan, batches):
    """What the Trainer takes first of the run's examples, as it reports it."""
    files = os.path.join(run.uri("ImportExampleGen", "examples"), "Split-train", "*")
    return batches_of(files, plan, batches)


def batches_of(files, plan, batches):
    """The same of any files."""
    dataset = tr.input_fn(
        files,
        plan,
        batch_size=BATCH_SIZE,
        image=None,
        options=tr.InputOptions(deterministic=True),
    )
    taken = dataset.take(batches).as_numpy_iterator()
    ys = np.concatenate([y for _, y in taken])
    counts = ys.sum(axis=0).astype(int).tolist()
    return {"labels": list(plan.classes), "counts": counts, "samples": len(ys)}


def test_every_task_ran_in_its_container(first_run):
    assert sorted(first_run.executed) == sorted(COMPONENTS)


def test_the_plan_is_that_of_the_local_run(first_run, run):
    plan, local = plan_of(first_run), run.results.plan
    assert plan.counts == local.counts and plan.num_records == NUM_TRAIN
    # The fit ends within its tolerance, and sums in memory's order.
    assert plan.factors == pytest.approx(local.factors, rel=1e-6)
    assert plan.predicted == pytest.approx(local.predicted, rel=1e-6)
    options = [dict(p.provenance["options"]) for p in (plan, local)]
    assert options[0] == options[1]


def test_the_model_was_trained_on_what_the_local_one_was(first_run, run, one_epoch):
    realised = realised_of(first_run)
    assert realised["labels"] == list(run.results.plan.classes)
    assert realised["counts"] == run.results.realised.tolist()
    assert realised["counts"] == one_epoch[1].tolist()
    assert realised["samples"] == run.results.samples


def test_the_model_is_evaluated_blessed_and_pushed_as_locally(first_run, run):
    found = results.Evaluation.read(
        first_run.uri("Evaluator", "evaluation"), len(run.results.plan.classes)
    )
    expected = run.results.evaluation
    # The same input and the same seed; kernels may sum in another order.
    mean = pytest.approx(expected.mean_average_precision, abs=0.02)
    assert found.mean_average_precision == mean
    assert (
        np.isnan(found.average_precision).tolist()
        == np.isnan(expected.average_precision).tolist()
    )
    blessing = first_run.outputs["Evaluator"]["blessing"]["metadata"]
    assert blessing["blessed"] == 1
    # Not a number of this process: an id as the backend gave it.
    assert blessing["current_model_id"].endswith("/Trainer/model")
    pushed = first_run.outputs["Pusher"]["pushed_model"]["metadata"]
    assert tf.saved_model.contains_saved_model(pushed["pushed_destination"])


def shape(executor_input):
    """Returns of an ExecutorInput what is the same in every run of a pipeline."""
    inputs, outputs = executor_input["inputs"], executor_input["outputs"]
    return {
        "parameters": sorted(inputs["parameterValues"]),
        "inputs": {
            name: [
                (one["type"], sorted(one["metadata"])) for one in artifacts["artifacts"]
            ]
            for name, artifacts in inputs.get("artifacts", {}).items()
        },
        "outputs": {
            name: [one["type"] for one in artifacts["artifacts"]]
            for name, artifacts in outputs["artifacts"].items()
        },
        "has a local output file": "://" not in outputs["outputFile"],
    }


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_task_gets_what_the_driver_of_kubeflow_makes(first_run, name):
    with open(os.path.join(os.path.dirname(__file__), "executor_inputs.json")) as file:
        recorded = json.load(file)["tasks"][name]
    assert shape(first_run.tasks[name].executor_input) == shape(recorded)


def test_the_command_of_tfx_alone_fails_on_kubeflow(cluster, options, first_run):
    """What the entrypoint is for; once this passes, it can go."""
    job = compile_pipeline(options, "image:1", defaults(options.root, {})).job
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    container = executors["SchemaGen_executor"]["container"]
    container["command"] = ["python", "-m", kubeflow._TFX]
    given = {name: first_run.outputs[name] for name in UPSTREAM[:2]}
    with pytest.raises(RuntimeError, match="Could not import system.Artifact|NoneType"):
        cluster.run(job, None, "SchemaGen".__eq__, given)


def test_the_plan_and_its_report_are_where_the_readme_says(first_run):
    uri = first_run.uri("ResamplePlanner", "resample_plan")
    assert sorted(os.listdir(uri)) == ["plan.json", "report.html"]
    metadata = first_run.outputs["ResamplePlanner"]["resample_plan"]["metadata"]
    plan = plan_of(first_run)
    assert metadata["label_key"] == "labels"
    assert metadata["num_labels"] == len(plan.groups)
    assert metadata["predicted_records"] == pytest.approx(plan.predicted_records)
    assert metadata["distance_to_target"] == pytest.approx(plan.distance)


OTHERS = {
    **{"target": '{"nine": 0.3}', "size": "records:900", "max_factor": 7.5},
    **{"seed": 2**40 + 1, "train_steps": 3},
}


def kill_and_restart(clean, options, bucket, first_run, first_parameters):
    """Trains on a machine that goes away, with a module file instead of `run_fn`.

    The second time with the same ExecutorInput, as a backend retries a task. Returns
    the task, and the log of the first and of the second time.
    """
    packed = dataclasses.replace(options, run_fn=None)
    values = defaults(options.root, {})
    spec = compile_pipeline(packed, "image:1", values).job["pipelineSpec"]
    variables = {k: v for k, v in clean.variables.items() if k != "PYTHONPATH"}
    machine = emulator.Cluster(variables, bucket, server=clean.server)
    steps = 3 * first_parameters["train_steps"]
    task = emulator.make_task(
        spec,
        "Trainer",
        spec["root"]["dag"]["tasks"]["Trainer"],
        {**values, **first_parameters, "train_steps": steps},
        first_run.outputs,
        os.path.join(bucket, "killed"),
    )
    process = machine.start(task, task.container)
    backup = os.path.join(task.directory, "model_run", "backup")
    while not os.path.exists(os.path.join(backup, "training_metadata.json")):
        assert process.poll() is None, task.log[-3000:]
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    first = task.log
    machine.execute(task, task.container)
    return task, first, task.log[len(first) :]


@pytest.fixture(scope="module")
def later(clean, cluster, bucket, options, compiled, first_run, first_parameters):
    """All other runs, each made when it is first asked for by its name."""
    upstream = {name: first_run.outputs[name] for name in UPSTREAM}
    old = compile_pipeline(
        options, "image:1", defaults(options.root, {}), version="2.0"
    )
    other = {**first_parameters, **OTHERS}
    planned = {"ResamplePlanner", "Trainer"}.__contains__
    vertex = emulator.Cluster(
        *(clean.variables, os.path.join(bucket, "vertex")),
        **{"vertex": True, "server": clean.server},
    )
    uniform = {**first_parameters, "target": "uniform"}
    huge = {**other, "size": "huge"}
    runs = {
        "target": lambda: cluster.run(compiled.job, uniform),
        "killed": lambda: kill_and_restart(
            clean, options, bucket, first_run, first_parameters
        ),
        "2.1": lambda: cluster.run(compiled.job, other, planned, upstream),
        "2.0": lambda: vertex.run(old.job, other, planned, upstream),
        "wrong": lambda: cluster.run(compiled.job, huge, planned, upstream),
        "vertex": lambda: vertex.run(
            compiled.job, first_parameters, "ImportExampleGen".__eq__
        ),
    }
    return functools.cache(lambda name: runs[name]())


@pytest.mark.nightly
def test_a_run_that_changes_only_the_target(later, first_run, one_epoch, demo_data):
    again = later("target")
    assert sorted(again.executed) == sorted(COMPONENTS[4:])
    for name in UPSTREAM:
        assert again.outputs[name] == first_run.outputs[name]
    plan = plan_of(again)
    expected = library_plan(demo_data, target="uniform", seed=3)
    assert plan.factors == pytest.approx(expected.factors)
    assert plan.target == pytest.approx([0.1] * 10)
    assert plan.factors != plan_of(first_run).factors
    assert realised_of(again) == first_batches(again, plan, one_epoch[2])


@pytest.mark.nightly
@pytest.mark.parametrize("version", ["2.1", "2.0"])
def test_other_values_of_all_parameters(version, later, demo_data):
    """Of types that must survive the way: numbers, an integer over 32 bits, JSON."""
    run = later(version)
    assert sorted(run.executed) == ["ResamplePlanner", "Trainer"]
    plan = plan_of(run)
    config = {name: value for name, value in OTHERS.items() if name != "train_steps"}
    expected = library_plan(demo_data, **config)
    assert plan.factors == pytest.approx(expected.factors)
    assert plan.seed == 2**40 + 1 and plan.max_factor == 7.5
    assert plan.predicted_records == pytest.approx(900, rel=0.01)
    assert realised_of(run) == first_batches(run, plan, 3)


def test_a_wrong_value_fails_in_the_planner_with_a_clear_text(later):
    with pytest.raises(RuntimeError, match="size must be one of .*, got 'huge'"):
        later("wrong")


def test_on_vertex_ai_the_driver_of_example_gen_fingerprints_the_files(
    later, first_run
):
    """Kubeflow's own backend knows no `lifecycle`."""
    made = later("vertex").outputs["ImportExampleGen"]["examples"]
    metadata = made["metadata"]
    assert "split:train,num_files:4" in metadata["input_fingerprint"]
    assert json.loads(metadata["split_names"]) == ["train", "eval"]
    examples = made["uri"]
    expected = first_run.uri("ImportExampleGen", "examples")
    for split in ("train", "eval"):
        assert _records(examples, split) == _records(expected, split)


def _records(uri, split):
    files = sorted(glob.glob(os.path.join(uri, f"Split-{split}", "*")))
    return sorted(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())


@pytest.mark.nightly
def test_a_module_file_reaches_the_container_by_uri(later, options):
    """The Trainer's environment has no module for `run_fn`."""
    task, _, _ = later("killed")
    path = task.executor_input["inputs"]["parameterValues"]["module_path"]
    assert path.startswith(f"module@{options.root}/_wheels/")
    assert f"Successfully installed '{path.partition('@')[2]}'" in task.log


@pytest.mark.nightly
def test_a_killed_trainer_goes_on_where_it_was(later, first_run, first_parameters):
    task, first, second = later("killed")
    assert "Epoch 1/" in first and "Training complete." not in first
    assert "Epoch 1/" not in second and "Training complete." in second
    assert "Input goes on where epoch" in second
    # Each batch was trained on once.
    run = emulator.JobRun({"Trainer": emulator.outputs_of(task)}, [], {})
    steps = 3 * first_parameters["train_steps"]
    expected = first_batches(first_run, plan_of(first_run), steps)
    assert realised_of(run) == expected
