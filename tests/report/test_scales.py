"""Axes of the report: which ticks they have, and where values lie."""

import numpy as np
import pytest
from tfx_resampling.report import scales


@pytest.mark.parametrize(
    "shares, log, high, ticks",
    [
        ([0.6, 0.3, 0.1], False, 0.6, ["0%", "20%", "40%", "60%"]),
        ([0.989, 0.011], False, 1.0, ["0%", "25%", "50%", "75%", "100%"]),
        ([1.0, 0.0], False, 1.0, ["0%", "25%", "50%", "75%", "100%"]),
        ([0.002, 0.001], False, 0.002, ["0%", "0.05%", "0.1%", "0.15%", "0.2%"]),
        ([0.5, 0.004], True, 0.5, ["0.1%", "1%", "10%"]),
        # A bar that ends at a power of ten has a length too.
        ([0.5, 0.001], True, 0.5, ["0.01%", "0.1%", "1%", "10%"]),
        ([1.0, 1e-8], True, 1.0, ["0.0000001%", "0.00001%", "0.001%", "0.1%", "10%"]),
    ],
)
def test_share_scale(shares, log, high, ticks):
    scale = scales.share_scale(np.array(shares))
    assert (scale.log, scale.high) == (log, pytest.approx(high))
    assert [text for _, text in scale.ticks] == ticks
    drawn = scale.position(shares)
    assert (drawn <= 100).all() and (drawn[np.array(shares) > 0] > 0).all()


@pytest.mark.parametrize(
    "factors, ticks",
    [
        ([1.0], ["0.5", "1", "2"]),
        ([0.3, 7.0], ["0.5", "1", "2", "4"]),
        ([0.0, 3.0], ["0.5", "1", "2"]),
        ([0.07, 54.0], ["0.25", "1", "4", "16"]),
        ([1e-3, 1e3], ["0.01", "1", "100"]),
        ([1e-9, 1e9], ["1e-06", "1", "1,000,000"]),
    ],
)
def test_factor_scale(factors, ticks):
    scale = scales.factor_scale(np.array(factors))
    assert [text for _, text in scale.ticks] == ticks
    assert (scale.position(factors) < 100).all()
    assert scale.position(0.0) == pytest.approx(0, abs=1e-9)
    assert scale.position(min(f for f in factors if f)) > 1


def test_the_least_factor_lies_at_the_start():
    scale = scales.factor_scale(np.array([5e-324, 1e-12, 1.0]))
    at = scale.position([5e-324, 1e-12, 1.0])
    assert 0 <= at[0] < at[1] < at[2] < 100
    assert scale.low > 1e-13
