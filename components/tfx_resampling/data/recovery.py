"""Records that cannot be read or parsed: which of them it is, and what is left."""

from typing import Any, Callable, NamedTuple

import tensorflow as tf

from tfx_resampling.data import checks
from tfx_resampling.data.records import (
    FRAMING_BYTES,
    Chunk,
    Lost,
    Records,
    as_ragged,
    numbered,
)


class Recovery:
    """Reads again, record by record, what could not be read as a chunk."""

    def __init__(self, records: Records, size: int, skip: bool):
        """Makes a recovery.

        Args:
          records: the files.
          size: records per chunk.
          skip: whether to leave out what cannot be used; else it is an error.
        """
        self._records = records
        self._size = size
        self._skip = skip

    def read(self, region: Lost, use: Callable[[Chunk], Any]) -> tf.data.Dataset:
        """Returns `use` of a region that was lost: of its records, one by one.

        Both stages that can fail are numbered like the chunks of a file: which number
        is missing then tells which record it was that could not be read, or parsed.
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

        records = numbered(records, end=("", True)).scan((zero, zero), locate)
        records = records.skip(region.first).take(region.count)
        parsed = records.map(lambda *row: (row, self._records.parse([row[0]])))
        parsed = parsed.ignore_errors().map(lambda row, _: row)
        # For what is missing at the end of the region, if the file goes on after it.
        close = ("", True, region.first + region.count, zero, False)
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
        check = checks.report_unless if self._skip else checks.require
        hint = "Write it again, or set on_corrupt to skip."
        if self._skip:
            hint = "Skipped."
        reported = check(
            tf.equal(skipped, 0),
            lambda: [*self._what_is_wrong(name, rows, bad), " ", hint],
        )
        with tf.control_dependencies([reported]):
            usable = ~rows.is_end
        serialized, parsed = self._records.parse(rows.record[usable])
        return Chunk(
            epoch=region.epoch,
            file=region.file,
            name=name,
            numbers=self._records.numbers(rows.position[usable]),
            serialized=serialized,
            parsed=as_ragged(parsed),
            skipped=skipped,
            lost=region._replace(count=tf.zeros_like(region.count)),
        )

    def _what_is_wrong(self, name: tf.Tensor, rows: "_Judged", bad: tf.Tensor):
        """Returns the parts of a message about the first of the bad records."""
        row = tf.argmax(bad > 0)
        unparsed = [
            *("record ", self._records.numbers(rows.expected[row]), " of ", name),
            " cannot be parsed: it is no tf.train.Example, or a feature is of another ",
            *(
                "type than in the first records (",
                ", ".join(self._records.features),
                ").",
            ),
        ]
        unread = [
            *("corrupt or truncated TFRecord file ", name, ": record "),
            self._records.numbers(rows.position[row]),
        ]
        if (
            self._records.num_shards == 1
        ):  # Else the sizes of other records are not known.
            unread += [" at byte ", rows.offset[row], " (uncompressed)"]
        unread += [" cannot be read, nor what follows it."]
        return [
            tf.where(
                rows.unparsed[row] > 0, checks.joined(unparsed), checks.joined(unread)
            )
        ]


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
