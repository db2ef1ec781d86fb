"""What is mapped over the samples of a generator."""

import abc
from typing import Any, Dict, Sequence, Union

import tensorflow as tf

from tfx_resampling.data.labels import Vocabulary

Sample = Dict[str, Any]


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
        classes: Sequence[Union[str, int]],
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

    def encode(self, item: Union[tf.Tensor, tf.RaggedTensor]) -> tf.Tensor:
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
