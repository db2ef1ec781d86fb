"""TFRecord files -> chunks of records with a few features parsed.

Guarantee: every record of every file is in exactly one chunk, or an error names the
file, the record and the byte; with `on_corrupt="skip"` what cannot be read is left
out, counted and printed.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

from tfx_resampling.options import InputOptions, cores
from tfx_resampling.records import graph_errors
from tfx_resampling.records.ends import FRAMING_BYTES, Ends
from tfx_resampling.records.fields import Parsed, Parsing
from tfx_resampling.records.files import (
    MAX_CHUNK,
    RecordFiles,
    open_part,
    open_records,
)
from tfx_resampling.records.one_device import apart, on_one_device
from tfx_resampling.records.parts import Part
from tfx_resampling.validate import shown


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of `num_shards` parts that together have every record once.

    Parts are of whole files where there are files enough for each; otherwise each part
    has every `num_shards`-th record of every file, which costs reading all of them.

    Attributes:
      num_shards: number of parts.
      index: which of them, from 0.
      by_record: whether to cut every file, even where there are files enough.
    """

    num_shards: int = 1
    index: int = 0
    by_record: bool = False

    def __post_init__(self):
        if not 0 <= self.index < self.num_shards:
            raise ValueError(
                f"index must be from 0 to {self.num_shards - 1}, got "
                f"{shown(self.index)}."
            )

    def files(self, num_files: int) -> list[int]:
        """Returns the indices of the files of this part."""
        if self._cuts_files(num_files):
            return list(range(num_files))
        return list(range(self.index, num_files, self.num_shards))

    def of_records(self, num_files: int) -> tuple[int, int]:
        """Returns (n, i): of its files this part has every n-th record from i."""
        if self._cuts_files(num_files):
            return self.num_shards, self.index
        return 1, 0

    def _cuts_files(self, num_files: int) -> bool:
        return self.by_record or num_files < self.num_shards


WHOLE = Shard()

F = TypeVar("F", bound=Callable)


# More records than any file has; bounds what numbers them.
_MANY = 1 << 40
# Number of bytes that nobody knows; what is added does not make it known.
_UNKNOWN = -(1 << 61)


class Lost(NamedTuple):
    """Records in a row that could not be read or parsed together.

    Attributes:
      epoch: int64 scalar, the epoch that they are read for.
      file: int64 scalar, index of the file.
      first: int64 scalar, first of them, counted within the shard.
      num_records: int64 scalar, how many at most; the file may end before. 0: none.
    """

    epoch: tf.Tensor
    file: tf.Tensor
    first: tf.Tensor
    num_records: tf.Tensor


class Chunk(NamedTuple):
    """Records of one file, in the order of the file.

    Attributes:
      epoch: int64 scalar, the epoch that they are read for.
      file: int64 scalar, index of the file.
      name: string scalar, name of the file.
      numbers: int64 [n], number of each record within its file, from 0.
      serialized: string [n], the records.
      parsed: feature name -> ragged [n, (values)], the features that were asked for.
      content: uint64 [n], a key of all features (`fields.content_keys`); [0] unless it
        was asked for.
      skipped: int64 scalar, corrupt records that were left out.
    """

    epoch: tf.Tensor
    file: tf.Tensor
    name: tf.Tensor
    numbers: tf.Tensor
    serialized: tf.Tensor
    parsed: dict[str, tf.RaggedTensor]
    content: tf.Tensor
    skipped: tf.Tensor


class Records:
    """Opens files, of which it may see a shard of the records only.

    Attributes:
      num_files: number of files.
      parsing: what `parse` parses.
      num_shards: of so many records of a file, one is seen.
      first: number within the file of the first record that is read.
      offset: bytes before it.
    """

    def __init__(
        self,
        files: RecordFiles,
        parsing: Parsing,
        shard: Shard,
    ):
        """Takes the arguments of `Reader`."""
        self.num_files = len(files.names)
        self.parsing = parsing
        self._files = tf.constant(files.names, tf.string)
        self._compressions = tf.constant(files.compressions, tf.string)
        self.num_shards, self._index = shard.of_records(self.num_files)
        self._part = files.part
        part = files.part or Part("")
        self.first, self.offset = part.first, part.offset

    def of(self, file: tf.Tensor) -> tuple[tf.Tensor, tf.data.Dataset]:
        """Returns the name of a file by its index, and its records, serialized."""
        name = tf.gather(self._files, file)
        compression = tf.gather(self._compressions, file)
        if self._part:
            dataset = open_part(self._part, compression)
        else:
            dataset = open_records(name, compression)
        if self.num_shards == 1:
            return name, dataset
        return name, dataset.shard(self.num_shards, self._index)

    def parse(self, serialized: Any) -> tuple[Any, Parsed]:
        """Returns records [n], and what is parsed of them."""
        return serialized, self.parsing.parse(serialized)

    def part(self, num_records: int) -> int:
        """Returns how many of so many records of a file are seen; -1 of any."""
        if num_records < 0:
            return -1
        return len(range(self._index, num_records, self.num_shards))

    def numbers(self, positions: tf.Tensor) -> tf.Tensor:
        """Returns the numbers within the file of records counted within the shard."""
        first = self._index + self.first
        if self.num_shards == 1:
            return positions + first if first else positions
        return positions * self.num_shards + first


def numbered(dataset: tf.data.Dataset, end) -> tf.data.Dataset:
    """Returns (number, element) of what can be had of `dataset`, and of an end.

    tf.data's own errors have no file name, and cannot be caught in a graph, but
    `ignore_errors` can skip them. What is numbered before that and counted after it
    gives them away: an error takes a number. The end makes sure that there is an
    element after it.
    """
    whole = dataset.concatenate(tf.data.Dataset.from_tensors(end))
    return tf.data.Dataset.zip((tf.data.Dataset.range(_MANY), whole)).ignore_errors()


class _End(NamedTuple):
    """Where the reading of a file is.

    Attributes:
      file: int64, index of the file.
      may_be_cut: bool, whether it is at an end that need not be the writer's.
      records: int64, how many records were read.
    """

    file: tf.Tensor
    may_be_cut: tf.Tensor
    records: tf.Tensor


class _Judged(NamedTuple):
    """A record read by itself, or the end; what is missing before it.

    Attributes:
      record: string, empty at the end.
      is_end: bool.
      position: int64, number of the record within the shard.
      offset: int64, bytes before it in the file, uncompressed.
      is_unread: bool, whether the end is that of what can be read.
      expected: int64, position of the first record that is missing.
      unparsed: int64, how many are, since they cannot be parsed.
    """

    record: tf.Tensor
    is_end: tf.Tensor
    position: tf.Tensor
    offset: tf.Tensor
    is_unread: tf.Tensor
    expected: tf.Tensor
    unparsed: tf.Tensor


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


def plain_python(build: F) -> F:
    """Makes a function build its graphs as it is written, without AutoGraph.

    There is no Python condition on a tensor in this package, and to convert the first
    input took 4 s of the 6 s that it took all in all.
    """
    return tf.autograph.experimental.do_not_convert(build)


class _TracedOnce:
    """A function of chunks that is traced once and called wherever it is needed.

    The call is only made ready where it is reached: not for records that are recovered,
    as long as there are none.
    """

    def __init__(self, use: Callable[[Chunk], Any]):
        self._use = use
        self._traced: Any = None
        self._result: Any = None

    def __call__(self, chunk: Chunk) -> Any:
        tensors = tf.nest.flatten(chunk, expand_composites=True)
        if self._traced is None:
            self._traced = apart(
                lambda *parts: self._trace(chunk, parts),
                [tf.TensorSpec(each.shape, each.dtype) for each in tensors],
            )
        results = self._traced(*tensors)
        return tf.nest.pack_sequence_as(self._result, results, expand_composites=True)

    def _trace(self, chunk: Chunk, parts: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        packed = tf.nest.pack_sequence_as(chunk, parts, expand_composites=True)
        self._result = self._use(packed)
        return tf.nest.flatten(self._result, expand_composites=True)


class Reader:
    """Reads TFRecord files in parallel, and parses a few features of their records."""

    def __init__(
        self,
        files: RecordFiles,
        parsing: Parsing,
        options: InputOptions,
        shard: Shard = WHOLE,
        num_records: Sequence[int] | None = None,
    ):
        """Makes a reader.

        Args:
          files: the files.
          parsing: what to parse of each record.
          options: `chunk_size` (None: the most), `cycle_length`, `num_parallel_calls`,
            `deterministic`.
          shard: which records of each file are read.
          num_records: how many records each file was written with; negative if that is
            not known.
        """
        self._size = options.chunk_size or MAX_CHUNK
        self._skip = files.skip
        self._records = Records(files, parsing, shard)
        self._deterministic = options.deterministic
        self._cycle_length = options.cycle_length
        # What is remote waits for the network, not for a core. (And tf.data refuses
        # more calls than files that are read at the same time.)
        remote = any("://" in name for name in files.names)
        parallel = options.num_parallel_calls or (sys.maxsize if remote else cores())
        self._parallel = min(parallel, self._cycle_length)
        kinds: list[str | None] = list(files.compressions)
        # To look takes all of a file, and a request for each if they are remote; and
        # where the workers of a service are, nothing of this process is.
        if remote or self._records.num_shards > 1:
            kinds = [None] * len(kinds)
        elif options.service is not None:
            kinds = ["" if kind == "" else None for kind in kinds]
        parts = [self._records.part(count) for count in num_records or ()]
        self._ends = Ends(files.names, kinds, parts or [-1] * len(kinds))

    def read(
        self, sources: tf.data.Dataset, use: Callable[[Chunk], Any]
    ) -> tf.data.Dataset:
        """Returns what `use` makes of every chunk of some files.

        Args:
          sources: (epoch, index of a file), int64 scalars, in the order in which they
            are to be opened; several are read at the same time.
          use: makes a nest of tensors of a `Chunk`; called in graph, once per chunk.

        Raises:
          tf.errors.InvalidArgumentError: while iterating, as `recover`.
        """
        # All of a chunk happens in the thread that reads it, while it is in its cache,
        # and what `use` drops is freed where it was allocated.
        use = _TracedOnce(use)
        return sources.interleave(
            lambda *source: self._file(source[0], source[1], use, self._size),
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
        use = _TracedOnce(use)

        def one(*stream):
            epoch, files, size = stream
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

    @plain_python
    def read_all(self, use: Callable[[Chunk], Any]) -> tf.data.Dataset:
        """Returns what `use` makes of every chunk of every file, each read once.

        Raises:
          tf.errors.InvalidArgumentError: as `recover`.
        """
        files = tf.data.Dataset.range(self._records.num_files)
        chunks = self.read(
            files.map(lambda file: (tf.constant(0, tf.int64), file)), use
        )
        return on_one_device(chunks).with_options(graph_options())

    def recover(self, region: Lost, use: Callable[[Chunk], Any]) -> tf.data.Dataset:
        """Returns what `use` makes of records that could not be read as a chunk.

        They are read one by one. Both stages that can fail are numbered like the chunks
        of a file: which number is missing then tells which record could not be read, or
        parsed.

        Raises:
          tf.errors.InvalidArgumentError: while iterating, unless what is corrupt is to
            be skipped; the message names the file and the record.
        """
        zero = tf.constant(0, tf.int64)
        name, in_file = self._records.of(region.file)
        records = in_file.map(lambda record: (record, False))

        def locate(state, element):
            position, offset = state
            number, (record, is_end) = element
            size = FRAMING_BYTES + tf.strings.length(record, unit="BYTE")
            after = offset + tf.cast(size, tf.int64)
            # An error in reading takes a number, and the end of the file is next.
            is_unread = tf.not_equal(number, position)
            return (position + 1, after), (record, is_end, position, offset, is_unread)

        start = (zero, tf.constant(self._records.offset, tf.int64))
        records = numbered(records, end=("", True)).scan(start, locate)
        records = records.skip(region.first).take(region.num_records)
        parsed = records.map(lambda *row: (row, self._records.parse([row[0]])))
        parsed = parsed.ignore_errors().map(lambda row, _: row)
        # For what is missing at the end of the region, if the file goes on after it.
        close = ("", True, region.first + region.num_records, zero, False)
        parsed = parsed.concatenate(tf.data.Dataset.from_tensors(close))

        def judge(expected, element):
            record, is_end, position, offset, is_unread = element
            unparsed = tf.where(expected < 0, zero, position - expected)
            # Nothing is expected after the end.
            following = tf.where(is_end, tf.constant(-1, tf.int64), position + 1)
            judged = _Judged(
                record, is_end, position, offset, is_unread, expected, unparsed
            )
            return following, judged

        judged = parsed.scan(region.first, judge).batch(self._size)
        return judged.map(lambda rows: use(self._recovered(region, name, rows)))

    def _recovered(self, region: Lost, name: tf.Tensor, rows: "_Judged") -> Chunk:
        """Returns the usable records among some that were read one by one."""
        bad = rows.unparsed + tf.cast(rows.is_unread, tf.int64)
        skipped = tf.reduce_sum(bad)
        check = graph_errors.report_unless if self._skip else graph_errors.require
        hint = "Write it again, or set on_corrupt to skip."
        if self._skip:
            hint = "Skipped."
        reported = check(
            tf.equal(skipped, 0),
            lambda: [*self._what_is_wrong(name, rows, bad), " ", hint],
        )
        with tf.control_dependencies([reported]):
            usable = tf.reshape(tf.where(tf.logical_not(rows.is_end)), [-1])
        serialized, parsed = self._records.parse(tf.gather(rows.record, usable))
        return Chunk(
            epoch=region.epoch,
            file=region.file,
            name=name,
            numbers=self._records.numbers(tf.gather(rows.position, usable)),
            serialized=serialized,
            parsed=parsed.ragged(),
            content=parsed.content,
            skipped=skipped,
        )

    def _what_is_wrong(self, name: tf.Tensor, rows: "_Judged", bad: tf.Tensor):
        """Returns the parts of a message about the first of the bad records."""
        row = tf.argmax(bad > 0)

        def of_row(column):
            return tf.gather(column, row)

        features = ", ".join(self._records.parsing.features)
        unparsed = [
            *("record ", self._records.numbers(of_row(rows.expected)), " of ", name),
            " cannot be parsed: it is no tf.train.Example, or a feature is of another ",
            f"type than in the first records ({features}).",
        ]
        unread = [
            *("corrupt or truncated TFRecord file ", name, ": record "),
            self._records.numbers(of_row(rows.position)),
        ]
        # Else the sizes of the records between are not known.
        if self._records.num_shards == 1:
            unread += [" at byte ", of_row(rows.offset), " (uncompressed)"]
        unread += [" cannot be read, nor what follows it."]
        return [
            tf.where(
                of_row(rows.unparsed) > 0,
                graph_errors.joined(unparsed),
                graph_errors.joined(unread),
            )
        ]

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

        zero = tf.constant(0, tf.int64)

        def step(state, element):
            expected, records_read, bytes_read = state
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
                parsed=parsed.ragged(),
                content=parsed.content,
                skipped=tf.constant(0, tf.int64),
            )
            lost = Lost(epoch, file, first, number * size - first)
            num_records = tf.size(serialized, tf.int64)
            lengths = tf.strings.length(serialized, unit="BYTE")
            bytes_read += tf.reduce_sum(tf.cast(lengths, tf.int64))
            bytes_read += FRAMING_BYTES * num_records
            # What was lost has been said, or will be.
            bytes_read = tf.where(lost.num_records > 0, _UNKNOWN, bytes_read)
            records_read += num_records
            at_end = tf.equal(num_records, 0) & (bytes_read >= 0)
            may_be_cut = at_end & self._ends.may_be_cut(file, records_read, bytes_read)
            end = _End(file, may_be_cut, records_read)
            # Here and not in a map, which would cost another call of a function, and
            # ragged tensors on their way there.
            return (number + 1, records_read, bytes_read), (use(chunk), lost, end)

        def complete(used, lost, end):
            whole = tf.data.Dataset.from_tensors(used)

            def refused():
                return self._refused(name, end).map(lambda one: used).skip(1)

            return when(
                lost.num_records > 0,
                lambda: self.recover(lost, use),
                when(end.may_be_cut, refused, whole),
            )

        def when(condition, make, whole):
            # Not always concatenated: to begin a recovery costs as much as a chunk.
            variant = tf.cond(
                condition,
                lambda: tf.data.experimental.to_variant(make().concatenate(whole)),
                lambda: tf.data.experimental.to_variant(whole),
            )
            return tf.data.experimental.from_variant(variant, whole.element_spec)

        found = opened.concatenate(numbered(chunks, end=nothing))
        read = (tf.constant(n, tf.int64) for n in (records.first, records.offset))
        return found.scan((zero, *read), step).flat_map(complete)

    def _refused(self, name: tf.Tensor, end: _End) -> tf.data.Dataset:
        """Returns one element, and raises if the file is cut where `end` is.

        Raises:
          tf.errors.InvalidArgumentError: as `recover`.
        """
        check = graph_errors.report_unless if self._skip else graph_errors.require
        hint = "Write it again, or set on_corrupt to skip."

        def refuse(one):
            why = self._ends.why(name, end.file, end.records)
            refused = check(
                tf.equal(why, ""),
                lambda: [
                    *("corrupt or truncated TFRecord file ", name, ": record "),
                    *(end.records, " cannot be read: ", why, " "),
                    "Skipped." if self._skip else hint,
                ],
            )
            with tf.control_dependencies([refused]):
                return tf.identity(one)

        return tf.data.Dataset.range(1).map(refuse)
