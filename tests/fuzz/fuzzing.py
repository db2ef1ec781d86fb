"""How functions are fed with random values: a few in each run, by `make fuzz` for long.

A test of this folder takes values that hypothesis makes up. `FUZZ_MINUTES` says for how
long; without it there are a few dozen, the same in each run. What is found is printed
as it was made; it becomes a test of its own, in `tests/bad_input` if it was input.
"""

import functools
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

hypothesis: Any = pytest.importorskip("hypothesis")
st = hypothesis.strategies

MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
_EXAMPLES = 30
_FEW = 10
# In one go by `make fuzz`, which begins again with another seed.
_MANY = 1_000


def fuzz(examples: int = _EXAMPLES, **strategies: Any) -> Callable:
    """Runs a test with values of strategies, by the name of its arguments."""

    def decorate(test: Callable) -> Callable:
        def fed(test: Callable, **how: Any) -> Callable:
            # Where one takes seconds, smaller ones that fail too are not looked for.
            phases = ["generate"] if examples < _FEW else list(hypothesis.Phase)
            settings = hypothesis.settings(
                phases=[hypothesis.Phase(phase) for phase in phases],
                deadline=None,
                database=None,
                suppress_health_check=list(hypothesis.HealthCheck),
                **how,
            )
            return settings(hypothesis.given(**strategies)(test))

        def run() -> None:
            if not MINUTES:
                fed(test, max_examples=examples, derandomize=True)()
                return
            end, seed = time.monotonic() + 60 * MINUTES, 0

            @functools.wraps(test)
            def until_the_end(**values: Any) -> None:
                if time.monotonic() < end:
                    test(**values)

            while time.monotonic() < end:
                often = max(examples, _MANY * examples // _EXAMPLES)
                hypothesis.seed(seed)(fed(until_the_end, max_examples=often))()
                seed += 1

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        # What NumPy warns of is a value that nobody thought of.
        return pytest.mark.filterwarnings("error::RuntimeWarning")(run)

    return decorate


def or_refused(function: Callable[[], Any], *kinds: type[BaseException]) -> Any:
    """Returns what a function returns, or None where it refuses its input in a line."""
    try:
        return function()
    except (ValueError, *kinds) as error:
        assert len(str(error).splitlines()) == 1 or kinds, str(error)
        return None
