"""What is taken from a record: fingerprints, and keys of its content."""

import random

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.core import draws
from tfx_resampling.records import fields

from tests import tfrecords

# Text -> FarmHash fingerprint64, as pyfarmhash gives it.
FINGERPRINTS = {
    "": 0x9AE16A3B2F90404F,
    "a": 0xB3454265B6DF75E3,
    "é€": 0xCEDFD2B67E2A22C8,
}


def same(tensor, array):
    assert tensor.dtype.as_numpy_dtype == array.dtype
    assert np.array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("text", FINGERPRINTS)
def test_fingerprints_have_known_values(text):
    assert fields.fingerprints(tf.constant([text])).numpy() == FINGERPRINTS[text]


def test_fingerprints_are_those_of_pyfarmhash():
    farmhash = pytest.importorskip("farmhash")
    texts = ["x" * n + chr(33 + n) for n in range(90)] + ["é", "€uro", "日本"]
    expected = [farmhash.fingerprint64(text) for text in texts]
    same(fields.fingerprints(tf.constant(texts)), np.array(expected, np.uint64))


def test_fingerprints_take_any_bytes_and_none():
    values = [b"a\x00b", b"a\x00c", b"\xff\xfe", b""]
    assert len(set(fields.fingerprints(tf.constant(values)).numpy().tolist())) == 4
    assert fields.fingerprints(tf.constant([], tf.string)).shape == [0]


ROWS = [
    {"label": [b"a", b"b"], "x": 1.5, "n": [1, 2, 3], "image": b"\xff\xd8" * 5_000},
    {"label": [b"b", b"a"], "x": 1.5, "n": [1, 2, 3], "image": b"\xff\xd8" * 5_000},
    {"label": b"a", "x": 1.5},
    {"label": b"a", "y": 1.5},  # The same values under another name.
    {"label": b"a", "x": 1.5, "y": tfrecords.NO_KIND},
    {"label": b"a", "x": tfrecords.NO_BYTES},
    {"label": b"a"},
    {},
]


def any_order(features: dict, seed: int) -> bytes:
    """Returns a tf.train.Example of some features in an order of chance."""
    entries = [tfrecords.example({name: value})[2:] for name, value in features.items()]
    random.Random(seed).shuffle(entries)
    # Entries of less than 128 bytes: a tag and one byte of length each.
    content = b"".join(entries)
    return b"\n" + bytes([len(content)]) + content


def test_content_is_the_same_in_any_order():
    row = {f"feature {i}": float(i) for i in range(5)}
    records = [any_order(row, seed) for seed in range(30)]
    assert len(set(records)) > 20
    assert tf.train.Example.FromString(records[0]) == tf.train.Example.FromString(
        tfrecords.example(row)
    )
    keys = fields.content_keys(tf.constant([*records, tfrecords.example(row)]))
    assert len(set(keys.numpy().tolist())) == 1


def test_content_of_no_records():
    """In a graph without a call: TensorFlow would warn that it cannot make it early."""

    @tf.function
    def keys():
        return fields.content_keys(tf.zeros([0], tf.string))

    assert keys().shape == [0] and keys().dtype == tf.uint64
    ops = keys.get_concrete_function().graph.get_operations()
    assert not [op for op in ops if op.type == "StatelessCase"]
    assert fields.content_keys(tf.zeros([0], tf.string)).shape == [0]


def test_other_content_has_another_key():
    records = [tfrecords.example(row) for row in ROWS]
    keys = fields.content_keys(tf.constant(records)).numpy()
    assert len(set(keys.tolist())) == len(ROWS)
    # Whatever it is read together with.
    for record, key in zip(records, keys):
        assert fields.content_keys(tf.constant([record])).numpy() == key


def test_a_sequence_example_has_the_content_of_its_lists_too():
    context = tf.train.Example.FromString(tfrecords.example(ROWS[2])).features
    lists = [
        tf.train.FeatureList(feature=[tf.train.Feature()] * count) for count in (1, 2)
    ]
    records = [
        tf.train.SequenceExample(context=context).SerializeToString(),
        *(
            tf.train.SequenceExample(
                context=context,
                feature_lists=tf.train.FeatureLists(feature_list={name: each}),
            ).SerializeToString()
            for each in lists
            for name in "ab"
        ),
    ]
    keys = fields.content_keys(tf.constant(records)).numpy()
    assert len(set(keys.tolist())) == 5
    (alone,) = fields.content_keys(tf.constant([tfrecords.example(ROWS[2])])).numpy()
    assert keys[0] == alone


def test_content_keys_of_numpy_are_the_same():
    entries, rows = [], []
    for number, row in enumerate(ROWS):
        for name, value in row.items():
            example = tfrecords.example({name: value})
            features = tf.train.Example.FromString(example).features
            # An entry is all of a message that has no other.
            message = features.SerializeToString()
            header = 2 if len(message) < 130 else 3
            entries.append(message[header:])
            rows.append(number)
    hashed = fields.fingerprints(tf.constant(entries)).numpy()
    expected = draws.content_keys(hashed, np.zeros(len(rows), bool), rows, len(ROWS))
    records = [tfrecords.example(row) for row in ROWS]
    same(fields.content_keys(tf.constant(records)), expected)


def test_no_records_have_no_content():
    same(fields.content_keys(tf.constant([], tf.string)), np.zeros(0, np.uint64))
    same(fields.content_keys(tf.constant([b"", b""])), np.zeros(2, np.uint64))
