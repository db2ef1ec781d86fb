"""What is taken from a serialized record: some features, and a key of its content."""

import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf
from google.protobuf import descriptor_pb2

from tfx_resampling.core import draws
from tfx_resampling.records.one_device import apart


def fingerprints(values: tf.Tensor) -> tf.Tensor:
    """Returns uint64 [n]: FarmHash fingerprint64 of each string of `values` [n]."""
    # The shape is pinned because tf.bitcast must know the last axis holds 8 bytes.
    packed = tf.ensure_shape(tf.fingerprint(values, method="farmhash64"), [None, 8])
    return tf.bitcast(packed, tf.uint64)


def content_keys(serialized: tf.Tensor) -> tf.Tensor:
    """Returns uint64 [n], a key of each record's features: whatever their order is.

    The twin of `draws.content_keys`. A record is cut into its features, which costs a
    copy of its bytes but no look into the features. What a tf.train.SequenceExample has
    beside its context counts too.

    Args:
      serialized: string [n], tf.train.Example or SequenceExample.

    Raises:
      tf.errors.DataLossError: while running, a record that cannot be cut.
    """
    serialized = tf.convert_to_tensor(serialized, tf.string)
    if serialized.shape == [0]:  # TensorFlow would try to call it beforehand, in vain.
        return tf.zeros([0], tf.uint64)
    return _content_keys(serialized)


def _cut_and_sum(serialized: tf.Tensor) -> tf.Tensor:
    def cut():
        _, (context, lists) = _fields(serialized, "context", "lists")
        keys = _sums(context)
        # Few records have any.
        return tf.cond(
            tf.shape(lists)[1] > 0,
            lambda: keys + _sums(lists) * tf.constant(draws.GOLDEN, tf.uint64),
            lambda: keys,
        )

    # The op takes no empty batch.
    none = tf.zeros([0], tf.uint64)
    return tf.cond(tf.size(serialized) > 0, cut, lambda: none)


# Traced once in a process, however often records are parsed: tf.cond takes its time.
_content_keys = apart(_cut_and_sum, [tf.TensorSpec([None], tf.string)])


def _sums(messages: tf.Tensor) -> tf.Tensor:
    """Returns uint64 [n]: the fingerprints of all features in messages [n, m]."""
    shape = tf.shape(messages)

    def summed():
        sizes, (entries,) = _fields(tf.reshape(messages, [-1]), "context")
        hashed = fingerprints(tf.reshape(entries, [-1]))
        hashed = tf.reshape(hashed, tf.shape(entries))
        # Rows are filled up with empty strings, which no feature is.
        missing = tf.cast(tf.shape(entries)[1] - sizes[:, 0], tf.uint64)
        filled = missing * fingerprints(tf.constant([""]))
        sums = tf.reduce_sum(hashed, axis=1) - filled
        return tf.reduce_sum(tf.reshape(sums, shape), axis=1)

    none = tf.zeros(shape[:1], tf.uint64)
    return tf.cond(tf.size(messages) > 0, summed, lambda: none)


def _fields(serialized: tf.Tensor, *names: str) -> Any:
    """Returns int32 [n, names] and strings [n, most]: fields of messages, undecoded."""
    return tf.io.decode_proto(
        serialized,
        _MESSAGE,
        list(names),
        [tf.string] * len(names),
        descriptor_source=_DESCRIPTOR,
    )


# Examples (1: features) and SequenceExamples (1: context, 2: feature_lists), and the
# maps in these fields (1: an entry), with all their fields as bytes.
_MESSAGE = "tfx_resampling.Undecoded"


def _descriptor() -> bytes:
    files = descriptor_pb2.FileDescriptorSet()
    file = files.file.add(name="undecoded.proto", package="tfx_resampling")
    message = file.message_type.add(name=_MESSAGE.rpartition(".")[2])
    kind = descriptor_pb2.FieldDescriptorProto
    for number, name in enumerate(("context", "lists"), 1):
        message.field.add(
            name=name,
            number=number,
            type=kind.TYPE_BYTES,
            label=kind.LABEL_REPEATED,
        )
    return b"bytes://" + files.SerializeToString()


_DESCRIPTOR = _descriptor()


class Parsed(NamedTuple):
    """What was parsed of n records.

    Attributes:
      features: feature name -> (values, int64 row splits). Not ragged tensors: these
        cost more on their way through a data set.
      content: uint64 [n], `content_keys`; [0] where they are not wanted.
    """

    features: dict[str, tuple[tf.Tensor, tf.Tensor]]
    content: tf.Tensor

    def ragged(self) -> dict[str, tf.RaggedTensor]:
        """Returns the features as ragged tensors."""
        ragged: Any = tf.RaggedTensor  # TensorFlow's stubs do not have all of it.
        return {
            name: ragged.from_row_splits(*parts, validate=False)
            for name, parts in self.features.items()
        }


@dataclasses.dataclass(frozen=True)
class Parsing:
    """What is to be known of each record.

    Attributes:
      features: those to parse, 0 to n values each, row splits int64.
      content: whether a key of all its features is wanted, `content_keys`.
    """

    features: dict[str, tf.io.RaggedFeature]
    content: bool = False

    def parse(self, serialized: Any) -> Parsed:
        """Returns what is wanted of serialized records [n]."""
        found: Any = {}
        if self.features:  # Not allowed in parse_example.
            found = tf.io.parse_example(serialized, self.features)
        return Parsed(
            {name: (x.flat_values, x.row_splits) for name, x in found.items()},
            content_keys(serialized) if self.content else tf.zeros([0], tf.uint64),
        )
