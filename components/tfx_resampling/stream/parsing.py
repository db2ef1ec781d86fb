"""What batches hold: labels as y, and features as `input_fn(parse=...)` has them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfx_resampling.core.plan import Plan
from tfx_resampling.decision import labels
from tfx_resampling.records import graph_errors
from tfx_resampling.records.files import RecordFiles, first_records
from tfx_resampling.stream.blocks import Samples
from tfx_resampling.validate import check_choice

LABELS = ("multi_hot", "index", "raw")
Parse = Mapping[str, Any] | Callable[[tf.Tensor], Any]

_FEATURES = (
    tf.io.FixedLenFeature,
    tf.io.FixedLenSequenceFeature,
    tf.io.RaggedFeature,
    tf.io.SparseFeature,
    tf.io.VarLenFeature,
)
# First records, of which one at least has to be of use.
_TRIED = 32


class LabelEncoder:
    """Makes y of the label feature.

    Attributes:
      key: name of the feature.
      spec: what parses it.
    """

    def __init__(self, plan: Plan, how: str, names: Sequence[str]):
        """Makes an encoder.

        Args:
          plan: has the labels.
          how: "multi_hot" (float32 [n, classes]) or "index" (int64 [n]); "raw" is left
            to a `RecordParser`, and multi-hot here.
          names: the files, for errors.

        Raises:
          ValueError: another `how`.
        """
        check_choice("labels", how, LABELS)
        self.key = plan.label_key
        self.spec = labels.feature_spec(plan.label_key, plan.label_dtype)
        self._vocabulary = labels.Vocabulary(plan.classes, plan.label_dtype)
        self._by_index = how == "index"
        self._names = tf.constant(names)

    def encode(self, values: tf.RaggedTensor, origins: tf.Tensor) -> tf.Tensor:
        """Returns y of parsed records.

        Args:
          values: the label feature of n records.
          origins: int64 [n, 3], as in `Samples`.
        """
        found = labels.labels_of(values, self._vocabulary)
        if not self._by_index:
            return labels.multi_hot(found, self._vocabulary.size)
        known = found.ids < self._vocabulary.size
        numbers = tf.math.unsorted_segment_sum(
            tf.cast(known, tf.int64), found.rows, found.num_rows
        )

        def message():
            row = tf.argmax(numbers != 1)
            return [
                *(record_name(origins[row], self._names), " has ", numbers[row]),
                f" labels that the plan knows in {self.key}; labels='index' takes ",
                "records of exactly one. Set unlabeled to drop in the planner where ",
                "there is none, or labels to multi_hot.",
            ]

        check = graph_errors.require(tf.reduce_all(numbers == 1), message)
        with tf.control_dependencies([check]):
            return tf.reshape(found.ids[known], [found.num_rows])

    def count(self, y: tf.Tensor) -> tf.Tensor:
        """Returns int64 [classes], records of each class among encoded ones."""
        if not self._by_index:
            return tf.cast(tf.reduce_sum(y, axis=0), tf.int64)
        size = self._vocabulary.size
        return tf.math.bincount(y, minlength=size, maxlength=size, dtype=tf.int64)


class RecordParser:
    """Makes elements of a data set of serialized records, as a user wants them.

    Attributes:
      is_function: whether a function of the user makes them.
    """

    def __init__(
        self,
        parse: Parse,
        how: str,
        encoder: LabelEncoder,
        files: RecordFiles,
        counts: bool,
    ):
        """Makes a parser.

        Args:
          parse: a feature spec, or a function of serialized records [n].
          how: what y is: as `LabelEncoder`, or "raw", as the spec has it.
          encoder: makes y, unless the spec or the function does.
          files: the files, for errors.
          counts: whether to count labels, too.

        Raises:
          ValueError: a spec that is none, or that the first records do not have.
        """
        self._encoder = encoder
        self._names = tf.constant(files.names)
        self._counts = counts
        self._function = parse if callable(parse) else None
        self.is_function = self._function is not None
        self._is_raw = how == "raw"
        if self.is_function:
            if how != "multi_hot":
                raise ValueError(
                    f"labels must be left out with a function as parse, got {how!r}: "
                    "what the function returns is the batch."
                )
            self._spec: dict[str, Any] = {}
        else:
            self._spec = self._checked(parse, files)
        if files.skip:
            self._try_first(files)

    def _checked(self, parse: Any, files: RecordFiles) -> dict[str, Any]:
        """Returns what `parse_example` parses."""
        if not isinstance(parse, Mapping) or not all(
            isinstance(feature, _FEATURES) for feature in parse.values()
        ):
            raise ValueError(
                "parse must be a feature spec (name -> tf.io.FixedLenFeature, "
                "VarLenFeature, RaggedFeature...) or a function of serialized records, "
                f"got {parse!r}."
            )
        key = self._encoder.key
        if not set(parse) - {key}:
            raise ValueError(
                f"parse must name a feature besides the label {key!r}, got "
                f"{list(parse)}."
            )
        if self._is_raw and key not in parse:
            raise ValueError(
                f"labels='raw' takes the label feature {key!r} as parse has it, which "
                f"has {sorted(parse)}. Add it, or set labels to 'index' or 'multi_hot'."
            )
        for name, feature in parse.items():
            _check_feature(name, feature, files)
        # The label feature can be parsed only once.
        return dict(parse) if self._is_raw else {**parse, **self._encoder.spec}

    def _try_first(self, files: RecordFiles) -> None:
        """Raises ValueError if nothing can be parsed: skipping would never end."""
        name, found = first_records(files, _TRIED)
        parse = tf.function(lambda serialized: self._parse(serialized, None))
        for number, serialized in enumerate(found):
            try:
                parse(tf.constant([serialized]))
                return
            except (tf.errors.OpError, UnicodeDecodeError) as error:
                if number + 1 == len(found):
                    raise ValueError(
                        f"parse cannot take any of the first {len(found)} records of "
                        f"{name!r}, so that on_corrupt='skip' would skip them all: "
                        f"{error}"
                    ) from None

    def element(self, samples: Samples) -> tuple[Any, tf.Tensor]:
        """Returns a batch, and int64 [classes], how many of its records have a label.

        Raises:
          tf.errors.InvalidArgumentError: in the graph: a record that a spec does not
            fit; the message names it.
        """
        names = None
        if not self.is_function:
            names = record_names(samples.origins, self._names)
        parsed = self._parse(samples.serialized, names)
        y = None
        if not (self.is_function or self._is_raw):
            values = parsed.pop(self._encoder.key)
            y = self._encoder.encode(values, samples.origins)
        if not self._counts:
            counts = tf.zeros([0], tf.int64)
        else:
            counts = self._encoder.count(self._encoded(samples) if y is None else y)
        if self.is_function:
            return parsed, counts
        return (parsed, parsed.pop(self._encoder.key) if y is None else y), counts

    def elements(self, samples: Samples) -> tf.data.Dataset:
        """Returns a data set of `element`, whose error names what a function refuses.

        An error cannot be caught in a graph, but `ignore_errors` can leave out what
        raised it. Then the records are tried one by one.
        """
        batch = tf.data.Dataset.from_tensors(samples)
        whole = batch.map(self.element).ignore_errors(log_warning=True)
        return whole.concatenate(batch.map(self._refuse)).take(1)

    def usable(self, samples: Samples) -> tf.data.Dataset:
        """Returns a data set of one int64 [m], which of n records can be parsed."""
        size = tf.shape(samples.serialized, tf.int64)[0]
        batch = tf.data.Dataset.from_tensors((tf.range(size), samples.serialized))
        whole = batch.map(lambda rows, records: (rows, self._parse(records, None)))
        whole = whole.ignore_errors().map(lambda rows, _: rows)
        # One by one only if they cannot be parsed together.
        some = self._one_by_one(samples).batch(tf.maximum(size, 1))
        none = tf.data.Dataset.from_tensors(tf.zeros([0], tf.int64))
        return whole.concatenate(some).concatenate(none).take(1)

    def _one_by_one(self, samples: Samples) -> tf.data.Dataset:
        rows = tf.range(tf.shape(samples.serialized, tf.int64)[0])
        each = tf.data.Dataset.from_tensor_slices((rows, samples.serialized))
        parsed = each.map(lambda row, one: (row, self._parse(one[tf.newaxis], None)))
        return parsed.ignore_errors().map(lambda row, _: row)

    def _refuse(self, samples: Samples):
        """Raises the error of a batch, with the name of the record if it is of one."""
        first = self._one_by_one(samples).reduce(
            tf.constant(0, tf.int64),
            lambda expected, row: expected + tf.cast(row == expected, tf.int64),
        )
        check = graph_errors.require(
            first >= tf.shape(samples.serialized, tf.int64)[0],
            lambda: [
                *(record_name(samples.origins[first], self._names), " cannot be "),
                "parsed by the function parse; TensorFlow has logged why, as a ",
                "warning. Write it again, or set on_corrupt to skip.",
            ],
        )
        with tf.control_dependencies([check]):
            samples = samples._replace(serialized=tf.identity(samples.serialized))
        return self.element(samples)

    def _parse(self, serialized: tf.Tensor, names: Any) -> Any:
        if self._function is not None:
            return self._function(serialized)
        return tf.io.parse_example(serialized, self._spec, names)

    def _encoded(self, samples: Samples) -> tf.Tensor:
        parsed: Any = tf.io.parse_example(samples.serialized, self._encoder.spec)
        return self._encoder.encode(parsed[self._encoder.key], samples.origins)


def record_name(origin: tf.Tensor, names: tf.Tensor) -> tf.Tensor:
    """Returns what errors call a record, of its `Samples.origins` [3]."""
    _, file, number = tf.unstack(origin)
    return graph_errors.joined(["record ", number, " of ", tf.gather(names, file)])


def record_names(origins: tf.Tensor, names: tf.Tensor) -> tf.Tensor:
    """Returns the same of several records, `Samples.origins` [n, 3]."""
    _, files, numbers = tf.unstack(origins, axis=1)
    numbers = tf.strings.as_string(numbers)
    return tf.strings.join(["record ", numbers, " of ", tf.gather(names, files)])


def _check_feature(name: str, feature: Any, files: RecordFiles) -> None:
    """Raises ValueError where the first records do not have what a spec asks for."""
    found = files.features
    read = getattr(feature, "value_key", None) or name
    if not found.has(read):
        is_fixed = isinstance(feature, tf.io.FixedLenFeature)
        if is_fixed and feature.default_value is None:
            found.dtype("parse", read)  # Raises, and lists those that there are.
        return
    dtype = found.dtype("parse", read)
    if tf.as_dtype(feature.dtype) != dtype:
        raise ValueError(
            f"parse must take feature {read!r} as {dtype.name}, which it is in "
            f"{files.names[0]!r}, got {feature!r}."
        )
