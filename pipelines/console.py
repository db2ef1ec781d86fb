"""One line per component on the terminal, everything else in a log file."""

import contextlib
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import TextIO

from absl import logging as absl_logging

# Messages of TFX's runner, and the Trainer module's line per epoch.
_STARTS = re.compile(r"Component (\S+) is running\.")
_ENDS = re.compile(r"Component (\S+) is finished\.")
_CACHED = re.compile(r"A cached execution \d+ is used\.")
_EPOCH = re.compile(r"Epoch \d+/\d+: ")


@contextlib.contextmanager
def logged(path: str) -> Iterator[TextIO]:
    """Sends all output of this process and its children to the file `path`.

    Subprocesses of TFX (pip, setup.py) and C++ write to the file descriptors, so those
    are redirected. Yields the terminal, on which a line per component appears.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    terminal = os.fdopen(os.dup(1), "w", buffering=1)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    root = logging.getLogger()
    handlers = [_Progress(terminal), logging.StreamHandler(sys.stderr)]
    handlers[1].setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    # Not by the level of the logger "absl", which saving a model sets anew from this.
    verbosity = absl_logging.get_verbosity()
    for handler in handlers:
        root.addHandler(handler)
    absl_logging.set_verbosity(absl_logging.INFO)
    try:
        yield terminal
    finally:
        for handler in handlers:
            root.removeHandler(handler)
        absl_logging.set_verbosity(verbosity)
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in zip((1, 2), saved):
            os.dup2(copy, descriptor)
            os.close(copy)
        terminal.close()


class _Progress(logging.Handler):
    """Turns the runner's log records into a line per component."""

    def __init__(self, terminal: TextIO):
        super().__init__(logging.INFO)
        self._terminal = terminal
        self._started = time.monotonic()
        self._cached = False

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if _STARTS.fullmatch(message):
            self._started, self._cached = time.monotonic(), False
        elif _CACHED.fullmatch(message):
            self._cached = True
        elif match := _ENDS.fullmatch(message):
            seconds = time.monotonic() - self._started
            how = "cached" if self._cached else f"{seconds:5.1f} s"
            print(f"{match[1]:<18} {how}", file=self._terminal)
        elif _EPOCH.match(message):
            print(f"  {message}", file=self._terminal)
