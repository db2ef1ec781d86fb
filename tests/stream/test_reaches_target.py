"""The whole way: label sets -> fitted plan -> what the input graph emits."""

import numpy as np
import pytest
import tfx_resampling as tr
from tfx_resampling.core import factors
from tfx_resampling.options import InputOptions

from tests import tfrecords

pytestmark = pytest.mark.long

NUM_LABELS, NUM_RECORDS, EPOCHS = 20, 10_000, 20


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """10,000 records of 20 labels: a long tail, and rare labels that bring others."""
    rng = np.random.default_rng(0)
    popularity = 1 / np.arange(1, NUM_LABELS + 1) ** 1.5
    # Each label has companions of its own, mostly frequent ones.
    companions = rng.random((NUM_LABELS, NUM_LABELS)) * popularity**0.3
    records = []
    for i in range(NUM_RECORDS):
        lead = rng.choice(NUM_LABELS, p=popularity / popularity.sum())
        others = np.flatnonzero(rng.random(NUM_LABELS) < companions[lead] ** 2)
        labels = [b"label %02d" % label for label in {lead, *others.tolist()}]
        records.append(tfrecords.example({"image/id": i, "label": labels}))
    return tfrecords.write(tmp_path_factory.mktemp("target") / "data.tfrecord", records)


def test_what_is_emitted_over_20_epochs_has_the_target_distribution(path):
    counts = tr.count_labels(path, "label")
    sets = counts.label_sets
    assert sets.label_totals(sets.weights, NUM_LABELS).sum() > 2 * NUM_RECORDS
    plan = tr.make_plan(counts, tr.PlannerConfig("label", target="sqrt", seed=5))
    assert plan.distance <= 1e-6
    assert plan.predicted_records == pytest.approx(NUM_RECORDS, rel=1e-5)
    seen, num_samples = np.zeros(NUM_LABELS), 0
    batches = tr.input_fn(
        path, plan, batch_size=1000, image=None, options=InputOptions(epochs=EPOCHS)
    )
    for _, y in batches.as_numpy_iterator():
        seen += y.sum(axis=0)
        num_samples += len(y)
    # Over E epochs a record is seen floor or ceil of E r times, ceil with the chance
    # frac(E r): that is the exact distribution of each label's count.
    repeats = EPOCHS * factors.record_factors(np.array(plan.factors), sets, plan.rule)
    chance = repeats - np.floor(repeats)
    variance = sets.label_totals(sets.weights * chance * (1 - chance), NUM_LABELS)
    expected = EPOCHS * np.array(plan.predicted)
    deviations = (seen - expected) / np.sqrt(variance)
    assert np.abs(deviations).max() < 4, deviations
    share = seen / seen.sum()
    # The bound of the counts, as shares: far below what any rule of thumb reaches.
    allowed = 4 * np.sqrt(variance) / expected.sum() * 2
    assert (np.abs(share - plan.target) < allowed).all(), share - plan.target
    assert num_samples == pytest.approx(EPOCHS * plan.predicted_records, rel=0.005)
