"""What went wrong, in words for people, out of errors of frameworks."""

import contextlib
import re
from collections.abc import Iterator

# TensorFlow wraps the text of an assertion in the names of graph nodes.
_ASSERTION = re.compile(r"assertion failed: \[(.*?)\](?:\s|$)", re.S)

# Modules that only extras install, and what people call them.
_OF_EXTRAS = {
    "absl": "absl-py",
    "apache_beam": "Apache Beam",
    "keras": "Keras",
    "matplotlib": "Matplotlib",
    "pandas": "pandas",
    "tensorflow": "TensorFlow",
    "tfx": "TFX",
    "tqdm": "tqdm",
}


def reason(error: BaseException) -> str:
    """Returns the text of an error, without the framework's wrapping."""
    text = str(error)
    if assertion := _ASSERTION.search(text):
        return assertion[1].replace("\\'", "'")  # As TensorFlow prints strings.
    return text


@contextlib.contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Around imports: says what to install if a module of the extras is missing.

    Of several around one another, the outermost speaks: it knows what the user called.

    Args:
      extra: the extra of this package that installs all that `what` needs.
      what: the function, module or command that needs it, as a user knows it.

    Raises:
      ModuleNotFoundError: one line with the command that installs it, e.g. `input_fn
        needs TensorFlow: pip install "tfx-resampling[tf]"`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _OF_EXTRAS:
            raise
        raise ModuleNotFoundError(
            f'{what} needs {_OF_EXTRAS[module]}: pip install "tfx-resampling[{extra}]"',
            name=error.name,
        ) from None
