"""Stratified sampling: how a table is drawn from, apart from the table."""

import dataclasses
from typing import Any, Sequence, Union

from tfx_resampling.data.generator.generator import DataGenerator
from tfx_resampling.data.generator.options import check_count
from tfx_resampling.data.generator.weighing import Weighing, check_weighing


@dataclasses.dataclass(frozen=True)
class StratifiedSampler:
    """Options of a generator that draws from groups by weight. Validated.

    Attributes:
      batch_size: samples per batch.
      groupby: one or more columns, whose values make groups; None or empty: no groups.
      group_weighing: weight of a group; see `DataGenerator`.
      max_epoch_samples: an epoch has at most this many samples.
      seed: seed of generators; negative or None: a random one for each.

    Raises:
      ValueError: an option is not valid.
    """

    batch_size: int = 32
    groupby: Union[None, str, Sequence[str]] = None
    group_weighing: Weighing = "uniform"
    max_epoch_samples: int = 10**9
    seed: int = -1

    def __post_init__(self):
        check_count("batch_size", self.batch_size)
        check_count("max_epoch_samples", self.max_epoch_samples)
        check_weighing(self.group_weighing)

    def get(
        self,
        samples: Any,
        shuffle: bool = False,
        repeat: Union[bool, int] = False,
        **kwargs,
    ) -> DataGenerator:
        """Returns a generator that draws from a table.

        Args:
          samples: a pandas.DataFrame, or a list of dicts.
          shuffle: whether in random order.
          repeat: False (each row once), True (without end), or a number.
          **kwargs: of `DataGenerator`; they come before these options.
        """
        options = {
            "batch_size": self.batch_size,
            "sampling_groupby": self.groupby or None,
            "sampling_group_weighing": self.group_weighing,
            "max_epoch_samples": self.max_epoch_samples,
            "seed": self.seed,
        }
        return DataGenerator(
            samples, shuffle=shuffle, repeat=repeat, **{**options, **kwargs}
        )
