"""Every block of the README and of docs/ runs, and shows what it really prints.

Each page runs from its start to its end in a folder of its own, as a reader would run
it: Python blocks share names, `$ tfx-resampling` lines must print what is shown below
them, with `...` for anything. What a page takes for granted (`model`, `fn_args`,
`example_gen`...) is made here. A block that cannot run says why, in the line before it:

    <!-- notest: needs a cluster -->
"""

import dataclasses
import importlib.util
import os
import pathlib
import re
import shlex
import subprocess
import sys
import types

import click
import pytest
import tfx_resampling
import yaml
from tfx_resampling.cli import main

from tests import tfrecords
from tests.images import image_files

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(
    r"^(?:<!-- notest: ([^\n]+) -->\n)?```(\w+)\n(.*?)^```$", re.S | re.M
)
# What a page of HTML loads from elsewhere.
LOADED = re.compile(r"<(?:script|img|link)[^>]*(?:src|href)=.?(https?:[^>]*)")
# Languages of blocks that are not run: pictures in letters, contents of files.
_SHOWN = {"text", "html", "toml"}
# What makes a page take many seconds: components, Beam, graphs, training.
_HEAVY = re.compile(
    r"example_gen|statistics_gen|apache_beam|fn_args|input_fn\(|\.fit\(|"
    "tfx-resampling (check|apply)"
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: pathlib.Path
    line: int
    language: str
    reason: str | None
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: pathlib.Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        found.append(Block(page, line, match[2], match[1], match[3]))
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
NOT_RUN = [block for block in BLOCKS if block.reason]


def _parameters():
    for page in PAGES:
        blocks = [b for b in blocks_of(page) if not b.reason]
        if blocks:
            heavy = _HEAVY.search("".join(block.text for block in blocks))
            marks = [pytest.mark.long] if heavy else []
            name = str(page.relative_to(ROOT))
            yield pytest.param(blocks, id=name, marks=marks)


@pytest.mark.parametrize("blocks", _parameters())
def test_page(blocks, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("builtins.print", _silent)
    names = {"__name__": "page"}
    for block in blocks:
        run = {"python": _run_python, "console": _run_console, "yaml": _run_yaml}
        assert block.language in {*run, *_SHOWN}, f"{block.place}: {block.language}"
        if block.language in run:
            run[block.language](block, names, capsys)


@pytest.mark.parametrize("block", NOT_RUN, ids=[b.place for b in NOT_RUN])
def test_block_that_is_not_run(block):
    for words, _ in _commands(block) if block.language == "console" else []:
        if words and words[0] in CHECKED:
            CHECKED[words[0]](block, words)
    pytest.skip(f"{block.place}: {block.reason}")


def test_fences_are_closed_and_have_a_language():
    for page in PAGES:
        text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
        assert "```" not in text, page


def test_links_of_the_readme_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / target).exists(), target


@pytest.mark.long
def test_the_first_table_is_of_the_demo(folder, monkeypatch, capsys):
    """What `make run` prints of the plan; training itself takes minutes."""
    monkeypatch.chdir(folder)
    arguments = ["--examples", "runs/demo/train/*", "--label-key", "labels"]
    assert main.main(["plan", *arguments, "--target", "sqrt"]) == 0
    printed = capsys.readouterr().out.splitlines()
    shown = BLOCKS[0].text.splitlines()
    # The first line has three words for one number; then comes what was realised.
    table = [line.split()[: 9 if i == 0 else 7] for i, line in enumerate(printed[:11])]
    assert table == [
        line.split()[: 9 if i == 0 else 7] for i, line in enumerate(shown[2:13])
    ]
    assert shown[14] in printed


_FOLDERS = (ROOT, ROOT / "components" / "tfx_resampling")
_FILE = re.compile(r"`((?:[\w-]+/)+[\w-]+\.(?:py|ipynb|md))`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page):
    for name in _FILE.findall(page.read_text(encoding="utf-8")):
        found = [folder for folder in _FOLDERS if (folder / name).exists()]
        assert found, f"{page.relative_to(ROOT)}: {name}"


def test_the_api_page_has_every_public_name():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^::: tfx_resampling\.([\w.]+)$", text, re.M))
    named = {name.rpartition(".")[2] for name in listed}
    assert set(dir(tfx_resampling)) - {"__version__"} <= named
    assert {
        "beam.CountLabelSets",
        "beam.ReadResampled",
        "beam.WriteResampled",
    } <= listed


@pytest.mark.long
def test_pages_are_built_without_a_network(tmp_path):
    nowhere = "http://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)],
        env={**os.environ, "http_proxy": nowhere, "https_proxy": nowhere},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = LOADED.findall(text)
        assert not loaded, (page, loaded)
        assert "```" not in text, page  # A block that is shown as text.


def _silent(*_, **__):
    """What blocks print is not checked."""


def _run_python(block, names, _):
    for name, make in TAKEN_FOR_GRANTED.items():
        if name not in names and re.search(rf"\b{name}\b(?! *=)", block.text):
            names[name] = make(names)
    try:
        exec(compile(block.text, block.place, "exec"), names)
    except Exception as error:
        pytest.fail(f"{block.place}: {error!r} in\n{block.text}")


def _run_yaml(block, *_):
    _ = yaml.safe_load(block.text)


def _run_console(block, _, capsys):
    for words, shown in _commands(block):
        if words[0] == "tfx-resampling":
            _run_command(block, words, shown, capsys)
        else:
            assert words[0] in CHECKED, f"{block.place}: {words}"
            CHECKED[words[0]](block, words)


def _commands(block: Block) -> list[tuple[list[str], str]]:
    """Returns the words of each command of a block, and what it is shown to print."""
    text = block.text.replace("\\\n", " ")
    first, *commands = re.split(r"^\$ ", text, flags=re.M)
    assert not first.strip(), f"{block.place} begins with no command"
    found = []
    for command in commands:
        lines = command.splitlines()
        for end in range(1, len(lines) + 1):
            try:  # A quoted text may go on in the next line.
                words = shlex.split("\n".join(lines[:end]), comments=True)
            except ValueError:
                continue
            found.append((words, "\n".join(lines[end:])))
            break
    assert len(found) == len(commands), block.place
    return found


def _run_command(block, words, shown, capsys):
    capsys.readouterr()
    expected_code = 2 if shown.startswith("error:") else 0
    code = main.main(words[1:])
    captured = capsys.readouterr()
    assert code == expected_code, (block.place, words, captured.err)
    output = captured.err if code else captured.out
    if not shown.strip():
        return
    assert _matches(shown, output), (
        f"{block.place}: {shlex.join(words)} is shown to print\n{shown}\n"
        f"but prints\n{output}"
    )


def _matches(shown: str, output: str) -> bool:
    """Returns whether `output` is as shown; `...` stands for anything."""
    lines = [line.rstrip() for line in shown.strip().splitlines()]
    patterns = [
        r"(?:.*\n)*?" if line == "..." else _line_pattern(line) for line in lines
    ]
    text = "".join(f"{line.rstrip()}\n" for line in output.strip().splitlines())
    return re.fullmatch("".join(patterns), text) is not None


def _line_pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split("...")) + r"\n"


def _check_make(block, words):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    options = set(re.findall(r"\$\((?:or \$\()?([A-Z_]+)", makefile))
    for word in words[1:]:
        name, is_option, _ = word.partition("=")
        assert name in (options if is_option else targets), f"{block.place}: {word}"


def _check_pip(block, words):
    project = (ROOT / "pyproject.toml").read_text()
    section = project.partition("[project.optional-dependencies]")[2]
    extras = set(re.findall(r"^(\w+) = \[", section.partition("\n[")[0], re.M))
    for asked in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert set(asked.split(",")) <= extras, f"{block.place}: {asked}"


def _check_module(block, words):
    """Checks that the module is there, and that its command has the options."""
    assert words[1] == "-m" and importlib.util.find_spec(words[2]), (block.place, words)
    if words[2].startswith("pipelines."):
        module = importlib.import_module(words[2])
        found = {
            flag
            for command in vars(module).values()
            if isinstance(command, click.Command)
            for flag in _flags(command)
        }
        asked = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert asked <= found | {"--help"}, (block.place, asked - found)


# Commands of which only what they name is checked.
CHECKED = {"make": _check_make, "pip": _check_pip, "python": _check_module}


def _flags(command: click.Command) -> set[str]:
    flags = {
        flag
        for parameter in command.get_params(click.Context(command))
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    if isinstance(command, click.Group):
        flags.update(*map(_flags, command.commands.values()))
    return flags


def _model(_):
    import keras

    layers = [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile(loss="binary_crossentropy", optimizer="sgd")
    return model


def _example_gen(_):
    from tfx import v1 as tfx

    return tfx.components.ImportExampleGen(input_base=".")


def _statistics_gen(names):
    from tfx import v1 as tfx

    names.setdefault("example_gen", _example_gen(names))
    examples = names["example_gen"].outputs["examples"]
    return tfx.components.StatisticsGen(examples=examples)


def _fn_args(_):
    """Returns the argument of `run_fn`, with a plan where a Trainer puts it."""
    import tfx_resampling as tr
    from tfx_resampling import artifacts

    counts = tr.count_labels("train-*", "labels")
    plan = tr.make_plan(counts, tr.PlannerConfig("labels", target="sqrt"))
    artifacts.write_plan(plan, "artifact")
    return types.SimpleNamespace(
        train_files=["train-*"],
        custom_config={artifacts.PLAN_URI_KEY: "artifact"},
        hyperparameters=None,
    )


# What a reader has: a compiled model, components of a pipeline, a Trainer's argument.
TAKEN_FOR_GRANTED = {
    "example_gen": _example_gen,
    "fn_args": _fn_args,
    "model": _model,
    "statistics_gen": _statistics_gen,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> pathlib.Path:
    """Records with images, labels, ids and numbers; the demo's labels; photographs."""
    folder = tmp_path_factory.mktemp("pages")
    for split, count in (("train", 120), ("eval", 30)):
        records = [
            tfrecords.example(
                {
                    "image/id": i,
                    "image/encoded": image_files.jpeg(),
                    "labels": [b"cat"] if i % 10 else [b"dog", b"cat"],
                    "site": b"north" if i % 3 else b"south",
                    "age": i,
                    "dose": float(i),
                }
            )
            for i in range(count)
        ]
        tfrecords.write(folder / f"{split}-0.tfrecord", records)
        (folder / split).mkdir()
        tfrecords.write(folder / split / "0.tfrecord", records)
    for i, category in enumerate(["cat", "cat", "dog"]):
        (folder / "photos" / category).mkdir(parents=True, exist_ok=True)
        (folder / "photos" / category / f"{i}.jpg").write_bytes(image_files.jpeg())
    (folder / "my_module.py").write_text("def run_fn(fn_args):\n    pass\n")
    _write_demo(folder / "runs" / "demo" / "train")
    return folder


def _write_demo(folder: pathlib.Path) -> None:
    """Writes what `make run` makes, with the same ids and labels but without images."""
    import numpy as np
    from sklearn import datasets

    from pipelines import demo_data

    rng = np.random.default_rng(0)
    rng.permutation(len(datasets.load_digits().target))  # As demo_data.build.
    scenes = demo_data._scene_digits(demo_data.NUM_TRAIN, rng)
    records = [
        tfrecords.example(
            {
                "image/id": f"train-{number:06d}".encode(),
                "labels": [demo_data.LABELS[i].encode() for i in scene] or None,
            }
        )
        for number, scene in enumerate(scenes)
    ]
    folder.mkdir(parents=True)
    for shard in range(4):
        tfrecords.write(folder / f"train-{shard}.tfrecord", records[shard::4])


@pytest.fixture
def folder(data, tmp_path) -> pathlib.Path:
    """A folder with the data, in which a page may write what it likes."""
    for path in data.iterdir():
        os.symlink(path, tmp_path / path.name)
    return tmp_path
