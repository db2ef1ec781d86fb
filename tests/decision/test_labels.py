"""Labels of records: looked up, counted once, multi-hot, and errors for unknown ones.

`DecisionRule.decide` runs here eagerly. Whole-numbered factors make copies certain:
a record with labels a and b has 2 x 3 = 6 copies whatever its uniform.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.decision import labels as labels_lib

from tests import plans, tfrecords

BYTES = plans.make(["b", "a", "é"], [3, 2, 5], unlabeled_factor=4.0, max_factor=1e6)
INTEGERS = plans.make(
    ["-7", "3", "10"], [3, 2, 5], unlabeled_factor=4.0, label_dtype="int64"
)
A, B, E = b"a", b"b", "é".encode()


def copies(plan, values, **changes):
    """Returns the copies of one record per value of the label feature."""
    records = [tfrecords.example({"label": value}) for value in values]
    plan = dataclasses.replace(plan, **changes)
    _, result = tfrecords.decide(records, plan)
    return result.tolist()


@pytest.mark.parametrize(
    "plan, value, expected",
    [
        (BYTES, A, 2),
        (BYTES, B, 3),
        (BYTES, E, 5),
        (BYTES, [A, B], 6),
        (BYTES, [E, A, B], 30),
        (BYTES, [A, A], 2),  # Twice in one record counts once.
        (BYTES, [A, B, A, B, B], 6),
        (BYTES, None, 4),  # Feature missing.
        (BYTES, tfrecords.NO_BYTES, 4),  # Present, but an empty list.
        (BYTES, tfrecords.NO_KIND, 4),
        (INTEGERS, 3, 2),
        (INTEGERS, -7, 3),
        (INTEGERS, [10, 3], 10),
        (INTEGERS, [3, 3, 3], 2),
        (INTEGERS, None, 4),
        (INTEGERS, tfrecords.NO_INTEGERS, 4),
    ],
)
def test_labels_make_the_factor_of_their_record(plan, value, expected):
    known = A if plan.label_dtype == "bytes" else 3
    # Alone, and between others.
    assert copies(plan, [value]) == [expected]
    assert copies(plan, [known, value, None, value]) == [2, expected, 4, expected]


@pytest.mark.parametrize(
    "combine, expected",  # Of a, ab, aab and no label.
    [
        ("product", [2, 6, 6, 4]),
        ("max", [2, 3, 3, 4]),
        ("min", [2, 2, 2, 4]),
        ("mean", [2, 3, 3, 4]),
    ],
)
def test_every_rule_counts_a_label_once(combine, expected):
    factors = [4, 2, 5] if combine == "mean" else [3, 2, 5]
    plan = plans.make(["b", "a", "é"], factors, combine=combine, unlabeled_factor=4)
    assert copies(plan, [A, [A, B], [A, A, B], None]) == expected


def test_bounds_clip_records_but_not_unlabeled_ones():
    plan = plans.make(["b", "a"], [0, 5], min_factor=2, max_factor=3)
    assert copies(plan, [A, B, [A, B], None]) == [3, 2, 2, 1]


def test_no_records_are_no_error():
    assert copies(BYTES, []) == []


def test_unknown_labels_can_have_a_factor():
    values = [b"z", [A, b"z"], [b"z", b"y"], A]
    assert copies(BYTES, values, unknown_labels=7) == [7, 14, 7, 2]
    assert copies(BYTES, values, unknown_labels=0.0) == [0, 0, 0, 2]
    assert copies(INTEGERS, [4, [3, 4], 3], unknown_labels=7.0) == [7, 14, 2]


@pytest.mark.parametrize(
    "plan, value, shown",
    [
        (BYTES, b"zebra", "zebra"),
        (BYTES, [A, b"zebra"], "zebra"),
        (BYTES, [A, A, b"zebra"], "zebra"),
        (BYTES, b"", "''"),
        (BYTES, b"aa", "aa"),
        (BYTES, b"\xff\xfe", ""),  # Not UTF-8.
        (INTEGERS, 4, "4"),
        (INTEGERS, [3, -(2**62)], str(-(2**62))),
        (INTEGERS, 11, "11"),
    ],
)
def test_an_unknown_label_is_an_error_that_names_it(plan, value, shown):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        known = A if plan.label_dtype == "bytes" else 3
        copies(plan, [known, value])
    message = caught.value.message.replace("\\'", "'")
    assert "label feature" in message and "unknown_labels" in message
    assert "part-0" in message
    assert shown in message


@pytest.mark.parametrize("size", [1, 2, 300])
def test_lookup_finds_every_label_and_no_other(size):
    names = [f"label {i}" for i in range(size)]
    vocabulary = labels_lib.Vocabulary(names, "bytes")
    found = vocabulary.lookup(tf.constant([*names, "", "label", f"label {size}"]))
    assert found.numpy().tolist() == [*range(size), size, size, size]


def test_multi_hot_is_in_the_order_of_the_plan():
    ragged = tf.ragged.constant(
        [[b"a"], [], [b"z", b"b"], [E, b"a", b"a"], [b"z"]],
        row_splits_dtype=tf.int64,
    )
    vocabulary = labels_lib.Vocabulary(BYTES.groups, "bytes")
    hot = labels_lib.multi_hot(labels_lib.labels_of(ragged, vocabulary), 3)
    assert hot.dtype == tf.float32
    assert hot.numpy().tolist() == [
        [0, 1, 0],
        [0, 0, 0],
        [1, 0, 0],
        [0, 1, 1],
        [0, 0, 0],
    ]


def test_multi_hot_of_no_records_has_no_rows():
    empty = tf.RaggedTensor.from_row_splits(
        tf.constant([], tf.string), tf.constant([0], tf.int64)
    )
    labels = labels_lib.labels_of(empty, labels_lib.Vocabulary(BYTES.groups, "bytes"))
    assert labels_lib.multi_hot(labels, 3).shape == [0, 3]


def test_labels_of_keeps_rows_apart():
    ragged = tf.ragged.constant(
        [[b"a", b"b", b"a"], [b"a"], [], [b"b", b"b"]], row_splits_dtype=tf.int64
    )
    labels = labels_lib.labels_of(ragged, labels_lib.Vocabulary(BYTES.groups, "bytes"))
    pairs = np.stack([labels.rows, labels.ids], axis=1).tolist()
    assert pairs == [[0, 1], [0, 0], [1, 1], [3, 0]]
    assert int(labels.num_rows) == 4
