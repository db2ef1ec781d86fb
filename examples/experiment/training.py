"""A small model for images or for words, and its training."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from examples.experiment.arms import Training
from examples.experiment.data import Split

_LEARNING_RATE = 2e-3
_AT_ONCE = 1_000  # Records of a prediction.


def logits(train: Split, test: Split, training: Training, seed: int) -> np.ndarray:
    """Returns float64 [n, labels], what a model says of the test split.

    Args:
      train: what records are of.
      test: another split.
      training: the batches, and the loss.
      seed: of the initial weights.
    """
    # Each training is a graph of its own, of which TensorFlow warns.
    tf.get_logger().setLevel("ERROR")
    keras.utils.set_random_seed(seed)
    model = _model(train.x.shape[1:], train.y.shape[1])
    optimizer: Any = keras.optimizers.Adam(_LEARNING_RATE)
    optimizer.build(model.trainable_variables)
    x, y = tf.constant(train.x), tf.constant(train.y)
    one_label = not training.plan.multi_label

    @tf.function
    def run(records, weights):
        for chosen, weight in tf.data.Dataset.from_tensor_slices((records, weights)):
            batch_y = tf.gather(y, chosen)
            with tf.GradientTape() as tape:
                said: Any = model(tf.gather(x, chosen), training=True)
                said += training.added
                if one_label:
                    each = tf.nn.softmax_cross_entropy_with_logits(batch_y, said)
                    each *= tf.linalg.matvec(batch_y, training.positive_weights)
                else:
                    each = tf.reduce_mean(
                        tf.nn.weighted_cross_entropy_with_logits(
                            batch_y, said, training.positive_weights
                        ),
                        axis=1,
                    )
                loss = tf.reduce_mean(weight * each)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)

    run(tf.constant(training.records), tf.constant(training.weights))
    said = model.predict(test.x, batch_size=_AT_ONCE, verbose=0)  # pyright: ignore[reportArgumentType]
    return np.asarray(said, np.float64)


def _model(shape: tuple[int, ...], num_labels: int) -> keras.Model:
    inputs = x = keras.Input(shape)
    if len(shape) == 3:
        for filters in (16, 32, 64):
            x = keras.layers.Conv2D(filters, 3, 2, padding="same")(x)
            x = keras.layers.Activation("relu")(x)
        x = keras.layers.GlobalMaxPooling2D()(x)
    else:
        x = keras.layers.Dense(64, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(num_labels)(x))
