"""The same bytes on every runner, and workers that have as much to do each."""

import contextlib
import functools
import os
import pathlib
import re
from collections import Counter

import apache_beam as beam
import pytest
from apache_beam.options import pipeline_options
from apache_beam.runners.dask.dask_runner import DaskRunner
from dask import distributed
from tfx_resampling.beam import CountLabelSets, ReadResampled, ResampleOptions
from tfx_resampling.beam.write import write_resampled
from tfx_resampling.scan import count

from tests import plans, tfrecords
from tests.beam.test_write import contents

pytestmark = pytest.mark.long

# A head label that has 99.9 % of the records.
PLAN = plans.make("ab", [0.25, 40.0], seed=2)
RECORDS = tfrecords.labeled(["a" * (i % 1000 > 0) or "b" for i in range(16_000)])
NUM_FILES = 8

_PROCESSES = [
    *("--runner=DirectRunner", "--direct_running_mode=multi_processing"),
    "--direct_num_workers=2",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tfrecords.spread(tmp_path_factory.mktemp("files"), RECORDS, NUM_FILES)


@pytest.fixture(scope="module")
def expected(files, tmp_path_factory):
    """Contents of what the direct runner writes, by mode."""
    return functools.cache(
        lambda mode: contents_of(
            files, tmp_path_factory.mktemp(mode), mode, beam.Pipeline
        )
    )


def contents_of(files, folder, mode, make_pipeline) -> dict:
    output_dir = str(folder / "out")
    options = ResampleOptions(mode=mode)
    write_resampled({output_dir: files}, PLAN, options, make_pipeline)
    return contents(output_dir)


@pytest.mark.nightly
def test_two_processes_share_a_head_label(files, tmp_path):
    def by_process(record):
        return os.getpid(), 1

    output = str(tmp_path / "counts")
    with beam.Pipeline(argv=_PROCESSES) as pipeline:
        _ = (
            pipeline
            | beam.Create(files)
            | ReadResampled(PLAN.natural())
            | beam.Map(by_process)
            | beam.CombinePerKey(sum)
            | beam.Map(lambda counted: f"{counted[0]} {counted[1]}")
            | beam.io.WriteToText(output, shard_name_template="")
        )
    counts = [int(line.split()[1]) for line in open(output)]
    assert sum(counts) == len(RECORDS)
    assert len(counts) == 2
    # Files are dealt out in turn.
    assert counts == [len(RECORDS) // 2] * 2


@pytest.mark.nightly
@pytest.mark.parametrize("mode", ["stratify", "materialize"])
def test_two_processes_write_the_same_bytes(files, tmp_path, expected, mode):
    found = contents_of(files, tmp_path, mode, lambda: beam.Pipeline(argv=_PROCESSES))
    assert found == expected(mode)


@pytest.mark.nightly
def test_an_error_in_a_worker_is_said_in_its_words(files, tmp_path):
    bad = tmp_path / "bad.tfrecord"
    with open(files[0], "rb") as file:
        bad.write_bytes(file.read()[:5_000])
    (tmp_path / "to").mkdir()
    with pytest.raises(ValueError) as raised:
        contents_of(
            [*files, str(bad)],
            tmp_path / "to",
            "materialize",
            lambda: beam.Pipeline(argv=_PROCESSES),
        )
    assert str(raised.value).startswith(f"corrupt or truncated TFRecord file {bad}: ")
    assert "\n" not in str(raised.value)
    assert os.listdir(tmp_path / "to") == []


@pytest.mark.nightly
class TestDask:
    """Beam's Dask runner on a cluster of two processes."""

    @pytest.fixture(scope="class")
    def make_pipeline(self):
        with contextlib.ExitStack() as stack:
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=2,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address=None,
                )
            )
            address = f"--dask_client_address={cluster.scheduler_address}"
            # Not by --runner, which this runner hands on to Dask.
            yield lambda: beam.Pipeline(runner=DaskRunner(), argv=[address])
            with contextlib.suppress(ValueError):  # There is no client left.
                while True:
                    distributed.default_client().close()

    @pytest.mark.parametrize("mode", ["materialize", "stratify"])
    def test_the_same_bytes(self, files, tmp_path, expected, make_pipeline, mode):
        assert contents_of(files, tmp_path, mode, make_pipeline) == expected(mode)

    def test_label_sets(self, files, tmp_path, make_pipeline):
        pipeline = make_pipeline()
        path = tmp_path / "counted"

        def write(counted):
            path.write_text(repr(dict(counted.records)))
            return counted

        spec = count.CountSpec("label", "bytes")
        _ = pipeline | beam.Create(files) | CountLabelSets(spec) | beam.Map(write)
        pipeline.run().wait_until_finish()
        truth = Counter(tuple([label]) for label in [b"a"] * 15_984 + [b"b"] * 16)
        assert eval(path.read_text()) == {(k, ()): n for k, n in truth.items()}

    def test_an_error(self, tmp_path, make_pipeline):
        bad = tfrecords.write(tmp_path / "bad.tfrecord", [b"no example"])
        with pytest.raises(ValueError, match="record 0 of .*bad.* cannot be parsed"):
            contents_of([bad], tmp_path, "materialize", make_pipeline)
        assert os.listdir(tmp_path) == ["bad.tfrecord"]


def test_the_arguments_on_the_page_are_known_to_beam(caplog):
    page = pathlib.Path(__file__).parents[2] / "docs" / "offline.md"
    rows = re.findall(r"^\| (\w[\w ]*) \| .*--.*$", page.read_text(), re.M)
    assert rows == ["this machine", "Dataflow", "Flink", "Spark", "Dask"]
    for row in re.findall(r"^\| .*--\w.*\|$", page.read_text(), re.M):
        flags = re.findall(r"--[a-z_]+=[^\s`\"]+", row)
        assert flags, row
        caplog.clear()
        options = pipeline_options.PipelineOptions(flags).get_all_options()
        assert "Discarding" not in caplog.text, caplog.text
        for flag in flags:
            name = flag[2:].partition("=")[0]
            kept = {"extra_package": "extra_packages", "dask_client_address": "address"}
            assert options[kept.get(name, name)], flag
