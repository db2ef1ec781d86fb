"""Command lines."""

import contextlib
import io
import pathlib

from tfx_resampling.cli import main

from tests import plans
from tests.bad_input.rows import Row, given

_ARGUMENTS = [
    (["plan"], "Missing option '--label-key'"),
    (["plan", "--label-key", "l"], "give --statistics or --examples"),
    (["plan", "--label-key", "l", "--examples", "/no/*"], "matches no file"),
    (["plan", "--label-key", "l", "--statistics", "/no"], "must be a FeatureStats"),
    (
        ["plan", "--label-key", "l", "--statistics", str(pathlib.Path(__file__))],
        "command_line.py' is no FeatureStats.pb of TFDV",
    ),
    (
        ["plan", "--label-key", "l", "--examples", "x", "--target", "unform"],
        "target must be .* got 'unform'",
    ),
    (["show", "absent.json"], "^No such file or directory: 'absent.json'"),
    (["plna"], "No such command 'plna'. Is it 'plan'?"),
    (["train"], "No such command 'train'. There are .'plan', 'show'"),
    (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    (["show"], "Missing argument 'PLAN'"),
    (["show", "{plan}", "more"], "Got unexpected extra argument"),
    (["show", "{plan}", "--html", "/nowhere/x.html"], "No such file or directory"),
    (["show", "{plan}", "--html", "{plan}"], "exists already. Give --overwrite"),
    (["show", "{escape}"], r"No such file or directory: 'no\\x1b\[2Jplan'"),
    (["diff", "{plan}"], "Missing argument 'AFTER'"),
    (["diff", "-", "-"], "only one plan can come from standard input"),
    (["check", "{plan}"], "Missing option '--examples'"),
    (["check", "{plan}", "--examples", "x", "--epochs", "many"], "'many' is not a"),
    (["check", "{plan}", "--examples", "/no/*"], "'/no/.*' matches no file"),
    (["plan", "--label-key", "l", "--examples", "x", "--seed", "1.5"], "'1.5' is not"),
    (
        ["plan", "--label-key", "l", "--examples", "x", "--group-by", "["],
        "group_by mus",
    ),
    (["plan", "--label-key", "l", "--examples", "x", "--size", "half"], "size must be"),
    (["plan", "--label-key", "l", "--examples", "x", "--lable", "y"], "No such option"),
]
_WORDS = {"{escape}": "no\x1b[2Jplan"}


def _row(arguments: list[str], message: str) -> Row:
    def run(folder):
        plan = given(folder) / "plan.json"
        plan.write_text(plans.make("ab", [1.0, 0.5]).to_json())
        words = {**_WORDS, "{plan}": str(plan)}
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = main.main([words.get(word, word) for word in arguments])
        assert (code, output.getvalue()) == (2, "")
        text = errors.getvalue()
        assert text.startswith("error: ") and text.endswith("\n")
        raise ValueError(text[len("error: ") : -1])

    return Row(f"tfx-resampling {' '.join(arguments)}"[-80:], run, message)


ROWS = [_row(*row) for row in _ARGUMENTS]
