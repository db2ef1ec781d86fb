"""Columns of a table as tensors."""

import datetime
import pathlib
import warnings

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tfx_resampling import DataGenerator
from tfx_resampling.tables import frame as frame_module
from tfx_resampling.tables.frame import SampleTable, as_frame, to_tensors


def column(values, **changes):
    """Returns what a batch of all rows has of a column, and its type."""
    frame = pd.DataFrame({"x": pd.Series(values, **changes)})
    before = frame.copy(deep=True)
    batch = SampleTable(frame).gather(tf.range(len(frame), dtype=tf.int64))
    pd.testing.assert_frame_equal(frame, before)
    value = batch["x"]
    is_ragged = isinstance(value, tf.RaggedTensor)
    return value.to_list() if is_ragged else value.numpy().tolist(), value.dtype


NAN = float("nan")


@pytest.mark.parametrize(
    "values, expected, dtype",
    [
        ([1, 2], [1, 2], tf.int64),
        (np.array([1, 2], np.uint8), [1, 2], tf.uint8),
        (np.array([1, 2], np.float32), [1, 2], tf.float32),
        ([True, False], [True, False], tf.bool),
        ([1.5, None], [1.5, NAN], tf.float64),
        (["a", "é"], [b"a", "é".encode()], tf.string),
        (["a", None, np.nan], [b"a", b"", b""], tf.string),
        ([b"\xff", None], [b"\xff", b""], tf.string),
        ([pathlib.PurePath("a/b"), None], [b"a/b", b""], tf.string),
        ([pathlib.PurePath("a/b"), "c"], [b"a/b", b"c"], tf.string),
        ([True, None], [1, NAN], tf.float64),
        # Tuples are label sets: of any length. Lists of one shape are tensors.
        ([("a", "b"), ("c",), None], [[b"a", b"b"], [b"c"], []], tf.string),
        ([("a",), ("b",)], [[b"a"], [b"b"]], tf.string),
        ([(1, 2), ()], [[1, 2], []], tf.int32),
        ([{2, 1}, {3}], [[1, 2], [3]], tf.int32),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]], tf.int64),
        ([[1, 2], [3]], [[1, 2], [3]], tf.int32),
        ([np.eye(2), np.ones((2, 2))], [np.eye(2).tolist(), [[1, 1]] * 2], tf.float64),
    ],
    ids=str,
)
def test_columns(values, expected, dtype):
    found, found_dtype = column(values)
    np.testing.assert_equal(found, expected)
    assert found_dtype == dtype


@pytest.mark.parametrize(
    "values, dtype, expected",
    [
        (["a", "b", "a"], "category", [b"a", b"b", b"a"]),
        (["a", None, "a"], "category", [b"a", b"", b"a"]),
        ([5, 6, 5], "category", [5, 6, 5]),
        ([5, None, 5], "category", [5.0, NAN, 5.0]),
        ([("a",), ("a", "b"), ("a",)], "category", [[b"a"], [b"a", b"b"], [b"a"]]),
        ([1, None, 3], "Int64", [1.0, NAN, 3.0]),
        ([1, 2, 3], "Int64", [1, 2, 3]),
        (["a", None, "c"], "string", [b"a", b"", b"c"]),
        ([True, False, True], "boolean", [True, False, True]),
    ],
    ids=str,
)
def test_extension_types(values, dtype, expected):
    np.testing.assert_equal(column(values, dtype=dtype)[0], expected)


def test_columns_that_no_tensor_holds_are_dropped_with_one_warning():
    frame = pd.DataFrame(
        {
            "path": ["a", "b"],
            "when": [datetime.datetime(2024, 1, 1)] * 2,
            "mixed": [1, "x"],
            "nothing": [None, None],
            "object": [object(), object()],
            "dicts": [{"a": 1}, {"a": 2}],
            "broken": ["\ud800", "x"],
        }
    )
    with pytest.warns(UserWarning) as caught:
        table = SampleTable(frame)
    assert table.names == ["path"] and len(caught) == 1
    names = "['when', 'mixed', 'nothing', 'object', 'dicts', 'broken']"
    assert names in str(caught[0].message)


def test_a_table_without_a_tensor_is_an_error():
    with pytest.raises(ValueError, match=r"column that tensors can hold, got \['x'\]"):
        SampleTable(pd.DataFrame({"x": [object()]}))


def test_nothing_is_warned_of_without_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SampleTable(pd.DataFrame({"x": [1], "y": ["a"], "z": [("a", "b")]}))


@pytest.mark.parametrize("rows_at_once", [3, 2**16])
@pytest.mark.parametrize("batch_size", [4, 100])
def test_batches_have_their_size_whatever_is_gathered_at_once(
    rows_at_once, batch_size, monkeypatch
):
    monkeypatch.setattr(frame_module, "_ROWS", rows_at_once)
    frame = pd.DataFrame(
        {"id": range(50), "set": [tuple(range(i % 4)) for i in range(50)]}
    )
    blocks = [[3, 1], list(range(50)), [7] * 9]
    rows = tf.data.Dataset.from_generator(
        lambda: blocks, output_signature=tf.TensorSpec([None], tf.int64)
    )
    batches = list(SampleTable(frame).batches(rows, batch_size))
    expected = np.concatenate(blocks)
    ids = np.concatenate([batch["id"] for batch in batches])
    assert np.array_equal(ids, expected)
    assert {len(b["id"]) for b in batches[:-1]} <= {batch_size}
    sets = [row for batch in batches for row in batch["set"].to_list()]
    assert sets == [list(range(i % 4)) for i in expected]


def test_a_later_change_of_the_table_is_not_seen():
    values = np.arange(1000.0)
    frame = pd.DataFrame({"x": values, "y": [f"{i}" for i in range(1000)]}, copy=False)
    generator = DataGenerator(frame, batch_size=1000)
    frame.loc[:, "x"] = -1.0
    frame.loc[:, "y"] = ""
    values[:] = -1
    (batch,) = generator.get_dataset()
    assert batch["x"].numpy().tolist() == list(range(1000))
    assert batch["y"].numpy()[7] == b"7"


@pytest.mark.parametrize(
    "samples",
    [
        [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        np.array([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        {"a": [1, 2], "b": ["x", "y"]},
        pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=[7, 7]),
    ],
    ids=["dicts", "array", "columns", "frame"],
)
def test_what_may_be_a_table(samples):
    frame = as_frame(samples)
    assert frame["a"].tolist() == [1, 2] and frame["b"].tolist() == ["x", "y"]
    batch = SampleTable(frame).gather([1, 0])
    assert batch["b"].numpy().tolist() == [b"y", b"x"]


def test_ragged_columns_hold_equal_sets_once():
    sets = to_tensors(pd.Series([("a", "b"), ("c",)] * 500))
    assert sets is not None and sets.codes is not None
    assert isinstance(sets.values, tf.RaggedTensor)
    assert sets.values.nrows() == 2 and sets.codes.shape == [1000]
