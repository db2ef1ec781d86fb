"""TFRecord files read and decided file by file, outside of a tf.data graph.

What Beam's workers and the command line use: a file costs milliseconds to begin, where
the graphs of `input_fn` take tenths of a second. The decision is that of `input_fn`, by
the same ops; what cannot be read or parsed is left to the same `Recovery`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfx_resampling.core.plan import Plan
from tfx_resampling.decision.rule import DecisionRule
from tfx_resampling.options import InputOptions
from tfx_resampling.records import files
from tfx_resampling.records.files import Features
from tfx_resampling.records.reader import Chunk, Lost, Reader, chunk_size, graph_options
from tfx_resampling.shards.manifest import check_natural

# What is counted, in records (emitted: in copies).
COUNTS = ("read", "dropped", "emitted", "corrupt")


class Scanned(NamedTuple):
    """Some records of a file and what becomes of them.

    Attributes:
      serialized: object [n] of bytes, the records.
      hashes: uint64 [n], `draws.seeded_hash` of each.
      factors: float64 [n], final repeat factors.
      copies: int64 [n], copies over all epochs that were asked for.
      num_read: records that were looked at.
      num_corrupt: records that were left out.
    """

    serialized: np.ndarray
    hashes: np.ndarray
    factors: np.ndarray
    copies: np.ndarray
    num_read: int
    num_corrupt: int

    @property
    def counts(self) -> dict[str, int]:
        """Numbers by the names `COUNTS`; "dropped" are those without a copy."""
        dropped = self.num_read - int((self.copies > 0).sum())
        emitted = int(self.copies.sum())
        return dict(zip(COUNTS, (self.num_read, dropped, emitted, self.num_corrupt)))


class Scanner:
    """Reads files one by one and decides on their records.

    What it yields of a chunk is what `_decided` makes of it, and then `_as_numpy`.
    """

    def __init__(self, plan: Plan, options: InputOptions, dropped: bool = False):
        """Makes a scanner.

        Args:
          plan: the plan.
          options: `start_epoch`, `epochs` (None: one), `compression`, `on_corrupt`;
            `chunk_size` None follows the records.
          dropped: whether records without copies are handed out too.
        """
        self._plan = plan
        self._options = options
        self._dropped = dropped
        self._rules = {}

    def scan(self, name: str) -> Iterator[Scanned]:
        """Yields the records of a file, in their order, a chunk at a time.

        Raises:
          ValueError: the label or key feature is of another type than the plan's, or
            the file holds samples that are resampled already.
          tf.errors.InvalidArgumentError: a record that cannot be read or parsed, or a
            label that is not in the plan; the message names file and record, or label.
        """
        check_natural(name, self._plan)
        (compression,) = files.compression_types([name], self._options.compression)
        size, rule, decide = self._prepared(name, compression)
        # TensorFlow's own threads read and decide the next chunks meanwhile.
        chunks = tf.data.TFRecordDataset(name, compression).batch(size).prefetch(2)
        iterator = iter(chunks.with_options(graph_options()))
        position = 0
        while True:
            try:
                serialized = next(iterator, None)
            except tf.errors.DataLossError:
                yield from self._recovered(name, compression, rule, position, size)
                return  # TensorFlow cannot read on.
            if serialized is None:
                return
            try:
                decided = decide(serialized, tf.constant(name))
            except tf.errors.InvalidArgumentError:
                yield from self._recovered(name, compression, rule, position, size)
            else:
                yield self._as_numpy(decided)
            position += size

    def _prepared(self, name: str, compression: str):
        """Returns records per chunk, the rule and its graph, by the first records."""
        try:
            features: Features | None = Features([name], [compression], skip=True)
        except ValueError:
            features = None  # Empty, or said when it is read.
        key_feature = self._plan.key_feature
        key_dtype = tf.string
        size = self._options.chunk_size or chunk_size([0])
        if features is not None:
            features.check_label(self._plan.label_key, self._plan.label_dtype)
            if key_feature is not None:
                key_dtype = features.dtype("key_feature", key_feature)
            size = self._options.chunk_size or chunk_size(features.record_bytes)
        if key_dtype not in self._rules:
            rule = DecisionRule(self._plan, key_dtype)

            # Traced once, for all files.
            @tf.function(
                input_signature=[
                    tf.TensorSpec([None], tf.string),
                    tf.TensorSpec([], tf.string),
                ]
            )
            def decide(serialized, name):
                none = tf.constant(0, tf.int64)
                chunk = Chunk(
                    epoch=tf.constant(self._options.start_epoch, tf.int64),
                    file=none,
                    name=name,
                    numbers=tf.range(tf.size(serialized, tf.int64)),
                    serialized=serialized,
                    parsed=tf.io.parse_example(serialized, rule.features),
                    skipped=none,
                    lost=Lost(none, none, none, none),
                )
                return self._decided(chunk, rule)

            self._rules[key_dtype] = rule, decide
        return size, *self._rules[key_dtype]

    def _decided(self, chunk: Chunk, rule: DecisionRule) -> tuple:
        hashes, factors, copies = rule.decide(chunk, self._options.epochs or 1)
        columns = (chunk.serialized, hashes, factors, copies)
        if not self._dropped:
            # Here, so that what is dropped is never made into Python's objects.
            columns = [tf.boolean_mask(column, copies > 0) for column in columns]
        return (*columns, tf.size(copies, tf.int64), chunk.skipped)

    def _recovered(self, name, compression, rule, position, size) -> Iterator[Scanned]:
        """Yields what can be used of a chunk, record by record, or raises."""
        reader = Reader([name], [compression], rule.features, self._options)
        fields = (self._options.start_epoch, 0, position, size)
        region = Lost(*(tf.constant([field], tf.int64) for field in fields))
        found = reader.recover(region, lambda chunk: self._decided(chunk, rule))
        for decided in found.with_options(graph_options()):
            yield self._as_numpy(decided)

    def _as_numpy(self, decided) -> Scanned:
        *columns, num_read, num_corrupt = (part.numpy() for part in decided)
        return Scanned(*columns, int(num_read), int(num_corrupt))
