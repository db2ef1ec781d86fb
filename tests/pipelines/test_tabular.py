"""The pipeline of docs/tabular.md runs, and trains on the labels that it plans."""

import glob
import pathlib
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tfx_resampling as tr

from tests import tfrecords

pytestmark = pytest.mark.long

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "tabular.md"
MODULE, PIPELINE, SCHEMA = [
    block.partition("\n")[2].partition("```")[0]
    for block in PAGE.read_text().split("```python")[1:]
]
SPECIES = ["Adelie"] * 300 + ["Gentoo"] * 80 + ["Chinstrap"] * 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """Runs the pipeline in a folder with its module and a table."""
    folder = tmp_path_factory.mktemp("tabular")
    rng = np.random.default_rng(0)
    lines = ["culmen_length_mm,body_mass_g,sex,species"]
    for name in rng.permutation(SPECIES):
        length, mass = rng.normal(40 + len(name)), rng.normal(4000, 300)
        sex = "" if rng.random() < 0.3 else "female"
        lines.append(f"{length:.1f},{mass:.0f}.5,{sex},{name}")
    (folder / "csv").mkdir()
    (folder / "csv" / "penguins.csv").write_text("\n".join(lines))
    (folder / "penguins.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Else the module is packed and installed for each of five steps.
        patch.setenv("UNSUPPORTED_DO_NOT_PACKAGE_USER_MODULES", "1")
        exec(compile(PIPELINE, str(PAGE), "exec"), {})
    return folder


def only(folder: pathlib.Path, pattern: str) -> str:
    (found,) = glob.glob(str(folder / "pipeline" / pattern))
    return found


def test_a_plan_takes_fewer_than_ten_lines():
    assert (MODULE + PIPELINE).count("# new\n") < 10


def test_training_gets_the_planned_labels_and_makes_a_model(folder):
    plan = tr.read_plan(only(folder, "ResamplePlanner/resample_plan/*"))
    # As Transform numbers them: by how often they occur.
    assert plan.groups == ("0", "1", "2") and plan.counts[0] > plan.counts[1]
    graph = only(folder, "Transform/transform_graph/*")
    batches = tr.input_fn(
        only(folder, "Transform/transformed_examples/*/Split-train") + "/*",
        plan,
        batch_size=64,
        parse=tft.TFTransformOutput(graph).transformed_feature_spec(),
        labels="raw",
        options=tr.InputOptions(epochs=1),
    )
    found = tfrecords.read(batches)
    assert set(found[0][0]) == {"culmen_length_mm_xf", "body_mass_g_xf"}
    seen = np.bincount(np.concatenate([y for _, y in found]).ravel())
    # Each record comes floor or ceil of its factor times.
    for number, wanted, n in zip(seen, plan.predicted, plan.counts):
        assert abs(number - wanted) < 4 * (n / 4) ** 0.5
    model = tf.saved_model.load(only(folder, "Trainer/model/*/Format-Serving"))
    inputs = [found[0][0][f"{name}_xf"] for name in ("culmen_length_mm", "body_mass_g")]
    assert model.serve(inputs).shape == (64, 3)


def test_a_schema_gives_features_too(folder):
    train = only(folder, "CsvExampleGen/examples/*/Split-train") + "/*"
    plan = tr.make_plan(tr.count_labels(train, "species"), tr.PlannerConfig("species"))
    schema = only(folder, "SchemaGen/schema/*/schema.pbtxt")
    fn_args = types.SimpleNamespace(train_files=train, schema_path=schema)
    names = {"fn_args": fn_args, "plan": plan, "tr": tr}
    exec(compile(SCHEMA, str(PAGE), "exec"), names)
    x, y = next(iter(names["batches"]))
    assert set(x) == {"culmen_length_mm", "body_mass_g", "sex"}
    assert isinstance(x["sex"], tf.SparseTensor)  # Of some it is missing.
    assert y.dtype == tf.int64 and y.shape == (20,)
