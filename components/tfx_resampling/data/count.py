"""Counts the labels of TFRecord files, for plans without a statistics artifact."""

import collections
from typing import Optional

import numpy as np
import tensorflow as tf

from tfx_resampling.core.counts import LabelCounts, LabelSets, label_order
from tfx_resampling.data import labels, records
from tfx_resampling.data.features import Features
from tfx_resampling.data.options import InputOptions


def count_labels(
    file_pattern: records.FilePattern,
    label_key: str,
    options: Optional[InputOptions] = None,
) -> LabelCounts:
    """Returns exact label counts of TFRecord files, label sets included.

    Reads every record once and parses its labels only. Memory grows with the number of
    distinct label sets.

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
    label_dtype = _label_dtype(files, compressions, label_key)
    spec = labels.feature_spec(label_key, label_dtype)

    def parse(name, serialized):
        values = tf.io.parse_example(serialized, spec)[label_key]
        return values.flat_values, values.row_lengths()

    chunks = records.record_chunks(
        tf.constant(files), tf.constant(compressions), options
    ).map(parse, num_parallel_calls=options.num_parallel_calls or tf.data.AUTOTUNE)
    sets = collections.Counter()
    for values, lengths in chunks.as_numpy_iterator():
        ends = np.cumsum(lengths)
        values = values.tolist()
        sets.update(
            frozenset(values[end - length : end])
            for end, length in zip(ends.tolist(), lengths.tolist())
        )
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
        num_unlabeled=sets[frozenset()],
        label_dtype=label_dtype,
        multi_label=any(len(row) > 1 for row, _ in rows),
        label_sets=label_sets,
        source={"files": len(files), "file_pattern": str(file_pattern)},
    )


def _label_dtype(files, compressions, label_key: str) -> str:
    return Features(files, compressions).label_dtype(label_key)


def _text(value, label_key: str) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(
            f"label feature {label_key!r} has the label {value!r}, which is not UTF-8. "
            "Labels are text or integers."
        ) from None
