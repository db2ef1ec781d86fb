"""Arguments of command lines that several scripts have."""


def pairs(option: str, texts: list[str]) -> dict[str, str]:
    """Returns the values of a repeated NAME=VALUE.

    Raises:
      ValueError: a text of another form.
    """
    for text in texts:
        if "=" not in text:
            raise ValueError(f"{option} must be of the form NAME=VALUE, got {text!r}.")
    return dict(text.split("=", 1) for text in texts)
