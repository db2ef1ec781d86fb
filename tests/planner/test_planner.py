"""`ResamplePlanner`: the component as it is built, and its executor on real inputs."""

import json
import os
import re

import pytest
import tensorflow_data_validation as tfdv
import tfx_resampling as tr
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import v1 as tfx
from tfx.types import channel_utils, standard_artifacts
from tfx.utils import json_utils
from tfx_resampling.artifacts import read_plan, splits_but
from tfx_resampling.core.config import from_properties, to_properties

from tests.planner import make_statistics, planner_run
from tests.planner.make_statistics import example


@pytest.fixture
def statistics():
    return channel_utils.as_channel([standard_artifacts.ExampleStatistics()])


def test_options_become_one_execution_property_each(statistics):
    planner = tr.ResamplePlanner(
        statistics, label_key="y", target={"a": 0.5}, size=0.5, unlabeled=2, seed=7
    )
    properties = planner.exec_properties
    assert properties["label_key"] == "y"
    assert json.loads(properties["target"]) == {"a": 0.5}
    assert (properties["size"], properties["unlabeled"]) == ("ratio:0.5", "2.0")
    assert (properties["seed"], properties["max_factor"]) == (7, 100.0)
    # Else a cached plan would outlive a change of this package's code.
    assert properties["package_version"] == tr.__version__
    assert from_properties(tr.PlannerConfig, properties) == tr.PlannerConfig(
        "y", target={"a": 0.5}, size=0.5, unlabeled=2.0, seed=7
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(size="undersample", combine="max", min_factor=0.1, max_factor=5),
        dict(size=1000, unlabeled="drop", split="fit", seed=2**40),
        dict(target="effective:0.999", schedule="linear:10"),
        dict(target={"a": 10, "b": 20}),
        dict(target='{"a": 0.25, "b": 0.75}'),
        dict(key_features=("image/id", "a,b"), identity="content", unknown_labels=0.3),
    ],
)
def test_a_config_survives_the_trip_through_properties(options):
    config = tr.PlannerConfig("y", **options)
    assert from_properties(tr.PlannerConfig, to_properties(config)) == config


def test_outputs_have_their_types(statistics):
    planner = tr.ResamplePlanner(statistics, label_key="y")
    assert planner.outputs["resample_plan"].type is tr.ResamplePlan
    assert planner.outputs["hyperparameters"].type is standard_artifacts.HyperParameters


def test_options_override_a_config(statistics):
    config = tr.PlannerConfig("y", target="sqrt", seed=3)
    planner = tr.ResamplePlanner(statistics, config=config, target="log1p")
    assert planner.exec_properties["target"] == "log1p"
    assert planner.exec_properties["seed"] == 3


def test_runtime_parameters_are_accepted(statistics):
    parameters = {
        name: tfx.dsl.experimental.RuntimeParameter(name=name, ptype=kind)
        for name, kind in dict(
            label_key=str,
            target=str,
            size=str,
            max_factor=float,
            seed=int,
            schedule=str,
        ).items()
    }
    planner = tr.ResamplePlanner(statistics, **parameters)
    for name, parameter in parameters.items():
        assert planner.exec_properties[name] is parameter
    # The runtime's values are checked in the executor.
    with pytest.raises(ValueError, match="max_factor"):
        from_properties(tr.PlannerConfig, {"label_key": "y", "max_factor": -1.0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(label_key="y", target="unform"), "target must be .* got 'unform'"),
        (dict(label_key="y", tarjet="sqrt"), r"unknown options \['tarjet'\]"),
        (dict(target="sqrt"), "label_key must be given"),
        (dict(label_key="y", max_factor=float("nan")), "max_factor .* got nan"),
        (dict(label_key="y", schedule="linear"), "number of epochs is missing"),
        (dict(label_key="y", min_factor=-0.5), "min_factor .* got -0.5"),
        (
            dict(label_key="y", split="train", exclude_splits=["eval"]),
            "split and exclude_splits must not be given together",
        ),
    ],
)
def test_wrong_options_fail_when_the_component_is_built(statistics, options, message):
    with pytest.raises(ValueError, match=message):
        tr.ResamplePlanner(statistics, **options)


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda late: tr.PlannerConfig("y", max_factor=late),
            "max_factor must be known when PlannerConfig is made, got RuntimeParameter "
            "'late', .* Give it to the component: ResamplePlanner(max_factor=...)",
        ),
        (
            lambda late: tr.PlannerConfig("y", target={"a": late}),
            "target must be known .* got in it RuntimeParameter 'late'",
        ),
        (
            lambda late: tr.ResampleOptions(epochs=late),
            "epochs must be known .* Resampler(epochs=...)",
        ),
        (lambda late: tr.InputOptions(epochs=late), "epochs must be .* in run_fn"),
        (lambda late: tr.ImageOptions(size=(late, 8)), "size must be .* in run_fn"),
        (
            lambda late: tr.ResamplePlanner(
                channel_utils.as_channel([standard_artifacts.ExampleStatistics()]),
                **{"label_key": "y", "group_by": late},
            ),
            "group_by must be known when the pipeline is built, .* got "
            "RuntimeParameter 'late'. Give its value.",
        ),
    ],
)
def test_a_runtime_parameter_where_it_is_not_taken(make, message):
    late = tfx.dsl.experimental.RuntimeParameter(name="late", ptype=str)
    with pytest.raises(ValueError) as raised:
        make(late)
    text = str(raised.value)
    assert re.match(message.replace("(", r"\(").replace(")", r"\)"), text), text
    assert "__class__" not in text and "\n" not in text


RECORDS = [example(y=["a"])] * 60 + [example(y=["b"])] * 30 + [example(y=["c"])] * 10


def run_planner(directory, records, schema=None, **options):
    """Runs the executor on real statistics; returns the output artifacts."""
    statistics = make_statistics.artifact(directory, records)
    inputs = {"statistics": statistics}
    if schema is not None:
        artifact = standard_artifacts.Schema()
        artifact.uri = os.path.join(directory, "schema")
        os.makedirs(artifact.uri)
        tfdv.write_schema_text(schema, os.path.join(artifact.uri, "schema.pbtxt"))
        inputs["schema"] = artifact
    return planner_run.execute(directory, inputs, **options)


def test_executor_writes_plan_report_and_hyperparameters(tmp_path):
    artifact, hyperparameters = run_planner(
        str(tmp_path), RECORDS, seed=5, schedule="step:2"
    )
    assert sorted(os.listdir(artifact.uri)) == ["plan.json", "report.html"]
    plan = read_plan(artifact.uri)
    assert plan.groups == ("a", "b", "c")
    assert plan.counts == (60, 30, 10)
    assert plan.factors == pytest.approx((100 / 180, 100 / 90, 100 / 30))
    assert plan.predicted_records == pytest.approx(100)
    assert (plan.seed, plan.schedule) == (5, "step:2")
    assert plan.provenance["source"]["split"] == "train"
    assert artifact.get_int_custom_property("num_labels") == 3
    with open(os.path.join(artifact.uri, "report.html")) as file:
        report = file.read()
    assert "<td>b</td><td>30</td><td>30.00%</td><td>33.33%</td><td>1.111</td>" in report
    names = os.listdir(hyperparameters.uri)
    assert len(names) == 1  # The stock Trainer refuses more.
    with open(os.path.join(hyperparameters.uri, names[0])) as file:
        assert tr.Plan.from_json(json.load(file)["resample_plan"]) == plan


@pytest.mark.long
def test_executor_takes_labels_of_the_schema(tmp_path):
    schema = text_format.Parse(
        'feature { name: "y" string_domain { value: "a" value: "zebra" } }',
        schema_pb2.Schema(),
    )
    plan = read_plan(run_planner(str(tmp_path), RECORDS, schema)[0].uri)
    assert plan.groups == ("a", "b", "c", "zebra")
    assert (plan.counts[3], plan.target[3], plan.factors[3]) == (0, 0.0, 1.0)
    assert any("'zebra'" in warning for warning in plan.warnings)


@pytest.mark.long
def test_splits_are_added_or_excluded(tmp_path):
    statistics = make_statistics.artifact(
        str(tmp_path), RECORDS, splits=("train", "extra", "eval")
    )
    for folder, options, splits in (
        ("a", dict(split=["train", "extra"]), ("train", "extra")),
        ("b", dict(exclude_splits="train, eval"), ("extra",)),
    ):
        plan = read_plan(
            planner_run.execute(
                str(tmp_path / folder), {"statistics": statistics}, **options
            )[0]
        )
        times = len(splits)
        assert plan.counts == (60 * times, 30 * times, 10 * times)
        assert plan.num_records == 100 * times and plan.splits == splits
    for wrong in ("other", "train,extra,eval"):
        with pytest.raises(ValueError, match="exclude_splits must be splits of .*'tra"):
            splits_but([statistics], wrong)


@pytest.mark.long
def test_executor_that_fails_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"target names \['zebra'\]"):
        run_planner(str(tmp_path), RECORDS, target={"zebra": 0.5})
    assert os.listdir(tmp_path / "plan") == []
    assert os.listdir(tmp_path / "hyperparameters") == []


def test_component_is_serialisable_for_other_runners(statistics):
    planner = tr.ResamplePlanner(statistics, label_key="y")
    loaded = json_utils.loads(json_utils.dumps(planner))
    assert loaded.exec_properties == planner.exec_properties


@tfx.dsl.components.component
def FindOptions(
    target: tfx.dsl.components.OutputArtifact[standard_artifacts.String],
    factor: tfx.dsl.components.OutputArtifact[standard_artifacts.Float],
):
    """A component that finds out what a plan is to aim for."""
    target.value, factor.value = "sqrt", 1.5


@pytest.mark.long
def test_options_may_be_what_another_component_found(tmp_path):
    statistics = make_statistics.artifact(str(tmp_path), RECORDS)
    importer = tfx.dsl.Importer(
        source_uri=statistics.uri,
        artifact_type=standard_artifacts.ExampleStatistics,
        properties={"split_names": statistics.split_names},
    )
    found = FindOptions()  # pyright: ignore[reportCallIssue]
    planner = tr.ResamplePlanner(
        importer.outputs["result"],
        label_key="y",
        target=found.outputs["target"].future()[0].value,
        max_factor=found.outputs["factor"].future()[0].value,
    )
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(
        str(tmp_path / "metadata.sqlite")
    )
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="late",
            pipeline_root=str(tmp_path / "artifacts"),
            components=[importer, found, planner],
            metadata_connection_config=connection,
        )
    )
    (uri,) = (tmp_path / "artifacts" / "ResamplePlanner" / "resample_plan").iterdir()
    options = read_plan(str(uri)).provenance["options"]
    assert (options["target"], options["max_factor"]) == ("sqrt", 1.5)
