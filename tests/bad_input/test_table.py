"""The table of bad inputs: each is an error of one line, and nothing is left."""

import os
import re
import threading

import pytest
import tensorflow as tf
from tfx_resampling import errors

from tests.bad_input import (
    command_line,
    images,
    manifests,
    options,
    pipeline,
    plan_files,
    records,
    statistics,
)

# Seconds within which a row must be refused; most take a few milliseconds.
_TIME_LIMIT = 60
_LONGEST = 1_500  # Characters of a line.
ROWS = [
    row
    for module in (
        *(command_line, images, manifests, options, pipeline, plan_files, records),
        statistics,
    )
    for row in module.ROWS
]


def outcome(run) -> BaseException | None:
    """Returns what `run` raises, within the time limit."""
    found: list[BaseException | None] = []

    def catch():
        try:
            run()
            found.append(None)
        except BaseException as error:  # Handed to the test.
            found.append(error)

    # A daemon, for the interpreter to be able to end.
    thread = threading.Thread(target=catch, daemon=True)
    thread.start()
    thread.join(_TIME_LIMIT)
    assert found, f"no answer within {_TIME_LIMIT} seconds"
    return found[0]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.name, marks=[pytest.mark.long] * row.is_long)
        for row in ROWS
    ],
)
def test_bad_input_is_one_line(row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = outcome(lambda: row.run(tmp_path))
    assert isinstance(error, (ValueError, OSError, tf.errors.OpError)), repr(error)
    text = errors.reason(error)
    lines = text.splitlines()
    assert len(lines) == 1 and len(text) < _LONGEST and "Traceback" not in text, text
    assert text.isprintable(), ascii(text)
    assert re.search(row.message, text), text
    assert set(os.listdir(tmp_path)) <= {"given"}


def test_there_are_rows_of_each_kind():
    assert len(ROWS) >= 120
    assert len({row.name for row in ROWS}) > 0.9 * len(ROWS)
