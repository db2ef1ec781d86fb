"""Functions to map over samples: one-hot classes, files, images, augmentation."""

import abc
import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import tensorflow as tf
from absl import logging

from tfx_resampling.decision.labels import Vocabulary
from tfx_resampling.images import decode
from tfx_resampling.images.augmentation import Augmentation
from tfx_resampling.options import ImageOptions
from tfx_resampling.records import graph_errors
from tfx_resampling.tables.mapping import Sample
from tfx_resampling.validate import check_choice, shown

ON_ERROR = ("error", "skip")
# Files that are skipped are named in the log up to this many; all are counted.
_NAMED = 20


class DataGeneratorMap(abc.ABC):
    """A function to map over samples: `generator.map(my_map)`.

    Attributes:
      apply_unbatched: whether it gets one sample, and not a batch of them.
      skip_key: None, or the key of a bool in its result: samples with True there are
        left out.
    """

    apply_unbatched: bool = False
    skip_key: Any = None

    @abc.abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Sample:
        """Returns a changed sample or batch: a function (x) or (x, seed) -> sample.

        x is the sample, its own copy of the dict; seed is int64 [2], or [batch, 2], for
        stateless random ops.
        """


class OneHotEncoder(DataGeneratorMap):
    """Adds classes as float32 [batch, classes]: 1 for those of the sample, else 0.

    A sample with several labels (a tuple in the table) has several ones. Values that
    are not a class get zeros only.

    Args:
      classes: the classes, text or integers, in the order of columns.
      input_key: key of the label or labels of a sample.
      output_key: key of the result.

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
                f"classes must be distinct, and at least one, got {shown(classes)}."
            )
        if not is_text and any(isinstance(c, (str, float)) for c in classes):
            raise ValueError(
                f"classes must be all text or all integers, got {shown(classes)}."
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
                f"{flat.dtype.name}, got {shown(self.classes[:5])}."
            )
        if self._dtype != tf.string:
            flat = tf.cast(flat, tf.int64)
        size = len(self.classes)
        # The last row is for values that are not a class.
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
        """Returns a batch, or a sample, with the classes added."""
        item = _value(x, self.input_key, "input_key")
        encoded = self.encode(item)
        if not isinstance(item, tf.RaggedTensor) and item.shape.rank == 2:
            encoded = tf.reduce_max(encoded, axis=1)  # As many labels in each row.
        x[self.output_key] = encoded
        return x


class FileLoader(DataGeneratorMap):
    """Adds the bytes of the file that a sample names.

    TensorFlow reads: local paths, and all that `tf.io.gfile` knows (gs://, hdfs://...),
    in as many threads as `map` has parallel calls, none of them in Python.

    Args:
      path_key: key of the path of a sample.
      output_key: key of the bytes, a string scalar.
      on_error: what to do with a file that cannot be read: "error" names it, "skip"
        leaves its samples out, counts them in `skipped` and logs them.
      reader: a function path (str) -> bytes for paths that TensorFlow cannot read. It
        runs in Python, one call at a time.

    Attributes:
      skipped: samples that were left out, over all data sets.

    Raises:
      ValueError: `on_error` or `reader` is not valid.
      TypeError: of a subclass, when it is defined: it has a method `load`, as that of
        brevettiai, which nothing would call. `decode` takes its place.
    """

    apply_unbatched = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "load"):
            raise TypeError(
                f"{cls.__name__}.load is never called. Override decode(data), which "
                "makes a value of the bytes of a file, or read(path); or give "
                "reader=..., a function path -> bytes."
            )

    def __init__(
        self,
        path_key: str = "path",
        output_key: str = "data",
        on_error: str = "error",
        reader: Callable[[str], bytes] | None = None,
    ):
        check_choice("on_error", on_error, ON_ERROR)
        if reader is not None and not callable(reader):
            raise ValueError(f"reader must be a function, got {reader!r}.")
        self.path_key, self.output_key = path_key, output_key
        self.on_error, self.reader = on_error, reader
        self.skipped = 0
        self._lock = threading.Lock()

    @property
    def skip_key(self) -> str | None:
        """Key of the mark of samples that are left out."""
        return f"{self.output_key}/skip" if self.on_error == "skip" else None

    def read(self, path: tf.Tensor) -> tf.Tensor:
        """Returns the bytes of a file; an error names it."""
        reader = self.reader
        if reader is None:
            return tf.io.read_file(path)

        def read(path: bytes) -> bytes:
            try:
                return reader(path.decode())
            except Exception as error:
                raise OSError(f"{path.decode()!r} cannot be read: {error!r}") from error

        data = tf.numpy_function(read, [path], tf.string, stateful=False)
        return tf.ensure_shape(data, [])

    def decode(self, data: tf.Tensor) -> tf.Tensor:
        """Returns the value made of the bytes of a file; to be overridden."""
        return data

    def __call__(self, x: Sample) -> Sample:
        """Returns a sample with the value made of its file added."""
        path = _value(x, self.path_key, "path_key")
        skip_key = self.skip_key
        if skip_key is None:
            x[self.output_key] = self._decoded(self.read(path), path)
            return x
        loaded, x[self.output_key] = _tried(lambda p: self.decode(self.read(p)), path)
        counted = tf.cond(loaded, tf.no_op, lambda: self._count(path))
        with tf.control_dependencies([counted]):
            x[skip_key] = tf.logical_not(loaded)
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

    JPEG, PNG, GIF and BMP of all common kinds (`images.decode.decode_image`); others
    raise an error with the file's name and kind.

    Args:
      path_key: key of the path of a sample.
      output_key: key of the pixels.
      size: (height, width) to resize to, with antialiasing where it shrinks; None keeps
        the size of the file, and to batch images they must then all have the same.
      channels: 1 (grey) or 3 (RGB).
      scale: multiplies pixel values: 1/255 gives 0 to 1 as float32, 1.0 gives 0 to 255;
        None keeps uint8.
      on_error: as in `FileLoader`, also for an image that cannot be decoded.
      reader: as in `FileLoader`.

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
    """Returns whether an op succeeds, and its result, or zeros if it fails.

    No op catches the errors of another one, but a data set can leave out the elements
    that are errors. It takes about 0.05 ms, in the thread of the caller.
    """
    tried = tf.data.Dataset.from_tensors(value).map(lambda x: (True, function(x)))
    _, spec = cast(Any, tried.element_spec)
    failed = tf.zeros([side or 0 for side in spec.shape], spec.dtype)
    tried = tried.ignore_errors().concatenate(
        tf.data.Dataset.from_tensors((False, failed))
    )
    options = tf.data.Options()
    # For one element, optimising takes longer than it saves.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return cast(Any, tried.take(1).with_options(options).get_single_element())


@dataclasses.dataclass(frozen=True)
class ImageAugmenter(DataGeneratorMap):
    """Augments the images of each sample; the same (seed, sample), the same pixels.

    Images of one sample (an image and its mask...) get the same augmentation if they
    have the same size; noise, brightness and contrast as well. The ops are stateless:
    neither batches nor threads matter. The options, but for their defaults, are those
    of `Augmentation`.

    Attributes:
      image_keys: keys of the images [h, w, c] of a sample, uint8, or floats from 0 to 1
        or 255.

    Raises:
      ValueError: a value is out of range.
    """

    image_keys: str | Sequence[str] = ("img",)
    flip: bool = True
    flip_up_down: bool = True
    crop: Sequence[float] | None = (0.81, 1.0)
    rotate: float = 90.0
    brightness: float = 0.25
    contrast: float = 0.25
    noise: float = 0.01
    shift: float = 0.0
    aspect: Sequence[float] = (3 / 4, 4 / 3)

    # Class attributes and no options: they have no annotation.
    apply_unbatched = True
    skip_key = None

    def __post_init__(self):
        _ = self.augmentation
        if isinstance(self.image_keys, str):
            object.__setattr__(self, "image_keys", (self.image_keys,))

    @property
    def augmentation(self) -> Augmentation:
        """The augmentation of each image."""
        options = dataclasses.asdict(self)
        del options["image_keys"]
        return Augmentation(**options)

    def __call__(self, x: Sample, seed: tf.Tensor) -> Sample:
        """Returns a sample with its images augmented."""
        for key in self.image_keys:
            x[key] = self.augmentation(_value(x, key, "image_keys"), seed)
        return x


def _value(sample: Sample, key: str, option: str) -> Any:
    if key not in sample:
        rule = "be keys" if option == "image_keys" else "be a key"
        raise ValueError(
            f"{option} must {rule} of samples, got {key!r}. Keys: {sorted(sample)!r}."
        )
    return sample[key]
