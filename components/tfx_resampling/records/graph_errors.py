"""Errors raised within a graph, with a message that is only made when needed."""

import sys
from collections.abc import Callable, Sequence

import tensorflow as tf


def require(
    condition: tf.Tensor, message: Callable[[], Sequence[str | tf.Tensor]]
) -> tf.Operation:
    """Returns an op that raises InvalidArgumentError unless `condition` holds.

    Args:
      condition: bool scalar.
      message: makes the parts of the message: strings, and string or integer scalars.
    """
    return tf.cond(
        condition, tf.no_op, lambda: tf.debugging.Assert(False, [joined(message())])
    )


def report_unless(
    condition: tf.Tensor, message: Callable[[], Sequence[str | tf.Tensor]]
) -> tf.Operation:
    """Returns an op that prints a line to stderr unless `condition` holds.

    Args:
      condition: bool scalar.
      message: as that of `require`.
    """
    return tf.cond(
        condition,
        tf.no_op,
        lambda: tf.print(joined(message()), output_stream=sys.stderr),
    )


def joined(parts: Sequence[str | tf.Tensor]) -> tf.Tensor:
    """Returns a string scalar of parts: strings, and string or integer scalars."""
    # Each constant takes its time before the first batch.
    texts: list[str | tf.Tensor] = []
    for part in parts:
        if isinstance(part, str) and texts and isinstance(texts[-1], str):
            texts[-1] += part
        else:
            texts.append(part)
    tensors = [tf.convert_to_tensor(text) for text in texts]
    return tf.strings.join(
        [
            part if part.dtype == tf.string else tf.strings.as_string(part)
            for part in tensors
        ]
    )
