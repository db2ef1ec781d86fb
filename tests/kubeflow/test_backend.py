"""The pipeline on Kubeflow's own driver and launcher, with all its files on `gs://`.

Needs root, Go, openssl, and Kubeflow's sources or programs: see `backend.programs`.
"""

import functools
import json
import os

import pytest
import tfx_resampling as tr
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx
from tfx.types import standard_artifacts
from tfx_resampling import kubeflow

from pipelines import demo_data as demo
from pipelines import pipeline
from pipelines.kfp.parameters import defaults
from pipelines.kfp.spec import compile_pipeline
from pipelines.kfp.tasks import TaskOptions
from pipelines.training.module import REALISED_FILE
from tests.conftest import BATCH_SIZE
from tests.kubeflow.backend import gcs, runner
from tests.kubeflow.test_execute import (
    COMPONENTS,
    OTHERS,
    batches_of,
    library_plan,
    shape,
)

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(bool(runner.missing()), reason=runner.missing()),
]

ROOT = "gs://bucket/pipelines"


@pytest.fixture(scope="module")
def backend(kubeflow_programs, bucket_server, clean, tmp_path_factory):
    backend = runner.Backend(
        kubeflow_programs,
        bucket_server,
        clean.variables,
        tmp_path_factory.mktemp("pods"),
    )
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def data(bucket_server, demo_data) -> str:
    return bucket_server.upload(demo_data, "data")


@pytest.fixture(scope="module")
def on_gcs(options):
    """The options of the emulator's pipeline, for the bucket."""
    return pipeline.PipelineOptions(
        name=options.name,
        root=ROOT,
        data="",
        planner=options.planner,
        push_to="gs://bucket/pushed",
        splits=options.splits,
        batch_size=BATCH_SIZE,
        run_fn=options.run_fn,
    )


def compiled(options, **tasks):
    return compile_pipeline(options, "image:1", defaults(ROOT, {}), tasks).job


@pytest.fixture(scope="module")
def parameters(data, first_parameters):
    return {**first_parameters, "data": data}


@pytest.fixture(scope="module")
def first(backend, on_gcs, parameters) -> runner.Run:
    run = backend.run(compiled(on_gcs), parameters)
    failed = [run.tasks[name].log[-4000:] for name in run.states("failed")]
    assert not failed, failed[0]
    return run


def plan_of(run, bucket):
    uri = run.uri("ResamplePlanner", "resample_plan")
    return tr.Plan.from_json(gcs.text(bucket, f"{uri}/plan.json"))


def realised_of(run, bucket):
    uri = run.uri("Trainer", "model")
    return json.loads(gcs.text(bucket, f"{uri}/{REALISED_FILE}"))


def download_examples(run, bucket, directory) -> str:
    """Copies the training examples of a run; returns their pattern."""
    uri = f"{run.uri('ImportExampleGen', 'examples')}/Split-train/"
    for name in bucket.names(bucket.name_of(uri)):
        (directory / os.path.basename(name)).write_bytes(bucket.read(name))
    return str(directory / "*")


class TestFirstRun:
    def test_every_task_is_executed(self, first):
        assert first.states("complete") == sorted(COMPONENTS)

    def test_the_plan_is_that_of_the_local_run(self, first, run, bucket_server):
        plan, local = plan_of(first, bucket_server), run.results.plan
        assert plan.counts == local.counts
        assert plan.factors == pytest.approx(local.factors, rel=1e-6)

    def test_training_takes_what_the_local_run_takes(self, first, run, bucket_server):
        realised = realised_of(first, bucket_server)
        assert realised["counts"] == run.results.realised.tolist()
        assert realised["samples"] == run.results.samples

    def test_the_model_is_pushed(self, first, bucket_server):
        properties = first.outputs["Pusher"]["pushed_model"].custom_properties
        pushed = properties["pushed_destination"].string_value
        assert pushed.startswith("gs://bucket/pushed/")
        names = bucket_server.names(bucket_server.name_of(pushed))
        assert any(name.endswith("/saved_model.pb") for name in names)

    def test_logs_are_published(self, first, bucket_server):
        uri = first.uri("ResamplePlanner", "executor-logs")
        assert uri.endswith("executor-logs-0")
        assert "target" in gcs.text(bucket_server, uri)

    @pytest.mark.parametrize("name", COMPONENTS)
    def test_the_emulator_is_told_what_the_driver_makes(self, first, name):
        path = os.path.join(os.path.dirname(__file__), "executor_inputs.json")
        with open(path) as file:
            recorded = json.load(file)["tasks"][name]
        assert shape(first.tasks[name].executor_input) == shape(recorded)

    def test_no_directory_is_marked_below_an_output(self, first, bucket_server):
        for task, outputs in first.outputs.items():
            for name, artifact in outputs.items():
                names = bucket_server.names(bucket_server.name_of(artifact.uri))
                marked = [one for one in names if one.endswith("/")]
                assert not marked, (task, name)

    def test_ml_metadata_has_types_properties_and_lineage(self, first, backend):
        store = backend.services.store
        types = {one.id: one.name for one in store.get_artifact_types()}
        plan = first.outputs["ResamplePlanner"]["resample_plan"]
        assert types[plan.type_id] == "tfx_resampling.ResamplePlan"
        assert types[first.outputs["Trainer"]["model"].type_id] == "tfx.Model"
        assert plan.custom_properties["label_key"].string_value == "labels"
        assert plan.custom_properties["num_labels"].double_value == 10
        # The model hangs on the plan.
        event = metadata_store_pb2.Event.INPUT
        inputs = backend.artifacts(first.tasks["Trainer"].execution, event)
        assert inputs["resample_plan"].id == plan.id
        assert inputs["examples"].id == first.outputs["ImportExampleGen"]["examples"].id
        inputs = backend.artifacts(first.tasks["ResamplePlanner"].execution, event)
        assert sorted(inputs) == ["examples", "schema", "statistics"]


@pytest.fixture(scope="module")
def other_data(tmp_path_factory) -> str:
    directory = str(tmp_path_factory.mktemp("other"))
    demo.build(directory, seed=1, num_train=1200, num_eval=400)
    return directory


@pytest.fixture(scope="module")
def later(backend, on_gcs, parameters, first, other_data, bucket_server):
    """All other runs, each made when it is first asked for by its name."""
    job = compiled(on_gcs)
    steps = 3 * parameters["train_steps"]
    data = bucket_server.upload(other_data, "other-data")
    runs = {
        "again": lambda: backend.run(job, parameters),
        "others": lambda: backend.run(job, {**OTHERS, "data": data}),
        "target": lambda: backend.run(job, {**parameters, "target": "uniform"}),
        "wrong": lambda: backend.run(job, {**parameters, "size": "huge"}),
        "killed": lambda: backend.run(
            compiled(on_gcs, Trainer=TaskOptions(retries=1)),
            {**parameters, "train_steps": steps},
            kill={"Trainer": "/backup/training_metadata.json"},
        ),
        "condition": lambda: backend.run(conditional(on_gcs), parameters),
        "offline": lambda: backend.run(
            offline(
                first.uri("ImportExampleGen", "examples"),
                first.uri("ResamplePlanner", "resample_plan"),
            )
        ),
    }
    return functools.cache(lambda name: runs[name]())


def test_a_second_run_is_cached(later, first):
    again = later("again")
    assert again.states("cached") == sorted(COMPONENTS)
    ids = [run.outputs["Trainer"]["model"].id for run in (first, again)]
    assert ids[0] == ids[1]


def test_another_target_repeats_the_planner_and_what_is_downstream(
    later, first, demo_data, bucket_server
):
    run = later("target")
    assert run.states("cached") == sorted(COMPONENTS[:4])
    assert run.states("complete") == sorted(COMPONENTS[4:])
    plan = plan_of(run, bucket_server)
    expected = library_plan(demo_data, target="uniform", seed=3)
    assert plan.factors == pytest.approx(expected.factors)
    counts = [realised_of(x, bucket_server)["counts"] for x in (first, run)]
    assert counts[0] != counts[1]


def test_other_values_of_all_parameters(later, other_data, bucket_server, tmp_path):
    run = later("others")
    assert run.states("complete") == sorted(COMPONENTS)
    plan = plan_of(run, bucket_server)
    options = {name: OTHERS[name] for name in OTHERS if name != "train_steps"}
    expected = library_plan(other_data, **options)
    assert plan.num_records == 1200 and plan.counts == expected.counts
    assert plan.factors == pytest.approx(expected.factors, rel=1e-6)
    examples = download_examples(run, bucket_server, tmp_path)
    assert realised_of(run, bucket_server) == batches_of(examples, plan, 3)


def test_a_failing_task_has_its_error_in_the_published_log(later, bucket_server):
    run = later("wrong")
    assert run.states("failed") == ["ResamplePlanner"]
    assert "Trainer" not in run.tasks
    log = gcs.text(bucket_server, run.uri("ResamplePlanner", "executor-logs"))
    assert "size must be one of" in log and "got 'huge'" in log


def test_a_killed_trainer_goes_on_from_its_backup(
    later, first, parameters, bucket_server, tmp_path
):
    run = later("killed")
    assert run.states("failed") == []
    task = run.tasks["Trainer"]
    assert "Epoch 1/" not in task.log and "Training complete." in task.log
    assert "Input goes on where epoch" in task.log
    assert run.uri("Trainer", "executor-logs").endswith("executor-logs-1")
    # Each batch was trained on once.
    examples = download_examples(first, bucket_server, tmp_path)
    plan = plan_of(run, bucket_server)
    steps = 3 * parameters["train_steps"]
    expected = batches_of(examples, plan, steps)
    assert realised_of(run, bucket_server) == expected


def conditional(options):
    """The pipeline whose Pusher depends on the blessing, and one on the opposite."""
    parts = []
    create = pipeline._components

    def components(built):
        *before, _ = create(built)
        trainer, evaluator = before[-2:]
        blessing = evaluator.outputs["blessing"].future()[0]
        for name, value in (("Pusher", 1), ("Never", 0)):
            with tfx.dsl.Cond(blessing.custom_property("blessed") == value):
                pusher = tfx.components.Pusher(
                    model=trainer.outputs["model"],
                    push_destination=tfx.proto.PushDestination(
                        filesystem=tfx.proto.PushDestination.Filesystem(
                            base_directory=f"gs://bucket/{name}"
                        )
                    ),
                ).with_id(name)
            parts.append(pusher)
        return [*before, *parts]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_components", components)
        return compiled(options)


def test_a_condition_on_the_blessing_decides_what_is_pushed(later, bucket_server):
    run = later("condition")
    assert run.states("cached") == sorted(set(COMPONENTS) - {"Pusher"})
    assert (run.states("complete"), run.states("skipped")) == (["Pusher"], ["Never"])
    assert bucket_server.names("Pusher/") and not bucket_server.names("Never/")


def compile_others(components, command=kubeflow.KUBEFLOW_COMMAND):
    """Compiles a pipeline that is none of ours, as its author would."""
    built = tfx.dsl.Pipeline(
        pipeline_name="others",
        pipeline_root=ROOT,
        components=components,
        enable_cache=True,
    )
    config = tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(
        default_image="image:1", default_commands=command, use_pipeline_spec_2_1=True
    )
    run = tfx.orchestration.experimental.KubeflowV2DagRunner(config)
    job = run.run(built, write_out=False)
    job["runtimeConfig"]["gcsOutputDirectory"] = ROOT
    return job


def importer(name, kind, uri):
    has_splits = "split_names" in (kind.PROPERTIES or {})
    splits = {"split_names": '["train", "eval"]'} if has_splits else {}
    return tfx.dsl.Importer(
        source_uri=uri, artifact_type=kind, properties=splits
    ).with_id(name)


def offline(examples_uri, plan_uri):
    """Resampler in both modes, by the examples and the plan of an earlier run."""
    examples = importer("Examples", standard_artifacts.Examples, examples_uri)
    plan = importer("Plan", tr.ResamplePlan, plan_uri)
    resamplers = [
        tr.Resampler(
            examples=examples.outputs["result"],
            resample_plan=plan.outputs["result"],
            mode=mode,
        ).with_id(mode.capitalize())
        for mode in ("stratify", "materialize")
    ]
    return compile_others([examples, plan, *resamplers])


@pytest.mark.parametrize("mode", ["Stratify", "Materialize"])
def test_resampler_by_an_imported_plan(later, first, mode, bucket_server):
    run = later("offline")
    assert run.tasks[mode].state == "complete", run.tasks[mode].log[-4000:]
    plan = plan_of(first, bucket_server)
    properties = run.outputs[mode]["examples"].custom_properties
    written = properties["train_written"].double_value
    if mode == "Stratify":
        assert written == plan.num_records
    else:
        assert written == pytest.approx(plan.predicted_records, rel=0.05)
    uri = f"{run.uri(mode, 'examples')}/Split-train/"
    names = bucket_server.names(bucket_server.name_of(uri))
    assert names and not any("temp" in name for name in names)


def _short(first, command):
    """Two components of TFX, by the statistics of an earlier run."""
    uri = first.uri("StatisticsGen", "statistics")
    imported = importer("Statistics", standard_artifacts.ExampleStatistics, uri)
    statistics = imported.outputs["result"]
    schema_gen = tfx.components.SchemaGen(statistics=statistics)
    validator = tfx.components.ExampleValidator(
        statistics=statistics, schema=schema_gen.outputs["schema"]
    )
    return compile_others([imported, schema_gen, validator], command)


TFX_COMMAND = ["python", "-m", kubeflow._TFX]
# Ours, but for the removal of directory markers.
MARKED = """
import sys
from tfx_resampling import kubeflow
kubeflow.remove_directory_markers = lambda uris: None
kubeflow.main(sys.argv[1:])
"""


class TestWithoutTheEntrypoint:
    """What the backend does to TFX's own command, fault by fault.

    Once one of these tests fails, its part of `tfx_resampling.kubeflow` can go.
    """

    def test_the_published_log_is_an_output_that_cannot_be_imported(
        self, backend, data
    ):
        """Where there are inputs, TFX's command fails at these before."""
        example_gen = tfx.components.ImportExampleGen(input_base=data)
        run = backend.run(compile_others([example_gen], TFX_COMMAND))
        assert run.states("failed") == ["ImportExampleGen"]
        log = run.tasks["ImportExampleGen"].log
        assert "ImportError: Could not import system.Artifact" in log

    def test_an_input_has_no_type(self, backend, first):
        run = backend.run(_short(first, TFX_COMMAND), publish_logs=False)
        assert run.states("failed") == ["SchemaGen"]
        log = run.tasks["SchemaGen"].log
        assert "'NoneType' object has no attribute 'get'" in log

    def test_a_directory_that_is_marked_cannot_be_downloaded(self, backend, first):
        run = backend.run(_short(first, ["python", "-c", MARKED]))
        assert run.states("failed") == ["ExampleValidator"]
        log = run.tasks["ExampleValidator"].log
        assert "failed to download input artifact" in log
        assert "is a directory" in log or "not a directory" in log

    def test_with_it_the_same_pipeline_runs(self, backend, first):
        run = backend.run(_short(first, kubeflow.KUBEFLOW_COMMAND))
        assert not run.states("failed")
        assert run.tasks["ExampleValidator"].state == "complete"
