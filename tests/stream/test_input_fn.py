"""The whole input pipeline: what a batch holds, and what is refused."""

import dataclasses
import os
import re

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling import errors
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.fitting.planning import make_plan
from tfx_resampling.images.augmentation import Augmentation
from tfx_resampling.monitoring.monitor import InputMonitor
from tfx_resampling.options import ImageOptions, InputOptions
from tfx_resampling.scan.count import count_labels
from tfx_resampling.stream.input_fn import _in_words, input_fn

from tests import plans, tfrecords
from tests.images import image_files
from tests.records.test_one_device import called_by_name
from tests.records.test_one_device import functions as of_one_device

pytestmark = pytest.mark.long

NAMES = ["c", "a", "b"]  # Not sorted: columns are in the order of the plan.
PLAN = plans.make(NAMES, [1, 1, 1])
ORDERED = dict(epochs=1, shuffle_records=0, deterministic=True)
LABELS = ["a", "ab", "", "c", "cab", "b", "ac"]


def image_record(number: int, letters: str) -> bytes:
    """Returns a record whose image is of one grey, 10 x `number`; JPEG if odd."""
    pixels = np.full([6 + number % 3, 8, 3], 10 * number, np.uint8)
    encoded = (tf.io.encode_jpeg if number % 2 else tf.io.encode_png)(pixels)
    return tfrecords.example(
        {
            "image/id": number,
            "image/encoded": encoded.numpy(),
            "name": f"number {number}".encode(),
            "score": number / 2,
            "label": [letter.encode() for letter in letters],
        }
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    records = [image_record(i, letters) for i, letters in enumerate(LABELS * 3)]
    folder = tmp_path_factory.mktemp("images")
    return tfrecords.write(folder / "images.tfrecord", records)


def hot_of(letters: str) -> list:
    return [float(name in letters) for name in NAMES]


@pytest.mark.fast
def test_a_batch_has_images_labels_seeds_and_kept_features(images):
    dataset = input_fn(
        images,
        PLAN,
        batch_size=8,
        image=ImageOptions(size=(4, 5)),
        keep=("image/id", "name", "score"),
        options=InputOptions(**ORDERED),
    )
    batches = tfrecords.read(dataset)
    assert [len(y) for _, y in batches] == [8, 8, 5]
    x = {k: np.concatenate([x[k] for x, _ in batches]) for k in batches[0][0]}
    y = np.concatenate([y for _, y in batches])
    assert set(x) == {"image", "seed", "image/id", "name", "score"}
    assert x["image"].shape == (21, 4, 5, 3) and x["image"].dtype == np.float32
    assert x["seed"].shape == (21, 2) and x["seed"].dtype == np.int64
    assert y.shape == (21, 3) and y.dtype == np.float32
    assert len(set(map(tuple, x["seed"].tolist()))) == 21
    assert x["image/id"].tolist() == list(range(21))
    assert x["name"].tolist() == [f"number {i}".encode() for i in range(21)]
    assert x["score"].tolist() == [i / 2 for i in range(21)]
    # Each image is with its own labels.
    assert y.tolist() == [hot_of(letters) for letters in LABELS * 3]
    assert x["image"].min() >= 0 and x["image"].max() <= 1
    grey = x["image"].mean(axis=(1, 2, 3)) * 255
    assert grey == pytest.approx(10 * np.arange(21), abs=2)


@pytest.mark.parametrize(
    "options",
    [
        {"image": ImageOptions(size=(4, 5), augment=Augmentation(flip=True))},
        *(
            pytest.param(more, marks=pytest.mark.nightly)
            for more in (
                {"parse": {"score": tf.io.FixedLenFeature([], tf.float32)}},
                {"image": None, "options": InputOptions(on_corrupt="skip")},
            )
        ),
    ],
    ids=["image", "parse", "skip"],
)
def test_no_function_is_made_ready_for_several_devices(images, options):
    """It takes most of the time until the first batch, at each start of an iterator."""
    dataset = input_fn(images, PLAN, batch_size=8, **options)
    found = of_one_device(dataset)
    assert len(found) > 10 and all(found)
    assert called_by_name(dataset) == []


def test_models_get_pixels_and_labels_and_batches_of_a_known_size(images):
    dataset = input_fn(
        images,
        PLAN,
        batch_size=8,
        image=ImageOptions(size=(4, 5), channels=1, scale=None),
        drop_remainder=True,
        options=InputOptions(**ORDERED),
    )
    assert dataset.element_spec == (
        tf.TensorSpec([8, 4, 5, 1], tf.uint8),
        tf.TensorSpec([8, 3], tf.float32),
    )
    batches = tfrecords.read(dataset)
    assert [x.shape for x, _ in batches] == [(8, 4, 5, 1)] * 2
    assert batches[1][0][0, 0, 0, 0] == 80 and batches[1][0].dtype == np.uint8


def test_without_images_records_are_handed_on_and_epochs_go_on(images):
    options = InputOptions(**{**ORDERED, "epochs": None})
    dataset = input_fn(images, PLAN, batch_size=8, image=None, options=options)
    batches = tfrecords.read(dataset.take(7))
    # A batch has samples of one epoch.
    assert [len(y) for _, y in batches] == [8, 8, 5, 8, 8, 5, 8]
    x, y = batches[0]
    assert set(x) == {"record", "seed"}
    assert x["seed"].shape == (8, 2) and y.shape == (8, 3)
    assert x["record"][4] == image_record(4, "cab") and y[4].tolist() == [1, 1, 1]


@pytest.mark.nightly
def test_remainders_can_be_dropped_without_images_too(images):
    options = InputOptions(epochs=1)
    dataset = input_fn(
        images, PLAN, batch_size=8, image=None, drop_remainder=True, options=options
    )
    assert [len(y) for _, y in tfrecords.read(dataset)] == [8, 8]


def augmented(images, plan_seed=0, scale=1 / 255, **options):
    """Returns {(id, seed): pixels} of two copies of every record."""
    augment = Augmentation(shift=0.2, flip=True, brightness=0.2, contrast=0.2)
    dataset = input_fn(
        images,
        plans.make(NAMES, [1, 1, 1], min_factor=2, unlabeled_factor=2, seed=plan_seed),
        batch_size=8,
        image=ImageOptions(size=(12, 12), augment=augment, scale=scale),
        keep=("image/id",),
        options=InputOptions(epochs=1, **options),
    )
    return {
        (number, *seed): pixels
        for x, _ in tfrecords.read(dataset)
        for number, seed, pixels in zip(
            x["image/id"].tolist(), x["seed"].tolist(), x["image"]
        )
    }


def test_copies_are_augmented_differently_and_alike_on_a_second_run(images):
    first = augmented(images)
    again = augmented(images, num_parallel_calls=2, chunk_size=3, deterministic=True)
    assert len(first) == 42
    assert first.keys() == again.keys()
    for sample, pixels in first.items():
        assert np.array_equal(pixels, again[sample])
    for number in range(1, 21):  # Not 0: what is black gets no darker.
        one, other = (p for key, p in first.items() if key[0] == number)
        assert not np.array_equal(one, other)
        assert one.dtype == np.float32 and one.shape == (12, 12, 3)


@pytest.mark.nightly
def test_augmentation_knows_the_largest_value_by_the_scale(images):
    first, doubled = augmented(images), augmented(images, scale=2 / 255)
    for sample, pixels in first.items():
        np.testing.assert_allclose(doubled[sample], 2 * pixels, atol=1e-5)


GARBAGE = b"no image at all"


def with_bad_images(folder, bad):
    """Writes 40 records, the ones numbered in `bad` with an image that is none."""
    records = []
    for i in range(40):
        encoded = tf.io.encode_png(np.full([4, 4, 3], i, np.uint8)).numpy()
        content = GARBAGE if i in bad else encoded
        features = {"image/id": i, "image/encoded": content, "label": b"a"}
        records.append(tfrecords.example(features))
    return tfrecords.write(folder / "images.tfrecord", records)


@pytest.mark.parametrize(
    "augment", [pytest.param(None, marks=pytest.mark.nightly), Augmentation(shift=0.1)]
)
def test_an_image_that_does_not_decode_is_an_error_that_names_it(tmp_path, augment):
    name = with_bad_images(tmp_path, {23})
    dataset = input_fn(
        name,
        PLAN,
        batch_size=8,
        image=ImageOptions(augment=augment),
        options=InputOptions(epochs=1),
    )
    message = (
        "image/encoded of record 23 of .*images.tfrecord does not decode: it is "
        "neither JPEG.*on_corrupt to skip"
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tfrecords.read(dataset)


@pytest.mark.parametrize(
    "bad",
    [
        {0, 1, 2, 39},
        *(
            pytest.param(bad, marks=pytest.mark.nightly)
            for bad in (set(range(40)), {23}, set(range(8, 32)))
        ),
    ],
)
def test_images_that_do_not_decode_can_be_skipped(tmp_path, bad, capfd):
    name = with_bad_images(tmp_path, bad)
    monitor = InputMonitor(PLAN)
    dataset = input_fn(
        name,
        PLAN,
        batch_size=8,
        image=ImageOptions(scale=None),
        keep=("image/id",),
        options=InputOptions(**ORDERED, on_corrupt="skip"),
        monitor=monitor,
    )
    batches = tfrecords.read(dataset)
    left = [i for i in range(40) if i not in bad]
    assert [n for x, _ in batches for n in x["image/id"].tolist()] == left
    assert [n for x, _ in batches for n in x["image"][:, 0, 0, 0].tolist()] == left
    sizes = [len(y) for _, y in batches]
    assert all(size == 8 for size in sizes[:-1])
    assert "does not decode" in capfd.readouterr().err
    monitor.end_epoch(0)
    if left:  # Counts come with samples.
        assert monitor.history[0].skipped_images >= min(len(bad), 1)


def test_skipping_passes_over_a_first_record_and_file_that_are_none(tmp_path):
    bad = b"\xff\xfe no example"
    (tmp_path / "0.tfrecord").write_bytes(b"id,label\n" * 30)
    tfrecords.write(tmp_path / "1.tfrecord", [bad, *tfrecords.labeled("aab")])
    pattern = str(tmp_path / "*.tfrecord")
    ids = tfrecords.emitted(pattern, PLAN.natural(), on_corrupt="skip")
    assert sorted(ids) == [0, 1, 2]
    options = InputOptions(on_corrupt="skip")
    assert count_labels(pattern, "label", options=options).counts == (2, 1)


def test_a_job_is_not_started_again_with_another_input(images, tmp_path):
    def begin(epoch, **changes):
        arguments = {"batch_size": 8, "plan": PLAN, **changes}
        monitor = InputMonitor(arguments["plan"], backup_dir=str(tmp_path))
        arguments.setdefault("image", ImageOptions(size=(4, 4)))
        dataset = input_fn(images, monitor=monitor, **arguments)
        monitor.begin_epoch(epoch, 2)
        return monitor, iter(dataset)

    monitor, batches = begin(0)
    for _ in range(2):
        next(batches)
    monitor.end_epoch(0)
    begin(1)
    augmented = ImageOptions(size=(4, 4), augment=Augmentation(flip=True))
    with pytest.raises(ValueError) as raised:
        begin(
            1,
            batch_size=4,
            plan=PLAN.scheduled("step:3"),
            options=InputOptions(shuffle_records=5),
            image=augmented,
        )
    for message in (
        "batch_size 8 is now 4",
        "plan .* is now",
        "shuffle_records=5",
        "flip=True",
    ):
        assert re.search(message, str(raised.value))


@pytest.mark.nightly
def test_conditions_of_an_augmentation_are_those_of_a_graph(images):
    def darkened(image, seed):
        if tf.reduce_mean(image) > 0.5:
            return image * 0.0
        return image

    options = ImageOptions(size=(4, 4), augment=darkened)
    dataset = input_fn(
        images, PLAN, batch_size=8, image=options, options=InputOptions(**ORDERED)
    )
    pixels = np.concatenate([x for x, _ in dataset])
    # Of images number 0 to 20, 10 x number is the grey of each.
    grey = np.arange(len(LABELS * 3)) * 10 / 255
    expected = np.where(grey > 0.5, 0.0, grey)
    assert pixels[:, 0, 0, 0] == pytest.approx(expected, abs=0.01)


def test_an_error_in_augmentation_is_not_taken_for_a_bad_image(tmp_path):
    def broken(image, seed):
        return tf.debugging.check_numerics(image / 0.0 * 0.0, "mine")

    dataset = input_fn(
        with_bad_images(tmp_path, {}),
        PLAN,
        batch_size=8,
        image=ImageOptions(augment=broken),
        options=InputOptions(epochs=1),
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="mine"):
        tfrecords.read(dataset)


def test_a_monitor_counts_what_the_input_read(tmp_path):
    records = tfrecords.labeled(["a"] * 30 + ["b"] * 60 + [""] * 10)
    records.insert(50, b"\xff\xfe no example")
    name = tfrecords.write(tmp_path / "x.tfrecord", records)
    plan = plans.make(NAMES, [1, 2, 0], unlabeled_factor=0.0)
    monitor = InputMonitor(plan)
    dataset = input_fn(
        name,
        plan,
        batch_size=8,
        image=None,
        options=InputOptions(epochs=2, on_corrupt="skip", chunk_size=16),
        monitor=monitor,
    )
    assert sum(len(y) for _, y in tfrecords.read(dataset)) == 2 * 60
    monitor.end_epoch(0)
    (done,) = monitor.history
    assert (done.scanned, done.dropped, done.emitted) == (2 * 100, 2 * 70, 2 * 60)
    assert done.skipped_records == 2 and done.data_epoch == 1
    assert done.label_counts.tolist() == [0, 2 * 60, 0]


def test_a_monitor_cannot_back_up_what_a_service_sends(images, tmp_path):
    with pytest.raises(ValueError, match="backup_dir"):
        input_fn(
            images,
            PLAN,
            batch_size=8,
            options=InputOptions(service="grpc://localhost:1"),
            monitor=InputMonitor(PLAN, backup_dir=str(tmp_path)),
        )


def test_the_label_feature_can_be_kept_too(tmp_path):
    name = tfrecords.write(tmp_path / "x", tfrecords.labeled("abc"))
    dataset = input_fn(
        name,
        PLAN,
        batch_size=3,
        image=None,
        keep=("label",),
        options=InputOptions(**ORDERED),
    )
    ((x, y),) = tfrecords.read(dataset)
    assert x["label"].tolist() == [b"a", b"b", b"c"]
    assert y.tolist() == [hot_of("a"), hot_of("b"), hot_of("c")]


@pytest.mark.parametrize(
    "skip, values",
    [
        (False, [7, 8]),
        (True, []),
        pytest.param(False, [], marks=pytest.mark.nightly),
        pytest.param(True, [7, 8], marks=pytest.mark.nightly),
    ],
)
def test_a_record_without_what_is_kept_is_named(tmp_path, values, skip):
    records = [
        tfrecords.example(
            {"image/id": i, "label": b"a", "size": (values or None) if i == 35 else 1}
        )
        for i in range(40)
    ]
    name = tfrecords.write(tmp_path / "x", records)
    dataset = input_fn(
        *(name, PLAN.natural()),
        batch_size=8,
        image=None,
        keep=("size",),
        options=InputOptions(**ORDERED, on_corrupt="skip" if skip else "error"),
    )
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        tfrecords.read(dataset)
    assert errors.reason(raised.value) == (
        f"record 35 of {name} has {len(values)} values of size, of which every record "
        "must have one. Leave it out of keep, or write the record again."
    )


@pytest.mark.nightly
def test_a_record_of_another_type_is_named(tmp_path):
    records = [tfrecords.example({"label": b"a", "size": 1})] * 40
    records[35] = tfrecords.example({"label": b"a", "size": b"large"})
    name = tfrecords.write(tmp_path / "x", records)
    dataset = input_fn(
        *(name, PLAN.natural()),
        batch_size=8,
        image=None,
        keep=("size",),
        options=InputOptions(**ORDERED),
    )
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        tfrecords.read(dataset)
    message = errors.reason(raised.value)
    assert message.startswith(f"Name: record 35 of {name}, Key: size, Index: 3.")
    assert message.endswith("Expected type: int64, Actual type: string")


@pytest.mark.nightly
def test_a_record_without_the_image_is_named(tmp_path):
    png = image_files.png(image_files.COLOURS)
    records = [
        tfrecords.example({"label": b"a", "image/encoded": png if i != 5 else None})
        for i in range(9)
    ]
    name = tfrecords.write(tmp_path / "x", records)
    dataset = input_fn(
        name, PLAN.natural(), batch_size=4, options=InputOptions(epochs=1)
    )
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        tfrecords.read(dataset)
    message = errors.reason(raised.value)
    assert message.startswith(f"record 5 of {name} has 0 values of image/encoded, of")


def test_an_image_of_another_size_is_named(tmp_path):
    pictures = [image_files.COLOURS] * 8
    pictures[6] = image_files.COLOURS[:2]
    records = [
        tfrecords.example({"label": b"a", "image/encoded": image_files.png(picture)})
        for picture in pictures
    ]
    name = tfrecords.write(tmp_path / "x", records)
    dataset = input_fn(
        *(name, PLAN.natural()),
        batch_size=4,
        options=InputOptions(**ORDERED),
    )
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        tfrecords.read(dataset)
    height, width, _ = image_files.COLOURS.shape
    assert errors.reason(raised.value) == (
        f"image/encoded of record 6 of {name} is 2 x {width} x 3, but others of its "
        f"batch are {height} x {width} x 3 (height x width x channels). Set size in "
        "ImageOptions, or batch_size to 1."
    )


@pytest.mark.nightly
def test_a_natural_plan_gives_every_record_of_plain_and_gzip_files_once(tmp_path):
    records = tfrecords.labeled(["a", "", "bc", "c"] * 10)
    tfrecords.write(tmp_path / "0.tfrecord", records[:15])
    tfrecords.write(tmp_path / "1.tfrecord.gz", records[15:], "GZIP")
    plan = plans.make(NAMES, [0, 3, 0.5], unlabeled_factor=0.0).natural()
    ids = tfrecords.emitted(str(tmp_path / "*.tfrecord*"), plan, epochs=2)
    assert sorted(ids[:40]) == sorted(ids[40:]) == list(range(40))


@pytest.mark.fast
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
        ({"batch_size": None}, "batch_size must be"),
        ({"batch_size": 2.0}, "batch_size must be .*got 2.0"),
        (
            {"image": ImageOptions(key="picture")},
            "'picture' is not a feature .*images.tfrecord.*'image/encoded', 'image/id'",
        ),
        ({"keep": "image/id"}, "keep must be a list of features, got 'image/id'"),
        ({"options": {"epochs": 1}}, "options must be InputOptions, got"),
        ({"image": {}}, "image must be ImageOptions or None"),
        ({"image": ImageOptions(key="label")}, "image.key must not be the label"),
        ({"monitor": InputMonitor(PLAN.natural())}, "monitor was made for another"),
        ({"keep": ("record", "seed")}, r"keep must not name \['record', 'seed'\]"),
        ({"keep": ("image/id", "nothing")}, "keep 'nothing' is not .*'image/encoded'"),
        (
            {"plan": dataclasses.replace(PLAN, key_features=("nothing",))},
            "key feature 'nothing' is not a feature .*'image/id'",
        ),
        (
            {"options": InputOptions(compression="GZIP")},
            "images.tfrecord' is no GZIP TFRecord",
        ),
        (
            {"plan": plans.make(["1"], [1], label_dtype="int64")},
            "'label' is int64 in the plan but bytes in .*images.tfrecord",
        ),
        (
            {"plan": plans.make(["1"], [1], label_key="score")},
            "'score' of .*images.tfrecord' has floats",
        ),
        ({"file_pattern": "/nowhere/*.tfrecord"}, "/nowhere/.* matches no file"),
        ({"file_pattern": []}, "file_pattern must name"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(images, arguments, message):
    arguments = {"plan": PLAN, "batch_size": 8, "image": None, **arguments}
    with pytest.raises(ValueError, match=message):
        input_fn(arguments.pop("file_pattern", images), **arguments)


@pytest.fixture
def three(tmp_path):
    """Three files of labels "abc" with 40 records each, and their names."""
    return [
        tfrecords.write(tmp_path / f"{i}.tfrecord", tfrecords.labeled("ab" * 20))
        for i in range(3)
    ]


def error_of(files, plan=PLAN, error=tf.errors.InvalidArgumentError, **options):
    """Returns the message of the error that reading one epoch raises."""
    options = InputOptions(**{"epochs": 1, "chunk_size": 16, **options})
    dataset = input_fn(files, plan, batch_size=8, image=None, options=options)
    with pytest.raises(error) as caught:
        tfrecords.read(dataset)
    return str(caught.value)


@pytest.mark.parametrize(
    "label",
    [b"zebra", pytest.param(b"\xff\xfe", marks=pytest.mark.nightly)],
    ids=["text", "not UTF-8"],
)
def test_an_unknown_label_names_file_feature_and_label(three, label):
    records = [*tfrecords.labeled("ab" * 20), tfrecords.example({"label": label})]
    tfrecords.write(three[1], records)
    message = error_of(three)
    assert "1.tfrecord" in message and "label feature" in message
    assert "unknown_labels" in message
    assert label != b"zebra" or "zebra" in message


@pytest.mark.nightly
def test_a_record_without_its_key_names_file_and_feature(three):
    tfrecords.write(
        three[2],
        [*tfrecords.labeled("ab" * 20), tfrecords.example({"label": b"a"})],
    )
    message = error_of(three, dataclasses.replace(PLAN, key_features=("image/id",)))
    assert "2.tfrecord" in message and "image/id" in message


def test_a_corrupt_file_is_named_and_ends_the_epoch(three):
    with open(three[1], "r+b") as file:
        file.seek(-30, os.SEEK_END)
        file.write(b"\xff")
    message = error_of(three)
    assert "1.tfrecord" in message and "record 39" in message


@pytest.mark.fast
def test_a_plan_that_emits_nothing_is_refused_and_not_searched_for_ever(images):
    nothing = plans.make(NAMES, [0, 0, 0], unlabeled_factor=0.0)
    with pytest.raises(ValueError, match="the plan emits nothing"):
        input_fn(images, nothing, batch_size=8)


@pytest.mark.fast
def test_no_plan_is_said_to_be_none(images):
    with pytest.raises(ValueError, match="plan must be a Plan, got None.*load_plan"):
        input_fn(images, None, batch_size=8)


class TestOtherRecords:
    """Records that are not such as the plan was made for."""

    @pytest.fixture(scope="class")
    def natural(self, tmp_path_factory):
        """Returns a folder, records of a, b and c, and a plan for as many of each."""
        folder = tmp_path_factory.mktemp("other")
        records = tfrecords.labeled(["a"] * 300 + ["b"] * 80 + ["c"] * 20)
        files = tfrecords.spread(folder, records, 4)
        plan = make_plan(
            count_labels(files, "label"), PlannerConfig("label", target="uniform")
        )
        return folder, records, plan

    @pytest.mark.nightly
    def test_epochs_of_the_plans_own_records_agree(self, natural):
        folder, records, plan = natural
        files = [str(folder / f"part-{i}.tfrecord") for i in range(4)]
        found = tfrecords.emitted(files, plan, epochs=3)
        assert len(found) == pytest.approx(3 * len(records), rel=0.05)

    def test_fewer_records_than_the_plans_are_told_once(self, natural, capfd):
        folder, records, plan = natural
        files = [str(folder / f"part-{i}.tfrecord") for i in range(3)]
        tfrecords.emitted(files, plan, epochs=2)
        said = f"of {len(records)} records, but there were 300 read in epoch 0: is a f"
        assert capfd.readouterr().err.count(said) == 1

    @pytest.mark.nightly
    def test_samples_are_an_error_at_the_end_of_the_epoch(self, natural):
        folder, records, plan = natural
        _, copies = tfrecords.decide(records, plan)
        again = [r for r, n in zip(records, copies.tolist()) for _ in range(n)]
        again = tfrecords.write(folder / "again", again)
        with pytest.raises(tf.errors.InvalidArgumentError, match="resampled already"):
            tfrecords.emitted(again, plan)
        assert len(tfrecords.emitted(again, plan.applied())) == copies.sum()

    def test_without_labels(self, natural):
        folder, records, plan = natural
        others = [tfrecords.example({"image/id": i, "label_xf": 1}) for i in range(60)]
        other = tfrecords.write(folder / "other", others)
        with pytest.raises(ValueError, match="'label' has no value.*'label_xf'"):
            tfrecords.emitted(other, plan)
        with pytest.raises(tf.errors.InvalidArgumentError, match="in 60 of 460 rec"):
            mixed = tfrecords.write(folder / "mixed", [*records, *others])
            tfrecords.emitted(mixed, plan)
        assert len(tfrecords.emitted(other, plan.natural())) == 60


@pytest.mark.fast
def test_a_backup_is_of_the_same_words_whatever_numpy_wrote_it():
    found = _in_words(ImageOptions(scale=np.float64(0.5)))
    assert found == _in_words(ImageOptions(scale=0.5))
