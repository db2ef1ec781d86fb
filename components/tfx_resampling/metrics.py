"""A TFMA metric for models with several labels: average precision of each label.

TFMA's own metrics per class need the class ids in the EvalConfig, which is written
before the data is seen. This one finds the number of labels in the predictions.
"""

from typing import Dict, Iterable, List, Optional

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.utils import model_util

NAME = "average_precision"
POSITIVES = "positives"

# Scores are binned by their logit: a sigmoid of float32 is exactly 1 above 16.7, and
# equal bins of probability would merge nearly all scores of a confident model.
_LOGIT_RANGE = 16.7
_BINS = 8192
# Caps memory for many labels at 2 * 4 bytes per cell, 32 MB; at least _MIN_BINS.
_MAX_CELLS = 1 << 22
_MIN_BINS = 1024
# Examples that are binned in one step.
_FLUSH = 512


class AveragePrecision(metric_types.Metric):
    """Average precision per label, and its mean over labels.

    Results: `average_precision` (the mean over labels that have positives; thresholds
    apply to it), and with class_id = index of the label `average_precision` (NaN
    without positives) and `positives` (weighted number of examples with the label).
    Precision is summed over 8,192 bins of the logit, linear within a bin.

    Needs labels and predictions of one value per label, labels 0 or 1:

    ```
    model_specs { signature_name: "serving_default"
                  prediction_key: "probabilities" label_key: "multi_hot"
                  preprocessing_function_names: "transformed_labels" }
    metrics_specs { metrics { class_name: "AveragePrecision"
                              module: "tfx_resampling.metrics" } }
    ```
    """

    def __init__(self, name: str = NAME):
        super().__init__(_computations, name=name)


def _computations(
    name: str = NAME,
    eval_config=None,
    model_names: Optional[List[str]] = None,
    output_names: Optional[List[str]] = None,
    example_weighted: bool = False,
) -> List[metric_types.MetricComputation]:
    result = []
    for model_name in model_names or [""]:
        for output_name in output_names or [""]:
            key = metric_types.MetricKey(
                name,
                model_name=model_name,
                output_name=output_name,
                example_weighted=example_weighted,
            )
            result.append(
                metric_types.MetricComputation(
                    keys=[key],
                    preprocessors=None,
                    combiner=_Combiner(key, eval_config),
                )
            )
    return result


class _Accumulator:
    """A histogram, float32 [2 (negative, positive), labels, bins], and what waits."""

    def __init__(self):
        self.histogram: Optional[np.ndarray] = None
        self.labels: List[np.ndarray] = []
        self.scores: List[np.ndarray] = []
        self.weights: List[float] = []

    def flush(self) -> None:
        if not self.labels:
            return
        labels = np.stack(self.labels)
        scores = np.stack(self.scores).astype(np.float64)
        weights = np.array(self.weights)
        self.labels, self.scores, self.weights = [], [], []
        num_labels = labels.shape[1]
        bins = min(_BINS, max(_MIN_BINS, _MAX_CELLS // num_labels))
        with np.errstate(divide="ignore"):
            logits = np.log(scores) - np.log1p(-scores)
        position = (np.clip(logits / _LOGIT_RANGE, -1, 1) + 1) / 2 * bins
        position = np.minimum(position.astype(np.int64), bins - 1)
        cells = ((labels > 0.5) * num_labels + np.arange(num_labels)) * bins + position
        if self.histogram is None:
            self.histogram = np.zeros((2, num_labels, bins), np.float32)
        np.add.at(
            self.histogram.reshape(-1), cells.ravel(), np.repeat(weights, num_labels)
        )


class _Combiner(beam.CombineFn):
    """Adds examples to histograms; memory does not grow with their number."""

    def __init__(self, key: metric_types.MetricKey, eval_config):
        self._key = key
        self._eval_config = eval_config

    def create_accumulator(self) -> _Accumulator:
        return _Accumulator()

    def add_input(self, accumulator: _Accumulator, element) -> _Accumulator:
        labels = self._values(element, constants.LABELS_KEY)
        scores = self._values(element, constants.PREDICTIONS_KEY)
        if labels.shape != scores.shape:
            raise ValueError(
                f"labels have {labels.size} values and predictions {scores.size}; one "
                "each per label is needed. Check label_key, prediction_key and "
                "preprocessing_function_names of the ModelSpec."
            )
        if not np.isfinite(scores).all():
            raise ValueError(f"predictions must be finite, got {scores!r}.")
        weight = 1.0
        if self._key.example_weighted:
            weight = float(self._values(element, constants.EXAMPLE_WEIGHTS_KEY)[0])
        accumulator.labels.append(labels)
        accumulator.scores.append(scores)
        accumulator.weights.append(weight)
        if len(accumulator.labels) >= _FLUSH:
            accumulator.flush()
        return accumulator

    def _values(self, element, name: str) -> np.ndarray:
        values = element.get_by_key(name, self._key.model_name, self._key.output_name)
        if isinstance(values, dict):
            spec = model_util.get_model_spec(self._eval_config, self._key.model_name)
            if not spec or spec.prediction_key not in values:
                raise ValueError(
                    f"prediction_key of the ModelSpec must be one of {sorted(values)}."
                )
            values = values[spec.prediction_key]
        return np.asarray(values, np.float32).ravel()

    def merge_accumulators(self, accumulators: Iterable[_Accumulator]) -> _Accumulator:
        merged = _Accumulator()
        for accumulator in accumulators:
            accumulator.flush()
            if accumulator.histogram is None:
                continue
            if merged.histogram is None:
                merged.histogram = np.zeros_like(accumulator.histogram)
            merged.histogram += accumulator.histogram
        return merged

    def compact(self, accumulator: _Accumulator) -> _Accumulator:
        accumulator.flush()
        return accumulator

    def extract_output(
        self, accumulator: _Accumulator
    ) -> Dict[metric_types.MetricKey, float]:
        accumulator.flush()
        if accumulator.histogram is None:
            return {self._key: float("nan")}
        negative, positive = accumulator.histogram.astype(np.float64)
        precisions = average_precision(positive, negative)
        totals = positive.sum(axis=1)
        present = totals > 0
        mean = float(precisions[present].mean()) if present.any() else float("nan")
        output = {self._key: mean}
        for i, (precision, total) in enumerate(zip(precisions, totals)):
            output[self._label_key(self._key.name, i)] = float(precision)
            output[self._label_key(POSITIVES, i)] = float(total)
        return output

    def _label_key(self, name: str, index: int) -> metric_types.MetricKey:
        return metric_types.MetricKey(
            name,
            model_name=self._key.model_name,
            output_name=self._key.output_name,
            sub_key=metric_types.SubKey(class_id=index),
            example_weighted=self._key.example_weighted,
        )


def average_precision(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Returns float64 [labels]: sum over recall steps of the precision there.

    Args:
      positive: float64 [labels, bins], weight of positives per score bin, low to high.
      negative: float64 [labels, bins], weight of negatives.

    Returns:
      NaN for labels without positives. Within a bin, positives and negatives are taken
      to be evenly mixed: its positives see on average half of the bin before them.
    """
    positive, negative = positive[:, ::-1], negative[:, ::-1]
    hits, misses = np.cumsum(positive, axis=1), np.cumsum(negative, axis=1)
    hits_there = hits - positive + (positive + 1) / 2
    misses_there = misses - negative / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = hits_there / (hits_there + misses_there)
        return (precision * positive).sum(axis=1) / hits[:, -1]
