"""Axes: where a value lies on one, and which ticks it has."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from tfx_resampling.report.text import factor_text

# Shares that differ by more than this are drawn on a log scale: on a linear one the
# smallest bar would be thinner than a pixel or two.
LOG_FROM = 100
# Smaller shares do not make the axis longer: their ticks would be long, and all others
# would be squeezed. They are drawn at its start.
_SMALLEST = 1e-8
_SMALLEST_FACTOR = 1e-12  # Nor do smaller factors, for the same reason.
# More ticks would run into each other where the page is narrow.
_MAX_TICKS = 5


@dataclasses.dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`, linear or logarithmic.

    Attributes:
      low: the value at its start; above 0 on a log scale.
      high: the value at its end, above `low`.
      log: whether it is logarithmic.
      ticks: values and how they are written.
    """

    low: float
    high: float
    log: bool
    ticks: tuple[tuple[float, str], ...]

    def position(self, values) -> np.ndarray:
        """Returns float64, where values lie: 0 (`low` or below) to 100 (`high`)."""
        low, high = self.low, self.high
        values = np.clip(np.asarray(values, np.float64), low, high)
        if self.log:
            values, low, high = np.log(values), math.log(low), math.log(high)
        return np.clip(100 * (values - low) / (high - low), 0.0, 100.0)


def share_scale(shares: np.ndarray) -> Scale:
    """Returns the axis of shares; those of 0 do not ask for a log scale."""
    positive = shares[shares > 0]
    smallest = max(_SMALLEST, float(positive.min()))
    largest = float(positive.max())
    if largest <= LOG_FROM * smallest:
        return linear_scale(largest, _percent)
    # Not the smallest itself: its bar needs a length.
    first = math.floor(math.log10(0.9 * smallest))
    last = math.floor(math.log10(largest) + 1e-9)
    high = next(x for m in (1, 2, 5, 10) if (x := m * 10.0**last) >= largest * 0.999)
    every = math.ceil((last - first + 1) / _MAX_TICKS)
    ticks = [(10.0**e, _percent(10.0**e)) for e in range(first, last + 1, every)]
    return Scale(10.0**first, high, True, tuple(ticks))


def linear_scale(largest: float, written: Callable[[float], str]) -> Scale:
    """Returns the axis from 0 to a positive value or a little above."""
    step = _step(largest)
    count = math.ceil(largest / step - 1e-9)
    ticks = [(i * step, written(i * step)) for i in range(count + 1)]
    return Scale(0.0, count * step, False, tuple(ticks))


def range_scale(low: float, high: float, written: Callable[[float], str]) -> Scale:
    """Returns the axis that has two values >= 0, and what is between, well inside."""
    width = max(high - low, 0.02 * high) or 1.0
    step = _step(1.2 * width)
    first = max(0, math.floor((low - 0.1 * width) / step))
    last = math.ceil((high + 0.1 * width) / step)
    ticks = [(i * step, written(i * step)) for i in range(first, last + 1)]
    return Scale(first * step, last * step, False, tuple(ticks))


def factor_scale(factors: np.ndarray) -> Scale:
    """Returns the axis of factors, a log one; a factor of 0 lies at its start."""
    positive = factors[factors > 0]
    low = min(0.5, max(_SMALLEST_FACTOR, float(positive.min(initial=1.0))))
    high = max(2.0, float(positive.max(initial=1.0)))
    for base in (2, 4, 10, 100, 1000, 10**6, 10**12):
        width = math.log(base)
        first = math.ceil(math.log(low) / width - 1e-9)
        last = math.floor(math.log(high) / width + 1e-9)
        if last - first < _MAX_TICKS:
            break
    values = [float(base) ** e for e in range(first, last + 1)]
    ticks = tuple((value, factor_text(value)) for value in values)
    # Room beyond the last bar, so that a bar that ends at the edge is no cut one.
    margin = (high / low) ** 0.04
    return Scale(low / margin, high * margin, True, ticks)


def _step(largest: float) -> float:
    """Returns the distance of ticks from 0 to `largest` or a little above."""
    power = 10.0 ** math.floor(math.log10(largest))
    steps = [m * power for m in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5)]
    return next(x for x in steps if largest / x <= _MAX_TICKS - 1)


def _percent(share: float) -> str:
    # Never 1e-06, which a reader of percentages does not expect.
    text = f"{100 * share:.12f}".rstrip("0").rstrip(".")
    return f"{text}%"
