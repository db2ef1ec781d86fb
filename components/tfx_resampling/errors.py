"""What went wrong, in words for people, out of errors of frameworks."""

import re

# TensorFlow wraps the text of an assertion in the names of graph nodes.
_ASSERTION = re.compile(r"assertion failed: \[(.*?)\](?:\s|$)", re.S)


def reason(error: BaseException) -> str:
    """Returns the text of an error, without the framework's wrapping."""
    text = str(error)
    if assertion := _ASSERTION.search(text):
        return assertion[1].replace("\\'", "'")  # As TensorFlow prints strings.
    return text
