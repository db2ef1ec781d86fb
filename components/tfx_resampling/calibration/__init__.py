"""Probabilities of a model that was trained on resampled data, made right again.

In: a `Plan` and what a model says. Out: what it would say without the resampling.
May import: `core`; the layer Keras and absl.
"""
