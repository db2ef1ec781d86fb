"""What is run on every engine."""

import ast
import pathlib

import apache_beam as beam
from tfx_resampling.beam import CountLabelSets
from tfx_resampling.options import InputOptions
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.scan import count

from tests.beam import counters
from tests.beam.test_runners import RECORDS


def assert_label_sets_are_counted(
    pipeline: beam.Pipeline, files: list[str], path: pathlib.Path
) -> None:
    """Runs `CountLabelSets` on files of `RECORDS`: its counts, and its counters.

    Args:
      pipeline: an empty one of the engine.
      files: the files.
      path: where a worker writes what was counted.
    """

    def write(counted):
        path.write_text(repr(dict(counted.records)))

    spec = count.CountSpec("label", "bytes")
    _ = pipeline | beam.Create(files) | CountLabelSets(spec) | beam.Map(write)
    result = pipeline.run()
    result.wait_until_finish()
    truth = count.count_files(RecordFiles(tuple(files)), spec, InputOptions())
    assert ast.literal_eval(path.read_text()) == truth.records
    assert counters.of(result) == {"records": len(RECORDS), "files": len(files)}
