"""Samples of a table: groups, weights, draws, mapped functions (`DataGenerator`).

In: a pandas table of samples. Out: batches, for Keras or as a `tf.data.Dataset`.
May import: `core`, `options`, `images`, `records.graph_errors`, `decision.graph_draws`,
TensorFlow, Keras, pandas.
"""
