"""What training takes from `input_fn`: reports per epoch, backups, restarts.

In: a data set of `input_fn` and its plan. Out: log lines, TensorBoard, saved positions.
May import: `core`, `options`, TensorFlow, Keras.
"""
