"""Files, local or remote, without TensorFlow where it is not needed.

It takes seconds to import, and files of the command line are mostly local.
"""

import contextlib
import os
import uuid


def read_bytes(path: str) -> bytes:
    """Returns the contents of a file."""
    if "://" not in path:
        with open(path, "rb") as file:
            return file.read()
    import tensorflow as tf

    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read()


def write_bytes(path: str, contents: bytes) -> None:
    """Writes a file; a local one whole or not at all."""
    if "://" in path:
        import tensorflow as tf

        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(contents)
        return
    temporary = f"{path}.{uuid.uuid4().hex}"
    try:
        with open(temporary, "wb") as file:
            file.write(contents)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


def is_file(path: str) -> bool:
    """Returns whether there is a file, and no directory."""
    if "://" not in path:
        return os.path.isfile(path)
    import tensorflow as tf

    return tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path)
