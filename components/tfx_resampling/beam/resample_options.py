"""Options of resampling offline."""

import dataclasses

from tfx_resampling.options import InputOptions
from tfx_resampling.shards.manifest import MODES
from tfx_resampling.validate import check_choice, check_integer, check_known, shown

COMPRESSIONS = ("auto", "", "GZIP")


@dataclasses.dataclass(frozen=True)
class ResampleOptions:
    """What is written, and how. Validated on construction.

    Attributes:
      mode: "materialize": the samples of some epochs, for readers that know nothing of
        plans. "stratify": every record once, laid out so that `input_fn` reads little
        more than what an epoch emits.
      epochs: "materialize": number of epochs whose samples are written, mixed.
      start_epoch: the first of them, >= 0.
      num_shards: "materialize": number of files; None makes files of about 64 MB.
      compression: of what is written: "auto" (as what is read), "" or "GZIP".
      on_corrupt: as `InputOptions.on_corrupt`.
    """

    mode: str = "materialize"
    epochs: int = 1
    start_epoch: int = 0
    num_shards: int | None = None
    compression: str = "auto"
    on_corrupt: str = "error"

    def __post_init__(self):
        check_known(self, "Give it to the component: Resampler({name}=...).")
        check_choice("mode", self.mode, MODES)
        check_choice("compression", self.compression, COMPRESSIONS)
        check_integer("num_shards", self.num_shards, 1, optional=True)
        check_integer("epochs", self.epochs, 1)
        _ = self.input_options  # Checks the others.
        if self.mode == "stratify":
            for name, default in (
                ("epochs", 1),
                ("start_epoch", 0),
                ("num_shards", None),
            ):
                value = getattr(self, name)
                if value != default:
                    raise ValueError(
                        f"{name} must be left out with mode='stratify', which writes "
                        f"records once for all epochs, got {shown(value)}."
                    )

    @property
    def input_options(self) -> InputOptions:
        """How the records are read and decided."""
        return InputOptions(
            epochs=self.epochs,
            start_epoch=self.start_epoch,
            on_corrupt=self.on_corrupt,
        )


DEFAULTS = ResampleOptions()
