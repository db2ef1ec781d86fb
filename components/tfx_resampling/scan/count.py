"""Counts label sets and groups of TFRecord files, for plans that know them exactly."""

import collections
import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_resampling.core.counts import LabelCounts, LabelSets, label_order
from tfx_resampling.core.groups import Bucket, Column, ColumnSpec, Grouping, column_name
from tfx_resampling.core.identity import CONTENT, Identity
from tfx_resampling.core.sharing import Collector, Duplicates, Sharing
from tfx_resampling.decision.group_lookup import bucket_codes, check_single
from tfx_resampling.decision.keys import Keys
from tfx_resampling.decision.labels import feature_spec
from tfx_resampling.options import InputOptions
from tfx_resampling.records.fields import Parsing
from tfx_resampling.records.files import FilePattern, RecordFiles, check_positions
from tfx_resampling.records.reader import Chunk, Reader

# What is counted of a record: its distinct labels, sorted (bytes or integers), and for
# each column its value (bytes or integer), its bucket (integer), or None.
Key = tuple[tuple[Any, ...], tuple[Any, ...]]


@dataclasses.dataclass(frozen=True)
class CountSpec:
    """What is to be counted.

    Attributes:
      label_key: the label feature, bytes or int64, 0 to n values per record.
      label_dtype: "bytes" or "int64", its type.
      columns: columns of groups, each with 0 or 1 values per record: with boundaries,
        or with values that are yet to be found.
      identity: what records are known by.
      key_dtypes: types of its key features.
    """

    label_key: str
    label_dtype: str
    columns: tuple[Column, ...] = ()
    identity: Identity = CONTENT
    key_dtypes: Mapping[str, tf.DType] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Counted:
    """What was counted.

    Attributes:
      records: key -> number of records.
      sharing: how records share identities, by `_digest` of their keys.
    """

    records: Counter[Key]
    sharing: Sharing

    @classmethod
    def merged(cls, parts: Iterable["Counted"]) -> "Counted":
        """Returns the sum of several."""
        records, sharings = collections.Counter(), []
        for part in parts:
            records.update(part.records)
            sharings.append(part.sharing)
        return cls(records, Sharing.merged(sharings))


def count_labels(
    file_pattern: FilePattern,
    label_key: str,
    *,
    group_by: Sequence[ColumnSpec] = (),
    identity: Identity = CONTENT,
    options: InputOptions | None = None,
    progress: Callable[[int], None] | None = None,
) -> LabelCounts:
    """Returns exact label counts of TFRecord files, label sets included.

    Reads every record once and parses its labels only. Memory grows with the number of
    distinct label sets, and with that of distinct records up to a million.

    Args:
      file_pattern: one or several patterns of TFRecord files of tf.train.Example.
      label_key: the label feature, bytes or int64, 0 to n values per record.
      group_by: columns whose combinations are counted instead of labels.
      identity: what records are known by: those that share one are counted, for
        `make_plan`, whose config must have the same (`PlannerConfig.known_by`).
      options: `compression`, `chunk_size`, `cycle_length`, `num_parallel_calls` and
        `on_corrupt`.
      progress: is told the number of records whenever some more have been counted.

    Raises:
      ValueError: no file or record, a label feature of floats, a label that is not
        UTF-8, no label at all, or a column that is not there.
    """
    options = options or InputOptions()
    skip = options.on_corrupt == "skip"
    files = RecordFiles.open(file_pattern, options.compression, skip)
    spec = find_spec(files, label_key, group_by, identity)
    counted = count_files(files, spec, options, progress)
    if not any(label_set for label_set, _ in counted.records):
        raise ValueError(
            f"label feature {label_key!r} has no labels in {counted.records.total()} "
            "records. Is it the right feature? The first ones have "
            f"{files.features.names}."
        )
    source = {"files": len(files.names), "file_pattern": str(file_pattern)}
    return to_label_counts(counted, spec, source)


def find_spec(
    files: RecordFiles,
    label_key: str,
    group_by: Sequence[ColumnSpec] = (),
    identity: Identity = CONTENT,
    label_dtype: str | None = None,
) -> CountSpec:
    """Returns what to count, with types as the first records have them.

    Where these lack a feature, the whole first file is looked through for it.

    Args:
      files: the files.
      label_key: the label feature.
      group_by: columns of groups.
      identity: what records are known by.
      label_dtype: type of the label feature if the first records lack it, where it is
        known from elsewhere.

    Raises:
      ValueError: a column or key feature is not there, a column has floats but no
        boundaries or bytes and boundaries, quantiles that are not yet boundaries, or
        files of one name where records are known by position.
    """
    check_positions(files.names, identity)
    columns = []
    for column in group_by:
        name = column_name(column)
        files.features.look_everywhere(name)
        dtype = files.features.dtype("column of group_by", name)
        boundaries = column.boundaries if isinstance(column, Bucket) else None
        if isinstance(column, Bucket) and boundaries is None:
            raise ValueError(
                f"quantiles of Bucket {name!r} are taken from statistics; without "
                "statistics give boundaries."
            )
        kind = {tf.string: "bytes", tf.int64: "int64", tf.float32: "float"}[dtype]
        if kind == "float" and boundaries is None:
            raise ValueError(
                f"column {name!r} of group_by has floats: give a Bucket with "
                "boundaries or quantiles."
            )
        if kind == "bytes" and boundaries is not None:
            raise ValueError(f"Bucket {name!r} needs numbers, the feature has bytes.")
        columns.append(Column(name, kind, boundaries=boundaries))
    if label_dtype is None or files.features.has(label_key):
        files.features.look_everywhere(label_key)
        label_dtype = files.features.label_dtype(label_key)
    key_dtypes = files.features.key_dtypes(identity.key_features)
    return CountSpec(label_key, label_dtype, tuple(columns), identity, key_dtypes)


def count_files(
    files: RecordFiles,
    spec: CountSpec,
    options: InputOptions,
    progress: Callable[[int], None] | None = None,
) -> Counted:
    """Returns how many records of TFRecord files have each key.

    Args:
      files: the files.
      spec: what to count.
      options: as `count_labels`.
      progress: as `count_labels`.
    """
    keys = Keys(spec.identity, spec.key_dtypes)
    # A column or key feature may be the label feature itself.
    features = keys.parsing.features | feature_spec(spec.label_key, spec.label_dtype)
    for column in spec.columns:
        features |= feature_spec(column.name, column.dtype)

    def values_of(chunk: Chunk):
        values = chunk.parsed[spec.label_key]
        parts = [(values.flat_values, values.row_lengths())]
        for column in spec.columns:
            values = chunk.parsed[column.name]
            flat = values.flat_values
            if column.boundaries is not None:
                flat = bucket_codes(flat, column.boundaries)
            single = check_single(values, column.name, chunk.name)
            with tf.control_dependencies([single]):
                parts.append((flat, values.row_lengths()))
        return keys.of(chunk), tuple(parts)

    reader = Reader(files, Parsing(features, keys.parsing.content), options)
    chunks = reader.read_all(values_of)
    counted, digests = collections.Counter(), _Digests()
    collector = Collector()
    for identities, (first, *others) in chunks.as_numpy_iterator():
        label_sets = [tuple(sorted(set(values))) for values in _rows(*first)]
        columns = [
            [values[0] if values else None for values in _rows(*other)]
            for other in others
        ]
        columns = list(zip(*columns)) if columns else [()] * len(label_sets)
        of_chunk = list(zip(label_sets, columns))
        counted.update(of_chunk)
        units = np.array([digests[key] for key in of_chunk], np.uint64)
        collector.add(identities, units)
        if progress is not None:
            progress(len(label_sets))
    return Counted(counted, collector.sharing())


class _Digests(dict[Key, int]):
    """Key -> 64 bits of it, the same in every process."""

    def __missing__(self, key: Key) -> int:
        digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
        self[key] = int.from_bytes(digest, "little")
        return self[key]


def _rows(values: np.ndarray, lengths: np.ndarray) -> list[list]:
    flat, ends = values.tolist(), np.cumsum(lengths).tolist()
    return [flat[end - n : end] for end, n in zip(ends, lengths.tolist())]


def to_label_counts(counted: Counted, spec: CountSpec, source: dict) -> LabelCounts:
    """Returns counts as `make_plan` takes them: of groups, if `spec` has columns.

    Args:
      counted: how many records have each key.
      spec: what was counted.
      source: where the records come from; becomes part of the plan.

    Raises:
      ValueError: a label that is not UTF-8, or no label at all.
    """
    sets = collections.Counter()
    for (label_set, _), count in counted.records.items():
        sets[label_set] += count
    index = _indices(
        (value for label_set in sets for value in label_set),
        spec.label_key,
        spec.label_dtype,
    )
    classes = tuple(index)
    # Sorted, so that the result does not depend on the order of reading.
    rows = sorted(
        (sorted({index[_text(v, spec.label_key)] for v in label_set}), n)
        for label_set, n in sets.items()
    )
    make = functools.partial(
        LabelCounts,
        label_key=spec.label_key,
        label_dtype=spec.label_dtype,
        num_records=sum(sets.values()),
        classes=classes,
        source=source,
    )
    if spec.columns:
        grouping, counts, group_of = _grouping(counted.records, spec.columns)
        members = [(key, [group_of[key[1]]]) for key in counted.records]
        duplicates = _duplicates(counted, spec, members, len(counts))
        return make(
            groups=grouping.names,
            counts=counts,
            grouping=grouping,
            duplicates=duplicates,
        )
    label_sets = LabelSets.from_sets([row for row, _ in rows], [n for _, n in rows])
    totals = label_sets.label_totals(label_sets.weights, len(classes))
    members = [
        (key, [index[_text(v, spec.label_key)] for v in key[0]])
        for key in counted.records
    ]
    return make(
        groups=classes,
        counts=tuple(int(total) for total in totals),
        num_unlabeled=sets.get((), 0),
        multi_label=any(len(row) > 1 for row, _ in rows),
        label_sets=label_sets,
        duplicates=_duplicates(counted, spec, members, len(classes)),
    )


def _duplicates(
    counted: Counted,
    spec: CountSpec,
    members: Sequence[tuple[Key, Sequence[int]]],
    size: int,
) -> Duplicates:
    """Returns how records share identities, by labels or groups.

    Args:
      counted: what was counted.
      spec: what was to be counted.
      members: each key, and the labels or groups that it is of.
      size: number of labels or groups.
    """
    found, digests = counted.sharing.sums(), _Digests()
    sums = np.zeros((2, size))
    for key, indices in members:
        sums[:, indices] += np.array(found.get(digests[key], (0, 0)))[:, None]
    inflation = np.where(sums[0] > 0, sums[1] / np.maximum(sums[0], 1), 1.0)
    return Duplicates(
        spec.identity, counted.sharing.num_distinct, tuple(inflation.tolist())
    )


def _grouping(
    counted: Counter[Key], columns: Sequence[Column]
) -> tuple[Grouping, tuple[int, ...], dict[tuple[Any, ...], int]]:
    """Returns the groups that occur, sorted, their counts, and values -> group."""
    groups = collections.Counter()
    for (_, values), count in counted.items():
        groups[values] += count
    resolved, indices = [], []
    for i, column in enumerate(columns):
        index = None
        if column.boundaries is None:
            present = (values[i] for values in groups if values[i] is not None)
            index = _indices(present, column.name, column.dtype)
            column = dataclasses.replace(column, values=tuple(index))
        resolved.append(column)
        indices.append(index)

    def code(value, column, index):
        if value is None:
            return column.missing
        return value if index is None else index[_text(value, column.name)]

    codes = {values: tuple(map(code, values, resolved, indices)) for values in groups}
    coded = sorted((codes[values], count) for values, count in groups.items())
    grouping = Grouping(tuple(resolved), tuple(group for group, _ in coded))
    numbers = {group: i for i, group in enumerate(grouping.groups)}
    group_of = {values: numbers[group] for values, group in codes.items()}
    return grouping, tuple(count for _, count in coded), group_of


def _indices(values: Iterable[Any], feature: str, dtype: str) -> dict[str, int]:
    """Returns text -> position of distinct values, in the order of labels."""
    texts = {_text(value, feature) for value in values}
    return {t: i for i, t in enumerate(sorted(texts, key=label_order(dtype)))}


def _text(value: Any, feature: str) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        shown = f"{value[:20]!r}{'...' if len(value) > 20 else ''}"
        raise ValueError(
            f"feature {feature!r} has the value {shown}, which is not UTF-8. Labels "
            "are text or integers."
        ) from None
