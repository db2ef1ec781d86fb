"""The scripts of `kubeflow/`, which is no package."""

import importlib.util
import os

from tests.environments import REPOSITORY


def load(name: str):
    """Returns the script kubeflow/NAME.py as a module."""
    path = os.path.join(REPOSITORY, "kubeflow", f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"kubeflow_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
