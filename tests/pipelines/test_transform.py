"""Plans from what a real Transform makes: integer labels of a vocabulary."""

import collections
import glob
import os

import pytest
import tensorflow as tf
import tfx_resampling as tr
from ml_metadata.metadata_store import metadata_store
from tfx import v1 as tfx
from tfx_resampling.artifacts import read_plan

# docs/tabular.md has a Transform in the suite.
pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def plans(tmp_path_factory, demo_data):
    """Runs a pipeline with a Transform; returns name -> plan, and transformed files."""
    root = str(tmp_path_factory.mktemp("transform"))
    splits = [
        tfx.proto.Input.Split(name=name, pattern=f"{name}/*")
        for name in ("train", "eval")
    ]
    example_gen = tfx.components.ImportExampleGen(
        input_base=demo_data, input_config=tfx.proto.Input(splits=splits)
    )
    statistics_gen = tfx.components.StatisticsGen(
        examples=example_gen.outputs["examples"]
    )
    schema_gen = tfx.components.SchemaGen(
        statistics=statistics_gen.outputs["statistics"], infer_feature_shape=False
    )
    transform = tfx.components.Transform(
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        preprocessing_fn="tests.pipelines.preprocessing.preprocessing_fn",
    )
    sources = {
        "statistics": dict(statistics=transform.outputs["post_transform_stats"]),
        "examples": dict(examples=transform.outputs["transformed_examples"]),
    }
    planners = [
        tr.ResamplePlanner(**source, label_key="labels", target="uniform").with_id(name)
        for name, source in sources.items()
    ]
    database = os.path.join(root, "metadata.sqlite")
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(database)
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="transform",
            pipeline_root=os.path.join(root, "artifacts"),
            components=[example_gen, statistics_gen, schema_gen, transform, *planners],
            metadata_connection_config=connection,
        )
    )
    store = metadata_store.MetadataStore(connection)
    found = {}
    for artifact in store.get_artifacts_by_type("tfx_resampling.ResamplePlan"):
        name = os.path.relpath(artifact.uri, root).split(os.sep)[1]
        found[name] = read_plan(artifact.uri)
    files = glob.glob(
        os.path.join(root, "artifacts/Transform/transformed_examples/*/Split-*/*")
    )
    return found, files


def truth(files) -> collections.Counter:
    counts = collections.Counter()
    for serialized in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(serialized).features.feature
        counts.update(str(n) for n in features["labels"].int64_list.value)
    return counts


def test_transformed_examples_are_planned_for_exactly(plans):
    found, files = plans
    plan = found["examples"]
    train = [name for name in files if "Split-train" in name]
    assert plan.label_dtype == "int64" and plan.multi_label
    assert plan.groups == tuple(str(i) for i in range(10))  # In numeric order.
    assert dict(zip(plan.groups, plan.counts)) == truth(train)
    assert plan.prediction == "exact"


def test_statistics_of_transform_cover_all_splits_and_say_so(plans):
    found, files = plans
    plan = found["statistics"]
    assert plan.label_dtype == "int64"
    assert dict(zip(plan.groups, plan.counts)) == truth(files)
    assert "all splits together" in plan.warnings[0]


def test_transformed_examples_are_resampled_by_their_plan(plans):
    found, files = plans
    plan = found["examples"]
    train = [name for name in files if "Split-train" in name]
    counts = 0
    epochs = 4
    batches = tr.input_fn(
        train,
        plan,
        batch_size=100,
        image=None,
        options=tr.InputOptions(epochs=epochs),
    )
    for _, y in batches.as_numpy_iterator():
        counts = counts + y.sum(axis=0)
    # Every record is seen floor or ceil of 4 r times: off by less than 1 a record.
    for seen, wanted, n in zip(counts, plan.predicted, plan.counts):
        assert abs(seen - epochs * wanted) < 4 * (n / 4) ** 0.5 + 1e-6
