"""The command `tfx-resampling`: see what a plan will do, and do it.

Starts without TensorFlow, which only what reads records imports.
"""

import difflib
import importlib
import sys
from collections.abc import Sequence

import click
from click import shell_completion

from tfx_resampling.errors import needs, reason
from tfx_resampling.validate import printable
from tfx_resampling.version import __version__

_SHELLS = {
    "bash": shell_completion.BashComplete,
    "zsh": shell_completion.ZshComplete,
    "fish": shell_completion.FishComplete,
}


@click.command("completion", short_help="Prints the script that completes commands.")
@click.argument("shell", type=click.Choice(list(_SHELLS)))
def completion(shell):
    """Prints the script that completes commands in a shell.

    For example: eval "$(tfx-resampling completion bash)".
    """
    variable = "_TFX_RESAMPLING_COMPLETE"
    click.echo(_SHELLS[shell](cli, {}, "tfx-resampling", variable).source())


# Commands and the modules that they are in.
_COMMANDS = {
    "plan": "plan",
    "show": "plan",
    "diff": "diff",
    "check": "check",
    "apply": "apply",
    "completion": "main",
}
# Exit codes: wrong input or options; interrupted, as shells have it.
_WRONG, _INTERRUPTED = 2, 130


class _Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        if cmd_name == completion.name:
            return completion
        module = importlib.import_module(f"tfx_resampling.cli.{_COMMANDS[cmd_name]}")
        return getattr(module, f"{cmd_name}_command")

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args and args[0] not in _COMMANDS:
            close = difflib.get_close_matches(args[0], _COMMANDS)
            hint = f"Is it {close[0]!r}?" if close else f"There are {list(_COMMANDS)}."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)


@click.command(cls=_Commands)
@click.version_option(__version__, prog_name="tfx-resampling")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
def cli(debug: bool) -> None:  # `main` takes it out, wherever it is.
    """Plans and applies the resampling of long-tailed data.

    Files are TFRecords of tf.train.Example, local or remote.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code.

    0: done. 1: `check` found a count outside of its bound. 2: an error, which is one
    line on standard error. 130: interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    command = next((name for name in arguments if name in _COMMANDS), "")
    try:
        with needs("beam" if command == "apply" else None, f"tfx-resampling {command}"):
            return cli.main(arguments, "tfx-resampling", standalone_mode=False) or 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; nothing was written.", err=True)
        return _INTERRUPTED
    except click.ClickException as error:
        text = error.format_message()
    except BrokenPipeError:  # Of `| head`.
        sys.stderr.close()
        return 0
    except Exception as error:
        if debug:
            raise
        text = reason(error)
    click.echo(f"error: {printable(' '.join(text.split()))}", err=True)
    return _WRONG


if __name__ == "__main__":
    sys.exit(main())
