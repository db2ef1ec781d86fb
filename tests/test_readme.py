"""Every block of Python in the README runs, and every `tfx-resampling` command.

They run one after the other in one folder, as somebody would who reads from the start,
with what the README takes for granted: records, components, a model.
"""

import glob
import os
import pathlib
import re
import shlex
import types

import keras
import pytest
import tensorflow as tf
from tfx import v1 as tfx
from tfx_resampling import artifacts
from tfx_resampling.cli import main
from tfx_resampling.core.plan import Plan

from tests import tfrecords
from tests.images import image_files

pytestmark = pytest.mark.long

README = pathlib.Path(__file__).parents[1] / "README.md"
PYTHON = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.S | re.M)
COMMANDS = re.findall(r"^\$ (tfx-resampling .*?)(?:  +#.*)?$", README.read_text(), re.M)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records with images, labels, ids and numbers; image files; a Trainer module."""
    folder = tmp_path_factory.mktemp("readme")
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
    return folder


@pytest.fixture(scope="module")
def names(folder):
    """What the blocks take for granted, and what they define."""
    example_gen = tfx.components.ImportExampleGen(input_base=str(folder))
    statistics_gen = tfx.components.StatisticsGen(
        examples=example_gen.outputs["examples"]
    )
    small = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
    small.compile(loss="binary_crossentropy", optimizer="sgd")
    return dict(
        tf=tf,
        tfx=tfx,
        example_gen=example_gen,
        statistics_gen=statistics_gen,
        model=small,
        strategy=tf.distribute.MirroredStrategy(["CPU:0"]),
    )


def test_blocks_of_python(folder, names, monkeypatch):
    monkeypatch.chdir(folder)
    assert len(PYTHON) >= 9
    for block in PYTHON:
        if "fn_args" in block and "fn_args" not in names:
            names["fn_args"] = arguments_of_a_trainer(folder, names)
        try:
            exec(compile(block, "README.md", "exec"), names)
        except Exception as error:
            pytest.fail(f"{error!r} in\n{block}")
    # The last of each kind is what it says.
    assert isinstance(names["plan"], Plan)
    images, labels = next(iter(names["validation"]))
    assert images.shape[1:] == (32, 32, 3) and labels.shape[1:] == (2,)
    assert len(glob.glob("resampled/*")) == 8


def arguments_of_a_trainer(folder, names):
    """Returns the argument of `run_fn`, with a plan where a Trainer puts it."""
    import tfx_resampling as tr

    counts = tr.count_labels(str(folder / "train-*"), "labels")
    plan = tr.make_plan(counts, tr.PlannerConfig("labels", target="sqrt"))
    artifacts.write_plan(plan, str(folder / "plan"))
    return types.SimpleNamespace(
        train_files=[str(folder / "train-*")],
        custom_config={artifacts.PLAN_URI_KEY: str(folder / "plan")},
        hyperparameters=None,
    )


def test_commands(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert len(COMMANDS) >= 3
    for command in COMMANDS:
        arguments = shlex.split(command)[1:]
        code = main.main(arguments)
        output = capsys.readouterr()
        assert code == 0, (command, output.err)
    assert os.path.exists("plan.json")
