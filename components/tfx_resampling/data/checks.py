"""Errors raised within a graph, with a message that is only made when needed."""

from typing import Callable, Sequence, Union

import tensorflow as tf


def require(
    condition: tf.Tensor, message: Callable[[], Sequence[Union[str, tf.Tensor]]]
) -> tf.Operation:
    """Returns an op that raises InvalidArgumentError unless `condition` holds.

    Args:
      condition: bool scalar.
      message: makes the parts of the message: strings, and string or integer scalars.
    """

    def fail():
        parts = [tf.convert_to_tensor(part) for part in message()]
        parts = [
            part if part.dtype == tf.string else tf.strings.as_string(part)
            for part in parts
        ]
        return tf.debugging.Assert(False, [tf.strings.join(parts)])

    return tf.cond(condition, tf.no_op, fail)
