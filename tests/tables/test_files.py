"""Files and images that samples name."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling import DataGenerator, FileLoader, ImageLoader

from tests.images import image_files


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


@pytest.mark.parametrize("loader", [FileLoader(), ImageLoader(size=(4, 4))])
def test_a_file_that_cannot_be_read_is_named(folder, loader):
    (folder / "directory").mkdir()
    for name in ("none.png", "directory"):
        with pytest.raises(tf.errors.OpError, match=str(folder / name)):
            list(load(folder, ["c.png", name], loader))


@pytest.mark.parametrize(
    "name, what",
    [
        ("bad.png", "a truncated or corrupt PNG"),
        ("webp", "WebP"),
        ("b", "an empty str"),
    ],
)
def test_an_image_that_does_not_decode_is_named(folder, name, what):
    message = f"{folder / name} does not decode: it is {what}.*on_error"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(load(folder, ["c.png", name], ImageLoader(size=(4, 4))))


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


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels(folder, channels):
    loader = ImageLoader(channels=channels, scale=None)
    dataset = load(folder, ["c.png", "c.png"], loader)
    assert dataset.element_spec["img"].shape[1:] == [None, None, channels]
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
        (lambda: FileLoader(reader="x"), "reader must be a function"),
        (lambda: ImageLoader(channels=2), "channels must be 1 or 3, got 2"),
        (lambda: ImageLoader(size=7), "size must be"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_samples_without_a_path(folder):
    with pytest.raises(ValueError, match="path_key must be a key .*got 'file'.*'path'"):
        load(folder, ["a"], FileLoader(path_key="file"))
