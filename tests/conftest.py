"""One small run of the local pipeline, shared by the tests of several folders."""

import dataclasses
import gc
import os

import pytest

from tests import processes

pytest_plugins = ["tests.tiers", "tests.corpus", "tests.environments"]

BATCH_SIZE = 32
NUM_TRAIN, NUM_EVAL = 1500, 400


def pytest_configure(config):
    is_controller = config.getoption("numprocesses", None) and not hasattr(
        config, "workerinput"
    )
    if config.getoption("tier") != "nightly" and not is_controller:
        run_graphs_as_written()


def run_graphs_as_written() -> None:
    """Has TensorFlow run graphs without optimizing them.

    That takes a third of the time of a small input, of which there are hundreds. The
    nightly tests do it, and all processes that tests start (pipelines, clean
    environments, the command line), as TensorFlow does by default. The setting counts
    if it is made before TensorFlow has run anything.
    """
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def pytest_collection_finish(session):
    """Keeps the collector from looking through a million objects of modules again."""
    gc.freeze()


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished `python -m pipelines.run_local`."""

    runs: str
    output: str
    executions: dict[str, str]
    results: object

    @property
    def connection(self):
        return _connection(self.runs)


def run_local(*args: str) -> tuple[int, str, str]:
    """Runs the command line; returns (exit code, standard output, standard error)."""
    done = processes.fork_server().run("-m", "pipelines.run_local", *args)
    return done.returncode, done.stdout, done.stderr


def successful_run(runs: str, *args: str) -> Run:
    """Runs the pipeline and reads what it made."""
    from pipelines import results

    code, output, errors = run_local("--runs", runs, *args)
    assert code == 0, output + errors
    connection = _connection(runs)
    return Run(
        runs=runs,
        output=output,
        executions=results.executions(connection, "tfx-resampling"),
        results=results.read(connection, "tfx-resampling"),
    )


def _connection(runs: str):
    from tfx import v1 as tfx

    return tfx.orchestration.metadata.sqlite_metadata_connection_config(
        os.path.join(runs, "metadata.sqlite")
    )


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory) -> str:
    """A small build of the demo data."""
    from pipelines import demo_data

    directory = str(tmp_path_factory.mktemp("demo"))
    demo_data.build(directory, num_train=NUM_TRAIN, num_eval=NUM_EVAL)
    return directory


@pytest.fixture(scope="session")
def one_epoch(demo_data):
    """What one epoch of the plan emits, computed without any TFX.

    Returns the plan, the counts per label, and the number of batches.
    """
    import numpy as np
    import tfx_resampling as tr

    pattern = os.path.join(demo_data, "train", "*")
    config = tr.PlannerConfig("labels", target="sqrt", seed=3)
    plan = tr.make_plan(tr.count_labels(pattern, "labels"), config)
    batches = tr.input_fn(
        pattern,
        plan,
        batch_size=BATCH_SIZE,
        image=None,
        options=tr.InputOptions(epochs=1),
    )
    ys = [y for _, y in batches.as_numpy_iterator()]
    return plan, np.concatenate(ys).sum(axis=0).astype(np.int64), len(ys)


@pytest.fixture(scope="session")
def arguments(demo_data, one_epoch):
    """The command line of the shared run: it trains for exactly one epoch."""
    return [
        *("--data", demo_data, "--seed", "3", "--target", "sqrt"),
        *("--batch-size", str(BATCH_SIZE), "--train-steps", str(one_epoch[2])),
    ]


@pytest.fixture(scope="session")
def run(tmp_path_factory, arguments) -> Run:
    """The first run, in which everything is executed."""
    return successful_run(str(tmp_path_factory.mktemp("runs")), *arguments)
