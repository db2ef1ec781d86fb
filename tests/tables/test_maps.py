"""Functions to map over samples: classes, files, images and augmentation."""

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling import (
    Augmentation,
    DataGenerator,
    DataGeneratorMap,
    FileLoader,
    ImageAugmenter,
    ImageLoader,
    OneHotEncoder,
)
from tfx_resampling.tables.frame import SampleTable, as_frame

from tests.images import image_files

WRONG: Any = 7
IDS = [{"id": 1}, {"id": 2}]
RNG = np.random.default_rng(8)
IMAGE = tf.image.resize(RNG.random((4, 5, 3)), (12, 16), "bicubic").numpy().clip(0, 1)


def test_a_loader_that_nothing_would_call_is_refused():
    with pytest.raises(TypeError, match=r"Mine.load is never called. Override decode"):

        class Mine(FileLoader):
            def load(self, path, metadata=None):
                return path, {}


class SingleSample(DataGeneratorMap):
    """Is called with single samples, and changes nothing."""

    apply_unbatched = True

    def __call__(self, x):
        return x


@pytest.mark.parametrize(
    "values, expected",
    [
        (["a", "b", "z", None], [[1, 0], [0, 1], [0, 0], [0, 0]]),
        ([("a",), ("a", "b"), (), ("z", "b")], [[1, 0], [1, 1], [0, 0], [0, 1]]),
        ([("a", "a"), ("b", "a")], [[1, 0], [1, 1]]),
        ([["a", "b"], ["b", "b"]], [[1, 1], [0, 1]]),
    ],
    ids=str,
)
def test_one_hot_and_multi_hot(values, expected):
    table = SampleTable(as_frame([{"category": value} for value in values]))
    batch = OneHotEncoder(["a", "b"])(table.gather(tf.range(len(values))))
    assert batch["onehot"].dtype == tf.float32
    assert batch["onehot"].numpy().tolist() == expected
    assert batch["onehot"].shape[1:] == [2]


@pytest.mark.long
def test_multi_hot_in_the_midst_of_maps_of_single_samples():
    samples = [{"category": value} for value in (("a",), (), ("b", "a"))]
    maps = [SingleSample(), OneHotEncoder("ab"), SingleSample()]
    (batch,) = DataGenerator(samples).map(maps).get_dataset()
    assert batch["onehot"].numpy().tolist() == [[1, 0], [0, 0], [1, 1]]


def test_integer_classes_and_keys():
    encoder = OneHotEncoder([30, 10], input_key="digit", output_key="hot")
    samples = [{"digit": 10}, {"digit": 30}, {"digit": 20}]
    batch = encoder(SampleTable(as_frame(samples)).gather([0, 1, 2]))
    assert batch["hot"].numpy().tolist() == [[0, 1], [1, 0], [0, 0]]
    assert encoder.encode(tf.constant(30)).numpy().tolist() == [1, 0]


@pytest.mark.parametrize(
    "classes, message",
    [
        ([], "classes must be distinct, and at least one"),
        (["a", "a"], "classes must be distinct"),
        (["a", 1], "all text or all integers"),
        ([1.5], "all text or all integers"),
    ],
)
def test_bad_classes(classes, message):
    with pytest.raises(ValueError, match=message):
        OneHotEncoder(classes)


def test_classes_that_do_not_fit_the_samples():
    generator = DataGenerator(IDS).map(OneHotEncoder(["1"], "id"))
    with pytest.raises(ValueError, match="must have the type of 'id', int64, got"):
        generator.get_dataset()
    with pytest.raises(ValueError, match="input_key must be a key .*got 'category'"):
        DataGenerator(IDS).map(OneHotEncoder(["1"])).get_dataset()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b").write_bytes(b"")
    (tmp_path / "c.png").write_bytes(image_files.png(image_files.COLOURS))
    (tmp_path / "d.jpg").write_bytes(image_files.jpeg())
    (tmp_path / "bad.png").write_bytes(image_files.png(image_files.COLOURS)[:-40])
    (tmp_path / "webp").write_bytes(b"RIFF\0\0\0\0WEBP")
    return tmp_path


def load(folder, names, loader, **options):
    samples = [{"path": str(folder / name), "id": i} for i, name in enumerate(names)]
    return DataGenerator(samples, **options).map(loader).get_dataset()


def test_bytes_of_files(folder):
    (batch,) = load(folder, ["a", "b", "a"], FileLoader())
    assert batch["data"].numpy().tolist() == [b"first", b"", b"first"]


def test_paths_that_are_not_local():
    """ram:// is a file system of TensorFlow's, as gs:// is."""
    tf.io.gfile.makedirs("ram://files")
    for name in "xy":
        with tf.io.gfile.GFile(f"ram://files/{name}", "wb") as file:
            file.write(name * 3)
    samples = [{"file": f"ram://files/{name}"} for name in "yx"]
    loader = FileLoader(path_key="file", output_key="bytes")
    (batch,) = DataGenerator(samples).map(loader).get_dataset()
    assert batch["bytes"].numpy().tolist() == [b"yyy", b"xxx"]


def test_paths_of_pathlib(folder):
    samples = [{"path": pathlib.Path(folder, "a")}]
    (batch,) = DataGenerator(samples).map(FileLoader()).get_dataset()
    assert batch["data"].numpy().tolist() == [b"first"]


@pytest.mark.long
def test_no_python_runs_where_tensorflow_reads(folder):
    """A py_function would hold the GIL, one call at a time."""
    for loader in (FileLoader(), ImageLoader(size=(4, 4))):
        dataset = load(folder, ["c.png"], loader, batch_size=1)
        mapped = tf.function(lambda path, of=loader: of({"path": path}))
        mapped = mapped.get_concrete_function(tf.TensorSpec([], tf.string))
        names = {op.type for op in mapped.graph.get_operations()}
        names |= {
            node.op
            for function in mapped.graph.as_graph_def().library.function
            for node in function.node_def
        }
        assert not {name for name in names if "Py" in name}, names
        assert len(list(dataset)) == 1


@pytest.mark.long
def test_a_reader_of_ones_own():
    def read(path):
        if path == "s3://none":
            raise KeyError("no such object")
        return path.upper().encode()

    samples = [{"path": "s3://a"}, {"path": "s3://b"}]
    (batch,) = DataGenerator(samples).map(FileLoader(reader=read)).get_dataset()
    assert batch["data"].numpy().tolist() == [b"S3://A", b"S3://B"]
    bad = [*samples, {"path": "s3://none"}]
    with pytest.raises(tf.errors.OpError, match="'s3://none' cannot be read: KeyErr"):
        list(DataGenerator(bad).map(FileLoader(reader=read)).get_dataset())
    skipping = FileLoader(reader=read, on_error="skip")
    (batch,) = DataGenerator(bad).map(skipping).get_dataset()
    assert len(batch["data"]) == 2 and skipping.skipped == 1


@pytest.mark.long
@pytest.mark.parametrize("loader", [FileLoader(), ImageLoader(size=(4, 4))])
def test_a_file_that_cannot_be_read_is_named(folder, loader):
    (folder / "directory").mkdir()
    for name in ("none.png", "directory"):
        with pytest.raises(tf.errors.OpError, match=str(folder / name)):
            list(load(folder, ["c.png", name], loader))


@pytest.mark.long
@pytest.mark.parametrize(
    "name, what",
    [
        ("bad.png", "a truncated or corrupt PNG"),
        pytest.param("webp", "WebP", marks=pytest.mark.nightly),
        pytest.param("b", "an empty str", marks=pytest.mark.nightly),
    ],
)
def test_an_image_that_does_not_decode_is_named(folder, name, what):
    message = f"{folder / name} does not decode: it is {what}.*on_error"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(load(folder, ["c.png", name], ImageLoader(size=(4, 4))))


@pytest.mark.long
def test_what_cannot_be_loaded_is_skipped_and_counted(folder, caplog):
    names = ["c.png", "none.png", "d.jpg", "bad.png", "webp", "c.png"]
    loader = ImageLoader(size=(4, 4), on_error="skip")
    batches = list(load(folder, names, loader, batch_size=2))
    assert [b["id"].numpy().tolist() for b in batches] == [[0, 2], [5]]
    assert set(batches[0]) == {"path", "id", "img"}
    assert loader.skipped == 3
    assert str(folder / "none.png") in caplog.text and "bad.png" in caplog.text
    files = FileLoader(on_error="skip")
    (batch,) = load(folder, names, files)
    assert batch["id"].numpy().tolist() == [0, 2, 3, 4, 5] and files.skipped == 1


@pytest.mark.long
def test_errors_elsewhere_are_not_skipped(folder):
    """Only what the loader does is forgiven, not maps before or after it."""

    class Fails:
        apply_unbatched = True

        def __call__(self, x):
            with tf.control_dependencies([tf.debugging.Assert(x["id"] < 1, ["mine"])]):
                return {**x, "id": tf.identity(x["id"])}

    loader = FileLoader(on_error="skip")
    for maps in ([Fails(), loader], [loader, Fails()]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="mine"):
            list(load(folder, ["a", "b"], maps))


@pytest.mark.long
def test_only_the_first_skipped_files_are_named(folder, caplog):
    loader = FileLoader(on_error="skip")
    assert not list(load(folder, [f"none{i}" for i in range(30)], loader))
    assert loader.skipped == 30 and caplog.text.count("cannot be loaded") == 20


@pytest.mark.long
@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.nightly), 3])
def test_pixels(folder, channels):
    loader = ImageLoader(channels=channels, scale=None)
    dataset = load(folder, ["c.png", "c.png"], loader)
    spec: Any = dataset.element_spec
    assert spec["img"].shape[1:] == [None, None, channels]
    (batch,) = dataset
    expected = image_files.pixels((folder / "c.png").read_bytes(), channels)
    images = batch["img"].numpy().astype(int)
    assert images.shape == (2, *expected.shape) and batch["img"].dtype == tf.uint8
    assert np.abs(images - expected).max() <= 1  # Grey is rounded either way.


@pytest.mark.long
def test_size_and_scale(folder):
    (batch,) = load(folder, ["c.png", "d.jpg"], ImageLoader(size=(5, 7)))
    assert batch["img"].shape == [2, 5, 7, 3] and batch["img"].dtype == tf.float32
    assert 0.5 < batch["img"].numpy().max() <= 1
    (batch,) = load(folder, ["c.png"], ImageLoader(size=(5, 7), scale=1.0))
    assert 128 < batch["img"].numpy().max() <= 255


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: FileLoader(on_error="ignore"), "on_error must be one of .*'ignore'"),
        (lambda: FileLoader(reader=WRONG), "reader must be a function"),
        (lambda: ImageLoader(channels=2), "channels must be 1 or 3, got 2"),
        (lambda: ImageLoader(size=WRONG), "size must be"),
    ],
)
def test_bad_options_of_loaders(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_samples_without_a_path(folder):
    with pytest.raises(ValueError, match="path_key must be a key .*got 'file'.*'path'"):
        load(folder, ["a"], FileLoader(path_key="file"))


class Image(DataGeneratorMap):
    """Puts the same image into each sample."""

    def __call__(self, x):
        x["img"] = tf.repeat(IMAGE[np.newaxis], tf.size(x["id"]), axis=0)
        return x


def images(
    augmenter, batch_size=8, calls: int | None = tf.data.AUTOTUNE, seed=1, repeat=1
):
    samples = [{"id": i} for i in range(20)]
    generator = DataGenerator(samples, batch_size, True, repeat, seed=seed)
    mapped = generator.map([Image(), augmenter], num_parallel_calls=calls)
    return np.concatenate([b["img"] for b in mapped.get_dataset()])


@pytest.mark.long
def test_the_same_seed_and_sample_give_the_same_bits():
    expected = images(ImageAugmenter())
    assert expected.shape == (20, 12, 16, 3)
    assert np.array_equal(images(ImageAugmenter(), batch_size=3, calls=None), expected)
    assert not np.array_equal(images(ImageAugmenter(), seed=2), expected)


@pytest.mark.long
def test_draws_of_one_row_differ():
    found = images(ImageAugmenter(), repeat=3)
    assert len(np.unique(found.reshape(60, -1), axis=0)) == 60


@pytest.mark.long
def test_several_images_of_a_sample_are_moved_alike():
    class Mask(DataGeneratorMap):
        def __call__(self, x):
            return {**x, "mask": x["img"][..., :1]}

    augmenter = ImageAugmenter(("img", "mask"), brightness=0, contrast=0, noise=0)
    generator = DataGenerator([{"id": 1}] * 4, seed=3).map([Image(), Mask(), augmenter])
    (batch,) = generator.get_dataset()
    assert np.array_equal(batch["img"][..., :1], batch["mask"])
    assert not np.array_equal(batch["img"][0], batch["img"][1])


def test_nothing_is_changed_without_options():
    off = ImageAugmenter(
        flip=False, flip_up_down=False, crop=None, rotate=0, brightness=0, contrast=0,
        noise=0,
    )  # fmt: skip
    assert np.array_equal(images(off), np.repeat(IMAGE[np.newaxis], 20, axis=0))


def test_samples_without_an_image():
    generator = DataGenerator([{"id": 1}]).map(ImageAugmenter())
    with pytest.raises(ValueError, match="image_keys must be keys .*got 'img'.*'id'"):
        generator.get_dataset()
    assert ImageAugmenter("img").image_keys == ("img",)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"crop": 1}, "crop must be .*or None, got 1"),
        ({"noise": -0.1}, "noise must be from 0 to below 1"),
        ({"rotate": 181}, "rotate must be from 0 to 180, got 181"),
    ],
)
def test_bad_options_of_augmentation(options, message):
    for make in (Augmentation, ImageAugmenter):
        with pytest.raises(ValueError, match=message):
            make(**options)
