"""Files and images that samples name by path."""

import abc
import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from tfx_resampling.decision.labels import Vocabulary
from tfx_resampling.images import decode
from tfx_resampling.images.augmentation import Augmentation
from tfx_resampling.options import ImageOptions
from tfx_resampling.records import graph_errors

Sample = dict[str, Any]


class DataGeneratorMap(abc.ABC):
    """A function to map over samples: `generator.map(my_map)`.

    Attributes:
      apply_unbatched: whether it gets one sample, and not a batch of them.
      skip_key: None, or the key of a bool in what it returns: samples where it is true
        are left out.
    """

    apply_unbatched: bool = False
    skip_key: Any = None

    @abc.abstractmethod
    def __call__(self, x: Sample, seed: tf.Tensor) -> Sample:
        """Returns a sample, or batch, with what it adds.

        Args:
          x: the sample; its own copy of the dict.
          seed: int64 [2], or [batch, 2], for stateless random ops. May be left out.
        """


class OneHotEncoder(DataGeneratorMap):
    """Adds classes as float32 [batch, classes]: 1 for what a sample is, 0 else.

    A sample with several labels (a tuple in the table) has several ones. Values that
    are no class have none.

    Args:
      classes: the classes, text or integers, in the order of columns.
      input_key: where a sample has its label or labels.
      output_key: where they go.

    Raises:
      ValueError: no classes, a class twice, or classes of different types.
    """

    def __init__(
        self,
        classes: Sequence[str | int],
        input_key: str = "category",
        output_key: str = "onehot",
    ):
        classes = [c.decode() if isinstance(c, bytes) else c for c in classes]
        is_text = all(isinstance(c, str) for c in classes)
        if not classes or len(set(classes)) < len(classes):
            raise ValueError(
                f"classes must be distinct, and at least one, got {classes!r}."
            )
        if not is_text and any(isinstance(c, (str, float)) for c in classes):
            raise ValueError(
                f"classes must be all text or all integers, got {classes!r}."
            )
        self.classes = list(classes) if is_text else [int(c) for c in classes]
        self.input_key, self.output_key = input_key, output_key
        self._dtype = tf.string if is_text else tf.int64
        self._vocabulary = Vocabulary(
            [str(c) for c in self.classes], "bytes" if is_text else "int64"
        )

    def encode(self, item: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
        """Returns float32 [..., classes] of values [...], or of [batch, k] labels."""
        is_ragged = isinstance(item, tf.RaggedTensor)
        flat = item.flat_values if is_ragged else tf.reshape(item, [-1])
        if (flat.dtype == tf.string) != (self._dtype == tf.string):
            raise ValueError(
                f"classes must have the type of {self.input_key!r}, "
                f"{flat.dtype.name}, got {self.classes[:5]!r}."
            )
        if self._dtype != tf.string:
            flat = tf.cast(flat, tf.int64)
        size = len(self.classes)
        # The last row is that of values that are no class.
        hot = tf.gather(tf.eye(size + 1, size), self._vocabulary.lookup(flat))
        if is_ragged:
            # Not segment_max: that of no labels would be the smallest number.
            counted = tf.math.unsorted_segment_sum(
                hot, item.value_rowids(), item.nrows()
            )
            return tf.minimum(tf.ensure_shape(counted, [None, size]), 1.0)
        hot = tf.reshape(hot, tf.concat([tf.shape(item), [size]], axis=0))
        return tf.ensure_shape(hot, [*item.shape, size])

    def __call__(self, x: Sample) -> Sample:
        if self.input_key not in x:
            raise ValueError(
                f"input_key must be a key of samples, got {self.input_key!r}. Keys: "
                f"{sorted(x)!r}."
            )
        item = x[self.input_key]
        encoded = self.encode(item)
        if not isinstance(item, tf.RaggedTensor) and item.shape.rank == 2:
            encoded = tf.reduce_max(encoded, axis=1)  # As many labels in each row.
        x[self.output_key] = encoded
        return x


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
        reader: Callable[[str], bytes] | None = None,
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
    def skip_key(self) -> str | None:
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
        size: Sequence[int] | None = None,
        channels: int = 3,
        scale: float | None = 1 / 255,
        on_error: str = "error",
        reader: Callable[[str], bytes] | None = None,
    ):
        super().__init__(path_key, output_key, on_error, reader)
        self.options = ImageOptions(
            key=output_key, size=size, channels=channels, scale=scale
        )

    def decode(self, data: tf.Tensor) -> tf.Tensor:
        """Returns the pixels of an encoded image."""
        return decode.decode_image(data, self.options)

    def _decoded(self, data: tf.Tensor, path: tf.Tensor) -> tf.Tensor:
        # Decoders do not know the path: the error is made here.
        decodes, pixels = _tried(self.decode, data)
        required = graph_errors.require(
            decodes,
            lambda: [
                *(path, " does not decode: it is ", decode.describe(data), ". "),
                "Replace it, or set on_error to skip.",
            ],
        )
        with tf.control_dependencies([required]):
            return tf.identity(pixels)


def _tried(
    function: Callable[[tf.Tensor], tf.Tensor], value: tf.Tensor
) -> tuple[tf.Tensor, Any]:
    """Returns whether an op succeeds, and what it returns, or zeros instead of that.

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


@dataclasses.dataclass(frozen=True)
class ImageAugmenter(DataGeneratorMap):
    """Augments the images of each sample; the same (seed, sample), the same pixels.

    Images of one sample (an image and its mask...) get the same augmentation if they
    have the same size; noise, brightness and contrast as well. The ops are stateless:
    neither batches nor threads matter. `Augmentation` tells what the options do.

    Attributes:
      image_keys: where samples have images [h, w, c], uint8 or floats from 0 to 1.
      flip: whether to mirror left and right, with probability 1/2.
      flip_up_down: whether to mirror top and bottom, with probability 1/2.
      crop: a window of 1 - crop to 1 of height and width is enlarged to all of it.
      rotate: largest rotation in degrees, either way.
      brightness: largest change of brightness, as a fraction of the value range.
      contrast: contrast is multiplied by 1 - contrast to 1 + contrast.
      noise: standard deviation of normal noise, as a fraction of the value range.
      shift: largest translation, as a fraction of height and width.

    Raises:
      ValueError: a value is out of range.
    """

    image_keys: str | Sequence[str] = ("img",)
    flip: bool = True
    flip_up_down: bool = True
    crop: float = 0.1
    rotate: float = 90.0
    brightness: float = 0.25
    contrast: float = 0.25
    noise: float = 0.01
    shift: float = 0.0

    # Class attributes and no options: they have no annotation.
    apply_unbatched = True
    skip_key = None

    def __post_init__(self):
        _ = self.augmentation
        if isinstance(self.image_keys, str):
            object.__setattr__(self, "image_keys", (self.image_keys,))

    @property
    def augmentation(self) -> Augmentation:
        """What is done to each image."""
        options = dataclasses.asdict(self)
        del options["image_keys"]
        return Augmentation(**options)

    def __call__(self, x: Sample, seed: tf.Tensor) -> Sample:
        for key in self.image_keys:
            if key not in x:
                raise ValueError(
                    f"image_keys must be keys of samples, got {key!r}. Keys: "
                    f"{sorted(x)!r}."
                )
            x[key] = self.augmentation(x[key], seed)
        return x
