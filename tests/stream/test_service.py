"""tf.data service: a dispatcher and two workers, processes of their own."""

import contextlib
import os
import signal
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

DISPATCHER = """
import sys
import tensorflow as tf
service = tf.data.experimental.service
server = service.DispatchServer(service.DispatcherConfig(port=int(sys.argv[1])))
print("now serving", flush=True)
server.join()
"""
WORKER = """
import sys
import tensorflow as tf
service = tf.data.experimental.service
dispatcher, port = sys.argv[1:]
server = service.WorkerServer(
    service.WorkerConfig(
        dispatcher_address=dispatcher,
        worker_address=f"localhost:{port}",
        port=int(port),
    )
)
print("now serving", flush=True)
server.join()
"""


class Service:
    """A dispatcher, to which workers are added."""

    def __init__(self, folder, stack):
        self._folder, self._stack = folder, stack
        port = processes.free_port()
        self._dispatcher = f"localhost:{port}"
        self.address = f"grpc://{self._dispatcher}"
        self._run("dispatcher", DISPATCHER, port)

    def start_worker(self, name, port):
        """Returns the process of a worker that is ready."""
        return self._run(name, WORKER, self._dispatcher, port)

    def _run(self, name, code, *arguments):
        log = self._folder / f"{name}.log"
        process = self._stack.enter_context(
            processes.running(log, code, *map(str, arguments))
        )
        processes.wait_for(log, "now serving", process)
        return process


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        started = Service(tmp_path_factory.mktemp("service"), stack)
        for number in range(2):
            started.start_worker(f"worker-{number}", processes.free_port())
        yield started.address


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    records = [
        tfrecords.example(
            {
                "image/id": i,
                "image/encoded": tf.io.encode_png(
                    np.full([4, 4, 3], i % 250, np.uint8)
                ).numpy(),
                "label": [letter.encode() for letter in letters],
            }
        )
        for i, letters in enumerate(["", "a", "b", "c", "ab", "bc", "abc"] * 100)
    ]
    return tfrecords.spread(tmp_path_factory.mktemp("files"), records, files=6)


def samples(files, image=None, **options) -> Counter:
    """Returns how often each (id, seed) came."""
    dataset = input_fn(
        files,
        PLAN,
        batch_size=32,
        image=image,
        keep=("image/id",),
        options=InputOptions(**{"epochs": 1, **options}),
    )
    return Counter(
        (number, *seed)
        for x, _ in tfrecords.read(dataset)
        for number, seed in zip(x["image/id"].tolist(), x["seed"].tolist())
    )


@pytest.mark.parametrize(
    "epochs, start_epoch", [pytest.param(1, 0, marks=pytest.mark.nightly), (3, 2)]
)
def test_the_service_sends_every_sample_of_every_epoch_once(
    service, files, epochs, start_epoch
):
    epochs = dict(epochs=epochs, start_epoch=start_epoch)
    # Seeds tell the epochs apart.
    assert samples(files, service=service, **epochs) == samples(files, **epochs)


@pytest.mark.nightly
def test_images_are_decoded_and_augmented_by_the_workers(service, files):
    image = ImageOptions(augment=Augmentation(shift=0.2, brightness=0.3))

    def pixels(**options):
        dataset = input_fn(
            files,
            PLAN,
            batch_size=32,
            image=image,
            keep=("image/id",),
            options=InputOptions(epochs=1, **options),
        )
        return {
            tuple(seed): one
            for x, _ in tfrecords.read(dataset)
            for seed, one in zip(x["seed"].tolist(), x["image"])
        }

    sent, here = pixels(service=service), pixels()
    assert sent.keys() == here.keys()
    assert all(np.array_equal(sent[seed], here[seed]) for seed in here)


@pytest.mark.nightly
def test_consumers_of_one_job_share_its_samples(service, files):
    def stream():
        return iter(
            input_fn(
                files,
                PLAN,
                batch_size=32,
                image=None,
                options=InputOptions(epochs=1, service=service, service_job="shared"),
            )
        )

    streams, found = [stream(), stream()], []
    while streams:
        for one in list(streams):
            batch = next(one, None)
            if batch is None:
                streams.remove(one)
            else:
                found += map(tuple, batch[0]["seed"].numpy().tolist())
    assert Counter(found) == Counter(key[1:] for key in samples(files).elements())


def test_an_address_without_a_dispatcher_is_refused_at_once(files):
    address = f"grpc://localhost:{processes.free_port()}"
    with pytest.raises(ValueError, match="dispatcher that runs, got .*grpc.*refused"):
        samples(files, service=address)


def test_several_workers_need_a_job_to_share(files, service):
    with pytest.raises(ValueError, match="service_job must be given"):
        input_fn(
            files,
            PLAN,
            batch_size=32,
            options=InputOptions(service=service),
            input_context=tf.distribute.InputContext(2, 0, 1),
        )


@pytest.mark.nightly
def test_an_error_of_a_worker_reaches_the_consumer(service, tmp_path):
    records = [*tfrecords.labeled("ab" * 20), tfrecords.labeled(["zebra"])[0]]
    name = tfrecords.write(tmp_path / "unknown.tfrecord", records)
    with pytest.raises(tf.errors.InvalidArgumentError, match="unknown.tfrecord.*label"):
        samples([name], service=service)


@pytest.mark.nightly
def test_samples_of_a_killed_worker_are_lost_and_none_comes_twice(files, tmp_path):
    expected = samples(files, epochs=3)
    ports = [processes.free_port() for _ in range(2)]
    with contextlib.ExitStack() as stack:
        service = Service(tmp_path, stack)
        workers = [service.start_worker(f"worker-{i}", p) for i, p in enumerate(ports)]
        dataset = input_fn(
            files,
            PLAN,
            batch_size=32,
            image=None,
            keep=("image/id",),
            options=InputOptions(
                epochs=3,
                service=service.address,
                cycle_length=1,
                shuffle_records=64,
            ),
        )
        found = Counter()
        for step, (x, _) in enumerate(dataset):
            if step == 2:
                os.kill(workers[0].pid, signal.SIGKILL)
            if step == 4:  # The stream goes on; its end needs the worker back.
                service.start_worker("worker-0-again", ports[0])
            ids, seeds = x["image/id"].numpy().tolist(), x["seed"].numpy().tolist()
            found.update((i, *seed) for i, seed in zip(ids, seeds))
    assert not found - expected
    assert found.total() > expected.total() / 4
