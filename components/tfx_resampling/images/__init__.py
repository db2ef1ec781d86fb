"""Encoded images to pixels, and seeded augmentation.

In: bytes of JPEG, PNG, GIF or BMP. Out: pixels [height, width, channels].
May import: `options`, `records.graph_errors`, TensorFlow.
"""
