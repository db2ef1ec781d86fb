"""Groups counted and resampled: the two must agree on every record."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tfx_resampling as tr
from tfx_resampling.options import InputOptions

from tests import tfrecords

pytestmark = pytest.mark.long

GROUP_BY = ["site", tr.Bucket("age", boundaries=[20, 40]), "ward", "label"]
NUM_RECORDS = 3000


def make_features(rng) -> dict:
    """A record of a bytes, a float and an integer column, some of them missing."""
    sites = [b"north", b"south", b"west"]
    site = None if rng.random() < 0.05 else rng.choice(sites, p=[0.7, 0.25, 0.05])
    return {
        "site": None if site is None else bytes(site),
        "age": None if rng.random() < 0.05 else float(rng.choice([5, 20, 39, 40, 70])),
        "ward": 3 if site == b"west" else int(rng.choice([3, 10, -1])),
        "label": bytes(rng.choice([b"x", b"y"], p=[0.9, 0.1])),
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Returns (path, group in words of each record)."""
    rng = np.random.default_rng(0)
    groups, records = [], []
    for i in range(NUM_RECORDS):
        features = make_features(rng)
        age, site = features["age"], features["site"]
        buckets = ((20, "(-inf, 20)"), (40, "[20, 40)"), (np.inf, "[40, inf)"))
        bucket = "(missing)"
        if age is not None:
            bucket = next(name for end, name in buckets if age < end)
        groups.append(
            f"site={site.decode() if site else '(missing)'}, age={bucket}, "
            f"ward={features['ward']}, label={features['label'].decode()}"
        )
        records.append(tfrecords.example({"image/id": i, **features}))
    path = tmp_path_factory.mktemp("groups") / "data.tfrecord"
    return tfrecords.write(path, records), groups


@pytest.fixture(scope="module")
def plan(data):
    counts = tr.count_labels(data[0], "label", group_by=GROUP_BY)
    config = tr.PlannerConfig("label", target="sqrt", group_by=GROUP_BY, seed=1)
    return tr.make_plan(counts, config)


@pytest.mark.fast
def test_counts_of_groups_are_exact(data, plan):
    truth = collections.Counter(data[1])
    assert dict(zip(plan.groups, plan.counts)) == truth
    assert plan.num_records == NUM_RECORDS
    assert plan.classes == ("x", "y")


def test_every_record_is_emitted_by_the_factor_of_its_group(data, plan):
    path, groups = data
    epochs = 10
    seen = np.zeros(NUM_RECORDS)
    for x, _ in tr.input_fn(
        path,
        plan,
        batch_size=500,
        image=None,
        keep=["image/id"],
        options=InputOptions(epochs=epochs),
    ).as_numpy_iterator():
        np.add.at(seen, x["image/id"], 1)
    factor = dict(zip(plan.groups, plan.factors))
    wanted = epochs * np.array([factor[group] for group in groups])
    assert (np.floor(wanted - 1e-6) <= seen).all()
    assert (seen <= np.ceil(wanted + 1e-6)).all()


def test_labels_stay_the_classes(data, plan):
    _, y = next(iter(tr.input_fn(data[0], plan, batch_size=50, image=None)))
    assert y.shape == (50, 2)
    assert (y.numpy().sum(axis=1) == 1).all()


def first_error(path, plan, **options) -> str:
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        options = InputOptions(epochs=1, **options)
        list(tr.input_fn(path, plan, batch_size=50, image=None, options=options))
    return str(error.value)


@pytest.mark.parametrize(
    "features, words",
    [
        pytest.param({"site": b"east"}, "site=east, age=5", marks=pytest.mark.nightly),
        # Each value is known, their combination is not.
        (
            {"site": b"west", "age": None, "ward": -1},
            "site=west, age=(missing), ward=-1",
        ),
        pytest.param({"site": b"\xff"}, "site=", marks=pytest.mark.nightly),
    ],
)
def test_a_group_that_the_plan_does_not_know(tmp_path, data, plan, features, words):
    record = {"site": b"north", "age": 5.0, "ward": 3, "label": b"x", **features}
    path = tfrecords.write(tmp_path / "new.tfrecord", [tfrecords.example(record)])
    message = first_error(path, plan)
    assert "new.tfrecord" in message and words in message
    plan, options = (
        dataclasses.replace(plan, unknown_labels=2.0),
        InputOptions(epochs=1),
    )
    batches = tr.input_fn(path, plan, batch_size=9, image=None, options=options)
    assert sum(len(y) for _, y in batches) == 2


@pytest.mark.nightly
def test_a_column_with_several_values_is_refused(tmp_path, plan):
    record = {"site": [b"north", b"south"], "age": 5.0, "ward": 3, "label": b"x"}
    path = tfrecords.write(tmp_path / "two.tfrecord", [tfrecords.example(record)])
    assert "column site of group_by has more than one value" in first_error(path, plan)
    with pytest.raises(tf.errors.InvalidArgumentError, match="column site"):
        tr.count_labels(path, "label", group_by=["site"])


@pytest.mark.fast
@pytest.mark.parametrize(
    "group_by, message",
    [
        (["color"], r"'color' is not a feature .*'site'"),
        (["age"], "'age' of group_by has floats: give a Bucket"),
        ([tr.Bucket("site", boundaries=[1])], "needs numbers"),
        ([tr.Bucket("age", quantiles=3)], "taken from statistics"),
    ],
)
def test_columns_that_cannot_be_counted(data, group_by, message):
    with pytest.raises(ValueError, match=message):
        tr.count_labels(data[0], "label", group_by=group_by)
