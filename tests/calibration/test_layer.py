"""The layer against the function in NumPy, and what is left of it in saved models."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
import tfx_resampling as tr

from tests.calibration.test_prior import correlated, single

LOGITS = np.random.default_rng(8).normal(scale=3, size=(50, 6)).astype(np.float32)

# Without this package, as a server has it.
SERVED = """
import sys
sys.modules["tfx_resampling"] = None
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
np.save(sys.argv[2], model.serve(np.load(sys.argv[2])).numpy())
"""


def corrections():
    counts, *_ = correlated()
    plan = tr.make_plan(counts, tr.PlannerConfig("y", combine="max"))
    return {
        "shift": tr.prior_correction(dataclasses.replace(plan, label_sets={})),
        "sets": tr.prior_correction(plan),
    }


@pytest.mark.parametrize("name", ["shift", "sets"])
def test_it_is_the_function(name):
    correction = corrections()[name]
    layer = tr.PriorCorrection(correction)
    found = keras.ops.convert_to_numpy(layer(LOGITS))
    np.testing.assert_allclose(found, correction(LOGITS), atol=2e-3)
    again = tr.PriorCorrection.from_config(layer.get_config())
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(LOGITS)), found)
    assert layer.weights == []


def test_a_model_of_one_label_per_record():
    plan = single(target="sqrt")
    model = keras.Sequential(
        [keras.Input([4]), tr.PriorCorrection(plan), keras.layers.Softmax()]
    )
    logits = LOGITS[:, :4]
    expected = np.exp(logits) / np.array(plan.factors)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(logits, verbose=0), expected, rtol=1e-4)


def test_a_keras_file_needs_no_plan(tmp_path):
    model = keras.Sequential(
        [keras.Input([6]), tr.PriorCorrection(corrections()["sets"])]
    )
    path = str(tmp_path / "model.keras")
    model.save(path)
    found = keras.models.load_model(path).predict(LOGITS, verbose=0)
    np.testing.assert_array_equal(found, model.predict(LOGITS, verbose=0))


@pytest.mark.nightly
def test_a_saved_model_needs_nothing_of_this_package(tmp_path):
    model = keras.Sequential(
        [keras.Input([6]), tr.PriorCorrection(corrections()["sets"])]
    )
    model.export(str(tmp_path / "model"))
    values = str(tmp_path / "logits.npy")
    np.save(values, LOGITS)
    arguments = [sys.executable, "-c", SERVED, str(tmp_path / "model"), values]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        np.load(values), model.predict(LOGITS, verbose=0), atol=1e-5
    )
