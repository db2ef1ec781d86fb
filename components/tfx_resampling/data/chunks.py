"""TFRecord files -> chunks of records with a few features parsed.

Guarantee: every record of every file is in exactly one chunk, or an error names the
file, the record and the byte; with `on_corrupt="skip"` what cannot be read is left
out, counted and printed.
"""

import sys
from typing import Any, Callable, Dict, Sequence

import tensorflow as tf

from tfx_resampling.data.options import InputOptions, cores
from tfx_resampling.data.records import Chunk, Lost, Records, as_ragged, numbered
from tfx_resampling.data.recovery import Recovery
from tfx_resampling.data.sharding import WHOLE, Shard

# Bytes of records in a chunk: with a few times as many, a chunk leaves the processor's
# cache between being read and being parsed; with a few times fewer, calling functions
# costs more than the work in them.
_CHUNK_BYTES = 1_300_000
# Bounds of the records in a chunk. Fewer than the least are not worth a call.
_CHUNK_RECORDS = (16, 1_024)


def chunk_size(record_bytes: Sequence[int]) -> int:
    """Returns how many records make a chunk, from the bytes of some of them."""
    mean = sum(record_bytes) / len(record_bytes)
    low, high = _CHUNK_RECORDS
    return int(min(high, max(low, _CHUNK_BYTES / max(mean, 1))))


def graph_options() -> tf.data.Options:
    """Returns the options of tf.data under which these graphs run best."""
    options = tf.data.Options()
    # The model of the autotuner times every element of every stage, which costs more
    # than it gains: the stages have as many threads as there are cores. And where it
    # sleeps, an iterator takes up to 10 s to be deleted.
    options.autotune.enabled = False
    # There is nothing in these graphs that they improve, and the first batch has to
    # wait until they have looked for it.
    options.experimental_optimization.apply_default_optimizations = False
    return options


class Reader:
    """Reads TFRecord files in parallel, and parses a few features of their records."""

    def __init__(
        self,
        files: Sequence[str],
        compressions: Sequence[str],
        features: Dict[str, tf.io.RaggedFeature],
        options: InputOptions,
        shard: Shard = WHOLE,
    ):
        """Makes a reader.

        Args:
          files: the files.
          compressions: compression of each: "", "GZIP" or "ZLIB".
          features: what to parse; 0 to n values each, row splits int64.
          options: `chunk_size` (None: the most), `cycle_length`, `num_parallel_calls`,
            `deterministic`, `on_corrupt`.
          shard: which records of each file are read.
        """
        self._size = options.chunk_size or _CHUNK_RECORDS[1]
        self._skip = options.on_corrupt == "skip"
        self._records = Records(files, compressions, features, shard)
        self._deterministic = options.deterministic
        self._cycle_length = options.cycle_length
        # What is remote waits for the network, not for a core. (And tf.data refuses
        # more calls than files that are read at the same time.)
        remote = any("://" in name for name in files)
        parallel = options.num_parallel_calls or (sys.maxsize if remote else cores())
        self._parallel = min(parallel, self._cycle_length)

    def read(
        self, sources: tf.data.Dataset, use: Callable[[Chunk], Any]
    ) -> tf.data.Dataset:
        """Returns what `use` makes of every chunk that can be read and parsed.

        The result is to be completed by `recover`, for which `use` must hand the `lost`
        of its chunk on.

        Args:
          sources: (epoch, index of a file), int64 scalars, in the order in which they
            are to be opened; several are read at the same time.
          use: makes a nest of tensors of a `Chunk`; called in graph, once per chunk.
        """
        # All of a chunk happens in the thread that reads it, while it is in its cache,
        # and what `use` drops is freed where it was allocated.
        return sources.interleave(
            lambda epoch, file: self._file(epoch, file, use, self._size),
            cycle_length=self._cycle_length,
            num_parallel_calls=self._parallel,
            deterministic=self._deterministic,
        )

    def read_streams(
        self, streams: tf.data.Dataset, use: Callable[[Chunk], Any], num_streams
    ) -> tf.data.Dataset:
        """Returns like `read` what `use` makes of chunks, of streams of files.

        Args:
          streams: (epoch, indices of files, records per chunk), int64 scalar, vector
            and scalar; all streams are read at the same time, a chunk of each in turn.
          use: as `read`.
          num_streams: int64 scalar, how many there are.
        """

        def one(epoch, files, size):
            files = tf.data.Dataset.from_tensor_slices(files)
            return files.flat_map(lambda file: self._file(epoch, file, use, size))

        return streams.interleave(
            one,
            # Not fewer than are read by different threads, which tf.data refuses.
            cycle_length=tf.maximum(num_streams, self._parallel),
            num_parallel_calls=self._parallel,
            # Else threads would run through some streams before they begin others.
            deterministic=True,
        )

    def read_all(self, use: Callable[[Chunk], Any]) -> tf.data.Dataset:
        """Returns what `use` makes of every chunk of every file, each read once.

        Raises:
          tf.errors.InvalidArgumentError: as `recover`.
        """
        files = tf.data.Dataset.range(self._records.num_files)
        chunks = self.read(
            files.map(lambda file: (tf.constant(0, tf.int64), file)),
            lambda chunk: (use(chunk), Lost(*(field[None] for field in chunk.lost))),
        )
        whole = chunks.flat_map(
            lambda used, lost: tf.data.Dataset.from_tensors(used).concatenate(
                self.recover(lost, use)
            )
        )
        return whole.with_options(graph_options())

    def recover(self, lost: Lost, use: Callable[[Chunk], Any]) -> tf.data.Dataset:
        """Returns what `use` makes of the records that `read` has lost, if any.

        Raises:
          tf.errors.InvalidArgumentError: there are any (unless `on_corrupt` is "skip");
            the message names the file and the record.
        """
        some = lost.count > 0
        lost = Lost(*(tf.boolean_mask(field, some) for field in lost))
        regions = tf.data.Dataset.from_tensor_slices(lost)
        recovery = Recovery(self._records, self._size, self._skip)
        return regions.flat_map(lambda region: recovery.read(region, use))

    def _file(self, epoch, file, use, size) -> tf.data.Dataset:
        """Returns `use` of the chunks of one file, numbered so that an error shows."""
        records = self._records
        name, in_file = records.of(file)
        chunks = in_file.batch(size).map(records.parse)
        nothing = records.parse(tf.constant([], tf.string))
        # Opens the file outside ignore_errors, which retries a missing file for ever;
        # the error of this one names the file.
        opened = tf.data.FixedLengthRecordDataset(name, 1).take(1).skip(1)
        opened = opened.map(lambda byte: (tf.constant(0, tf.int64), nothing))

        def step(expected, element):
            number, (serialized, parsed) = element
            first = expected * size
            chunk = Chunk(
                epoch=epoch,
                file=file,
                name=name,
                numbers=records.numbers(
                    number * size + tf.range(tf.size(serialized, tf.int64))
                ),
                serialized=serialized,
                parsed=as_ragged(parsed),
                skipped=tf.constant(0, tf.int64),
                lost=Lost(epoch, file, first, number * size - first),
            )
            # Here and not in a map, which would cost another call of a function, and
            # ragged tensors on their way there.
            return number + 1, use(chunk)

        found = opened.concatenate(numbered(chunks, end=nothing))
        return found.scan(tf.constant(0, tf.int64), step)
