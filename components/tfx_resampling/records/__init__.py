"""TFRecord files as chunks of records, of which a few features are parsed.

In: file names or patterns. Out: chunks; errors that name file, record and byte.
May import: `core`, `options`, TensorFlow.
"""
