"""The TFMA metric against scikit-learn on the same scores."""

from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.pipeline import Pipeline
from apache_beam.testing import util
from sklearn.metrics import average_precision_score, log_loss
from tensorflow_model_analysis.metrics import metric_types
from tfx_resampling import metrics


def scores(seed: int, sharpness: float):
    """2,000 examples of 4 labels, the last without positives: labels, probabilities."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((2000, 4)) < [0.5, 0.05, 0.005, 0.0]).astype(np.float32)
    logits = sharpness * (2 * labels - 1 + rng.normal(0, 1.5, labels.shape))
    return labels, (1 / (1 + np.exp(-logits))).astype(np.float32)


def make_combiner(metric=metrics.AveragePrecision) -> Any:
    (computation,) = metric().computations(example_weighted=False)
    return computation.combiner  # pyright: ignore[reportAttributeAccessIssue]


def combine(labels, predictions, parts=3, metric=metrics.AveragePrecision):
    """Runs the combiner over separate parts, as Beam does, and merges them."""
    combiner = make_combiner(metric)
    accumulators = []
    for part in np.array_split(np.arange(len(labels)), parts):
        accumulator = combiner.create_accumulator()
        for i in part:
            element = metric_types.StandardMetricInputs(
                label=labels[i], prediction=predictions[i]
            )
            accumulator = combiner.add_input(accumulator, element)
        accumulators.append(combiner.compact(accumulator))
    return combiner.extract_output(combiner.merge_accumulators(accumulators))


def by_label(output) -> dict:
    return {(k.name, k.sub_key and k.sub_key.class_id): v for k, v in output.items()}


# Narrow, ordinary and saturated scores (most of them exactly 0 or 1 in float32).
@pytest.mark.parametrize("sharpness", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("parts", [1, 3])
def test_agrees_with_scikit_learn(sharpness, parts):
    labels, predictions = scores(0, sharpness)
    found = by_label(combine(labels, predictions, parts))
    expected = [
        average_precision_score(labels[:, i], predictions[:, i]) for i in range(3)
    ]
    for i in range(3):
        assert found["average_precision", i] == pytest.approx(expected[i], abs=1e-6)
        assert found["positives", i] == labels[:, i].sum()
    assert np.isnan(found["average_precision", 3])
    mean = found["average_precision", None]
    assert mean == pytest.approx(sum(expected) / 3, abs=1e-6)


def test_many_scores_are_rounded_and_still_close(monkeypatch):
    labels, predictions = scores(0, 1.0)
    expected = by_label(combine(labels, predictions))
    # Each of the three parts overflows, and the last has a rest.
    monkeypatch.setattr(metrics, "_MAX_EXACT", 1000)
    found = by_label(combine(labels, predictions))
    for i in range(3):
        assert found["positives", i] == labels[:, i].sum()
        close = pytest.approx(expected["average_precision", i], abs=0.005)
        assert found["average_precision", i] == close


def test_hand_computed_average_precision():
    # From the top: a positive, a negative, a positive: (1/1 + 2/3) / 2.
    positive = np.array([[1.0, 0.0, 1.0]])
    negative = np.array([[0.0, 1.0, 0.0]])
    precision = metrics.average_precision(positive, negative)
    assert precision == pytest.approx([(1 + 2 / 3) / 2])


def test_labels_of_another_length_are_refused():
    with pytest.raises(ValueError, match="labels have 3 values and predictions 4"):
        combine(np.zeros((2, 3)), np.zeros((2, 4)), parts=1)


def test_predictions_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="finite"):
        combine(np.zeros((2, 3)), np.full((2, 3), np.nan), parts=1)


def test_log_loss_and_calibration():
    labels, predictions = scores(0, 1.0)
    found = by_label(combine(labels, predictions, metric=metrics.LabelLogLoss))
    losses = [
        log_loss(labels[:, i], predictions[:, i].astype(float), labels=[0, 1])
        for i in range(4)
    ]
    sums, positives = predictions.sum(axis=0), labels.sum(axis=0)
    for i in range(4):
        assert found["log_loss", i] == pytest.approx(losses[i])
    for i in range(3):
        ratio = pytest.approx(sums[i] / positives[i], rel=1e-5)
        assert found["calibration", i] == ratio
    assert np.isnan(found["calibration", 3])
    assert found["log_loss", None] == pytest.approx(np.mean(losses))
    total = pytest.approx(sums.sum() / positives.sum(), rel=1e-5)
    assert found["calibration", None] == total
    sure = combine(np.eye(2), np.eye(2), 1, metrics.LabelLogLoss)
    assert by_label(sure)["log_loss", 0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("positives", "head", "middle", "tail"),
    [
        ([5, 9, 0, 1, 7, 3, 2], [1, 4], [0, 5], [6, 3]),
        ([5, 9, 0, 1, 7], [1], [4, 0], [3]),
        ([2, 2], [0], [], [1]),
        ([0, 4], [1], [], [1]),
        ([0, 0], [], [], []),
    ],
)
def test_frequency_groups(positives, head, middle, tail):
    found = metrics.frequency_groups(np.array(positives))
    assert {name: list(chosen) for name, chosen in found.items()} == {
        **{"head": head, "middle": middle, "tail": tail}
    }


def test_groups_are_made_of_what_labels_have():
    labels, predictions = scores(0, 1.0)
    *needed, derived = metrics.FrequencyGroup("tail").computations()
    names = ["_Combiner", "_LossCombiner"]
    assert [type(each.combiner).__name__ for each in needed] == names
    found = {
        **combine(labels, predictions),
        **combine(labels, predictions, metric=metrics.LabelLogLoss),
    }
    values = by_label(derived.result(found))
    labeled = by_label(found)
    # Of three labels with positives the last one.
    assert values == {
        (f"{name}_tail", None): pytest.approx(labeled[name, 2])
        for name in ("average_precision", "log_loss", "calibration")
    }
    with pytest.raises(ValueError, match="group must be one of"):
        metrics.FrequencyGroup("rare")


@pytest.mark.long
def test_runs_in_beam():
    labels, predictions = scores(1, 1.0)
    expected = average_precision_score(labels[:, 0], predictions[:, 0])

    def check(outputs):
        (output,) = outputs
        values = [v for k, v in output.items() if k.sub_key and k.sub_key.class_id == 0]
        assert any(abs(v - expected) < 0.005 for v in values), (values, expected)

    with Pipeline() as pipeline:
        elements = [
            metric_types.StandardMetricInputs(label=l, prediction=p)
            for l, p in zip(labels, predictions)
        ]
        output = (
            pipeline | beam.Create(elements) | beam.CombineGlobally(make_combiner())
        )
        util.assert_that(output, check)
