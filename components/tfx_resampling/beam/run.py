"""Runs `WriteResampled`, and leaves nothing behind where it fails."""

import errno
import re
from typing import Callable, Dict, Mapping, Sequence

import apache_beam as beam
import tensorflow as tf

from tfx_resampling.beam.job import PARTIAL
from tfx_resampling.beam.options import ResampleOptions
from tfx_resampling.beam.write import WriteResampled
from tfx_resampling.core.layout import Layout, layout_path
from tfx_resampling.core.plan import Plan
from tfx_resampling.data.layout import read_layout
from tfx_resampling.errors import reason

_FULL = "No space left on device"
# The last error of a chain of them, as workers print it: "module.Error: text [while".
_CAUSE = re.compile(
    r"(?:^|\n)[\w.]*?(\w+(?:Error|Exception)): (.+?)(?= \[while running|\n\n|$)", re.S
)
# Those that say what is wrong with the input.
_OF_INPUT = ("ValueError", "InvalidArgumentError", "NotFoundError", "DataLossError")


def write_resampled(
    outputs: Mapping[str, Sequence[str]],
    plan: Plan,
    options: ResampleOptions,
    make_pipeline: Callable[[], beam.Pipeline],
) -> Dict[str, Layout]:
    """Resamples files into directories, in one Beam pipeline.

    Guarantee: when it returns, all directories are whole. When it raises, none of them
    is there, nor anything unfinished. What a process that was killed has left beside
    them is removed first.

    Args:
      outputs: directory to write -> the files whose records go there.
      plan: the plan.
      options: see `ResampleOptions`.
      make_pipeline: makes the Beam pipeline that does it.

    Returns:
      directory -> what was written.

    Raises:
      ValueError: a directory that exists, records that cannot be used, or none to
        write.
      OSError: the disk is full (ENOSPC).
      RuntimeError: the job failed for another reason, such as a worker that was killed.
    """
    for output_dir in outputs:
        _remove(tf.io.gfile.glob(_escaped(output_dir) + PARTIAL + "*"))
    writes = {
        output_dir: WriteResampled(plan, output_dir, options) for output_dir in outputs
    }
    try:
        pipeline = make_pipeline()
        for number, (output_dir, write) in enumerate(writes.items()):
            _ = (
                pipeline
                # Names; the workers read what they name.
                | f"Files{number}" >> beam.Create(list(outputs[output_dir]))
                | f"WriteResampled{number}" >> write
            )
        pipeline.run().wait_until_finish()
        layouts = {output_dir: read_layout(output_dir) for output_dir in outputs}
    except BaseException as error:
        for output_dir, write in writes.items():
            _remove([write.scratch, layout_path(output_dir), output_dir])
        if not isinstance(error, Exception):
            raise  # Ctrl-C.
        text = str(error)
        if KeyboardInterrupt.__name__ in text:  # Beam makes an error of it.
            raise KeyboardInterrupt from error
        if _FULL in text:
            raise OSError(
                errno.ENOSPC,
                f"{_FULL} while writing {' and '.join(outputs)}. What is written takes "
                "twice its size until it is finished. Nothing of it was kept",
            ) from error
        raise _cause(error) from error
    return layouts


def _cause(error: Exception) -> Exception:
    """Returns the error of a worker as one of this process, without where it was."""
    text = str(error)
    if (words := reason(error)) != text:
        return ValueError(words)
    causes = _CAUSE.findall(text)
    kind, text = causes[-1] if causes else (type(error).__name__, text)
    text = re.sub(r" \[while running.*", "", text, flags=re.S)
    if kind in _OF_INPUT:
        return ValueError(text)
    return RuntimeError(f"the Beam job failed, and nothing of it was kept: {text}")


def _remove(paths: Sequence[str]) -> None:
    for path in paths:
        if tf.io.gfile.isdir(path):
            tf.io.gfile.rmtree(path)
        elif tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)


def _escaped(path: str) -> str:
    return re.sub(r"([\[\]*?])", r"\\\1", path)
