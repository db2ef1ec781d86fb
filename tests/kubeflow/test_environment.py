"""The image's environment: only the wheel and the pinned dependencies, no checkout."""

import json
import re
import subprocess

import pytest
import tfx_resampling
import yaml

from tests.environments import PINS, REPOSITORY

# `make image-test` builds the image; tests/install has clean environments in the suite.
pytestmark = pytest.mark.nightly

# In the clean environment: imports every name that the spec mentions, as TFX's entry
# point does it, and says where the package came from.
IMPORTS = """
import json, sys
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.utils import import_utils

wanted = json.load(sys.stdin)
for path in wanted["classes"]:
    import_utils.import_class_by_path(path)
for title in wanted["titles"]:
    path = compiler_utils.TITLE_TO_CLASS_PATH.get(title, title)
    artifact = import_utils.import_class_by_path(path)()
    assert artifact.TYPE_NAME in (title, title.partition(".")[2]), (path, title)
for path in wanted["functions"]:
    import_utils.import_func_from_module(*path.rsplit(".", 1))
for name in wanted["modules"]:
    __import__(name)
import tfx_resampling
print(json.dumps({"path": sys.path, "package": tfx_resampling.__file__}))
"""


def wanted(spec):
    """Returns everything of Python that a compiled spec mentions."""
    classes, titles, functions, modules = set(), set(), set(), set()
    executors = spec["deploymentSpec"]["executors"]
    for executor in executors.values():
        container = executor["container"]
        arguments = container["args"]
        classes.add(arguments[arguments.index("--executor_class_path") + 1])
        hook = container.get("lifecycle", {}).get("preCacheCheck")
        for command in [container["command"], *([hook["command"]] if hook else [])]:
            assert command[:2] == ["python", "-m"]
            modules.add(command[2])
    for component in spec["components"].values():
        for side in ("inputDefinitions", "outputDefinitions"):
            for one in component.get(side, {}).get("artifacts", {}).values():
                schema = one["artifactType"]["instanceSchema"]
                titles.add(yaml.safe_load(schema)["title"])
    trainer = spec["root"]["dag"]["tasks"]["Trainer"]["inputs"]["parameters"]
    functions.add(trainer["run_fn"]["runtimeValue"]["constant"])
    evaluator = spec["root"]["dag"]["tasks"]["Evaluator"]["inputs"]["parameters"]
    for metrics in json.loads(evaluator["eval_config"]["runtimeValue"]["constant"])[
        "metrics_specs"
    ]:
        modules.update(m["module"] for m in metrics["metrics"] if m.get("module"))
    return {
        name: sorted(values)
        for name, values in (
            *(("classes", classes), ("titles", titles)),
            *(("functions", functions), ("modules", modules)),
        )
    }


def test_all_that_the_spec_names_imports(clean, compiled, tmp_path):
    names = wanted(compiled.job["pipelineSpec"])
    # Else nothing of ours would be tried.
    assert "tfx_resampling.planner.executor.Executor" in names["classes"]
    assert "tfx_resampling.trainer.executor.Executor" in names["classes"]
    assert "tfx_resampling.ResamplePlan" in names["titles"]
    assert names["functions"] == ["pipelines.training.module.run_fn"]
    assert "tfx_resampling.metrics" in names["modules"]
    assert len(names["classes"]) == 8
    # What VertexTrainer names, and what runs in its job.
    names["classes"].append("tfx_resampling.trainer.vertex.VertexExecutor")
    names["modules"].append("tfx.scripts.run_executor")
    done = subprocess.run(
        [clean.python, "-c", IMPORTS],
        input=json.dumps(names),
        env=clean.variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert not any(f"{path}/".startswith(f"{REPOSITORY}/") for path in seen["path"])
    assert "site-packages" in seen["package"]


def versions(lines):
    """Returns normalized name -> version of lines such as "absl_py==1.4.0"."""
    pairs = [line.strip().split("==") for line in lines if "==" in line]
    return {re.sub("[-_.]+", "-", name).lower(): version for name, version in pairs}


def test_the_environment_has_the_pinned_versions_and_no_others(clean):
    with open(PINS) as file:
        pinned = versions(file)
    listing = subprocess.run(
        [clean.python, "-m", "pip", "list", "--format=freeze"],
        env=clean.variables,
        capture_output=True,
        text=True,
        check=True,
    )
    installed = versions(listing.stdout.splitlines())
    assert len(installed) > 100
    assert installed.pop("tfx-resampling") == tfx_resampling.__version__
    assert installed == {name: pinned.get(name) for name in installed}
