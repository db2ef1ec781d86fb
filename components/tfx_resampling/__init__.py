"""Resampling of long-tailed, multi-label image data in TFX pipelines.

Public names, listed in `__init__.pyi`, are loaded on first use: importing this package
loads neither TensorFlow nor TFX. A name that needs an extra says which.
"""

import ast
import importlib
import pkgutil

from tfx_resampling import errors
from tfx_resampling.version import __version__ as __version__

# Folders that need less than everything: the extra that they need.
_EXTRAS = {
    "beam": "beam",
    "calibration": "tf",
    "images": "tf",
    "monitoring": "tf",
    "scan": "tf",
    "stream": "tf",
    "tables": "tf",
}


def _modules() -> dict[str, str]:
    stub = ast.parse(pkgutil.get_data(__name__, "__init__.pyi") or b"")
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


_MODULES = _modules()
__all__ = list(_MODULES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES[name]
    with errors.needs(_EXTRAS.get(module.split(".")[1], "tfx"), name):
        value = getattr(importlib.import_module(module), name)
    globals()[name] = value  # Later look-ups do not come here.
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
