"""`DataGenerator`: batches of samples that are drawn from a table."""

import atexit
import copy
import dataclasses
import functools
import gc
import math
import numbers
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfx_resampling.core.plan import Plan
from tfx_resampling.tables import arrays, mapping
from tfx_resampling.tables.frame import SampleTable, as_frame
from tfx_resampling.tables.keras_feed import EpochFeed
from tfx_resampling.tables.order import DrawOrder
from tfx_resampling.tables.row_groups import find_groups
from tfx_resampling.tables.weights import (
    Weighing,
    check_weighing,
    group_loss_weights,
    group_weights,
)
from tfx_resampling.validate import check_integer, shown

# The generator's own output structure.
DEFAULT = "__default__"
# The key of samples that `loss_weights` adds.
LOSS_WEIGHT = "loss_weight"
# Seeds are below this.
_SEEDS = 2**63


class DataGenerator(keras.utils.PyDataset):
    """Draws samples from a table, by group and weight, and maps functions over them.

    Guarantee: the samples that are drawn and the seeds of mapped functions depend on
    the table, the options and the seed alone: they are the same in every process, for
    any number of threads. Every data set that a generator makes starts anew.

    Rows of a group come in input order; with `shuffle` in random order, each row once
    before any comes again. Groups take turns such that after any k draws each was drawn
    k times its weight, give or take less than one sample; with `shuffle`, each draw
    takes a group at random. Without `repeat` each row comes once, and weights only
    decide which groups come early, until they are used up; with `repeat` a weight is
    the share of its group.

    Example:
        generator = DataGenerator(
            samples, batch_size=64, shuffle=True, repeat=True, seed=1,
            sampling_groupby=["folder"], sampling_group_weighing="square root",
            output_structure=("img", "onehot"),
        ).map([ImageLoader(size=(32, 32)), OneHotEncoder(["cat", "dog"])])
        model.fit(generator, epochs=3)

    `fit`, `evaluate` and `predict` of Keras take a generator: each call starts anew, an
    epoch is `len(generator)` batches, and the next one goes on from there.
    Without `repeat`, each epoch has every row again: in another order if shuffled, and
    with other seeds.

    Args:
      samples: a pandas.DataFrame, or a list of dicts. It is copied, and not changed.
      batch_size: samples per batch.
      shuffle: whether groups and rows are drawn in random order.
      repeat: False or 0 (each row once), True or -1 (without end), or a number.
      sampling_groupby: one or more columns, whose values make groups. None: no groups,
        or those of `sampling_group_weighing` if it is a `Plan`.
      sampling_group_weighing: `tables.weights.group_weights` has a table: names such as
        "uniform" or "square root", targets of the planner, a `Plan`, a function.
      seed: integer; None or a negative one: random, logged and in `seed`. Or a NumPy
        random generator that gives one.
      output_structure: nest of keys of samples that data sets yield, e.g. ("img",
        "onehot"); None: dicts of everything.
      max_epoch_samples: an epoch has at most this many samples.
      loss_weights: adds the key "loss_weight" to samples, float32, for the third part
        of `output_structure`: what a sample's group is to count for over the share of
        draws that it has, 1 in the mean over draws. "inverse_factor": each row of the
        table is to count the same; else a weighing as `sampling_group_weighing`.
        Needs `repeat=True`, without which every row comes once anyway.

    Attributes:
      seed: the seed that is used.
      epoch_samples: samples per epoch.

    Raises:
      ValueError: an option is not valid, the table is empty, or a column is not in it.
    """

    def __init__(
        self,
        samples: Any,
        batch_size: int = 32,
        shuffle: bool = False,
        repeat: bool | int = False,
        sampling_groupby: None | str | Sequence[str] = None,
        sampling_group_weighing: Weighing = "uniform",
        seed: Any = None,
        output_structure: Any = None,
        max_epoch_samples: float = np.inf,
        loss_weights: Weighing | None = None,
    ):
        super().__init__()
        check_integer("batch_size", batch_size, 1, kind=numbers.Real)
        _check_most("max_epoch_samples", max_epoch_samples)
        check_weighing(sampling_group_weighing)
        self.batch_size = int(batch_size)
        self.shuffle, self.repeat = bool(shuffle), _parsed_repeat(repeat)
        self.output_structure = output_structure
        self.seed = _chosen_seed(seed)
        frame = as_frame(samples)
        self.total_sample_count = len(frame)
        self._weights: dict[Any, float] | None = None
        ids, weights = np.zeros(len(frame), np.int32), np.ones(1)
        weighing = sampling_group_weighing
        plan = weighing if isinstance(weighing, Plan) else None
        groups = find_groups(frame, sampling_groupby, plan)
        if groups is not None:
            ids = groups.ids
            weights = group_weights(
                weighing, groups.counts, groups.keys, groups.columns
            )
            self._weights = dict(zip(groups.keys, weights.tolist()))
        if loss_weights is not None:
            if groups is None or self.repeat is not True:
                raise ValueError(
                    "loss_weights need sampling_groupby and repeat=True, without which "
                    "every row counts the same already."
                )
            if LOSS_WEIGHT in frame:
                raise ValueError(
                    f"samples must have no column {LOSS_WEIGHT!r}, which loss_weights "
                    "add."
                )
            of_groups = group_loss_weights(loss_weights, weights, groups)
            frame = frame.assign(**{LOSS_WEIGHT: of_groups[ids]})
        self._order = DrawOrder(ids, weights, self.shuffle, self.repeat, self.seed)
        self._table = SampleTable(frame)
        # With an end, an epoch has at most the draws until then.
        available = min(self.total_sample_count, self._order.size)
        self.epoch_samples = int(min(max_epoch_samples, available))
        self._actions: list[mapping.Action] = []
        self._feed = EpochFeed(self)

    def get_samples(self, batch: bool = True, structure: Any = None) -> tf.data.Dataset:
        """Returns the samples that are drawn, without mapped functions.

        Args:
          batch: whether in batches.
          structure: nest of keys, None for all of them, or "__default__".
        """
        return self._arranged(self._batches(0), batch, structure)

    def get_samples_numpy(self, *args, **kwargs) -> Iterator[Any]:
        """Returns `get_samples` of the same arguments as an iterator over NumPy."""
        return arrays.iterate(self.get_samples, *args, **kwargs)

    def get_dataset(
        self,
        batch: bool = True,
        structure: Any = DEFAULT,
        prefetch: bool | int = True,
    ) -> tf.data.Dataset:
        """Returns the samples that are drawn, with all functions mapped over them.

        Args:
          batch: whether in batches.
          structure: nest of keys, None for all of them, or "__default__".
          prefetch: False, True, or the number of batches to make ahead.

        Raises:
          TypeError: `build_dataset` or a mapped function returns a value of the wrong
            type.
          ValueError: samples do not have a key of `structure`.
        """
        return self.epoch_dataset(0, batch, structure, prefetch)

    def get_dataset_numpy(self, *args, **kwargs) -> Iterator[Any]:
        """Returns `get_dataset` of the same arguments as an iterator over NumPy."""
        return arrays.iterate(self.get_dataset, *args, **kwargs)

    def build_dataset(self, ds: tf.data.Dataset) -> tf.data.Dataset:
        """Returns batches of samples; to be overridden. Comes before mapped functions.

        Args:
          ds: batches of samples, dicts.
        """
        return ds

    def map(
        self,
        map_func: Callable | None | Sequence[Callable | None],
        num_parallel_calls: int | None = tf.data.AUTOTUNE,
        **kwargs,
    ) -> "DataGenerator":
        """Returns this generator with a function mapped over its samples.

        The function gets a batch, a dict of tensors [batch, ...]; or, if it has an
        attribute `apply_unbatched` that is true, one sample. It returns such a dict.
        With a parameter `seed` it gets int64 [batch, 2], or [2]: a seed for stateless
        random ops for each sample, from (seed of the generator, number of maps before,
        number of the draw). Another draw of the same row has another seed.

        Args:
          map_func: the function, or a list of functions and None, which is left out.
          num_parallel_calls: passed to `tf.data.Dataset.map`.
          **kwargs: passed to it too.

        Raises:
          TypeError: `map_func` is not a function.
        """
        functions = map_func if isinstance(map_func, (list, tuple)) else [map_func]
        generator = copy.copy(self)
        generator._actions = list(self._actions)
        generator._feed = EpochFeed(generator)
        map_kwargs = {"num_parallel_calls": num_parallel_calls, **kwargs}
        for function in functions:
            if function is None and functions is map_func:
                continue
            if not callable(function):
                raise TypeError(f"map_func must be a function, got {function!r}.")
            seed = mapping.map_seed(self.seed, len(generator._actions))
            func_kwargs = {"seed": seed} if mapping.takes_seed(function) else {}
            generator._actions.append(
                mapping.Action(function, func_kwargs, dict(map_kwargs))
            )
        return generator

    def get_dataset_actions(self) -> list[mapping.Action]:
        """Returns the mapped functions: (function, arguments, arguments of `map`)."""
        return list(self._actions)

    def get_debug_info(self) -> dict[str, Any]:
        """Returns {"seed": seed}, and "sample_weight": {group: share} of groups."""
        info: dict[str, Any] = {"seed": self.seed}
        if self._weights is not None:
            info["sample_weight"] = dict(self._weights)
        return info

    def epoch_dataset(
        self,
        epoch: int,
        batch: bool = True,
        structure: Any = DEFAULT,
        prefetch: bool | int = True,
        keep: bool = False,
    ) -> tf.data.Dataset:
        """Returns `get_dataset` of a later epoch, of a generator with an end.

        Args:
          epoch: from 0; if shuffled, each has its own order. Each has its own seeds.
          batch: as in `get_dataset`.
          structure: as in `get_dataset`.
          prefetch: as in `get_dataset`.
          keep: whether elements are pairs (mapped, sample as it was drawn).
        """
        built = self.build_dataset(self._batches(epoch))
        if not isinstance(built, tf.data.Dataset):
            raise TypeError(
                f"build_dataset must return a tf.data.Dataset, got {built!r}."
            )
        is_overridden = type(self).build_dataset is not DataGenerator.build_dataset
        if self._actions or keep:
            dataset = mapping.mapped(
                built,
                self._actions,
                self._structure(structure),
                batch=batch,
                batch_size=self.batch_size,
                # Each draw has another number, whatever its epoch.
                first_number=epoch * int(self._order.size) if epoch else 0,
                num_batches=None if is_overridden else self._size,
                keep=keep,
            )
        else:
            dataset = self._arranged(built, batch, structure)
        if not prefetch:
            return dataset
        return dataset.prefetch(tf.data.AUTOTUNE if prefetch is True else prefetch)

    def __len__(self) -> int:
        """Returns the number of batches of an epoch."""
        return math.ceil(self.epoch_samples / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get_dataset())

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.total_sample_count} samples, "
            f"batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"repeat={self.repeat}, seed={self.seed}, maps={len(self._actions)})"
        )

    def __getitem__(self, index: int) -> Any:
        """Returns a batch of an epoch, as Keras asks for it (`EpochFeed`)."""
        return self._feed.get(index)

    @property
    def workers(self) -> int:
        """Threads of Keras that ask for batches.

        Keras reads it once per `fit`, `evaluate` and `predict`, before their batches.
        Nothing else tells them apart from another epoch: from Keras 3.15 on `fit` ends
        an epoch before its first.
        """
        self._feed.restart()
        return super().workers

    @workers.setter
    def workers(self, value: int) -> None:
        self._workers = value  # As Keras' own setter.

    def on_epoch_begin(self) -> None:
        """Called by Keras."""
        self._feed.begin()

    def on_epoch_end(self) -> None:
        """Called by Keras."""
        self._feed.end()

    @property
    def changes_by_epoch(self) -> bool:
        """Whether epochs of a generator with an end are not all the same."""
        return self.shuffle or any(action.func_kwargs for action in self._actions)

    def _batches(self, epoch: int) -> tf.data.Dataset:
        """Returns batches of samples as they are drawn."""
        _end_iterators_at_exit()
        rows = tf.data.Dataset.from_generator(
            lambda: self._order.blocks(epoch),
            output_signature=tf.TensorSpec([None], tf.int64),
        )
        # A block is made while the one before it is used.
        batches = self._table.batches(rows.prefetch(1), self.batch_size)
        return batches.apply(tf.data.experimental.assert_cardinality(self._size))

    @property
    def _size(self) -> int:
        """Number of batches that are drawn, as tf.data counts them."""
        if self._order.size == math.inf:
            return tf.data.INFINITE_CARDINALITY
        return math.ceil(self._order.size / self.batch_size)

    def _arranged(
        self, dataset: tf.data.Dataset, batch: bool, structure: Any
    ) -> tf.data.Dataset:
        """Returns batches, or their samples, in a structure of their keys."""
        structure = self._structure(structure)
        dataset = dataset if batch else dataset.unbatch()
        if structure is None:
            return dataset
        return dataset.map(lambda sample: mapping.structured(sample, structure))

    def _structure(self, structure: Any) -> Any:
        is_default = isinstance(structure, str) and structure == DEFAULT
        return self.output_structure if is_default else structure


@dataclasses.dataclass(frozen=True)
class StratifiedSampler:
    """Options of a generator that draws from groups by weight. Validated.

    Attributes:
      batch_size: samples per batch.
      groupby: one or more columns, whose values make groups; None or empty: no groups.
      group_weighing: weight of a group; see `DataGenerator`.
      max_epoch_samples: an epoch has at most this many samples; numpy.inf: all.
      seed: seed of generators; negative or None: a random one for each.

    Raises:
      ValueError: an option is not valid.
    """

    batch_size: int = 32
    groupby: None | str | Sequence[str] = None
    group_weighing: Weighing = "uniform"
    max_epoch_samples: float = 10**9
    seed: int = -1

    def __post_init__(self):
        check_integer("batch_size", self.batch_size, 1, kind=numbers.Real)
        _check_most("max_epoch_samples", self.max_epoch_samples)
        check_weighing(self.group_weighing)

    def get(
        self,
        samples: Any,
        shuffle: bool = False,
        repeat: bool | int = False,
        **kwargs,
    ) -> DataGenerator:
        """Returns a generator that draws from a table.

        Args:
          samples: a pandas.DataFrame, or a list of dicts.
          shuffle: whether in random order.
          repeat: False (each row once), True (without end), or a number.
          **kwargs: of `DataGenerator`, instead of these options.
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


@functools.cache
def _end_iterators_at_exit() -> None:
    """Makes the process end, also where an iterator of a generator is still alive.

    TensorFlow waits for the thread that draws ahead before it deletes an iterator, and
    that thread for Python, which runs no other thread any more when it deletes what is
    global. So iterators end before that, as exit handlers run.
    """
    atexit.register(_end_iterators)


def _end_iterators() -> None:
    is_iterator = functools.cache(lambda kind: issubclass(kind, tf.data.Iterator))
    for each in gc.get_objects():
        # Not isinstance, which asks lazily loaded modules for their class.
        if is_iterator(type(each)):
            vars(each).clear()


def _check_most(name: str, value: Any) -> None:
    if not (isinstance(value, numbers.Real) and value == math.inf):
        check_integer(name, value, 1, kind=numbers.Real)


def _parsed_repeat(repeat: Any) -> bool | int:
    """Returns False (each row once), True (without end; -1 is the same) or a number."""
    if isinstance(repeat, (bool, np.bool_)) or repeat is None:
        return bool(repeat)
    if isinstance(repeat, (int, np.integer)) and repeat == 0:
        return False
    if isinstance(repeat, (int, np.integer)) and (repeat >= 1 or repeat == -1):
        return True if repeat == -1 else int(repeat)
    raise ValueError(
        "repeat must be False or 0 (each row once), True or -1 (without end), or an "
        "integer >= 1, got "
        f"{shown(repeat)}."
    )


def _chosen_seed(seed: Any) -> int:
    """Returns a seed from 0 to 2**63 - 1; the log has one that was not given."""
    is_integer = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if is_integer and 0 <= seed < _SEEDS:
        return int(seed)
    if isinstance(seed, np.random.RandomState):
        seed = int(seed.randint(0, _SEEDS - 1, dtype=np.int64))
    elif isinstance(seed, np.random.Generator):
        seed = int(seed.integers(0, _SEEDS - 1))
    elif seed is None or (is_integer and seed < 0):
        seed = secrets.randbelow(_SEEDS)
    else:
        raise ValueError(
            f"seed must be an integer below 2**63, or None (random), got {shown(seed)}."
        )
    logging.info("DataGenerator draws with the random seed %d.", seed)
    return seed
