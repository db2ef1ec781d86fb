"""TFMA metrics for models with several labels: of each label, of head and tail.

TFMA's own metrics per class need the class ids in the EvalConfig, which is written
before the data is seen. These find the number of labels in the predictions.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.utils import model_util

from tfx_resampling.validate import check_choice

NAME = "average_precision"
POSITIVES = "positives"
LOG_LOSS = "log_loss"
CALIBRATION = "calibration"
GROUPS = ("head", "middle", "tail")

# Probabilities this near to 0 and 1 are taken for it; float32 knows none nearer.
_LEAST = 1e-7

# Scores are kept as they are up to this many values (examples times labels; 4 bytes
# each). Beyond, they are rounded, so that memory does not grow with the data.
_MAX_EXACT = 1 << 22
# Rounded to equal steps of their logit: a sigmoid of float32 is exactly 1 above 16.7,
# and equal steps of probability would merge nearly all scores of a confident model.
_LOGIT_RANGE = 16.7
_BINS = 8192
# Fewer bins where labels are many, so that a histogram stays below 32 MB.
_MAX_CELLS = 1 << 22
_MIN_BINS = 1024
# Examples that are joined into one batch.
_JOIN = 512

_Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


class AveragePrecision(metric_types.Metric):
    """Average precision per label, and its mean over labels.

    Results: `average_precision` (the mean over labels that have positives; thresholds
    apply to it), and with class_id = index of the label `average_precision` (NaN
    without positives) and `positives` (weighted number of examples with the label).
    Exact up to 4 million values (examples times labels); beyond, scores are rounded to
    8,192 steps of their logit, which keeps memory flat.

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
        # TFMA passes keywords, and only those that the function has.
        super().__init__(_computations, name=name)  # pyright: ignore[reportArgumentType]


class LabelLogLoss(metric_types.Metric):
    """Log loss and calibration per label, and over all labels.

    Results, with class_id and, over all labels, without: `log_loss` (nats per example,
    a mean over labels) and `calibration` (the sum of the probabilities over the number
    of positives: 1 where there are as many as the model says; NaN without positives).
    Needs labels and predictions as `AveragePrecision` does.
    """

    def __init__(self, name: str = LOG_LOSS):
        # TFMA passes keywords, and only those that the function has.
        super().__init__(_loss_computations, name=name)  # pyright: ignore[reportArgumentType]


class FrequencyGroup(metric_types.Metric):
    """Average precision, log loss and calibration of frequent or of rare labels.

    Labels that the examples have are ordered by how many have them: the first third is
    the head, the last third the tail, the rest the middle (`frequency_groups`).
    Results: `average_precision_tail` (to which thresholds apply) and `log_loss_tail`,
    means over its labels, and `calibration_tail`, of its labels together.

    ```
    metrics_specs { metrics { class_name: "FrequencyGroup"
                              module: "tfx_resampling.metrics"
                              config: '"group": "tail"' } }
    ```
    """

    def __init__(self, group: str, name: str | None = None):
        """Makes the metric.

        Args:
          group: "head", "middle" or "tail".
          name: what its average precision is called.

        Raises:
          ValueError: another group.
        """
        check_choice("group", group, GROUPS)
        super().__init__(
            _group_computations,  # pyright: ignore[reportArgumentType]
            name=name or f"{NAME}_{group}",
            group=group,
        )


def frequency_groups(positives: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the labels of "head", "middle" and "tail": int64 [labels of the group].

    Labels with positives, most positives first, equal ones by their place. A third of
    them each, rounded down, is head and tail, but no less than one label; so that of
    one label head and tail are the same.

    Args:
      positives: float64 [labels], number of examples with each label.
    """
    order = np.argsort(-np.asarray(positives), kind="stable")
    order = order[: np.count_nonzero(positives)]
    third = max(1, len(order) // 3)
    return {
        "head": order[:third],
        "middle": order[third : len(order) - third],
        "tail": order[-third:],
    }


def _of_outputs(
    make: Callable[[metric_types.MetricKey, Any], list[Any]],
    name: str,
    eval_config=None,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[Any]:
    """Returns the computations that `make` makes for each model and output."""
    result = []
    for model_name in model_names or [""]:
        for output_name in output_names or [""]:
            key = metric_types.MetricKey(
                name,
                model_name=model_name,
                output_name=output_name,
                example_weighted=example_weighted,
            )
            result += make(key, eval_config)
    return result


def _combined(
    combiner: type["_OfLabels"],
    name: str,
    eval_config=None,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[metric_types.MetricComputation]:
    """Returns what a combiner computes."""
    return _of_outputs(
        lambda key, config: [
            metric_types.MetricComputation([key], None, combiner(key, config))
        ],
        *(name, eval_config, model_names, output_names, example_weighted),
    )


def _group_computations(
    group: str,
    name: str,
    eval_config=None,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[Any]:
    """Returns what a group takes: TFMA drops computations that are there already."""
    options = (eval_config, model_names, output_names, example_weighted)

    def derived(key: metric_types.MetricKey, _) -> list[Any]:
        keys = [key, *(key._replace(name=f"{x}_{group}") for x in _OF_LOSS)]
        result = functools.partial(_group_values, key, group)
        return [metric_types.DerivedMetricComputation(keys, result)]

    return [
        *_computations(NAME, *options),
        *_loss_computations(LOG_LOSS, *options),
        *_of_outputs(derived, name, *options),
    ]


_OF_LOSS = (LOG_LOSS, CALIBRATION)


def _group_values(
    key: metric_types.MetricKey,
    group: str,
    found: dict[metric_types.MetricKey, Any],
) -> dict[metric_types.MetricKey, float]:
    """Returns the values of a group, of those of the labels."""

    def of_labels(name: str) -> np.ndarray:
        same = key._replace(name=name)
        values = {
            k.sub_key.class_id: float(value)
            for k, value in found.items()
            if k.sub_key is not None and k._replace(sub_key=None) == same
        }
        return np.array([values[i] for i in range(len(values))])

    positives = of_labels(POSITIVES)
    chosen = frequency_groups(positives)[group]

    def mean(values: np.ndarray) -> float:
        return float(values[chosen].mean()) if len(chosen) else float("nan")

    said = of_labels(CALIBRATION)[chosen] * positives[chosen]
    total = positives[chosen].sum()
    return {
        key: mean(of_labels(NAME)),
        key._replace(name=f"{LOG_LOSS}_{group}"): mean(of_labels(LOG_LOSS)),
        key._replace(name=f"{CALIBRATION}_{group}"): float(said.sum() / total)
        if total
        else float("nan"),
    }


class _Accumulator:
    """Scores as they came, until they are too many, and from then on a histogram."""

    def __init__(self):
        # (labels [n, labels], scores [n, labels], weights [n]); of single examples in
        # `pending`, which are joined _JOIN at a time.
        self.pending: list[_Batch] = []
        self.batches: list[_Batch] = []
        self.num_values = 0
        # float32 [2 (negative, positive), labels, bins]
        self.histogram: np.ndarray | None = None

    def add(self, labels: np.ndarray, scores: np.ndarray, weight: float) -> None:
        self.pending.append((labels[None], scores[None], np.array([weight])))
        if len(self.pending) >= _JOIN:
            self.join()

    def join(self) -> None:
        if self.pending:
            labels, scores, weights = map(np.concatenate, zip(*self.pending))
            self.pending = []
            self._extend((labels, scores, weights))

    def merge(self, other: "_Accumulator") -> None:
        other.join()
        if other.histogram is not None:
            if self.histogram is None:
                self.histogram = np.zeros_like(other.histogram)
            self.histogram += other.histogram
        for batch in other.batches:
            self._extend(batch)

    def precisions(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns (average precision [labels], weight of positives [labels])."""
        self.join()
        if self.histogram is not None:
            self._round()
            negative, positive = self.histogram.astype(np.float64)
            return average_precision(positive, negative), positive.sum(axis=1)
        labels, scores, weights = map(np.concatenate, zip(*self.batches))
        result = []
        for label, score in zip(labels.T, scores.T):
            _, level = np.unique(score, return_inverse=True)
            positive = np.bincount(level, weights * (label > 0.5))[None]
            negative = np.bincount(level, weights * (label <= 0.5))[None]
            result.append((average_precision(positive, negative)[0], positive.sum()))
        precisions, totals = zip(*result)
        return np.array(precisions), np.array(totals)

    def _extend(self, batch: _Batch) -> None:
        self.batches.append(batch)
        self.num_values += batch[0].size
        if self.num_values > _MAX_EXACT:
            self._round()

    def _round(self) -> None:
        """Moves the batches into the histogram."""
        for labels, scores, weights in self.batches:
            num_labels = labels.shape[1]
            bins = min(_BINS, max(_MIN_BINS, _MAX_CELLS // num_labels))
            scores = scores.astype(np.float64)
            with np.errstate(divide="ignore"):
                logits = np.log(scores) - np.log1p(-scores)
            position = (np.clip(logits / _LOGIT_RANGE, -1, 1) + 1) / 2 * bins
            position = np.minimum(position.astype(np.int64), bins - 1)
            rows = (labels > 0.5) * num_labels + np.arange(num_labels)
            if self.histogram is None:
                self.histogram = np.zeros((2, num_labels, bins), np.float32)
            np.add.at(
                self.histogram.reshape(-1),
                (rows * bins + position).ravel(),
                np.repeat(weights, num_labels),
            )
        self.batches, self.num_values = [], 0


class _OfLabels(beam.CombineFn):
    """What is combined of examples with one label and one score per label."""

    def __init__(self, key: metric_types.MetricKey, eval_config):
        self._key = key
        self._eval_config = eval_config

    def _inputs(self, element) -> tuple[np.ndarray, np.ndarray, float]:
        """Returns labels [labels], scores [labels] and the weight of an example."""
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
        return labels, scores, weight

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

    def _label_key(self, name: str, index: int) -> metric_types.MetricKey:
        return metric_types.MetricKey(
            name,
            model_name=self._key.model_name,
            output_name=self._key.output_name,
            sub_key=metric_types.SubKey(class_id=index),
            example_weighted=self._key.example_weighted,
        )


class _Combiner(_OfLabels):
    """Adds examples to histograms; memory does not grow with their number."""

    def create_accumulator(self) -> _Accumulator:
        return _Accumulator()

    def add_input(self, accumulator: _Accumulator, element) -> _Accumulator:
        accumulator.add(*self._inputs(element))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Accumulator]) -> _Accumulator:
        merged = _Accumulator()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def compact(self, accumulator: _Accumulator) -> _Accumulator:
        accumulator.join()
        return accumulator

    def extract_output(
        self, accumulator: _Accumulator
    ) -> dict[metric_types.MetricKey, float]:
        accumulator.join()
        if not accumulator.batches and accumulator.histogram is None:
            return {self._key: float("nan")}
        precisions, totals = accumulator.precisions()
        present = totals > 0
        mean = float(precisions[present].mean()) if present.any() else float("nan")
        output = {self._key: mean}
        for i, (precision, total) in enumerate(zip(precisions, totals)):
            output[self._label_key(self._key.name, i)] = float(precision)
            output[self._label_key(POSITIVES, i)] = float(total)
        return output


class _LossCombiner(_OfLabels):
    """Adds up weights, and log loss, probabilities and positives of each label."""

    def create_accumulator(self) -> np.ndarray:
        return np.zeros((4, 0))

    def add_input(self, accumulator: np.ndarray, element) -> np.ndarray:
        labels, scores, weight = self._inputs(element)
        said = np.clip(scores.astype(np.float64), _LEAST, 1 - _LEAST)
        positive = labels > 0.5
        loss = -np.log(np.where(positive, said, 1 - said))
        sums = weight * np.stack([np.ones(len(said)), loss, said, positive])
        return self.merge_accumulators([accumulator, sums])

    def merge_accumulators(self, accumulators: Iterable[np.ndarray]) -> np.ndarray:
        # Before the first example the number of labels is not known.
        filled = [each for each in accumulators if each.size]
        return np.sum(filled, axis=0) if filled else self.create_accumulator()

    def extract_output(
        self, accumulator: np.ndarray
    ) -> dict[metric_types.MetricKey, float]:
        weights, losses, said, positives = accumulator
        with np.errstate(divide="ignore", invalid="ignore"):
            per_label = losses / weights
            ratios = said / positives
            total = said.sum() / positives.sum()
        ratios[positives == 0] = np.nan
        if not positives.sum():
            total = np.nan
        output = {
            self._key: float(per_label.mean()) if len(weights) else float("nan"),
            self._key._replace(name=CALIBRATION): float(total),
        }
        for i, (loss, ratio) in enumerate(zip(per_label, ratios)):
            output[self._label_key(self._key.name, i)] = float(loss)
            output[self._label_key(CALIBRATION, i)] = float(ratio)
        return output


# TFMA asks a function for its arguments, and names them: a combiner is none of these.
_computations = functools.partial(_combined, _Combiner)
_loss_computations = functools.partial(_combined, _LossCombiner)


def average_precision(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Returns float64 [labels]: the precision at each score, weighted by its positives.

    AP = sum over distinct scores of (gain in recall) * (precision at that score), as
    scikit-learn's `average_precision_score`; NaN for labels without positives.

    Args:
      positive: float64 [labels, scores], weight of positives per score, low to high.
      negative: float64 [labels, scores], weight of negatives.
    """
    positive, negative = positive[:, ::-1], negative[:, ::-1]
    hits, misses = np.cumsum(positive, axis=1), np.cumsum(negative, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = hits / (hits + misses)
        gains = np.where(positive > 0, precision * positive, 0.0)
        return gains.sum(axis=1) / hits[:, -1]
