"""The same data imported again, by another process, gives the same samples."""

import subprocess
import sys

import pytest

from tests import plans, processes, tfrecords

# Before protobuf 4 the bytes are the same as well: `make test-next` runs it.
pytestmark = pytest.mark.nightly

PLAN = plans.make("abc", [0.3, 1.5, 2.2], seed=6)

# ImportExampleGen, without the rest of a pipeline. From protobuf 4 on each process
# writes the features of a record in an order of its own.
IMPORT = """
import sys
from tfx.components.example_gen.import_example_gen import executor
from tfx.proto import example_gen_pb2 as pb
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

source, target = sys.argv[1:]
examples = standard_artifacts.Examples()
examples.uri, examples.split_names = target, '["train"]'
splits = [pb.Input.Split(name="train", pattern="*")]
executor.Executor().Do({}, {"examples": [examples]}, {
    "input_base": source,
    "input_config": proto_utils.proto_to_json(pb.Input(splits=splits)),
    "output_config": proto_utils.proto_to_json(pb.Output()),
    "output_data_format": pb.FORMAT_TF_EXAMPLE,
    "output_file_format": pb.FORMAT_TFRECORDS_GZIP,
})
"""


def test_a_second_import_gives_the_same_samples(tmp_path):
    records = [
        tfrecords.example(
            {"image/id": i, "label": b"abc"[i % 3 : i % 3 + 1], "x": i / 8, "y": b"y"}
        )
        for i in range(300)
    ]
    source = tmp_path / "source"
    source.mkdir()
    tfrecords.spread(source, records, files=2)
    targets = [str(tmp_path / name) for name in ("first", "second")]
    # Processes forked by one server would write in the same order.
    first = processes.fork_server().run("-c", IMPORT, str(source), targets[0])
    second = subprocess.run(
        [sys.executable, "-c", IMPORT, str(source), targets[1]],
        capture_output=True,
        text=True,
    )
    for done in (first, second):
        assert done.returncode == 0, done.stderr[-3000:]
    found = []
    for folder in (str(source), *(f"{target}/Split-train" for target in targets)):
        found.append(tfrecords.samples(tfrecords.batches(f"{folder}/*", PLAN)))
    assert found[0].total() > 300
    assert found[0] == found[1] == found[2]
