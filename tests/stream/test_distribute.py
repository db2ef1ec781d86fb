"""MultiWorkerMirroredStrategy with two processes of this machine."""

import contextlib
import json
from collections import Counter

import pytest
from tfx_resampling.options import InputOptions
from tfx_resampling.stream.input_fn import input_fn

from tests import plans, processes, tfrecords

pytestmark = pytest.mark.long

PLAN = plans.make("abc", [0.4, 1.5, 2.2], seed=6, unlabeled_factor=0.5)
OPTIONS = dict(epochs=2)

WORKER = """
import json, sys
import tensorflow as tf
import tfx_resampling as tr
from tests.stream.test_distribute import OPTIONS, PLAN

strategy = tf.distribute.MultiWorkerMirroredStrategy()

def make(context):
    return tr.input_fn(
        json.loads(sys.argv[1]), PLAN, image=None,
        batch_size=context.get_per_replica_batch_size(64), input_context=context,
        options=tr.InputOptions(**OPTIONS))

@tf.function
def step(y):
    def train(y):
        count = tf.shape(y)[0]
        return tf.distribute.get_replica_context().all_reduce("sum", count)
    return strategy.run(train, args=(y,))

seeds, total = [], 0
for x, y in strategy.distribute_datasets_from_function(make):
    for own in strategy.experimental_local_results(x["seed"]):
        seeds += own.numpy().tolist()
    total += int(strategy.experimental_local_results(step(y))[0])
print("done", json.dumps([seeds, total]))
"""


@pytest.mark.parametrize("num_files", [pytest.param(1, marks=pytest.mark.nightly), 5])
def test_two_workers_train_on_what_one_would(tmp_path, num_files):
    records = tfrecords.labeled(["", "a", "b", "c", "ab", "bc", "abc"] * 100)
    files = tfrecords.spread(tmp_path, records, num_files)
    expected = input_fn(
        files, PLAN, batch_size=64, image=None, options=InputOptions(**OPTIONS)
    )
    expected = Counter(
        tuple(seed) for x, _ in tfrecords.read(expected) for seed in x["seed"].tolist()
    )
    workers = [f"localhost:{processes.free_port()}" for _ in range(2)]
    with contextlib.ExitStack() as stack:
        started = []
        for index in range(2):
            config = {
                "cluster": {"worker": workers},
                "task": {"type": "worker", "index": index},
            }
            log = tmp_path / f"worker-{index}.log"
            arguments = (WORKER, json.dumps(files))
            environment = dict(TF_CONFIG=json.dumps(config))
            process = processes.running(log, *arguments, **environment)
            started.append((log, stack.enter_context(process)))
        outputs = [processes.wait_until_done(*one) for one in started]
    found, parts = Counter(), []
    for output in outputs:
        seeds, total = processes.answer(output, "done")
        # Every step was of both workers together, also where one had run out.
        assert total == expected.total()
        found.update(map(tuple, seeds))
        parts.append(len(seeds))
    assert found == expected
    assert min(parts) > expected.total() / 3
