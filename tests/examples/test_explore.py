"""The notebook runs from its start to its end, and shows what it says."""

import base64
import os
import pathlib
import re

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = pathlib.Path(__file__).parents[2] / "examples"
PATH = FOLDER / "explore.ipynb"


def test_it_is_stored_without_outputs():
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert PATH.stat().st_size < 100_000


@pytest.mark.nightly
def test_it_runs_and_shows_plan_figure_and_images(tmp_path, monkeypatch):
    # Where the kernel writes: its history, and the data and runs of the notebook.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = set(os.listdir(FOLDER))
    notebook = nbformat.read(PATH, as_version=4)
    resources = {"metadata": {"path": str(FOLDER)}}  # As Jupyter starts it.
    NotebookClient(notebook, timeout=300, resources=resources).execute()
    assert set(os.listdir(FOLDER)) - before <= {"__pycache__"}
    outputs = [cell.get("outputs", []) for cell in notebook.cells]
    (shown,) = [
        output.data["text/html"]
        for cell in outputs
        for output in cell
        if "Resampling plan" in output.get("data", {}).get("text/html", "")
    ]
    assert "<iframe" in shown and "Labels that occur together" in shown
    images = [
        base64.b64decode(output.data["image/png"])
        for cell in outputs
        for output in cell
        if "image/png" in output.get("data", {})
    ]
    assert len(images) == 2  # Of the plan, and of the batch.
    assert all(image.startswith(b"\x89PNG") for image in images)
    text = "".join(
        output.text for cell in outputs for output in cell if output.get("name")
    )
    assert re.search(r"^uniform +distance to target 0\.", text, re.M)
    # Realised shares are the predicted ones, to a point.
    (found,) = re.findall(r"^label .*?\n\n", text, re.M | re.S)
    table = found.splitlines()
    assert table[0].split()[-2:] == ["predicted", "realised"]
    for line in table[1:-1]:
        predicted, realised = (float(x.rstrip("%")) for x in line.split()[-2:])
        assert realised == pytest.approx(predicted, abs=1.0)
