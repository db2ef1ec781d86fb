"""What the command lines of this folder share."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click


def pairs(
    context: click.Context, option: click.Parameter, texts: Sequence[str]
) -> dict[str, str]:
    """Returns the values of a repeated NAME=VALUE; the callback of a click option.

    Raises:
      ValueError: a text of another form.
    """
    for text in texts:
        if "=" not in text:
            raise ValueError(
                f"{option.opts[0]} must be of the form NAME=VALUE, got {text!r}."
            )
    return dict(text.split("=", 1) for text in texts)


def stages(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of deferred balancing to a command."""
    for option in (
        click.option(
            "--second-stage",
            type=click.Choice(["all", "head"]),
            default="all",
            help="What is trained after these: all of the model, or its last layer.",
        ),
        click.option(
            "--natural-epochs",
            type=int,
            default=0,
            help="Epochs of natural data before those of the plan (deferred "
            "balancing).",
        ),
    ):
        command = option(command)
    return command


def run(
    command: click.Command,
    argv: Sequence[str] | None,
    name: str,
    expected: tuple[type[Exception], ...] = (ValueError, OSError),
) -> int:
    """Runs a command and returns its exit code; 130 if it is interrupted.

    Args:
      command: the command; it may return an exit code.
      argv: arguments; None for those of this process.
      name: how the command is started, for its help.
      expected: errors that are one line on standard error and exit code 2, as wrong
        options are.
    """
    try:
        return command.main(argv, name, standalone_mode=False) or 0
    except click.Abort:
        print("interrupted.", file=sys.stderr)
        return 130
    except click.ClickException as error:
        text = error.format_message()
    except expected as error:
        text = str(error)
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    return 2
