"""The experiment on a small scale: what is drawn and measured, and that it goes on."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import special
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss

from examples.experiment import arms, data, measures, run

BATCH, STEPS = 32, 40


@pytest.fixture(scope="module")
def characters():
    return data.load("characters", 2_000)


def test_data_are_long_tailed_and_known_everywhere(characters):
    assert characters.train.x.shape == (2_000, 512)
    assert (characters.train.y.sum(axis=1) == 1).all()
    sizes = np.sort(characters.train.y.sum(axis=0))
    assert sizes[-1] > 50 * sizes[0] and len(characters.labels) > 15
    digits = data.load("digits", 300)
    assert digits.train.x.shape == (300, 32, 32, 1)
    assert digits.test.y.shape == (100, 10) and digits.train.y.sum(axis=1).max() > 1
    with pytest.raises(ValueError, match="data must be one of"):
        data.load("letters", 10)


@pytest.mark.parametrize("arm", arms.ARMS, ids=lambda arm: arm.name)
def test_an_arm_draws_what_its_plan_emits(characters, arm):
    made = arms.prepare(arm, characters, STEPS, BATCH, seed=1)
    assert made.records.shape == made.weights.shape == (STEPS, BATCH)
    assert made.weights.mean() == pytest.approx(1)
    seen = characters.train.y[made.records.ravel()].sum(axis=0)
    epochs = STEPS * BATCH / made.plan.num_records  # Less than one.
    expected = made.plan.predicted_at(0) * epochs
    bound = 5 * np.sqrt(np.maximum(expected, 1))
    assert (np.abs(seen - expected) < bound + np.ceil(max(made.plan.factors))).all()
    assert made.repeats(np.ones(2_000, bool)) == pytest.approx(epochs)
    if arm.loss == "plain" and arm.options["target"] == "natural":
        assert made.effective_sample_size(2_000) == STEPS * BATCH


@pytest.mark.parametrize(
    "name", ["natural", "logit adjustment", "class weights", "sqrt"]
)
def test_corrections_are_those_of_the_loss(characters, name):
    """Of a model that knows the prior only, what is corrected is the natural prior."""
    (arm,) = [one for one in arms.ARMS if one.name == name]
    made = arms.prepare(arm, characters, STEPS, BATCH, seed=1)
    prior = np.array(made.plan.counts) / 2_000
    seen = np.array(made.plan.predicted) * made.positive_weights
    # What is least in the loss: the seen shares, less what the loss adds.
    logits = np.log(np.maximum(seen, 1e-9) / seen.sum()) - made.added
    found = special.softmax(made.natural(logits[np.newaxis])[0])
    np.testing.assert_allclose(found[prior > 0], prior[prior > 0], rtol=1e-4)


def test_measures_are_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    y = (rng.random((500, 3)) < [0.5, 0.1, 0.0]).astype(np.float32)
    said = np.clip(rng.normal(0.3 + 0.3 * y, 0.2), 0.01, 0.99)
    weights = rng.uniform(0.5, 2, 500)
    found = measures.of_labels(y, said, weights)
    for i in range(2):
        given = dict(sample_weight=weights)
        score = average_precision_score(y[:, i], said[:, i], **given)
        assert found["average_precision"][i] == pytest.approx(score)
        assert found["log_loss"][i] == pytest.approx(
            log_loss(y[:, i], said[:, i], **given)
        )
        assert found["brier"][i] == pytest.approx(
            brier_score_loss(y[:, i], said[:, i], **given)
        )
    assert np.isnan(found["average_precision"][2]) and np.isnan(found["calibration"][2])
    ratio = (weights @ said[:, 0]) / (weights @ y[:, 0])
    assert found["calibration"][0] == pytest.approx(ratio)


def test_the_calibration_error_is_that_of_the_bins():
    rng = np.random.default_rng(3)
    p = rng.uniform(0, 1, (4_000, 2))
    y = (rng.random(p.shape) < p).astype(np.float32)
    even = np.ones(len(p))
    error, low, high = measures.calibration_error(y, p, even, 200)
    assert error < 0.02 and low < high < 0.04
    # All that is said is 0.1 too high; to within what chance adds.
    error, low, high = measures.calibration_error(y, p + 0.1, even, 200)
    assert error == pytest.approx(0.1, abs=0.015) and low < 0.1 < high + 0.01
    # Two bins' worth by hand: weights count as records.
    y, p = np.array([[1.0], [0.0]]), np.array([[0.8], [0.4]])
    error, *_ = measures.calibration_error(y, p, np.array([3.0, 1.0]), 5)
    assert error == pytest.approx((3 * 0.2 + 1 * 0.4) / 4)


def test_balanced_weights_balance(characters):
    weights = measures.balanced_weights(characters)
    shares = weights @ characters.test.y / weights.sum()
    assert shares == pytest.approx(1 / len(shares), rel=1e-6)


@pytest.mark.nightly
def test_a_run_goes_on_where_it_was_broken_off(tmp_path):
    def start(*arguments):
        given = [
            *("--out", str(tmp_path), "--steps", "3", "--num-records", "300"),
            *("--rounds", "20", "--arm", "natural", "--arm", "sqrt", *arguments),
        ]
        return CliRunner().invoke(run.main, given)

    first = start("--seeds", "1", "--data", "characters", "--data", "digits")
    assert first.exit_code == 0, first.output
    lines = first.output.splitlines()
    assert lines[0].startswith("1/4 characters, natural, seed 0: average precision 0.")
    path = tmp_path / "runs.jsonl"
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:-1]) + whole[-1][:100])
    again = start("--seeds", "1", "--data", "characters", "--data", "digits")
    assert again.output.startswith("1/1 digits, sqrt, seed 0"), again.output
    runs = [json.loads(line) for line in path.read_text().splitlines()]
    # The same samples, weights and numbers, but for the order of sums.
    expected = json.loads(whole[-1])["measures"][0]["all_log_loss"]
    assert runs[-1]["measures"][0]["all_log_loss"] == pytest.approx(expected, rel=0.01)
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert len(rows) == 4 * 2 * 2
    natural = [r for r in rows if r["arm"] == "natural" and r["prior"] == "natural"]
    for one, other in (natural[:2], natural[2:]):
        # Nothing to correct.
        assert one["all_log_loss"] == other["all_log_loss"]
    assert (tmp_path / "experiment.png").stat().st_size > 10_000
    labels = list(csv.DictReader((tmp_path / "labels.csv").open()))
    assert len(labels) == sum(4 * len(one["measures"][0]["labels"]) for one in runs)
    other = start("--steps", "4")
    assert other.exit_code == 1 and "Choose another directory" in other.output
    unknown = start("--arm", "focal")
    assert "unknown arms ['focal']" in unknown.output
