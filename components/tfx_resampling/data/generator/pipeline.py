"""Batches of samples through mapped functions to what a user asked for."""

from typing import Any, Dict, Optional, Sequence, Tuple, Union

import tensorflow as tf

from tfx_resampling.data.generator import stages


def mapped(
    batches: tf.data.Dataset,
    actions: Sequence[stages.Action],
    structure: Any,
    *,
    batch: bool,
    batch_size: int,
    first_number: int,
    num_batches: Optional[int],
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
    dataset = stages.apply_actions(numbered, actions, batch_size, batch)
    may_skip = any(action.skip_key for action in actions)
    if batch and num_batches is not None and not may_skip:
        # tf.data does not know it after `unbatch`; Keras shows it.
        counted = tf.data.experimental.assert_cardinality(num_batches)
        dataset = dataset.apply(counted)

    def finished(sample, carried):
        result = stages.structured(sample, structure)
        kept = {key: x for key, x in carried.items() if key != stages.NUMBER}
        return (result, kept) if keep else result

    return dataset.map(finished)


def _numbered(
    first: tf.Tensor, samples: stages.Sample, keep: bool
) -> Tuple[tf.Tensor, Tuple[stages.Sample, Dict[str, Any]]]:
    """Returns samples with which draws they are; a function for `Dataset.scan`."""
    value = next(iter(samples.values()))
    is_ragged = isinstance(value, tf.RaggedTensor)
    size = value.nrows() if is_ragged else tf.shape(value, tf.int64)[0]
    carried = {stages.NUMBER: first + tf.range(size)}
    return first + size, (samples, {**carried, **samples} if keep else carried)


def arranged(dataset: tf.data.Dataset, structure: Any) -> tf.data.Dataset:
    """Returns samples in a structure of their keys; None leaves them as they are."""
    if structure is None:
        return dataset
    return dataset.map(lambda sample: stages.structured(sample, structure))


def prefetched(dataset: tf.data.Dataset, prefetch: Union[bool, int]) -> tf.data.Dataset:
    """Returns `dataset` made ahead: by as many elements, or (True) as needed."""
    if prefetch is True:
        return dataset.prefetch(tf.data.AUTOTUNE)
    return dataset.prefetch(prefetch) if prefetch else dataset
