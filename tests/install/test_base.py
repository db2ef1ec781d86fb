"""The base plans, shows and compares without any framework."""

import json
import os
import pathlib

import pytest
import tfx_resampling

pytestmark = pytest.mark.long

STATISTICS = """
from tensorflow_metadata.proto.v0 import statistics_pb2 as pb
found = pb.DatasetFeatureStatisticsList()
data = found.datasets.add(name="All Examples", num_examples=1000)
label = data.features.add(name="label", type=pb.FeatureNameStatistics.STRING)
label.string_stats.unique = 3
common = label.string_stats.common_stats
common.min_num_values = common.max_num_values = 1
common.num_non_missing = common.tot_num_values = 1000
for rank, (name, count) in enumerate([("cat", 900), ("dog", 90), ("owl", 10)]):
    label.string_stats.rank_histogram.buckets.add(
        low_rank=rank, high_rank=rank, label=name, sample_count=count
    )
with open("FeatureStats.pb", "wb") as file:
    file.write(found.SerializeToString())
"""


@pytest.fixture(scope="module")
def plans(base):
    """The names of two plans of one statistics file."""
    base.script(STATISTICS)
    names = {"uniform": "uniform.json", "sqrt": "sqrt.json"}
    for target, name in names.items():
        base.done(
            *("tfx-resampling", "plan", "--statistics", "FeatureStats.pb"),
            *("--label-key", "label", "--target", target, "--output", name),
        )
    return tuple(names.values())


def test_there_is_no_framework(base):
    for name in ("tensorflow", "keras", "pandas", "apache_beam", "tfx", "matplotlib"):
        failed = base.run("python", "-I", "-c", f"import {name}")
        assert f"No module named '{name}'" in failed.stderr


def test_plans_from_a_statistics_file(base, plans):
    with open(os.path.join(base.home, plans[0])) as file:
        plan = json.load(file)
    assert plan["groups"] == ["cat", "dog", "owl"] and plan["counts"] == [900, 90, 10]
    assert plan["target"] == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_shows_and_compares_plans(base, plans):
    shown = json.loads(base.done("tfx-resampling", "show", plans[0], "--json"))
    assert [row["label"] for row in shown["labels"]] == ["cat", "dog", "owl"]
    assert "owl" in base.done("tfx-resampling", "show", plans[0])
    assert "owl" in base.done("tfx-resampling", "diff", *plans)


def test_draws_the_report(base, plans):
    base.done("tfx-resampling", "show", plans[0], "--html", "report.html")
    page = pathlib.Path(base.home, "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "</style>" in page and "owl" in page


def test_types_are_installed(base):
    folder = pathlib.Path(
        base.script("import tfx_resampling as tr; print(tr.__file__)").strip()
    ).parent
    assert folder.is_relative_to(pathlib.Path(base.python).parent.parent)
    assert {"py.typed", "__init__.pyi"} <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (
            ["plan", "--examples", "x", "--label-key", "l"],
            "plan needs TensorFlow: [tf]",
        ),
        (["check", "uniform.json", "--examples", "x"], "check needs TensorFlow: [tf]"),
        (
            ["apply", "uniform.json", "--examples", "x", "--output", "y"],
            "apply needs Apache Beam: [beam]",
        ),
        (["show", "uniform.json", "--png", "x.png"], "show needs Matplotlib: [plot]"),
        (["show", "gs://bucket/plan.json"], "show needs TensorFlow: [tf]"),
    ],
)
def test_commands_name_the_extra_that_they_need(base, plans, arguments, expected):
    needs, _, extra = expected.partition(": ")
    failed = base.run("tfx-resampling", *arguments)
    assert failed.returncode == 2
    command = f'pip install "tfx-resampling{extra}"'
    assert failed.stderr == f"error: tfx-resampling {needs}: {command}\n"


IMPORT_ALL = """
import json
import tfx_resampling as tr
found = {}
for name in tr.__all__:
    try:
        found[name] = str(getattr(tr, name) and "")
    except ImportError as error:
        found[name] = str(error)
try:
    import tfx_resampling.beam
except ImportError as error:
    found["tfx_resampling.beam"] = str(error)
print(json.dumps(found))
"""


def test_public_names_tell_the_extra_that_they_need(base, tf):
    extras = {}
    for name, module in tfx_resampling._MODULES.items():
        folder = module.split(".")[1]
        extras[name] = tfx_resampling._EXTRAS.get(folder, "tfx")
        if folder in ("core", "fitting", "kubeflow", "options", "version"):
            extras[name] = ""
        if module == "tfx_resampling.calibration.prior":  # Beside the layer.
            extras[name] = ""
    extras["tfx_resampling.beam"] = "beam"
    for environment, has in ((base, {""}), (tf, {"", "tf"})):
        for name, message in json.loads(environment.script(IMPORT_ALL)).items():
            if extras[name] in has:
                assert not message
                continue
            assert message.startswith(f"{name} needs ")
            assert message.endswith(f': pip install "tfx-resampling[{extras[name]}]"')
            assert len(message.splitlines()) == 1
