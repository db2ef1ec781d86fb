"""Arguments for Beam: which of them there are."""

import argparse
import difflib
from collections.abc import Sequence
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions

# Their job servers have options of their own, of which Beam's Python knows nothing.
_WITH_MORE = ("flinkrunner", "sparkrunner", "portablerunner")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"--beam-arg: {message}.")


def check_arguments(arguments: Sequence[str]) -> None:
    """Raises ValueError unless Beam knows the arguments, which it would ignore else.

    Those that only the job server of a Flink, Spark or portable runner knows are not
    refused.
    """
    parser: Any = _Parser(allow_abbrev=False, add_help=False)
    kinds = {str(kind): kind for kind in PipelineOptions.__subclasses__()}
    for kind in kinds.values():
        kind._add_argparse_args(parser)
    known, unknown = parser.parse_known_args(list(arguments))
    if str(known.runner or "").rpartition(".")[2].lower() in _WITH_MORE or not unknown:
        return
    name = unknown[0].partition("=")[0]
    names = [option for option in parser._option_string_actions if option[:2] == "--"]
    close = difflib.get_close_matches(name, names, 1, 0.8)
    hint = f"Is it {close[0]}?" if close else "Beam has no such option."
    raise ValueError(f"unknown --beam-arg {unknown[0]!r}. {hint}")
