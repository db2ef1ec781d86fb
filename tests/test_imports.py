"""Importing is cheap: the arithmetic needs neither TensorFlow nor TFX."""

import ast
import importlib.util
import pkgutil
import subprocess
import sys

import pytest
import tfx_resampling
from tfx_resampling import core

HEAVY = {"tensorflow", "tfx", "apache_beam", "pandas", "matplotlib"}


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
        for module in pkgutil.walk_packages(core.__path__, core.__name__ + ".")
    ]
    assert "tfx_resampling.core.planning" in names
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


@pytest.mark.parametrize("name", sorted(tfx_resampling._PUBLIC))
def test_every_public_name_is_defined_where_it_says(name):
    module = tfx_resampling._PUBLIC[name]
    # Read and not imported: some need TFX, which takes many seconds.
    with open(importlib.util.find_spec(module).origin, encoding="utf-8") as file:
        body = ast.parse(file.read()).body
    defined = {getattr(node, "name", None) for node in body}
    assert name in defined
    if module.startswith("tfx_resampling.core."):
        assert getattr(tfx_resampling, name).__module__ == module


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="tfx_resampling.* no attribute 'nothing'"):
        tfx_resampling.nothing  # noqa: B018
    with pytest.raises(ImportError):
        from tfx_resampling import nothing  # noqa: F401
