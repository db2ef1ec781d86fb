"""Reads files without TensorFlow where it is not needed: it takes seconds to import."""


def read_bytes(path: str) -> bytes:
    """Returns the contents of a file, local or remote."""
    if "://" not in path:
        with open(path, "rb") as file:
            return file.read()
    import tensorflow as tf

    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read()
