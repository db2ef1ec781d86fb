"""The plan's rule in a TensorFlow graph: chunks of records in, copies out.

In: a `Plan` and chunks. Out: hashes, repeat factors and copies, as of `core.draws`.
May import: `core`, `records`, `options`, TensorFlow.
"""
