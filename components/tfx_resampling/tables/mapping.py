"""How a generator maps functions over samples: batching, seeds, checks of results."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfx_resampling.core import draws
from tfx_resampling.decision import graph_draws
from tfx_resampling.records import graph_errors

Sample = dict[str, Any]

# Beside each sample goes a dict that functions do not see. Under this key it has the
# number of the draw, int64.
_NUMBER = ""


class Action(NamedTuple):
    """A mapped function with its arguments.

    Attributes:
      function: (sample) -> sample, or (sample, seed) -> sample.
      func_kwargs: {"seed": the map's seed} if it takes one, else {}.
      map_kwargs: arguments of `tf.data.Dataset.map`.
    """

    function: Callable
    func_kwargs: dict[str, int]
    map_kwargs: dict[str, Any]

    @property
    def is_unbatched(self) -> bool:
        """Whether it maps one sample and not a batch of them."""
        return bool(getattr(self.function, "apply_unbatched", False))

    @property
    def skip_key(self) -> str | None:
        """Key of a bool in its result: samples with True there are left out."""
        return getattr(self.function, "skip_key", None)

    @property
    def name(self) -> str:
        """The name of the function in messages."""
        return getattr(self.function, "__name__", type(self.function).__name__)


def takes_seed(function: Callable) -> bool:
    """Returns whether a function has a parameter `seed`, or takes any keyword."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # Some built-in functions have no signature.
        return False
    return "seed" in parameters or any(
        p.kind == p.VAR_KEYWORD for p in parameters.values()
    )


def map_seed(seed: int, number: int) -> int:
    """Returns the seed, 0 to 2**63 - 1, of map `number` (from 0) of a generator."""
    numbers = np.array([number], np.uint64)
    return int(draws.seeded_hash(seed, numbers)[0] >> np.uint64(1))


def mapped(
    batches: tf.data.Dataset,
    actions: Sequence[Action],
    structure: Any,
    *,
    batch: bool,
    batch_size: int,
    first_number: int,
    num_batches: int | None,
    keep: bool,
) -> tf.data.Dataset:
    """Returns batches with functions mapped over them, one after the other.

    Functions that follow one another and are `is_unbatched` are called without batching
    in between.

    Args:
      batches: batches of samples, dicts.
      actions: the functions.
      structure: nest of keys, or None.
      batch: whether the result is batches.
      batch_size: samples per batch, where samples are batched again.
      first_number: the number of the first draw.
      num_batches: how many there are, as tf.data counts, each of `batch_size` but the
        last; None if `build_dataset` may have changed that.
      keep: whether elements are pairs (mapped, sample as it was in `batches`).

    Raises:
      TypeError: elements of `batches` are not dicts.
    """
    if not isinstance(batches.element_spec, dict):
        raise TypeError(
            "build_dataset must yield dicts where functions are mapped or samples "
            f"predicted, got {batches.element_spec!r}."
        )
    dataset = _numbered(
        batches, first_number, None if num_batches is None else batch_size, keep
    )
    is_batched, ragged = True, set()
    for action in actions:
        if action.is_unbatched == is_batched:
            if is_batched:
                ragged = _ragged_keys(dataset)
            dataset = _rebatched(dataset, is_batched, batch_size, ragged)
            is_batched = not is_batched
        dataset = _mapped(dataset, action)
    if is_batched != batch:
        dataset = _rebatched(dataset, is_batched, batch_size, ragged)
    may_skip = any(action.skip_key for action in actions)
    if batch and num_batches is not None and not may_skip:
        # tf.data does not know it after `unbatch`; Keras shows it.
        counted = tf.data.experimental.assert_cardinality(num_batches)
        dataset = dataset.apply(counted)

    def finished(sample, carried):
        result = structured(sample, structure)
        drawn = {key: value for key, value in carried.items() if key != _NUMBER}
        return (result, drawn) if keep else result

    return dataset.map(finished)


def structured(sample: Sample, structure: Any) -> Any:
    """Returns the values of a sample in a structure of its keys.

    Args:
      sample: the sample, or a batch.
      structure: None (the sample as it is), or a nest of keys, e.g. ("img", "onehot").

    Raises:
      ValueError: the sample does not have a key.
    """
    if structure is None:
        return sample
    keys = tf.nest.flatten(structure)
    missing = [key for key in keys if key not in sample]
    if missing:
        raise ValueError(
            f"structure must consist of keys of samples, got {missing[0]!r}. Keys: "
            f"{sorted(sample)!r}."
        )
    return tf.nest.pack_sequence_as(structure, [sample[key] for key in keys])


def _numbered(
    batches: tf.data.Dataset, first_number: int, batch_size: int | None, keep: bool
) -> tf.data.Dataset:
    """Returns (samples, what goes beside them, with the numbers of their draws).

    Args:
      batches: dicts.
      first_number: the number of the first draw.
      batch_size: samples in each of them but the last; None if they may be of any size.
      keep: whether the samples as they are go beside them, too.
    """

    def size(samples):
        return _rows(next(iter(samples.values())))

    def numbered(first, samples):
        carried = {_NUMBER: first + tf.range(size(samples))}
        return samples, {**carried, **samples} if keep else carried

    start = tf.constant(first_number, tf.int64)
    if batch_size is not None:
        return batches.enumerate().map(
            lambda index, samples: numbered(start + index * batch_size, samples)
        )

    # Not for all: TensorFlow keeps the function of every `scan` for good.
    def step(first, samples):
        return first + size(samples), numbered(first, samples)

    return batches.scan(start, step)


def _rows(batch: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
    if isinstance(batch, tf.RaggedTensor):
        return batch.nrows()
    return tf.shape(batch, tf.int64)[0]


# Which values of (samples, carried) are ragged: (0 or 1, key).
_RaggedKeys = set[tuple[int, str]]


def _ragged_keys(batches: tf.data.Dataset) -> _RaggedKeys:
    """Returns the keys of ragged values, of which a sample has a plain tensor [k]."""
    specs: Any = batches.element_spec
    return {
        (part, key)
        for part in (0, 1)
        for key, spec in specs[part].items()
        if getattr(spec, "ragged_rank", None) == 1
    }


def _rebatched(
    dataset: tf.data.Dataset, is_batched: bool, batch_size: int, ragged: _RaggedKeys
) -> tf.data.Dataset:
    """Takes batches of pairs of dicts apart, or puts samples into batches.

    Values that were ragged before batches were taken apart become ragged again, unless
    they have a static shape by now: `Dataset.batch` alone would not batch them.
    """
    if is_batched:
        return dataset.unbatch()
    specs: Any = dataset.element_spec

    def is_row(part, key):
        spec = specs[part].get(key)
        is_tensor = isinstance(spec, tf.TensorSpec) and spec.shape.rank
        return is_tensor and not spec.shape.is_fully_defined()

    rows = {(part, key) for part, key in ragged if is_row(part, key)}
    if not rows:
        return dataset.batch(batch_size)

    def changed(change, *parts):
        return tuple(
            {k: change(v) if (i, k) in rows else v for k, v in part.items()}
            for i, part in enumerate(parts)
        )

    ragged_type: Any = tf.RaggedTensor

    def as_ragged(row):
        # Of one row: tf.data batches tensors with a ragged dimension.
        return ragged_type.from_tensor(row[tf.newaxis])

    dataset = dataset.map(lambda *parts: changed(as_ragged, *parts)).batch(batch_size)
    return dataset.map(lambda *parts: changed(lambda ragged: ragged.values, *parts))


def _mapped(dataset: tf.data.Dataset, action: Action) -> tf.data.Dataset:
    def call(sample, carried):
        kwargs = {}
        if "seed" in action.func_kwargs:
            map_seed = action.func_kwargs["seed"]
            kwargs["seed"] = _sample_seeds(map_seed, carried[_NUMBER])
        # A copy: a function may change the dict that it gets.
        result = action.function(dict(sample), **kwargs)
        return _checked(result, carried[_NUMBER], action), carried

    dataset = dataset.map(call, **action.map_kwargs)
    skip_key = action.skip_key
    if skip_key is None:
        return dataset

    def is_kept(sample, carried):
        return tf.logical_not(sample[skip_key])

    def without_mark(sample, carried):
        return {k: v for k, v in sample.items() if k != skip_key}, carried

    return dataset.filter(is_kept).map(without_mark)  # pyright: ignore[reportArgumentType]


def _sample_seeds(seed: int, numbers: tf.Tensor) -> tf.Tensor:
    """Returns int64 [..., 2], a seed per sample for stateless random ops.

    Args:
      seed: of the map (`map_seed`).
      numbers: int64 [...], the number of each sample's draw in the generator, from 0.
    """
    first = graph_draws.seeded_hash(seed, tf.cast(numbers, tf.uint64))
    second = graph_draws.mix(first + tf.constant(draws.GOLDEN, tf.uint64))
    return tf.bitcast(tf.stack([first, second], axis=-1), tf.int64)


def _checked(result: Any, numbers: tf.Tensor, action: Action) -> Sample:
    """Returns the result of a function, checked to be as many samples as it got.

    Raises:
      TypeError: it is not a dict of tensors with strings as keys.
      ValueError: a value in a batch is not one per sample. When run, where only then it
        is known: tf.errors.InvalidArgumentError.
    """
    if not isinstance(result, Mapping) or not all(isinstance(k, str) for k in result):
        raise TypeError(
            f"mapped function {action.name!r} must return a dict name -> tensor, the "
            f"sample with its additions, got {result!r}. output_structure makes tuples."
        )
    result = {key: _as_tensor(key, value, action) for key, value in result.items()}
    if action.is_unbatched:
        return result
    size = tf.size(numbers, tf.int64)
    required = [_check_rows(k, value, size, action) for k, value in result.items()]
    with tf.control_dependencies(required):
        return tf.nest.map_structure(tf.identity, result, expand_composites=True)


def _as_tensor(key: str, value: Any, action: Action) -> Any:
    if isinstance(value, (tf.Tensor, tf.RaggedTensor)):
        return value
    try:
        return tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"mapped function {action.name!r} must return a dict of tensors, got "
            f"{value!r} for {key!r}: {error}"
        ) from None


def _check_rows(key: str, value: Any, size: tf.Tensor, action: Action) -> tf.Operation:
    if value.shape.rank == 0:
        raise ValueError(
            f"mapped function {action.name!r} must return batches, got a scalar for "
            f"{key!r}. It is called with batches of samples; set apply_unbatched = "
            "True on it if it maps single ones."
        )
    rows = _rows(value)
    return graph_errors.require(
        tf.equal(rows, size),
        lambda: [
            f"mapped function {action.name} must return as many samples as it gets, ",
            *(size, ", got ", rows, f" for {key}. Leave rows out of samples instead."),
        ],
    )
