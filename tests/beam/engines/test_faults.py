"""Killed task managers and Python workers, by memory too: whole directories or none."""

import concurrent.futures
import functools
import glob
import os
import signal
import time

import apache_beam as beam
import pytest
import tfx_resampling as tr
from tfx_resampling.beam.write import write_resampled

from tests import tfrecords
from tests.beam.engines import memory
from tests.beam.engines.flink import RESTARTING
from tests.beam.test_runners import PLAN
from tests.beam.test_write import contents

pytestmark = pytest.mark.nightly

_FILES = 24
_RECORDS = 20_000
_SECONDS = 400
_MODES = ("materialize", "stratify")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files that take seconds to sort; all of the same records."""
    folder = tmp_path_factory.mktemp("files")
    records = tfrecords.labeled(["a" * (i % 1000 > 0) or "b" for i in range(_RECORDS)])
    first = tfrecords.write(folder / "part-00.tfrecord", records)
    names = [str(folder / f"part-{number:02}.tfrecord") for number in range(_FILES)]
    for name in names[1:]:
        os.link(first, name)
    return names


@pytest.fixture(scope="module")
def expected(files, tmp_path_factory):
    """Contents of what one process writes, by mode."""
    folder = tmp_path_factory.mktemp("expected")
    for mode in _MODES:
        write(files, folder / mode, mode, beam.Pipeline)
    return {mode: contents(folder / mode) for mode in _MODES}


def write(files, output_dir, mode, make_pipeline):
    options = tr.ResampleOptions(mode=mode)
    write_resampled({str(output_dir): files}, PLAN, options, make_pipeline)


def kill_task_manager(flink):
    flink.workers[1].kill("task-manager")


def kill_worker(flink):
    """Kills a Python process, as someone does that takes it for another."""
    for pid in flink.python_workers(0):
        os.kill(pid, signal.SIGKILL)


def use_up_memory(group, flink):
    """Leaves a Python process 1 MiB, so that the kernel ends it."""
    group.take(flink.python_workers(0))


@pytest.fixture
def start(files, flink, tmp_path):
    """Writes in a thread, kills in the middle; returns the future of the thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        def run(mode, kill):
            argv = flink.arguments()
            output = tmp_path / "out"
            future = pool.submit(
                write, files, output, mode, lambda: beam.Pipeline(argv=argv)
            )
            end = time.monotonic() + _SECONDS
            while len(glob.glob(f"{output}.partial-*/run-*.index")) < 2:
                assert not future.done(), future.result()
                assert time.monotonic() < end
                time.sleep(0.01)
            kill(flink)
            return future

        yield run


@pytest.fixture
def trying_again(flink):
    """A cluster that tries jobs again, as the page says."""
    flink.restart_job_manager(**RESTARTING)
    yield
    flink.restart_job_manager()


def test_a_job_that_is_tried_again(
    flink, trying_again, files, expected, start, tmp_path
):
    start("stratify", kill_task_manager).result(_SECONDS)
    assert contents(tmp_path / "out") == expected["stratify"]
    assert sorted(os.listdir(tmp_path)) == ["out", "out.manifest.json"]
    (job,) = flink.ask("jobs/overview")["jobs"]
    assert flink.ask(f"jobs/{job['jid']}")["timestamps"]["RESTARTING"]
    flink.start_task_manager(1)
    flink.wait_for_task_managers()


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("kill", [kill_task_manager, kill_worker])
def test_a_second_run_after_a_kill(flink, files, expected, start, tmp_path, mode, kill):
    """Flink tries no batch job again, unless its configuration says so."""
    assert_fails(start(mode, kill), tmp_path)
    if not flink.workers[1].has("task-manager"):
        flink.wait_for_task_managers(1)
        flink.start_task_manager(1)
        flink.wait_for_task_managers()
    assert_written(flink, files, expected, tmp_path, mode)


@pytest.mark.parametrize("mode", _MODES)
def test_a_second_run_without_memory(flink, files, expected, start, tmp_path, mode):
    with memory.group(f"tfx-resampling-{os.getpid()}") as group:
        if group is None:
            pytest.skip("this process can make no control group for memory")
        use_up = functools.partial(use_up_memory, group)
        assert_fails(start(mode, use_up), tmp_path)
        assert group.killed > 0
    assert_written(flink, files, expected, tmp_path, mode)


def assert_fails(future, folder):
    """By one line, and leaves nothing that is taken for whole."""
    with pytest.raises(RuntimeError, match="the Beam job failed, and nothing") as error:
        future.result(_SECONDS)
    assert "\n" not in str(error.value)
    assert not (folder / "out").exists()
    assert not (folder / "out.manifest.json").exists()


def assert_written(flink, files, expected, folder, mode):
    """The same bytes as by one process, and nothing beside them."""
    argv = flink.arguments()
    write(files, folder / "out", mode, lambda: beam.Pipeline(argv=argv))
    assert contents(folder / "out") == expected[mode]
    assert sorted(os.listdir(folder)) == ["out", "out.manifest.json"]
