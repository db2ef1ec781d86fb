"""Options that several commands have."""

import click


def examples(required: bool = True):
    """The files of records."""
    return click.option(
        "--examples",
        multiple=True,
        required=required,
        metavar="PATTERN",
        help="TFRecord files of tf.train.Example, a glob pattern; repeatable.",
    )


on_corrupt = click.option(
    "--on-corrupt",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="What a record that cannot be read is.",
)


def rule(command):
    """Options that are part of the decision rule, beside the plan."""
    for option in (
        on_corrupt,
        click.option(
            "--unknown-labels",
            default="error",
            show_default=True,
            help="What a label is that the plan does not know: error, or its factor.",
        ),
        click.option(
            "--key-feature",
            help="Feature that identifies a record; by default all of its bytes do.",
        ),
        click.option(
            "--epochs", type=int, default=1, show_default=True, help="How many epochs."
        ),
        click.option(
            "--start-epoch",
            type=int,
            default=0,
            show_default=True,
            help="First epoch.",
        ),
    ):
        command = option(command)
    return command


def rule_values(**values) -> dict:
    """Returns the values of `rule` as `InputOptions` and `ResampleOptions` take them.

    Raises:
      ValueError: unknown_labels is neither "error" nor a number.
    """
    unknown = values["unknown_labels"]
    if unknown != "error":
        try:
            values["unknown_labels"] = float(unknown)
        except ValueError:
            raise ValueError(
                f"--unknown-labels must be 'error' or a factor, got {unknown!r}."
            ) from None
    return values


json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
