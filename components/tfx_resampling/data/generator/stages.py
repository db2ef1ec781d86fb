"""Mapped functions: how they are called, and what they must return."""

import inspect
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence

import tensorflow as tf

from tfx_resampling.data import checks
from tfx_resampling.data.generator import batching, seeds

Sample = Dict[str, Any]

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
    func_kwargs: Dict[str, int]
    map_kwargs: Dict[str, Any]

    @property
    def is_unbatched(self) -> bool:
        """Whether it maps one sample and not a batch of them."""
        return bool(getattr(self.function, "apply_unbatched", False))

    @property
    def skip_key(self) -> Optional[str]:
        """Key of a bool in what it returns: samples where it is true are left out."""
        return getattr(self.function, "skip_key", None)

    @property
    def name(self) -> str:
        """What messages call it."""
        return getattr(self.function, "__name__", type(self.function).__name__)


def takes_seed(function: Callable) -> bool:
    """Says whether a function has a parameter `seed`, or takes any keyword."""
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
            ragged = batching.ragged_keys(dataset) if is_batched else ragged
            dataset = _rebatched(dataset, is_batched, batch_size, ragged)
            is_batched = not is_batched
        dataset = _mapped(dataset, action)
    if is_batched == batch:
        return dataset
    return _rebatched(dataset, is_batched, batch_size, ragged)


def _rebatched(dataset, is_batched, batch_size, ragged) -> tf.data.Dataset:
    if is_batched:
        return dataset.unbatch()
    return batching.batched(dataset, batch_size, ragged)


def _mapped(dataset: tf.data.Dataset, action: Action) -> tf.data.Dataset:
    def call(sample, carried):
        kwargs = {}
        if "seed" in action.func_kwargs:
            map_seed = action.func_kwargs["seed"]
            kwargs["seed"] = seeds.sample_seeds(map_seed, carried[NUMBER])
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
    return checks.require(
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
