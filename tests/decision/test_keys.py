"""What records are known by: features, bytes, position."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.core import draws

from tests import plans, tfrecords

PLAN = plans.make("a", [0.5], seed=6)


def keyed(*names: str):
    return dataclasses.replace(PLAN, key_features=names)


def hashes(rows, plan, **key_dtypes) -> list[int]:
    records = [tfrecords.example({"label": b"a", **row}) for row in rows]
    return tfrecords.decide(records, plan, **key_dtypes)[0].tolist()


def test_several_features_identify_together():
    rows = [
        {"day": day, "site": site, "x": x}
        for day, site, x in [
            (1, b"n", 0.5),
            (1, b"s", 0.5),
            (2, b"n", 0.5),
            (1, b"n", 0.25),
            (1, b"n", None),  # A cell of a table that is empty.
            (0, b"n", 0.0),
            (None, b"n", 0.0),
            (None, None, None),
        ]
    ]
    types = dict(day=tf.int64, site=tf.string, x=tf.float32)
    found = hashes(rows, keyed("day", "site", "x"), **types)
    assert len(set(found)) == len(rows)
    # Whatever else there is in a record.
    more = [{**row, "more": b"?"} for row in rows]
    assert hashes(more, keyed("day", "site", "x"), **types) == found
    assert len(set(hashes(rows[:-1], keyed("site"), site=tf.string))) == 2


def test_several_values_of_a_key_feature_are_an_error():
    rows = [{"day": 1, "site": b"n"}, {"day": [1, 2], "site": b"n"}]
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match="key feature day must have at most one value in every record of part-0",
    ):
        hashes(rows, keyed("day", "site"), day=tf.int64, site=tf.string)


def test_a_position_identifies():
    found = hashes([{}] * 3, dataclasses.replace(PLAN, identity="position"))
    # FarmHash fingerprint64 of "part-0".
    keys = draws.position_keys(0x7F6336C87B1DEE07, np.arange(3))
    assert found == draws.seeded_hash(6, keys).tolist()


def test_bytes_and_content_are_what_the_serializer_and_the_features_make():
    one, other = (
        tfrecords.example({"label": b"a"})[2:],
        tfrecords.example({"x": 1})[2:],
    )
    head = b"\n" + bytes([len(one) + len(other)])
    records = [head + one + other, head + other + one]
    first, second = tfrecords.decide(records, PLAN)[0].tolist()
    assert first == second
    by_bytes = dataclasses.replace(PLAN, identity="bytes")
    first, second = tfrecords.decide(records, by_bytes)[0].tolist()
    assert first != second
