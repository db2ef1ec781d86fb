"""TFRecord files read and decided file by file, outside of a tf.data graph.

What Beam's workers and the command line use: a file costs milliseconds to begin, where
the graphs of `input_fn` take tenths of a second. The decision is that of `input_fn`, by
the same ops; what cannot be read or parsed is left to the same `Reader.recover`.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfx_resampling.core.plan import Plan
from tfx_resampling.decision.agreement import Agreement
from tfx_resampling.decision.rule import DecisionRule
from tfx_resampling.errors import reason
from tfx_resampling.options import InputOptions
from tfx_resampling.records import ends
from tfx_resampling.records.files import MAX_CHUNK, RecordFiles, open_part
from tfx_resampling.records.parts import Part
from tfx_resampling.records.reader import Chunk, Lost, Reader, graph_options
from tfx_resampling.shards.manifest import check_natural

# What is counted, in records (emitted: in copies).
COUNTS = ("read", "dropped", "emitted", "corrupt")

# A record that cannot be parsed; TensorFlow quotes it, as text if it can.
_UNPARSED = (
    tf.errors.InvalidArgumentError,
    tf.errors.DataLossError,
    UnicodeDecodeError,
)

# Makes a named tuple of tensors of a chunk, in graph; it gets the rule to decide with.
Use = Callable[[Chunk, DecisionRule], Any]


class Scanned(NamedTuple):
    """Some records of a file and what becomes of them; in a graph, as tensors.

    Attributes:
      serialized: object [n] of bytes, the records.
      hashes: uint64 [n], `draws.seeded_hash` of each.
      factors: float64 [n], final repeat factors.
      copies: int64 [n], copies over all epochs that were asked for.
      num_read: int64 scalar, records that were looked at.
      num_corrupt: int64 scalar, records that were left out.
      found: int64 [units + 3], `Decision.found` of the records that were looked at.
    """

    serialized: np.ndarray
    hashes: np.ndarray
    factors: np.ndarray
    copies: np.ndarray
    num_read: np.ndarray
    num_corrupt: np.ndarray
    found: np.ndarray

    @property
    def counts(self) -> dict[str, int]:
        """Numbers by the names `COUNTS`; "dropped" are those without a copy."""
        read, kept = int(self.num_read), int((self.copies > 0).sum())
        emitted, corrupt = int(self.copies.sum()), int(self.num_corrupt)
        return dict(zip(COUNTS, (read, read - kept, emitted, corrupt)))


def decided(chunk: Chunk, rule: DecisionRule, epochs: int, dropped: bool) -> Scanned:
    """Returns, as tensors, the records of a chunk with their copies in some epochs.

    Args:
      chunk: the records.
      rule: what decides.
      epochs: number of epochs, from the chunk's on.
      dropped: whether to hand out records without copies too.
    """
    hashes, factors, copies, found = rule.decide(chunk, epochs)
    columns = [chunk.serialized, hashes, factors, copies]
    if not dropped:
        # Here, so that what is dropped is never made into Python's objects.
        columns = [tf.boolean_mask(column, copies > 0) for column in columns]
    return Scanned(*columns, tf.size(copies, tf.int64), chunk.skipped, found)


def check_agreement(plan: Plan, files: RecordFiles, found: np.ndarray) -> None:
    """Raises ValueError where what was read is not such as the plan was made for.

    Args:
      plan: the plan.
      files: the files.
      found: int64 [units + 3], the sum of `Scanned.found` of them all.
    """
    if plan.is_natural:
        return
    where = ["of ", str(list(files.names)[:3])]
    try:
        _ = Agreement(plan, files).check(tf.constant(found), where)
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(reason(error)) from None


class Scanner:
    """Reads files one by one and hands their records to a function of the rule."""

    def __init__(self, plan: Plan, options: InputOptions):
        """Makes a scanner.

        Args:
          plan: the plan.
          options: `start_epoch`, `compression`, `on_corrupt`; `chunk_size` None
            follows the records.
        """
        self._plan = plan
        self._options = options
        self._graphs = {}

    def scan(self, part: Part, use: Use) -> Iterator[Any]:
        """Yields what `use` makes of the records of a file, in order, chunk by chunk.

        Args:
          part: the file, or a part of it.
          use: such as `decided`; its tensors come out as NumPy arrays. Its graph is
            made once: give the same function for all files.

        Raises:
          ValueError: the label or key feature is of another type than the plan's, or
            the file holds samples that are resampled already, or is cut
            (`records.ends`).
          tf.errors.InvalidArgumentError: a record that cannot be read or parsed, or a
            label that is not in the plan; the message names file and record, or label.
        """
        check_natural(part.name, self._plan)
        skip = self._options.on_corrupt == "skip"
        files = RecordFiles((part.name,), self._options.compression, skip, part)
        size, rule, graph = self._prepared(files, use)
        # TensorFlow's own threads read and decide the next chunks meanwhile.
        chunks = open_part(part, files.compressions[0])
        iterator = iter(chunks.batch(size).prefetch(2).with_options(graph_options()))
        position, bytes_read = 0, part.offset

        def recovered():
            """Yields what can be used of this chunk, record by record, or raises."""
            reader = Reader(files, rule.parsing, self._options)
            fields = (self._options.start_epoch, 0, position, size)
            region = Lost(*(tf.constant(field, tf.int64) for field in fields))
            found = reader.recover(region, lambda chunk: use(chunk, rule))
            yield from map(_as_numpy, found.with_options(graph_options()))

        while True:
            try:
                serialized = next(iterator, None)
            except tf.errors.DataLossError:
                yield from recovered()
                return  # TensorFlow cannot read on.
            if serialized is None:
                if why := ends.why(part.name, files.compressions[0], bytes_read):
                    _refuse(part.name, part.first + position, why, skip)
                return
            lengths = tf.strings.length(serialized)
            bytes_read += int(tf.reduce_sum(tf.cast(lengths, tf.int64)))
            bytes_read += ends.FRAMING_BYTES * len(serialized)
            try:
                first = tf.constant(part.first + position, tf.int64)
                found = graph(serialized, part.name, first)
            except _UNPARSED:
                yield from recovered()
            else:
                yield _as_numpy(found)
            position += len(serialized)

    def _prepared(self, files: RecordFiles, use: Use):
        """Returns records per chunk, the rule and its graph, by the first records."""
        # What cannot be used is an error when its chunk is read, not here.
        first = RecordFiles(files.names, files.compressions[0], skip=True)
        key_dtypes, size = {}, self._options.chunk_size or MAX_CHUNK
        try:
            features = first.features
        except ValueError:
            pass  # No records, or none that can be parsed.
        else:
            features.check_label(self._plan.label_key, self._plan.label_dtype)
            key_dtypes = features.key_dtypes(self._plan.key_features)
            size = self._options.chunk_size or first.chunk_size
        variant = (*key_dtypes.values(), use)
        if variant not in self._graphs:
            rule = DecisionRule(self._plan, key_dtypes)

            # Traced once, for all files.
            @tf.function(
                input_signature=[
                    tf.TensorSpec([None], tf.string),
                    tf.TensorSpec([], tf.string),
                    tf.TensorSpec([], tf.int64),
                ],
                # To convert it takes longer than to trace it (`plain_python`).
                autograph=False,
            )
            def graph(serialized, name, first):
                none = tf.constant(0, tf.int64)
                parsed = rule.parsing.parse(serialized)
                chunk = Chunk(
                    epoch=tf.constant(self._options.start_epoch, tf.int64),
                    file=none,
                    name=name,
                    numbers=first + tf.range(tf.size(serialized, tf.int64)),
                    serialized=serialized,
                    parsed=parsed.ragged(),
                    content=parsed.content,
                    skipped=none,
                )
                return use(chunk, rule)

            self._graphs[variant] = rule, graph
        return size, *self._graphs[variant]


def _refuse(name: str, num_records: int, why: str, skip: bool) -> None:
    text = (
        f"corrupt or truncated TFRecord file {name}: record {num_records} cannot be "
        f"read: {why}"
    )
    if not skip:
        raise ValueError(f"{text} Write it again, or set on_corrupt to skip.")
    print(f"{text} Skipped.", file=sys.stderr)


def _as_numpy(found):
    return tf.nest.map_structure(lambda part: part.numpy(), found)
