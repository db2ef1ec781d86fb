"""Tiers of the tests, and how several workers share them.

A test is in the tier of its closest marker: its own, its class's or its file's
(`pytestmark`); without one it is fast. Of its own and its parameters' markers the
slowest one counts.

    fast      `make test-fast` and `make test`: at least one test of every module
    long      `make test`: pipelines, many graphs, several processes
    nightly   `make test-nightly`: the same again with more tries or other options,
              and together what other tests show one by one
"""

import collections

import pytest

TIERS = ("fast", "long", "nightly")
_RUN = {"fast": {"fast"}, "suite": {"fast", "long"}, "nightly": {"nightly"}}
# Files that share a fixture of the session that takes long to make: one worker's.
_GROUPS = {
    "tests/pipelines/test_run_local.py": "pipelines",
    "tests/kubeflow/test_execute.py": "pipelines",
    "tests/scan/test_count.py": "corpus",
    "tests/stream/test_epochs.py": "corpus",
    "tests/install/test_base.py": "installed",
    "tests/install/test_tf.py": "installed",
}
# What takes longest begins first, so that no worker is alone in the end.
_FIRST = (
    "pipelines",
    "tests/test_pages.py",
    "tests/beam/test_runners.py",
    "tests/pipelines/test_explore.py",
    "tests/resampler/test_faults.py",
    "installed",
    "corpus",
)
_LEFT_OUT = pytest.StashKey[list]()


def pytest_addoption(parser):
    parser.addoption(
        "--tier",
        choices=_RUN,
        help="tests to run: fast; suite: fast and long; nightly: the rest; "
        "without this option all",
    )


def tier_of(item: pytest.Item) -> str:
    """Returns the tier of a test: its closest marker of one, else fast."""
    marks = [
        (node, mark.name)
        for node, mark in item.iter_markers_with_node()
        if mark.name in TIERS
    ]
    # A function and its parameters are one node: the slowest of them counts.
    closest = [name for node, name in marks if node is marks[0][0]]
    return max(closest, key=TIERS.index, default="fast")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    wanted = _RUN.get(config.getoption("--tier"), set(TIERS))
    left_out = [item for item in items if tier_of(item) not in wanted]
    items[:] = [item for item in items if tier_of(item) in wanted]
    config.hook.pytest_deselected(items=left_out)
    config.stash[_LEFT_OUT] = [[tier_of(item), item.nodeid] for item in left_out]
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = config.stash[_LEFT_OUT]
    long = {_group(item.nodeid) for item in items if tier_of(item) != "fast"}
    items.sort(key=lambda item: _place(_group(item.nodeid), long))


def _group(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return _GROUPS.get(file, file)


def _place(group: str, long: set[str]) -> tuple[int, bool]:
    return _FIRST.index(group) if group in _FIRST else len(_FIRST), group not in long


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Gives each worker whole groups, in their order."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return _group(nodeid)

    return Groups(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    found = getattr(node, "workeroutput", {}).get("left_out", [])
    node.config.stash[_LEFT_OUT] = found


def pytest_terminal_summary(terminalreporter, config):
    left_out = config.stash.get(_LEFT_OUT, [])
    if not left_out:
        return
    terminalreporter.section(f"left out by --tier {config.getoption('--tier')}")
    for tier in TIERS:
        names = [name for other, name in left_out if other == tier]
        if len(names) <= 20:
            lines = names
        else:
            files = collections.Counter(name.partition("::")[0] for name in names)
            lines = [f"{count:5d} of {file}" for file, count in files.items()]
        if names:
            how = "make test" if tier == "long" else f"make test-{tier}"
            terminalreporter.line(f"{len(names)} of tier {tier}, run by `{how}`:")
        for line in lines:
            terminalreporter.line(f"  {line}")
