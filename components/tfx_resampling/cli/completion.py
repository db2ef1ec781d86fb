"""`tfx-resampling completion`: what makes a shell complete commands and options."""

import click
from click import shell_completion


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell):
    """Prints the script: eval "$(tfx-resampling completion bash)"."""
    from tfx_resampling.cli.main import cli

    kind = shell_completion.get_completion_class(shell)
    click.echo(kind(cli, {}, "tfx-resampling", "_TFX_RESAMPLING_COMPLETE").source())
