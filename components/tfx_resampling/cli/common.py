"""What the commands share: plans in and out, tables, progress."""

import contextlib
import importlib
import json
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from tfx_resampling.filesystem import check_absent, read_bytes, write_bytes
from tfx_resampling.validate import printable

STANDARD_STREAM = "-"
# Characters of a label in a table where there is room, and where there is not so much;
# of the gap before a number.
_LONGEST_LABEL, _SHORT_LABEL, _GAP = 40, 16, 2
# A line of TensorFlow's log ("I0000 00:00:1795303000.848883 4 cudart_stub.cc:31] ..."),
# and the one before the first.
_START_UP_NOTE = re.compile(
    r"[IWE]\d{4} [\d:.]+ |WARNING: All log messages before absl"
)


def read_plan(path: str):
    """Returns the plan of a `plan.json`, of an artifact's directory, or of "-".

    Raises:
      ValueError: no such file, or no plan; the message names it.
    """
    from tfx_resampling.core.plan import MAX_BYTES, PLAN_FILE, Plan

    if path == STANDARD_STREAM:
        contents = sys.stdin.read(MAX_BYTES + 1)
    else:
        if os.path.isdir(path):
            path = os.path.join(path, PLAN_FILE)
        import_to_open(path)
        contents = read_bytes(path, MAX_BYTES)
    try:
        return Plan.from_json(contents)
    except ValueError as error:
        raise ValueError(f"{path!r}: {error}") from None


def write(path: str, contents, overwrite: bool = False) -> None:
    """Writes text or bytes to a file, whole or not at all, or to "-".

    Raises:
      click.UsageError: the file is there, and is not to be overwritten.
    """
    if path == STANDARD_STREAM:
        click.echo(contents, nl=False)
        return
    contents = contents.encode() if isinstance(contents, str) else contents
    import_to_open(path)
    try:
        write_bytes(path, contents, overwrite)
    except FileExistsError:
        raise _exists(path) from None


def check_outputs(*paths: str | None, overwrite: bool) -> None:
    """Raises click.UsageError if one of the files is there; for before long work."""
    for path in paths:
        if path and path != STANDARD_STREAM and not overwrite:
            import_to_open(path)
            try:
                check_absent(path)
            except FileExistsError:
                raise _exists(path) from None


def _exists(path: str) -> click.UsageError:
    return click.UsageError(
        f"{path!r} exists already. Give --overwrite to replace it, or write elsewhere."
    )


def write_json(value: object) -> None:
    """Prints a JSON value for machines, in which a terminal obeys nothing."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    click.echo(
        "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)
    )


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1]


def print_table(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Sequence[str] = (),
    warnings: Sequence[str] = (),
    err: bool = False,
    together: int = 1,
) -> None:
    """Prints a table, its first column to the left, then notes and warnings.

    Numbers are never cut. Where the terminal is too narrow, labels are shortened first,
    and then the columns go below each other, in blocks that all have the labels.

    Args:
      names: of the columns.
      rows: a list of cells each; the first one is the label.
      notes: lines that go below.
      warnings: further lines, marked as warnings.
      err: whether it goes to standard error.
      together: so many columns after the label stay side by side.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=err, highlight=False)
    is_wide = not console.is_terminal
    room = math.inf if is_wide else console.width
    lines = [[printable(cell) for cell in line] for line in (names, *rows)]
    widths = [max(map(cell_len, column)) + _GAP for column in zip(*lines)]
    blocks, label_width = _blocks(widths, together, room)
    for block in blocks:
        for number, line in enumerate(lines):
            # Text, since labels may look like rich's markup.
            text = Text(line[0])
            text.truncate(label_width, overflow="ellipsis", pad=True)
            for i in block:
                text.append(" " * (widths[i] - cell_len(line[i])) + line[i])
            text.rstrip()
            text.stylize("" if number else "bold")
            console.print(text, soft_wrap=True)  # As it is.
        if block is not blocks[-1]:
            console.print()
    for note in notes:
        console.print(Text(printable(note)), soft_wrap=is_wide)
    for warning in warnings:
        text = Text(printable(f"Warning: {warning}"), style="yellow")
        console.print(text, soft_wrap=is_wide)


def _blocks(
    widths: Sequence[int], together: int, room: float
) -> tuple[list[list[int]], int]:
    """Returns the columns (from 1) of each block, and the width of labels in all."""

    def width(columns: Sequence[int]) -> int:
        return sum(widths[i] for i in columns)

    columns = list(range(1, len(widths)))
    parts = [columns[i : i + together] for i in range(0, len(columns), together)]
    longest = min(widths[0] - _GAP, _LONGEST_LABEL)
    # Shorter than is good to read only where not even one part fits beside it.
    shortest = min(longest, _SHORT_LABEL, max(1, room - max(map(width, parts))))
    blocks: list[list[int]] = [[]]
    for part in parts:
        if blocks[-1] and width(blocks[-1] + part) > room - shortest:
            blocks.append([])
        blocks[-1] += part
    return blocks, int(max(shortest, min(longest, room - max(map(width, blocks)))))


@contextlib.contextmanager
def progress(what: str, files: Sequence[str]) -> Iterator[Callable[[int], None]]:
    """Shows how many records of files are done, on a terminal; yields what to tell.

    How many there are is estimated from the first ones of uncompressed files.
    """
    from rich import progress as bars
    from rich.console import Console

    columns = [
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("records"),
        bars.TimeElapsedColumn(),
    ]
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda count: None
        return
    with bars.Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(what, total=_num_records(files))
        yield lambda count: shown.advance(task, count)


def _num_records(files: Sequence[str]) -> int | None:
    import tensorflow as tf

    from tfx_resampling.records.files import RecordFiles
    from tfx_resampling.records.reader import FRAMING_BYTES

    found = RecordFiles(tuple(files), skip=True)
    if any(found.compressions):
        return None
    try:
        mean = found.features.mean_bytes
    except ValueError:
        return None
    size = sum(tf.io.gfile.stat(name).length for name in files)
    return round(size / (FRAMING_BYTES + mean))


def import_tensorflow() -> None:
    """Imports TensorFlow without its start-up notes, which help nobody here.

    Those of the import are printed before the level counts, since TensorFlow 2.19; so
    they are left out of what the import writes to standard error.

    Raises:
      ModuleNotFoundError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as written:
        terminal = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            written.seek(0)
            for line in written.read().decode(errors="replace").splitlines():
                if not _START_UP_NOTE.match(line):
                    print(line, file=sys.stderr)


def import_to_open(*paths: str) -> None:
    """Imports TensorFlow in the same way, if one of the paths is of a remote file."""
    if any("://" in path for path in paths):
        import_tensorflow()


def examples(required: bool = True):
    """The files of records."""
    return click.option(
        "--examples",
        multiple=True,
        required=required,
        metavar="PATTERN",
        help="TFRecord files of tf.train.Example, a glob pattern; repeatable.",
    )


class OptionsCommand(click.Command):
    """A command with flags that are made of the options of dataclasses.

    They are made when the command is used, so that a list of all commands needs no
    NumPy.
    """

    def __init__(
        self, *args: Any, flags: Callable[[], list[click.Option]], **kwargs: Any
    ):
        """As click.Command; `flags` returns what `option_flags` makes."""
        super().__init__(*args, **kwargs)
        self._flags = flags

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Returns the parameters, the flags among them."""
        self.params += self._flags()
        self._flags = list
        return super().get_params(ctx)


def option_flags(
    kind: type,
    names: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    **defaults: Any,
) -> list[click.Option]:
    """Returns a flag for each option of a dataclass.

    Args:
      kind: the dataclass, `PlannerConfig` or `InputOptions`.
      names: the fields that are wanted; all if empty.
      leave_out: fields that are not wanted.
      **defaults: defaults that differ from those of the dataclass.
    """
    from tfx_resampling.core.config import option_fields

    flags = []
    for option in option_fields(kind, leave_out):
        if names and option.name not in names:
            continue
        default = defaults.get(option.name, option.default)
        name = option.name.replace("_", "-")
        flag = f"--{name}/--no-{name}" if option.wire is bool else f"--{name}"
        flags.append(
            click.Option(
                [flag, option.name],
                type=click.Choice(option.choices) if option.choices else option.wire,
                is_flag=option.wire is bool,
                required=option.required and default is None,
                show_default=default is not None,
                help=option.help[:1].upper() + option.help[1:],
                # From click 8.3 on None is a default like any other.
                **({} if default is None else {"default": default}),
            )
        )
    return flags


overwrite_flag = click.option(
    "--overwrite", is_flag=True, help="Replace files that are there."
)

json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
