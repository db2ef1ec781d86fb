"""What is measured of probabilities, on natural and on balanced test data."""

import numpy as np
import tfx_resampling as tr
from sklearn.metrics import average_precision_score
from tfx_resampling.metrics import frequency_groups

from examples.experiment.data import DataSet, factors

_BINS = 15
_LEAST = 1e-7


def balanced_weights(data: DataSet) -> np.ndarray:
    """Returns float64 [n], weights of test records for which labels are equally common.

    The repeat factors of a plan that makes them so; labels that the test split lacks do
    not count.
    """
    plan = tr.make_plan(
        data.test.label_counts(data.labels),
        tr.PlannerConfig("label", target="uniform", max_factor=1e4),
    )
    return factors(plan, data.test.y)


def of_labels(y: np.ndarray, said: np.ndarray, weights: np.ndarray) -> dict:
    """Returns measures of each label, float64 [labels]; NaN without positives.

    "average_precision"; "log_loss" and "brier" of the label against the rest; and
    "calibration", the sum of the probabilities over that of the positives.

    Args:
      y: float32 [n, labels], 0 or 1.
      said: float64 [n, labels], probabilities.
      weights: float64 [n], of records.
    """
    p = np.clip(said, _LEAST, 1 - _LEAST)
    share = weights / weights.sum()
    positives = share @ y
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(positives > 0, share @ p / positives, np.nan)
    return {
        "average_precision": np.array(
            [
                average_precision_score(y[:, i], said[:, i], sample_weight=weights)
                if positives[i] > 0
                else np.nan
                for i in range(y.shape[1])
            ]
        ),
        "log_loss": -(share @ np.where(y > 0.5, np.log(p), np.log(1 - p))),
        "brier": share @ (said - y) ** 2,
        "calibration": ratio,
    }


def calibration_error(
    y: np.ndarray, said: np.ndarray, weights: np.ndarray, rounds: int, seed: int = 0
) -> tuple[float, float, float]:
    """Returns the expected calibration error of all labels, and its 95 % interval.

    Probabilities of all labels together are put into 15 bins of equal mass; the error
    is the mean distance, weighted by mass, of the share of positives in a bin to the
    mean probability (Nguyen and O'Connor, EMNLP 2015). The interval is that of records
    drawn again (Efron, The Annals of Statistics 1979), the bins being those of all.

    Args:
      y: float32 [n, labels], 0 or 1.
      said: float64 [n, labels], probabilities.
      weights: float64 [n], of records.
      rounds: how often records are drawn again.
      seed: of these draws.
    """
    mass = np.broadcast_to(weights[:, np.newaxis], said.shape)
    order = np.argsort(said, axis=None, kind="stable")
    reached = np.cumsum(mass.ravel()[order])
    bins = np.empty(said.size, np.int64)
    place = np.ceil(reached / reached[-1] * _BINS).astype(np.int64) - 1
    bins[order] = np.clip(place, 0, _BINS - 1)
    bins = bins.reshape(said.shape)
    # Per record and bin: how much more it has of positives than was said.
    excess = np.zeros((len(said), _BINS))
    rows = np.repeat(np.arange(len(said)), said.shape[1])
    np.add.at(excess, (rows, bins.ravel()), (mass * (y - said)).ravel())

    def error(counts: np.ndarray) -> np.ndarray:  # [rounds, n]
        total = (counts @ weights) * said.shape[1]
        return np.abs(counts @ excess).sum(axis=1) / total

    rng = np.random.default_rng(seed)
    again = rng.multinomial(len(said), np.full(len(said), 1 / len(said)), rounds)
    low, high = np.quantile(error(again.astype(np.float64)), [0.025, 0.975])
    return float(error(np.ones((1, len(said))))[0]), float(low), float(high)


def groups(data: DataSet) -> dict[str, np.ndarray]:
    """Returns the labels of "all", "head", "middle" and "tail" of the training split.

    Labels that the test split lacks are left out.
    """
    known = data.test.y.any(axis=0)
    made = {
        "all": np.arange(len(known)),
        **frequency_groups(data.train.y.sum(axis=0)),
    }
    return {name: chosen[known[chosen]] for name, chosen in made.items()}
