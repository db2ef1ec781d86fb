"""`make dist`: what it makes is whole, and runs outside of the repository."""

import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from tests import environments
from tests.install.conftest import Installed

pytestmark = pytest.mark.nightly

ROOT = pathlib.Path(environments.REPOSITORY)
# What the README takes for granted: images of two labels, and a model.
GIVEN = """
import keras, numpy as np, tensorflow as tf

for name in ("train-0.tfrecord", "eval-0.tfrecord"):
    with tf.io.TFRecordWriter(name) as writer:
        for i in range(100):
            example = tf.train.Example()
            features = example.features.feature
            features["labels"].bytes_list.value.append(b"ab"[i % 9 == 0 :][:1])
            features["image/id"].int64_list.value.append(i)
            image = tf.io.encode_png(np.full((32, 32, 3), i, np.uint8)).numpy()
            features["image/encoded"].bytes_list.value.append(image)
            writer.write(example.SerializeToString())
model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2, "sigmoid")])
model.compile("sgd", "binary_crossentropy")
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> pathlib.Path:
    """What `make dist` makes of what is committed or to be committed."""
    source = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        **dict(cwd=ROOT, capture_output=True, text=True, check=True),
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    made = subprocess.run(
        ["tools/dist.sh", sys.executable],
        **dict(cwd=source, capture_output=True, text=True),
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return source / "dist"


@pytest.fixture(scope="module")
def installed(dist, tmp_path_factory) -> Installed:
    root = tmp_path_factory.mktemp("installed")
    (path,) = dist.glob("*.whl")
    python = environments.create(
        str(root / "venv"), f"tfx-resampling[tf] @ file://{path}"
    )
    (root / "home").mkdir()
    return Installed(python, str(root / "home"))


def test_wheel_and_source_have_every_file(dist):
    (wheel,), (source,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    folder = ROOT / "components"
    ours = {
        str(path.relative_to(folder))
        for path in (folder / "tfx_resampling").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    in_wheel = {
        name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name
    }
    assert in_wheel == ours
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"components/{name}" for name in ours} <= names
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_licences_are_listed(dist):
    rows = [row.split("\t") for row in (dist / "licences.tsv").read_text().splitlines()]
    names = {name for name, _, _ in rows}
    assert {"tfx-resampling", "numpy", "tensorflow", "apache-beam", "tfx"} <= names
    # Its archive has the text of a licence, and does not name it.
    assert {name for name, _, licence in rows if licence == "unknown"} <= {"namex"}


def test_the_command_runs(installed):
    assert "plan" in installed.done("tfx-resampling", "--help")
    assert re.match(
        r"tfx-resampling, version \d", installed.done("tfx-resampling", "--version")
    )


def test_the_scripts_of_the_readme_run(installed):
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", readme, re.S | re.M)
    # What needs no TFX.
    scripts = [b for b in blocks if "count_labels" in b or "StratifiedSampler" in b]
    assert len(scripts) == 2
    installed.script(GIVEN + "\n".join(scripts))
    assert glob.glob(os.path.join(installed.home, "*.tfrecord"))
