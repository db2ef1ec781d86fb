"""The correction of a prior as a Keras layer, for the end of a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from tfx_resampling.calibration.prior import Correction, prior_correction
from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.plan import Plan

# Keras's types do not let arrays be added to what its functions return.
ops: Any = keras.ops
# Label sets times labels, float32, in the model: 200 MB.
_MOST_VALUES = 50_000_000
_ARRAYS = ("shift", "members", "log_trained", "log_wanted", "trained_logits")
# In the place of the log of 0, which would give NaN.
_NEVER = -1e4


@keras.saving.register_keras_serializable("tfx_resampling")
class PriorCorrection(keras.layers.Layer):
    """Takes the resampling of a plan out of the logits of a model.

    Input and output: float [..., labels], logits of a softmax (one label per record) or
    of sigmoids (several), in the order of `plan.groups`, as `input_fn` has the labels.
    The same as the function that `prior_correction` returns, to within float32. Has no
    weights, and needs neither the plan nor this package once it is part of a
    SavedModel; in a `.keras` file it needs the package, not the plan.

    For example: `keras.Sequential([trained, tr.PriorCorrection(plan), Softmax()])`,
    where `trained` ends in logits.
    """

    def __init__(
        self,
        plan: Plan | Correction,
        to: str | Mapping[str, float] = "natural",
        counts: LabelCounts | None = None,
        outputs: str | None = None,
        **kwargs: Any,
    ):
        """Makes the layer of a plan.

        Args:
          plan: what the model was trained with; or what `prior_correction` made of it.
          to: as for `prior_correction`, like the following ones.
          counts: what the plan is made of, where it has no label sets.
          outputs: "softmax" or "sigmoid"; by default that of the plan.
          **kwargs: of `keras.layers.Layer`.

        Raises:
          ValueError: as `prior_correction`; or there are too many label sets.
        """
        super().__init__(**kwargs)
        correction = plan
        if not isinstance(correction, Correction):
            correction = prior_correction(correction, to, counts, outputs=outputs)
            for note in correction.notes:
                logging.warning("correction of the prior: %s", note)
        if correction.members.size > _MOST_VALUES:
            raise ValueError(
                f"{len(correction.members):,} label sets of {len(correction.labels):,} "
                "labels are too many for a model. Use prior_correction on what the "
                "model says."
            )
        self.correction = correction
        values = (np.asarray(getattr(correction, name)) for name in _ARRAYS)
        self._arrays = dict(
            zip(
                _ARRAYS,
                (np.maximum(each, _NEVER).astype(np.float32) for each in values),
            )
        )

    def call(self, inputs: Any) -> Any:
        """Returns corrected logits."""
        logits = ops.cast(inputs, "float32")
        corrected = logits + self._arrays["shift"]
        if len(self._arrays["members"]):
            members = self._arrays["members"]
            evidence = logits - self._arrays["trained_logits"]
            scores = ops.matmul(evidence, members.T)
            moved = self._of_labels(scores + self._arrays["log_wanted"])
            moved -= self._of_labels(scores + self._arrays["log_trained"])
            corrected += moved
        return ops.cast(corrected, inputs.dtype)

    def _of_labels(self, scores: Any) -> Any:
        weights = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
        members = self._arrays["members"]
        having, lacking = ops.matmul(weights, members), ops.matmul(weights, 1 - members)
        least = np.finfo(np.float32).tiny
        return ops.log(ops.maximum(having, least)) - ops.log(
            ops.maximum(lacking, least)
        )

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Any:
        """Returns the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` takes: the numbers of the correction."""
        correction = self.correction
        numbers = {name: getattr(correction, name).tolist() for name in _ARRAYS}
        for name in ("log_trained", "log_wanted"):  # JSON has no infinity.
            numbers[name] = [max(value, _NEVER) for value in numbers[name]]
        return {
            **super().get_config(),
            "correction": {
                **numbers,
                "labels": list(correction.labels),
                "multi_label": correction.multi_label,
                "losses": dict(correction.losses),
                "notes": list(correction.notes),
            },
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PriorCorrection":
        """Makes the layer of a configuration."""
        fields = dict(config.pop("correction"))
        labels = tuple(fields["labels"])
        arrays = {name: np.array(fields[name], np.float64) for name in _ARRAYS}
        arrays["members"] = arrays["members"].reshape(-1, len(labels))
        return cls(
            Correction(
                labels,
                fields["multi_label"],
                **arrays,
                losses=fields["losses"],
                notes=tuple(fields["notes"]),
            ),
            **config,
        )
