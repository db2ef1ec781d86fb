"""All versions of TFX make the same plans and samples, and read each other's shards."""

import json
import pathlib
from typing import Any

import pytest
import tensorflow as tf
import tfx_resampling
from tfx_resampling import Plan

from tests.golden import draws, made

EXPECTED = json.loads((made.FOLDER / "expected.json").read_text())


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return made.plans()


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The plan that samples are of: as it was written, not as it is made now."""
    return Plan.from_json(json.dumps(EXPECTED["plans"]["sqrt"]))


def test_records_are_written_alike():
    found = [x.numpy() for x in tf.data.TFRecordDataset(made.RECORDS)]
    assert found == made.records()


def assert_close(found: Any, expected: Any, place: str = "plan") -> None:
    """Compares what JSON holds, numbers to 3e-6: what a fit may leave, twice.

    Where it ends depends on the processor, by some 1e-9.
    """
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), place
        for name, value in expected.items():
            assert_close(found[name], value, f"{place}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for i, value in enumerate(expected):
            assert_close(found[i], value, f"{place}[{i}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=3e-6, abs=3e-6), place
    else:
        assert found == expected, place


@pytest.mark.parametrize("name", made.CONFIGS)
def test_plans(plans, name):
    assert_close(json.loads(plans[name].to_json()), EXPECTED["plans"][name])


@pytest.mark.parametrize(
    "name",
    [
        "content",
        *(
            pytest.param(
                n, marks=pytest.mark.nightly if n == "bytes" else pytest.mark.long
            )
            for n in made.IDENTITIES
            if n != "content"
        ),
    ],
)
def test_samples(plan, name):
    found = made.samples(plan, **made.IDENTITIES[name])
    assert found == EXPECTED["samples"][name]


@pytest.mark.parametrize("name", made.CONFIGS)
def test_plans_are_read_and_written_alike(name):
    expected = EXPECTED["plans"][name]
    assert json.loads(Plan.from_json(json.dumps(expected)).to_json()) == expected


@pytest.mark.long
def test_shards_have_the_same_bytes(plan, tmp_path):
    """So that each version reads what another one wrote."""
    made.write_shards(str(tmp_path / "shards"), plan)
    names = [path.name for path in pathlib.Path(made.SHARDS).iterdir()]
    assert len(names) > 2
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == sorted(
        names
    )
    for name in ("shards.manifest.json", *(f"shards/{name}" for name in names)):
        assert (tmp_path / name).read_bytes() == (made.FOLDER / name).read_bytes(), name


@pytest.mark.nightly
def test_samples_from_shards(plan):
    expected = made.samples(plan)["ids"]
    found = made.samples(plan, f"{made.SHARDS}/*")["ids"]
    assert sorted(found) == sorted(expected)


def test_draws_from_a_table():
    assert made.draws() == EXPECTED["draws"]


@pytest.mark.parametrize("path", sorted(draws.FOLDER.iterdir()), ids=lambda p: p.stem)
def test_draws_are_those_of_every_version(path):
    assert json.loads(path.read_text()) == draws.made()


def test_this_version_has_its_draws():
    """`tests.golden.draws.write` makes the file; see docs/promises.md."""
    assert (draws.FOLDER / f"{tfx_resampling.__version__}.json").exists()
