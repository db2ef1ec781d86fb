"""Whole passes over TFRecord files, outside of training.

In: files. Out: `LabelCounts`, decided records, or what a plan really did (audit).
May import: `core`, `options`, `records`, `decision`, `shards`, TensorFlow.
"""
