"""Files, local or remote, without TensorFlow where it is not needed.

It takes seconds to import, and files of the command line are mostly local.
"""

import contextlib
import errno
import os
import uuid

# Errors of file systems that have no hard links.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


def read_bytes(path: str, limit: int | None = None) -> bytes:
    """Returns the contents of a file.

    Args:
      path: the file.
      limit: how many bytes it may have; None: any number.

    Raises:
      ValueError: it has more; the message names it.
    """
    # Of a device or a pipe nobody knows the size before it is read.
    size = -1 if limit is None else limit + 1
    if "://" not in path:
        with open(path, "rb") as file:
            contents = file.read(size)
    else:
        import tensorflow as tf

        with tf.io.gfile.GFile(path, "rb") as file:
            contents = file.read(size)
    if limit is not None and len(contents) > limit:
        raise ValueError(f"{path!r} must have at most {limit:,} bytes, but has more.")
    return contents


def write_bytes(path: str, contents: bytes, overwrite: bool = False) -> None:
    """Writes a file; a local one whole or not at all.

    A symbolic link is never followed: it is there, and to overwrite replaces it.

    Args:
      path: the file.
      contents: what it is to have.
      overwrite: whether to replace a file of that name.

    Raises:
      FileExistsError: there is one, and it is not to be overwritten.
      OSError: it cannot be written; the error names it.
    """
    if not overwrite:
        check_absent(path)
    if "://" in path:
        import tensorflow as tf

        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(contents)
        return
    temporary = f"{path}.{uuid.uuid4().hex}"
    try:
        with open(temporary, "xb") as file:
            file.write(contents)
        if overwrite or not _linked(temporary, path):
            os.replace(temporary, path)
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, "exists already", path) from None
    except OSError as error:  # Of the temporary file, or of none.
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        with contextlib.suppress(OSError):
            os.remove(temporary)


def check_absent(path: str) -> None:
    """Raises FileExistsError if there is a file, a directory or a link of that name."""
    if "://" not in path:
        is_there = os.path.lexists(path)
    else:
        import tensorflow as tf

        is_there = tf.io.gfile.exists(path)
    if is_there:
        raise FileExistsError(errno.EEXIST, "exists already", path)


def _linked(temporary: str, path: str) -> bool:
    """Gives a file its name unless there is one; returns False if it cannot."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True


def is_file(path: str) -> bool:
    """Returns whether there is a file, and no directory."""
    if "://" not in path:
        return os.path.isfile(path)
    import tensorflow as tf

    return tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path)
