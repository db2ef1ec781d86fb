"""The example runs, and tells frequencies as they are."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from examples import digit_folders, table_generator


def test_frequencies():
    rows = pd.Series(list("aaabbc"))
    table = table_generator.frequencies(rows, list("aabbbb"), list("abc"))
    assert table["rows"].tolist() == [3, 2, 1]
    assert table["samples"].tolist() == [2, 4, 0]
    assert table["share of samples"].tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert table["samples per row"].tolist() == pytest.approx([2 / 3, 2, 0])


def test_folders_are_classes(tmp_path):
    digit_folders.write(str(tmp_path))
    table = digit_folders.read(str(tmp_path / "train"))
    counts = table["category"].value_counts()
    assert set(counts.index) == set(digit_folders.CLASSES)
    assert counts["zero"] == 140 and counts["nine"] == 1
    assert np.asarray(Image.open(table["path"][0])).shape == (16, 16)
    even = digit_folders.read(str(tmp_path / "eval"))["category"].value_counts()
    assert set(even) == {35}


@pytest.mark.long
def test_the_example_runs(tmp_path):
    arguments = ["--out", str(tmp_path), "--epochs", "2"]
    done = CliRunner().invoke(table_generator.main, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    printed = done.output
    header = "rows  share of rows  samples  share of samples  samples per row  recall"
    assert header in printed
    rows = [line for line in printed.splitlines() if line.startswith("zero")]
    assert rows[0].split()[1:3] == ["140", "0.403"]
    with Image.open(tmp_path / "frequencies.png") as figure:
        assert figure.size == (1200, 630)
        assert len(figure.convert("RGB").getcolors(100_000) or []) > 50  # Not empty.
