"""Mapped functions: how they are called, and what they must return."""

import inspect
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import (
    Any,
    NamedTuple,
)

import numpy as np
import tensorflow as tf

from tfx_resampling.core import draws as core_draws
from tfx_resampling.decision import graph_draws
from tfx_resampling.records import graph_errors

_LARGEST = 2**63


def resolve(seed: Any) -> int:
    """Returns a seed from 0 to 2**63 - 1; of None or a negative one, a random one.

    Args:
      seed: an integer, None, or a NumPy random generator that is asked for one.

    Raises:
      ValueError: anything else, or too large.
    """
    if isinstance(seed, np.random.RandomState):
        return int(seed.randint(0, _LARGEST - 1, dtype=np.int64))
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(0, _LARGEST - 1))
    is_integer = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if seed is not None and (not is_integer or seed >= _LARGEST):
        raise ValueError(
            f"seed must be an integer below 2**63, or None (random), got {seed!r}."
        )
    if seed is None or seed < 0:
        return secrets.randbelow(_LARGEST)
    return int(seed)


def is_given(seed: Any) -> bool:
    """Returns whether `seed` is one, and not a wish for a random one."""
    return isinstance(seed, (int, np.integer)) and seed >= 0


def map_seed(seed: int, number: int) -> int:
    """Returns the seed, 0 to 2**63 - 1, of map `number` (from 0) of a generator."""
    numbers = np.array([number], np.uint64)
    return int(core_draws.seeded_hash(seed, numbers)[0] >> np.uint64(1))


def sample_seeds(seed: int, numbers: tf.Tensor) -> tf.Tensor:
    """Returns int64 [..., 2], a seed per sample for stateless random ops.

    Args:
      seed: of the map (`map_seed`).
      numbers: int64 [...], which draw of the generator each sample is, from 0.
    """
    first = graph_draws.seeded_hash(seed, tf.cast(numbers, tf.uint64))
    second = graph_draws.mix(first + tf.constant(core_draws.GOLDEN, tf.uint64))
    return tf.bitcast(tf.stack([first, second], axis=-1), tf.int64)


# Which values of (samples, carried) are ragged: (0 or 1, key).
RaggedKeys = set[tuple[int, str]]


def ragged_keys(batches: tf.data.Dataset) -> RaggedKeys:
    """Returns the keys of ragged values, of which a sample has a plain tensor [k]."""
    return {
        (part, key)
        for part, specs in enumerate(batches.element_spec)
        for key, spec in specs.items()
        if isinstance(spec, tf.RaggedTensorSpec) and spec.ragged_rank == 1
    }


def batched(
    samples: tf.data.Dataset, batch_size: int, ragged: RaggedKeys
) -> tf.data.Dataset:
    """Returns pairs of dicts in batches.

    Args:
      samples: pairs (sample, carried), both dicts.
      batch_size: samples per batch.
      ragged: what was ragged before batches were taken apart, and is again unless it
        has got a static shape meanwhile. (`Dataset.batch` would not batch it.)
    """
    ragged = {
        (part, key)
        for part, key in ragged
        if isinstance(samples.element_spec[part].get(key), tf.TensorSpec)
        and not samples.element_spec[part][key].shape.is_fully_defined()
        and samples.element_spec[part][key].shape.rank
    }
    if not ragged:
        return samples.batch(batch_size)

    def wrapped(*parts):
        # A ragged tensor of one row: tf.data batches what has a ragged dimension.
        return _changed(
            parts, ragged, lambda x: tf.RaggedTensor.from_tensor(x[tf.newaxis])
        )

    def unwrapped(*parts):
        return _changed(parts, ragged, lambda x: x.values)

    return samples.map(wrapped).batch(batch_size).map(unwrapped)


def _changed(parts, keys: RaggedKeys, change) -> tuple[dict, ...]:
    return tuple(
        {k: change(v) if (i, k) in keys else v for k, v in part.items()}
        for i, part in enumerate(parts)
    )


Sample = dict[str, Any]

# What goes along with each sample: which draw it is, under this key, int64.
NUMBER = ""


class Action(NamedTuple):
    """A mapped function with what it is called with.

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
        """Key of a bool in what it returns: samples where it is true are left out."""
        return getattr(self.function, "skip_key", None)

    @property
    def name(self) -> str:
        """What messages call it."""
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


def apply_actions(
    batches: tf.data.Dataset, actions: Sequence[Action], batch_size: int, batch: bool
) -> tf.data.Dataset:
    """Returns samples with functions mapped over them, one after the other.

    Args:
      batches: pairs of dicts (batch of samples, carried), `carried` with `NUMBER`.
      actions: the functions. Those that follow one another and are `is_unbatched` are
        called without batching in between.
      batch_size: samples per batch, where samples are batched again.
      batch: whether the result is batches, and not single samples.

    Returns:
      pairs like `batches`, or of single samples.
    """
    dataset, is_batched, ragged = batches, True, set()
    for action in actions:
        if action.is_unbatched == is_batched:
            ragged = ragged_keys(dataset) if is_batched else ragged
            dataset = _rebatched(dataset, is_batched, batch_size, ragged)
            is_batched = not is_batched
        dataset = _mapped(dataset, action)
    if is_batched == batch:
        return dataset
    return _rebatched(dataset, is_batched, batch_size, ragged)


def _rebatched(dataset, is_batched, batch_size, ragged) -> tf.data.Dataset:
    if is_batched:
        return dataset.unbatch()
    return batched(dataset, batch_size, ragged)


def _mapped(dataset: tf.data.Dataset, action: Action) -> tf.data.Dataset:
    def call(sample, carried):
        kwargs = {}
        if "seed" in action.func_kwargs:
            map_seed = action.func_kwargs["seed"]
            kwargs["seed"] = sample_seeds(map_seed, carried[NUMBER])
        # A copy: a function may change the dict that it gets.
        result = action.function(dict(sample), **kwargs)
        return _checked(result, carried[NUMBER], action), carried

    dataset = dataset.map(call, **action.map_kwargs)
    skip_key = action.skip_key
    if skip_key is None:
        return dataset

    def without_mark(sample, carried):
        return {k: v for k, v in sample.items() if k != skip_key}, carried

    dataset = dataset.filter(lambda sample, _: tf.logical_not(sample[skip_key]))
    return dataset.map(without_mark)


def _checked(result: Any, numbers: tf.Tensor, action: Action) -> Sample:
    """Returns what a function returned if it is samples, as many as it got.

    Raises:
      TypeError: it is no dict of tensors with strings as keys.
      ValueError: something in a batch is not per sample. When run, where only then it
        is known: tf.errors.InvalidArgumentError.
    """
    if not isinstance(result, Mapping) or not all(isinstance(k, str) for k in result):
        raise TypeError(
            f"mapped function {action.name!r} must return a dict name -> tensor, the "
            f"sample with what it adds, got {result!r}. output_structure makes tuples."
        )
    result = {key: _as_tensor(key, value, action) for key, value in result.items()}
    if action.is_unbatched:
        return result
    required = [
        _check_rows(key, value, tf.size(numbers, tf.int64), action)
        for key, value in result.items()
    ]
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
    is_ragged = isinstance(value, tf.RaggedTensor)
    rows = value.nrows() if is_ragged else tf.shape(value, tf.int64)[0]
    return graph_errors.require(
        tf.equal(rows, size),
        lambda: [
            f"mapped function {action.name} must return as many samples as it gets, ",
            *(size, ", got ", rows, f" for {key}. Leave rows out of samples instead."),
        ],
    )


def structured(sample: Sample, structure: Any) -> Any:
    """Returns what is in a sample, in a structure of its keys.

    Args:
      sample: the sample, or a batch.
      structure: None (the sample as it is), or a nest of keys, e.g. ("img", "onehot").

    Raises:
      ValueError: a key is not there.
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
    """Returns batches with functions mapped over them.

    Args:
      batches: batches of samples, dicts.
      actions: the functions.
      structure: nest of keys, or None.
      batch: whether the result is batches.
      batch_size: samples per batch.
      first_number: which draw the first sample is.
      num_batches: how many there are, as tf.data counts; None if it is not known.
      keep: whether elements are pairs (mapped, sample as it was in `batches`).

    Raises:
      TypeError: batches are no dicts.
    """
    if not isinstance(batches.element_spec, dict):
        raise TypeError(
            "build_dataset must yield dicts where functions are mapped or samples "
            f"predicted, got {batches.element_spec!r}."
        )
    numbered = batches.scan(
        tf.constant(first_number, tf.int64),
        lambda first, samples: _numbered(first, samples, keep),
    )
    dataset = apply_actions(numbered, actions, batch_size, batch)
    may_skip = any(action.skip_key for action in actions)
    if batch and num_batches is not None and not may_skip:
        # tf.data does not know it after `unbatch`; Keras shows it.
        counted = tf.data.experimental.assert_cardinality(num_batches)
        dataset = dataset.apply(counted)

    def finished(sample, carried):
        result = structured(sample, structure)
        kept = {key: x for key, x in carried.items() if key != NUMBER}
        return (result, kept) if keep else result

    return dataset.map(finished)


def _numbered(
    first: tf.Tensor, samples: Sample, keep: bool
) -> tuple[tf.Tensor, tuple[Sample, dict[str, Any]]]:
    """Returns samples with which draws they are; a function for `Dataset.scan`."""
    value = next(iter(samples.values()))
    is_ragged = isinstance(value, tf.RaggedTensor)
    size = value.nrows() if is_ragged else tf.shape(value, tf.int64)[0]
    carried = {NUMBER: first + tf.range(size)}
    return first + size, (samples, {**carried, **samples} if keep else carried)


def arranged(dataset: tf.data.Dataset, structure: Any) -> tf.data.Dataset:
    """Returns samples in a structure of their keys; None leaves them as they are."""
    if structure is None:
        return dataset
    return dataset.map(lambda sample: structured(sample, structure))


def prefetched(dataset: tf.data.Dataset, prefetch: bool | int) -> tf.data.Dataset:
    """Returns `dataset` made ahead: by as many elements, or (True) as needed."""
    if prefetch is True:
        return dataset.prefetch(tf.data.AUTOTUNE)
    return dataset.prefetch(prefetch) if prefetch else dataset
