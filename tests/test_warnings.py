"""A warning of deprecation fails a test if it is our own code's."""

import warnings

import pytest


@pytest.mark.parametrize(
    "module", ["tfx_resampling.core.plan", "pipelines.pipeline", "tests.plans"]
)
@pytest.mark.parametrize(
    "kind", [DeprecationWarning, PendingDeprecationWarning, FutureWarning]
)
def test_ours_is_an_error(module, kind):
    with pytest.raises(kind):
        warnings.warn_explicit("old", kind, "file.py", 1, module)


def test_another_package_s_is_not():
    warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, "keras.layers")
