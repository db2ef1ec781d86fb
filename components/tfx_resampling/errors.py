"""What went wrong, in words for people, out of errors of frameworks."""

import ast
import contextlib
import difflib
import re
from collections.abc import Iterator, Sequence

# TensorFlow wraps the text of an assertion in the names of graph nodes.
_ASSERTION = re.compile(r"assertion failed: \[(.*?)\](?:\s|$)", re.S)
# Of one outside of a graph it prints the bytes.
_EAGER_ASSERTION = re.compile(r"Summarized data: (b(['\"]).*\2)$", re.S)

# What it puts around its own errors: where in a graph they are of; TensorFlow 2.21 also
# which stage of a data set.
_AROUND = re.compile(
    r"^(?:\{\{function_node [^}]*\}\} |Error in user-defined function passed to \S+ "
    r"transformation with iterator: \S+: )+|\s+\[\[\{\{node .*",
    re.S,
)

# Modules that only extras install: what people call them, and the smallest extra.
_OF_EXTRAS = {
    "absl": ("absl-py", "tf"),
    "apache_beam": ("Apache Beam", "beam"),
    "keras": ("Keras", "tf"),
    "matplotlib": ("Matplotlib", "plot"),
    "pandas": ("pandas", "tf"),
    "tensorflow": ("TensorFlow", "tf"),
    "tfx": ("TFX", "tfx"),
    "tqdm": ("tqdm", "tf"),
}


def reason(error: BaseException) -> str:
    """Returns the text of an error, without the framework's wrapping."""
    text = str(error)
    if assertion := _ASSERTION.search(text):
        return assertion[1].replace("\\'", "'")  # As TensorFlow prints strings.
    if assertion := _EAGER_ASSERTION.search(text):
        return ast.literal_eval(assertion[1]).decode()
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename!r}"  # Without its number.
    return _AROUND.sub("", text)


def names_like(name: str, names: Sequence[str]) -> str:
    """Returns a sentence about the features that are like one, or about all others."""
    names = [other for other in names if other != name]
    low = name.lower()
    close = {n for n in names if low in n.lower() or n.lower() in low}
    close.update(difflib.get_close_matches(name, names, cutoff=0.7))
    if close:
        return f"Features like it are {sorted(close)}."
    return f"The other features are {names}."


@contextlib.contextmanager
def needs(extra: str | None, what: str) -> Iterator[None]:
    """Around imports: says what to install if a module of the extras is missing.

    Of several around one another, the outermost speaks: it knows what the user called.

    Args:
      extra: the extra of this package that installs all that `what` needs; None: the
        smallest one that has the missing module.
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
        title, smallest = _OF_EXTRAS[module]
        raise ModuleNotFoundError(
            f'{what} needs {title}: pip install "tfx-resampling[{extra or smallest}]"',
            name=error.name,
        ) from None
