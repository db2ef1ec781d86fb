"""Files and images that samples name by path."""

import threading
from typing import Any, Callable, Optional, Sequence, Tuple

import tensorflow as tf
from absl import logging

from tfx_resampling.data import checks, images
from tfx_resampling.data.generator.maps import DataGeneratorMap, Sample
from tfx_resampling.data.options import ImageOptions

ON_ERROR = ("error", "skip")
# Files that are skipped are named in the log up to this many; all are counted.
_NAMED = 20


class FileLoader(DataGeneratorMap):
    """Adds the bytes of the file that a sample names.

    TensorFlow reads: local paths, and all that `tf.io.gfile` knows (gs://, hdfs://...),
    in as many threads as `map` has parallel calls, none of them in Python.

    Args:
      path_key: where samples have the path.
      output_key: where the bytes go, a string scalar.
      on_error: what a file that cannot be read is: "error", which names it, or "skip":
        its samples are left out, counted in `skipped` and logged.
      reader: a function path (str) -> bytes for paths that TensorFlow cannot read. It
        runs in Python, one call at a time.

    Attributes:
      skipped: samples that were left out, over all data sets.

    Raises:
      ValueError: `on_error` or `reader` is not valid.
    """

    apply_unbatched = True

    def __init__(
        self,
        path_key: str = "path",
        output_key: str = "data",
        on_error: str = "error",
        reader: Optional[Callable[[str], bytes]] = None,
    ):
        if on_error not in ON_ERROR:
            raise ValueError(
                f"on_error must be one of {list(ON_ERROR)}, got {on_error!r}."
            )
        if reader is not None and not callable(reader):
            raise ValueError(f"reader must be a function, got {reader!r}.")
        self.path_key, self.output_key = path_key, output_key
        self.on_error, self.reader = on_error, reader
        self.skipped = 0
        self._lock = threading.Lock()

    @property
    def skip_key(self) -> Optional[str]:
        """Where samples are marked that are to be left out."""
        return f"{self.output_key}/skip" if self.on_error == "skip" else None

    def read(self, path: tf.Tensor) -> tf.Tensor:
        """Returns the bytes of a file; an error names it."""
        if self.reader is None:
            return tf.io.read_file(path)
        data = tf.numpy_function(self._read, [path], tf.string, stateful=False)
        return tf.ensure_shape(data, [])

    def _read(self, path: bytes) -> bytes:
        try:
            return self.reader(path.decode())
        except Exception as error:
            raise OSError(f"{path.decode()!r} cannot be read: {error!r}") from error

    def decode(self, data: tf.Tensor) -> tf.Tensor:
        """Returns what becomes of the bytes of a file; to be overridden."""
        return data

    def __call__(self, x: Sample) -> Sample:
        if self.path_key not in x:
            raise ValueError(
                f"path_key must be a key of samples, got {self.path_key!r}. Keys: "
                f"{sorted(x)!r}."
            )
        path = x[self.path_key]
        if self.on_error == "skip":
            loaded, value = _tried(lambda p: self.decode(self.read(p)), path)
            counted = tf.cond(loaded, tf.no_op, lambda: self._count(path))
            with tf.control_dependencies([counted]):
                x[self.skip_key] = tf.logical_not(loaded)
            x[self.output_key] = value
        else:
            x[self.output_key] = self._decoded(self.read(path), path)
        return x

    def _decoded(self, data: tf.Tensor, path: tf.Tensor) -> tf.Tensor:
        return self.decode(data)

    def _count(self, path: tf.Tensor) -> tf.Operation:
        def count(name):
            with self._lock:
                self.skipped += 1
                number = self.skipped
            if number <= _NAMED:
                end = " More are not named." if number == _NAMED else ""
                logging.warning(
                    "Skipped %s, which cannot be loaded.%s",
                    name.decode("utf-8", "replace"),
                    end,
                )

        return tf.numpy_function(count, [path], [])


class ImageLoader(FileLoader):
    """Adds the image in the file that a sample names: pixels [height, width, channels].

    JPEG, PNG, GIF and BMP of all common kinds (`images.decode_image`); others are an
    error that names the file, and what it is.

    Args:
      path_key: where samples have the path.
      output_key: where the pixels go.
      size: (height, width) to resize to, with antialiasing where it shrinks; None keeps
        the size of the file, and to batch images they must then all have the same.
      channels: 1 (grey) or 3 (RGB).
      scale: multiplies pixel values: 1/255 gives 0 to 1 as float32, 1.0 gives 0 to 255;
        None keeps uint8.
      on_error: as of `FileLoader`; an image that cannot be decoded counts as well.
      reader: as of `FileLoader`.

    Raises:
      ValueError: an option is not valid.
    """

    def __init__(
        self,
        path_key: str = "path",
        output_key: str = "img",
        size: Optional[Sequence[int]] = None,
        channels: int = 3,
        scale: Optional[float] = 1 / 255,
        on_error: str = "error",
        reader: Optional[Callable[[str], bytes]] = None,
    ):
        super().__init__(path_key, output_key, on_error, reader)
        self.options = ImageOptions(
            key=output_key, size=size, channels=channels, scale=scale
        )

    def decode(self, data: tf.Tensor) -> tf.Tensor:
        """Returns the pixels of an encoded image."""
        return images.decode_image(data, self.options)

    def _decoded(self, data: tf.Tensor, path: tf.Tensor) -> tf.Tensor:
        # Decoders do not know the path: the error is made here.
        decodes, pixels = _tried(self.decode, data)
        required = checks.require(
            decodes,
            lambda: [
                *(path, " does not decode: it is ", images.describe(data), ". "),
                "Replace it, or set on_error to skip.",
            ],
        )
        with tf.control_dependencies([required]):
            return tf.identity(pixels)


def _tried(
    function: Callable[[tf.Tensor], tf.Tensor], value: tf.Tensor
) -> Tuple[tf.Tensor, Any]:
    """Returns whether an op succeeds, and what it returns, or zeros in place of that.

    No op catches the errors of another one, but a data set can leave out the elements
    that are errors. It takes about 0.05 ms, in the thread of the caller.
    """
    tried = tf.data.Dataset.from_tensors(value).map(lambda x: (True, function(x)))
    spec = tried.element_spec[1]
    failed = tf.zeros([side or 0 for side in spec.shape], spec.dtype)
    tried = tried.ignore_errors().concatenate(
        tf.data.Dataset.from_tensors((False, failed))
    )
    options = tf.data.Options()
    # Of one element, what is gained by optimising is less than what it takes.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return tried.take(1).with_options(options).get_single_element()
