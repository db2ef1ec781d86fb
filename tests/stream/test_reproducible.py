"""The same samples again: in another process, after a restart, for several workers."""

import json
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.images.augmentation import Augmentation
from tfx_resampling.options import ImageOptions, InputOptions
from tfx_resampling.stream.input_fn import input_fn

from tests import plans, processes, tfrecords

pytestmark = pytest.mark.long

PLAN = plans.make("abc", [0.4, 1.5, 2.2], seed=6, unlabeled_factor=0.5)
RECORDS = tfrecords.labeled(["", "a", "b", "c", "ab", "bc", "abc"] * 100)


def batches(files, plan=PLAN, **options):
    return tfrecords.batches(files, plan, **options)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tfrecords.spread(tmp_path_factory.mktemp("files"), RECORDS, files=5)


@pytest.fixture(scope="module")
def expected(files):
    return tfrecords.samples(batches(files))


ANOTHER_PROCESS = """
import json, sys
from tests.stream.test_reproducible import batches
files, options = json.loads(sys.argv[1])
print("found", json.dumps(batches(files, **options)))
"""


def test_a_deterministic_sequence_is_the_same_in_another_process(files):
    options = dict(deterministic=True, shuffle_records=150, chunk_size=32)
    # Neither threads nor the hash seed of Python may matter.
    arguments = json.dumps([files, {**options, "num_parallel_calls": 5}])
    ran = subprocess.run(
        [sys.executable, "-c", ANOTHER_PROCESS, arguments],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = processes.answer(ran.stdout, "found")
    assert found == [list(batch) for batch in batches(files, **options)]


@pytest.mark.parametrize(
    "num_workers, num_files",
    [
        (2, 1),
        *(
            pytest.param(*numbers, marks=pytest.mark.nightly)
            for numbers in ((3, 1), (2, 2), (2, 5), (3, 2), (3, 5))
        ),
    ],
)
def test_workers_together_have_what_one_has(tmp_path, expected, num_files, num_workers):
    names = tfrecords.spread(tmp_path, RECORDS, num_files)
    found = [
        tfrecords.samples(
            batches(
                names,
                input_context=tf.distribute.InputContext(num_workers, index, 1),
                chunk_size=16,
            )
        )
        for index in range(num_workers)
    ]
    assert sum(found, Counter()) == expected
    # Nobody is left without work.
    assert min(part.total() for part in found) > expected.total() / num_workers / 2


@pytest.mark.nightly
def test_more_workers_than_records_are_no_error(tmp_path):
    name = tfrecords.write(tmp_path / "x", RECORDS[3:4])
    plan = plans.make("abc", [1, 1, 2])
    found = [
        batches(
            name, plan=plan, epochs=1, input_context=tf.distribute.InputContext(3, i, 1)
        )
        for i in range(3)
    ]
    assert [sum(len(ids) for ids, _ in part) for part in found] == [2, 0, 0]


def test_start_epoch_resumes_at_an_epoch(files):
    options = dict(deterministic=True, shuffle_records=150)
    whole = batches(files, epochs=4, **options)
    resumed = batches(files, epochs=2, start_epoch=2, **options)
    assert whole[-len(resumed) :] == resumed


@pytest.mark.parametrize(
    "taken",
    [11, *(pytest.param(n, marks=pytest.mark.nightly) for n in (0, 3, 20))],
)
def test_a_checkpoint_of_the_iterator_resumes_within_an_epoch(files, tmp_path, taken):
    def start():
        return iter(
            input_fn(
                files,
                PLAN,
                batch_size=64,
                image=None,
                options=InputOptions(epochs=2, deterministic=True, shuffle_records=150),
            )
        )

    iterator = start()
    for _ in range(taken):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "state"))
    rest = [x["seed"].numpy().tolist() for x, _ in iterator]
    restored = start()
    tf.train.Checkpoint(iterator=restored).read(path).assert_consumed()
    assert [x["seed"].numpy().tolist() for x, _ in restored] == rest
    assert rest


@pytest.mark.nightly
def test_pixels_are_the_same_after_a_checkpoint(tmp_path):
    records = [
        tfrecords.example(
            {
                "image/encoded": tf.io.encode_png(
                    np.random.default_rng(i).integers(0, 255, [6, 6, 3], np.uint8)
                ).numpy(),
                "label": b"c",
            }
        )
        for i in range(40)
    ]
    name = tfrecords.write(tmp_path / "images", records)

    def start():
        return iter(
            input_fn(
                name,
                PLAN,
                batch_size=8,
                image=ImageOptions(augment=Augmentation(shift=0.3, contrast=0.5)),
                options=InputOptions(epochs=2, deterministic=True),
            )
        )

    iterator = start()
    for _ in range(4):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "state"))
    rest = [x.numpy() for x, _ in iterator]
    restored = start()
    tf.train.Checkpoint(iterator=restored).read(path)
    again = [x.numpy() for x, _ in restored]
    assert len(rest) == len(again) > 10
    assert all(np.array_equal(one, other) for one, other in zip(rest, again))
