"""One cluster of each engine for all tests."""

import pytest

from tests.beam.engines import downloads, machines
from tests.beam.engines.flink import Flink
from tests.beam.engines.spark import Spark


@pytest.fixture(scope="session")
def flink(tmp_path_factory):
    """A Flink cluster with two task managers, on machines of their own if there can be.

    Skips where something is missing, and says what.
    """
    if reason := downloads.missing():
        pytest.skip(reason)
    cluster = Flink(downloads.download(), tmp_path_factory.mktemp("flink"))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """A Spark cluster with two workers; as `flink`."""
    if reason := downloads.missing():
        pytest.skip(reason)
    cluster = Spark(downloads.download_spark(), tmp_path_factory.mktemp("spark"))
    yield cluster
    cluster.stop()


def pytest_terminal_summary(terminalreporter):
    where = (
        "network namespaces" if machines.are_private() else "this machine's loopback"
    )
    terminalreporter.write_line(f"engines: clusters run in {where}")
