"""Counts the label sets of TFRecord files, for plans that know what occurs together."""

import collections
from typing import Counter, Iterable, Optional, Tuple, Union

import numpy as np
import tensorflow as tf

from tfx_resampling.core.counts import LabelCounts, LabelSets, label_order
from tfx_resampling.data import labels, records
from tfx_resampling.data.features import Features
from tfx_resampling.data.options import InputOptions

# The distinct labels of a record, sorted: bytes or integers.
LabelSet = Tuple[Union[bytes, int], ...]


def count_labels(
    file_pattern: records.FilePattern,
    label_key: str,
    options: Optional[InputOptions] = None,
) -> LabelCounts:
    """Returns exact label counts of TFRecord files, label sets included.

    Reads every record once and parses its labels only. Memory grows with the number of
    distinct label sets, not of records.

    Args:
      file_pattern: one or several patterns of TFRecord files of tf.train.Example.
      label_key: the label feature, bytes or int64, 0 to n values per record.
      options: `compression`, `chunk_size`, `cycle_length` and `num_parallel_calls`.

    Raises:
      ValueError: no file or record, a label feature of floats, a label that is not
        UTF-8, or no label at all.
    """
    options = options or InputOptions()
    files = records.match_files(file_pattern)
    compressions = records.compression_types(files, options.compression)
    label_dtype = Features(files, compressions).label_dtype(label_key)
    sets = count_label_sets(files, compressions, label_key, label_dtype, options)
    source = {"files": len(files), "file_pattern": str(file_pattern)}
    return to_label_counts(sets, label_key, label_dtype, source)


def count_label_sets(
    files: Iterable[str],
    compressions: Iterable[str],
    label_key: str,
    label_dtype: str,
    options: InputOptions,
) -> Counter[LabelSet]:
    """Returns label set -> number of records of TFRecord files.

    Args:
      files: the files.
      compressions: compression of each.
      label_key: the label feature.
      label_dtype: "bytes" or "int64", its type.
      options: as `count_labels`.
    """
    spec = labels.feature_spec(label_key, label_dtype)

    def parse(name, serialized):
        values = tf.io.parse_example(serialized, spec)[label_key]
        return values.flat_values, values.row_lengths()

    chunks = records.record_chunks(
        tf.constant(list(files)), tf.constant(list(compressions)), options
    ).map(parse, num_parallel_calls=options.num_parallel_calls or tf.data.AUTOTUNE)
    sets = collections.Counter()
    for values, lengths in chunks.as_numpy_iterator():
        ends = np.cumsum(lengths)
        values = values.tolist()
        sets.update(
            tuple(sorted(set(values[end - length : end])))
            for end, length in zip(ends.tolist(), lengths.tolist())
        )
    return sets


def to_label_counts(
    sets: Counter[LabelSet], label_key: str, label_dtype: str, source: dict
) -> LabelCounts:
    """Returns the counts of label sets as `make_plan` takes them.

    Args:
      sets: label set -> number of records.
      label_key: the label feature.
      label_dtype: "bytes" or "int64".
      source: where the records come from; becomes part of the plan.

    Raises:
      ValueError: a label that is not UTF-8, or no label at all.
    """
    names = {value: _text(value, label_key) for key in sets for value in key}
    ordered = sorted(names, key=lambda value: label_order(label_dtype)(names[value]))
    index = {value: i for i, value in enumerate(ordered)}
    # Sorted, so that the result does not depend on the order of reading.
    rows = sorted((sorted(index[v] for v in key), n) for key, n in sets.items())
    label_sets = LabelSets.from_sets([row for row, _ in rows], [n for _, n in rows])
    totals = label_sets.label_totals(label_sets.weights, len(ordered))
    return LabelCounts(
        label_key=label_key,
        labels=tuple(names[value] for value in ordered),
        counts=tuple(int(total) for total in totals),
        num_records=sum(sets.values()),
        num_unlabeled=sets.get((), 0),
        label_dtype=label_dtype,
        multi_label=any(len(row) > 1 for row, _ in rows),
        label_sets=label_sets,
        source=source,
    )


def _text(value: Union[bytes, int], label_key: str) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(
            f"label feature {label_key!r} has the label {value!r}, which is not UTF-8. "
            "Labels are text or integers."
        ) from None
