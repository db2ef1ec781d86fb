"""The records of some files: opened, parsed and numbered."""

from typing import Dict, NamedTuple, Sequence, Tuple

import tensorflow as tf

from tfx_resampling.data.sharding import Shard

# Bytes of a TFRecord beside its data: length, and the checksums of both.
FRAMING_BYTES = 16
# More records than any file has; bounds what numbers them.
_MANY = 1 << 40


class Lost(NamedTuple):
    """Records in a row that could not be read or parsed together; n such rows.

    Attributes:
      epoch: int64 [n], the epoch that they are read for.
      file: int64 [n], index of the file.
      first: int64 [n], first of them, counted within the shard.
      count: int64 [n], how many at most; the file may end before. 0 for none.
    """

    epoch: tf.Tensor
    file: tf.Tensor
    first: tf.Tensor
    count: tf.Tensor


class Chunk(NamedTuple):
    """Records of one file, in the order of the file.

    Attributes:
      epoch: int64 scalar, the epoch that they are read for.
      file: int64 scalar, index of the file.
      name: string scalar, name of the file.
      numbers: int64 [n], number of each record within its file, from 0.
      serialized: string [n], the records.
      parsed: feature name -> ragged [n, (values)], the features that were asked for.
      skipped: int64 scalar, corrupt records that were left out.
      lost: a `Lost` of scalars, what is missing before this chunk.
    """

    epoch: tf.Tensor
    file: tf.Tensor
    name: tf.Tensor
    numbers: tf.Tensor
    serialized: tf.Tensor
    parsed: Dict[str, tf.RaggedTensor]
    skipped: tf.Tensor
    lost: Lost


class Records:
    """Opens files, of which it may see a shard of the records only.

    Attributes:
      num_files: number of files.
      features: what `parse` parses.
      num_shards: of so many records of a file, one is seen.
    """

    def __init__(
        self,
        files: Sequence[str],
        compressions: Sequence[str],
        features: Dict[str, tf.io.RaggedFeature],
        shard: Shard,
    ):
        """Takes the arguments of `chunks.Reader`."""
        self.num_files = len(files)
        self.features = features
        self._files = tf.constant(list(files), tf.string)
        self._compressions = tf.constant(list(compressions), tf.string)
        self.num_shards, self._index = shard.of_records(len(files))

    def of(self, file: tf.Tensor) -> Tuple[tf.Tensor, tf.data.Dataset]:
        """Returns the name of a file by its index, and its records, serialized."""
        name = tf.gather(self._files, file)
        dataset = tf.data.TFRecordDataset(name, tf.gather(self._compressions, file))
        if self.num_shards == 1:
            return name, dataset
        return name, dataset.shard(self.num_shards, self._index)

    def parse(self, serialized: tf.Tensor):
        """Returns records [n] and name -> (values, row splits) of their features."""
        if not self.features:  # Not allowed in parse_example.
            return serialized, {}
        parsed = tf.io.parse_example(serialized, self.features)
        # Not ragged tensors: these cost more on their way through a data set.
        return serialized, {
            key: (values.flat_values, values.row_splits)
            for key, values in parsed.items()
        }

    def numbers(self, positions: tf.Tensor) -> tf.Tensor:
        """Returns the numbers within the file of records counted within the shard."""
        return positions * self.num_shards + self._index


def numbered(dataset: tf.data.Dataset, end) -> tf.data.Dataset:
    """Returns (number, element) of what can be had of `dataset`, and of an end.

    tf.data's own errors have no file name, and cannot be caught in a graph, but
    `ignore_errors` can skip them. What is numbered before that and counted after it
    gives them away: an error takes a number. The end makes sure that there is an
    element after it.
    """
    whole = dataset.concatenate(tf.data.Dataset.from_tensors(end))
    return tf.data.Dataset.zip((tf.data.Dataset.range(_MANY), whole)).ignore_errors()


def as_ragged(parsed) -> Dict[str, tf.RaggedTensor]:
    """Returns the features that `Records.parse` gave, ragged."""
    return {
        key: tf.RaggedTensor.from_row_splits(*parts, validate=False)
        for key, parts in parsed.items()
    }
