"""Stratified and materialised directories: their manifest, and what an epoch reads.

In: a `Plan`, directories of shards. Out: which of their files an epoch needs.
May import: `core`, `options`, `decision`, TensorFlow.
"""
