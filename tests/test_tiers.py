"""Every module of the package has a test in the fast tier."""

import ast
import pathlib

import pytest

from tests.tiers import TIERS

TESTS = pathlib.Path(__file__).parent
PACKAGE = TESTS.parent / "components" / "tfx_resampling"
MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("")
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__init__"
)
# Modules that have no file of tests of their own name: file -> modules.
_TOGETHER = {
    "core/test_config": "core/identity validate",
    "beam/test_write": (
        "beam/external_sort beam/read beam/resample_options beam/shard_files"
    ),
    "cli/test_cli": (
        "beam/arguments cli/apply cli/check cli/common cli/diff cli/main cli/plan "
        "filesystem scan/audit"
    ),
    "images/test_decode": "images/bmp images/formats",
    "kubeflow/test_entrypoint": "kubeflow",
    "monitoring/test_monitor": (
        "monitoring/epoch_report monitoring/positions monitoring/watched"
    ),
    "planner/test_planner": (
        "planner/component planner/executor planner/feature_statistics planner/spec"
    ),
    "records/test_reader": "records/graph_errors",
    "report/test_figure": "report/plots",
    "report/test_page": "report/charts",
    "resampler/test_resampler": (
        "resampler/component resampler/executor resampler/spec"
    ),
    "stream/test_epochs": "decision/rule scan/decide",
    "stream/test_input_fn": "stream/batches stream/blocks",
    "tables/test_generator": "tables/arrays tables/keras_feed tables/mapping",
    "test_imports": "version",
    "trainer/test_trainer": "trainer/component trainer/executor",
}
ELSEWHERE = {name: file for file, names in _TOGETHER.items() for name in names.split()}


def fast_tests(path: pathlib.Path) -> list[str]:
    """Returns the names of functions of a file that have a test in the fast tier."""
    tree = ast.parse(path.read_text())
    marks = [node for node in tree.body if _is_pytestmark(node)]
    of_file = _tier(marks[0].value) if marks else None
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if (_tier(ast.List(node.decorator_list)) or of_file or "fast") == "fast"
    ]


def _is_pytestmark(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"


def _tier(marks: ast.expr) -> str | None:
    """Returns the tier among markers; those of single parameters do not count."""
    names = [
        node.attr
        for node in ast.walk(marks)
        if isinstance(node, ast.Attribute) and node.attr in TIERS
    ]
    return names[0] if names else None


@pytest.mark.long
@pytest.mark.parametrize("module", MODULES, ids=str)
def test_module_has_a_fast_test(module):
    file = ELSEWHERE.get(str(module), str(module.with_name(f"test_{module.name}")))
    path = TESTS / f"{file}.py"
    assert path.exists(), f"{path} does not exist; name another file in ELSEWHERE"
    assert fast_tests(path), f"{path} has no test in the fast tier"


def test_elsewhere_names_modules():
    assert set(ELSEWHERE) <= {str(module) for module in MODULES}
