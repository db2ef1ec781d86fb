"""How repeat factors change by epoch: from natural to what the plan asks for.

Guarantee: the weight of an epoch and the sum of the weights of all earlier epochs are
closed formulas of the epoch, so that a restart at any epoch needs no state.
"""

import dataclasses
import numbers
import re

from tfx_resampling.validate import check_integer, shown

# Above this the epochs of a schedule are not a plan for training but a typing error.
LARGEST_EPOCHS = 10**6

_FORMS = (
    "'constant', 'linear:E' or 'step:E', E a number of epochs from 1 to "
    f"{LARGEST_EPOCHS}"
)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The weight a_k, 0 to 1, that the plan has in each epoch k = 0, 1, 2...

    A record whose repeat factor is r in the end has r_k = (1 - a_k) * 1 + a_k * r in
    epoch k, so that expected counts go linearly from the natural to the plan's.

      "constant": a_k = 1, the plan in every epoch.
      "linear:E": a_k = min(k / E, 1), natural in epoch 0, the plan from epoch E on; the
        progressively-balanced sampling of Kang et al., "Decoupling representation and
        classifier for long-tailed recognition", ICLR 2020, arXiv:1910.09217.
      "step:E": a_k = 0 for k < E and 1 from epoch E on: natural, then the plan.

    Attributes:
      kind: "constant", "linear" or "step".
      epochs: E; 0 for "constant", which has none.

    Raises:
      ValueError: another kind, or a number of epochs that it does not take.
    """

    kind: str = "constant"
    epochs: int = 0

    def __post_init__(self):
        lowest, highest = {
            "constant": (0, 0),
            "linear": (1, LARGEST_EPOCHS),
            "step": (1, LARGEST_EPOCHS),
        }.get(self.kind, (1, 0))
        is_integer = type(self.epochs) is int
        if not is_integer or not lowest <= self.epochs <= highest:
            raise ValueError(
                f"schedule must be {_FORMS}, got kind {self.kind!r} with epochs "
                f"{shown(self.epochs)}."
            )

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Returns the schedule that `text` names; `str` of it is `text` again.

        Args:
          text: "constant", "linear:10", "step:5".

        Raises:
          ValueError: anything else; the message lists the forms.
        """
        if text == "constant":
            return cls()
        message = f"schedule must be {_FORMS}, got {text!r}."
        if text in ("linear", "step"):
            raise ValueError(
                f"{message} The number of epochs is missing: write '{text}:10'."
            )
        # No sign, blank or leading zero: a schedule has one spelling.
        match = isinstance(text, str) and re.fullmatch(
            "(linear|step):([1-9][0-9]{0,6})", text
        )
        if not match or int(match[2]) > LARGEST_EPOCHS:
            raise ValueError(message)
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return self.kind if self.kind == "constant" else f"{self.kind}:{self.epochs}"

    def weight(self, epoch: int) -> float:
        """Returns a_k, 0 to 1, the weight of the plan in epoch k = `epoch`.

        Raises:
          ValueError: `epoch` is not an integer >= 0.
        """
        epoch = _check_epoch(epoch)
        if self.kind == "linear":
            return min(epoch / self.epochs, 1.0)
        return float(epoch >= self.epochs)

    def cumulative(self, epoch: int) -> float:
        """Returns S_e, the sum of the weights of the epochs before e = `epoch`.

        S_e = sum of a_k over k < e, in closed form, rounded once:

          "constant": e.
          "linear:E": e (e - 1) / (2 E) up to e = E, then (E - 1) / 2 + (e - E).
          "step:E": max(0, e - E).

        Raises:
          ValueError: `epoch` is not an integer >= 0.
        """
        epoch = _check_epoch(epoch)
        if self.kind == "linear" and epoch <= self.epochs:
            return epoch * (epoch - 1) / (2 * self.epochs)
        if self.kind == "linear":
            return (self.epochs - 1) / 2 + (epoch - self.epochs)
        return float(max(0, epoch - self.epochs))


def _check_epoch(epoch: int) -> int:
    check_integer("epoch", epoch, kind=numbers.Integral)
    return int(epoch)  # NumPy's integers would overflow where Python's do not.
