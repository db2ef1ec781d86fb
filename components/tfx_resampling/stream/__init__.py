"""The input pipeline: records -> decided -> shuffled copies -> batches.

In: TFRecord files and a `Plan`. Out: a `tf.data.Dataset` of batches (`input_fn`).
May import: `core`, `options`, `records`, `decision`, `shards`, `images`, TensorFlow.
"""
