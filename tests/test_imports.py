"""Importing is cheap, names are public by one list, and folders keep their order."""

import ast
import json
import os
import pathlib
import pkgutil
import subprocess
import sys

import pytest
import tfx_resampling
from tfx_resampling import core, errors, fitting

HEAVY = {"tensorflow", "tfx", "apache_beam", "pandas", "matplotlib"}
PACKAGE = pathlib.Path(tfx_resampling.__file__).parent
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


def modules_after(*statements):
    """Returns the top-level modules that a new interpreter has loaded."""
    code = "\n".join([*statements, "import sys", "print(*sys.modules)"])
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in run.stdout.split()}


def test_core_loads_no_framework():
    names = [
        module.name
        for folder in (core, fitting)
        for module in pkgutil.walk_packages(folder.__path__, folder.__name__ + ".")
    ]
    assert "tfx_resampling.fitting.planning" in names
    loaded = modules_after(
        "import tfx_resampling",
        "import tfx_resampling.core",
        *map("import {}".format, names),
    )
    assert "tfx_resampling" in loaded and not loaded & HEAVY


def test_names_of_core_load_no_framework():
    loaded = modules_after(
        "from tfx_resampling import LabelCounts, Plan, PlannerConfig, make_plan",
        "import tfx_resampling; dir(tfx_resampling)",
    )
    assert not loaded & HEAVY


def test_the_command_line_starts_without_frameworks():
    main = "tfx_resampling.cli.main"
    loaded = modules_after(f"import {main}; {main}.main(['--help'])")
    assert "click" in loaded and not loaded & {*HEAVY, "numpy", "scipy", "rich"}


def test_dir_lists_the_public_names():
    assert set(dir(tfx_resampling)) == set(tfx_resampling.__all__)
    assert {"Plan", "input_fn", "make_plan", "__version__"} <= set(dir(tfx_resampling))


@pytest.mark.parametrize("name", sorted(tfx_resampling._MODULES))
def test_every_public_name_is_defined_where_it_says(name):
    module = tfx_resampling._MODULES[name]
    # Read and not imported: some need TFX, which takes many seconds.
    path = PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assigned = [target for node in body for target in getattr(node, "targets", ())]
    assert name in {
        *(getattr(node, "name", None) for node in body),
        *(getattr(target, "id", None) for target in assigned),
    }
    if module.startswith(("tfx_resampling.core.", "tfx_resampling.fitting.")):
        assert getattr(tfx_resampling, name).__module__ == module


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="tfx_resampling.* no attribute 'nothing'"):
        tfx_resampling.nothing  # noqa: B018
    with pytest.raises(ImportError):
        from tfx_resampling import nothing  # noqa: F401


def test_a_missing_extra_is_one_line_with_the_command():
    with pytest.raises(ImportError) as raised, errors.needs("tf", "input_fn"):
        import tqdm.nothing  # noqa: F401
    expected = 'input_fn needs tqdm: pip install "tfx-resampling[tf]"'
    assert str(raised.value) == expected
    # Another missing module is no matter of extras.
    with pytest.raises(ModuleNotFoundError, match="No module named 'nothing'"):
        with errors.needs("tf", "input_fn"):
            import nothing  # noqa: F401


USER_SCRIPT = """\
import tfx_resampling as tr
reveal_type(tr.input_fn)
reveal_type(tr.make_plan)
reveal_type(tr.DataGenerator)
reveal_type(tr.__version__)
tr.nonsense
"""


@pytest.mark.long
def test_type_checkers_see_the_public_names(tmp_path):
    (tmp_path / "user.py").write_text(USER_SCRIPT)
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(PACKAGE.parent)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    run = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson"]
        + ["--pythonpath", sys.executable, "user.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    found = {
        entry["range"]["start"]["line"] + 1: (entry["severity"], entry["message"])
        for entry in json.loads(run.stdout)["generalDiagnostics"]
    }
    severity, of_input_fn = found.pop(2)
    assert severity == "information"
    assert '"tr.input_fn" is "(file_pattern: str | Sequence[str], plan: Plan' in (
        of_input_fn
    )
    assert "batch_size: int" in of_input_fn and "-> Dataset[" in of_input_fn
    of_make_plan = "(counts: LabelCounts, config: PlannerConfig) -> Plan"
    assert found == {
        3: ("information", f'Type of "tr.make_plan" is "{of_make_plan}"'),
        4: ("information", 'Type of "tr.DataGenerator" is "type[DataGenerator]"'),
        5: ("information", 'Type of "tr.__version__" is "str"'),
        6: ("error", '"nonsense" is not a known attribute of module "tfx_resampling"'),
    }


def test_folders_import_what_is_below_them_only():
    command = os.path.join(os.path.dirname(sys.executable), "lint-imports")
    run = subprocess.run(
        [command, "--no-cache"],
        cwd=PACKAGE.parent.parent,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    assert " 0 broken" in run.stdout


def test_no_folder_is_a_fifth_of_the_package():
    def lines(folder):
        return sum(len(path.read_text().splitlines()) for path in folder.rglob("*.py"))

    sizes = {folder.name: lines(folder) for folder in FOLDERS if folder != PACKAGE}
    largest = max(sizes, key=sizes.get)
    assert sizes[largest] <= lines(PACKAGE) / 5, largest


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_folders_open_with_a_short_docstring(folder):
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert docstring and len(docstring.splitlines()) <= 6
