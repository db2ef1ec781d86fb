"""Loss weights: of each record, over epochs, and what a loss becomes with them."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
import tfx_resampling as tr
from tfx_resampling.stream.weights import LossWeights

from tests import tfrecords
from tests.images import image_files

LABELS = ["a"] * 300 + ["ab"] * 60 + ["b"] * 30 + ["c"] * 10 + [""] * 40


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return tfrecords.spread(folder, tfrecords.labeled(LABELS), files=2)


@pytest.fixture(scope="module")
def plan(files):
    config = tr.PlannerConfig("label", target="uniform", seed=3, max_factor=4.0)
    return tr.make_plan(tr.count_labels(files, "label"), config)


def factor(plan, labels, weight=1.0):
    """Returns the factor of a record of some letters, as the definition has it."""
    own = [plan.factors[plan.groups.index(letter)] for letter in labels]
    r = plan.unlabeled_factor
    if own:
        r = min(max(math.prod(own), plan.min_factor), plan.max_factor)
    return (1 - weight) + weight * r


def read(files, plan, weights, epochs=1, **given):
    dataset = tr.input_fn(
        files,
        plan,
        batch_size=1_000_000,
        image=None,
        keep=("image/id",),
        weights=weights,
        options=tr.InputOptions(epochs=epochs, deterministic=True),
        **given,
    )
    return [(x["image/id"], w) for x, _, w in tfrecords.read(dataset)]


@pytest.mark.parametrize(("weights", "parsed"), [("natural", 1), ("other", 2)])
def test_labels_are_parsed_once_where_the_loss_is_natural(plan, weights, parsed):
    other = plan.natural()
    if weights == "other":
        other = dataclasses.replace(other, max_factor=2.0, factors=(1.0, 1.0, 2.0))
    of = tf.function(LossWeights(plan, other).of)
    graph = of.get_concrete_function(
        tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int64)
    ).graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    assert sum(node.op.startswith("ParseExample") for node in nodes) == parsed


@pytest.mark.long
def test_each_sample_weighs_the_inverse_of_its_factor(files, plan):
    plan = plan.scheduled("linear:2")
    found = read(files, plan, "inverse_factor", epochs=4)
    for epoch, (ids, w) in enumerate(found):
        a = min(epoch / 2, 1)
        scale = plan.predicted_records_at(epoch) / len(LABELS)
        expected = [scale / factor(plan, LABELS[i], a) for i in ids]
        np.testing.assert_allclose(w, expected, rtol=1e-6)
        assert w.dtype == np.float32


@pytest.mark.nightly
def test_all_records_weigh_the_same_in_the_long_run(files, plan):
    total = np.zeros(len(LABELS))
    epochs, seen = 40, []
    for ids, w in read(files, plan, "inverse_factor", epochs=epochs):
        np.add.at(total, ids, w)
        seen += ids.tolist()
    each = epochs * plan.predicted_records / len(LABELS)
    # A record comes floor or ceil of 40 r times: off by less than one of its weights.
    largest = np.array(
        [plan.predicted_records / len(LABELS) / factor(plan, l) for l in LABELS]
    )
    assert (np.abs(total - each) < largest + 1e-3).all()
    assert total.sum() / len(seen) == pytest.approx(1, abs=0.02)
    # So a weighted mean over the stream is the mean over the data.
    rare = np.array(["c" in l for l in LABELS])
    assert total[rare].sum() / total.sum() == pytest.approx(rare.mean(), rel=0.02)
    assert rare[seen].mean() > 3 * rare.mean()


@pytest.mark.nightly
def test_the_loss_may_be_of_another_plan(files, plan):
    counts = tr.count_labels(files, "label")
    objective = tr.make_plan(counts, tr.PlannerConfig("label", target="sqrt", size=0.5))
    ((ids, w),) = read(files, plan, objective)
    scale = plan.predicted_records / objective.predicted_records
    expected = [
        scale * factor(objective, LABELS[i]) / factor(plan, LABELS[i]) for i in ids
    ]
    np.testing.assert_allclose(w, expected, rtol=1e-6)
    # Shares of labels, weighted, are the objective's: exactly where every record comes.
    shares = np.zeros(3)
    for i, weight in zip(ids, w):
        for letter in LABELS[i]:
            shares["abc".index(letter)] += weight
    wanted = objective.predicted_shares
    assert np.abs(shares / shares.sum() - wanted).max() < 0.06
    ((_, same),) = read(files, plan, plan)
    np.testing.assert_array_equal(same, 1.0)


@pytest.mark.nightly
def test_groups_have_weights(tmp_path):
    rows = [
        {"label": b"x", "site": b"north" if i % 5 else b"south"} for i in range(100)
    ]
    records = [tfrecords.example({"image/id": i, **r}) for i, r in enumerate(rows)]
    name = tfrecords.write(tmp_path / "x.tfrecord", records)
    counts = tr.count_labels(name, "label", group_by=["site"])
    plan = tr.make_plan(counts, tr.PlannerConfig("label", group_by=["site"]))
    ((ids, w),) = read(name, plan, "inverse_factor")
    south = np.array([i % 5 == 0 for i in ids])
    np.testing.assert_allclose(w[south], 0.4, rtol=1e-6)  # 50 come for 20 there are.
    np.testing.assert_allclose(w[~south], 1.6, rtol=1e-6)


@pytest.mark.nightly
@pytest.mark.parametrize("on_corrupt", ["error", "skip"])
def test_images_and_features_have_weights(tmp_path, on_corrupt):
    image = image_files.jpeg()
    records = [
        tfrecords.example(
            {
                "image/encoded": b"none" if i == 5 and on_corrupt == "skip" else image,
                "label": [b"a"] if i % 4 else [b"b"],
                "v": float(i),
            }
        )
        for i in range(40)
    ]
    name = tfrecords.write(tmp_path / "x.tfrecord", records)
    plan = tr.make_plan(tr.count_labels(name, "label"), tr.PlannerConfig("label"))
    options = tr.InputOptions(epochs=1, on_corrupt=on_corrupt)
    given = dict(batch_size=16, weights="inverse_factor", options=options)
    pictures = tr.input_fn(
        name, plan, image=tr.ImageOptions(size=(8, 8)), labels="index", **given
    )
    spec = {"v": tf.io.FixedLenFeature([], tf.float32)}
    features = tr.input_fn(name, plan, parse=spec, labels="index", **given)
    for dataset in (pictures, features):
        batches = tfrecords.read(dataset)
        assert len(batches) == 3
        for _, y, w in batches:
            np.testing.assert_allclose(w, np.where(y == 1, 0.5, 1.5), rtol=1e-6)


def test_what_has_no_weights_is_refused(files, plan):
    other = tr.LabelCounts("label", ("a", "z"), (5, 5), 10)
    of_others = tr.make_plan(other, tr.PlannerConfig("label"))
    dropped = tr.make_plan(
        tr.count_labels(files, "label"),
        tr.PlannerConfig("label", target={"a": 0.5, "b": 0.5, "c": 0.0}),
    )
    for message, given in [
        ("must be None, 'inverse_factor' or a Plan, got 'inverse'", (plan, "inverse")),
        ("plan of the same labels", (plan, of_others)),
        (r"cannot bring back \['c'\]", (dropped, "inverse_factor")),
    ]:
        with pytest.raises(ValueError, match=message):
            read(files, *given)
    with pytest.raises(ValueError, match="left out with a function as parse"):
        tr.input_fn(
            files, plan, batch_size=1, parse=lambda records: records, weights=plan
        )
