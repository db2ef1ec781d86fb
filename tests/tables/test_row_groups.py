"""Groups of rows by the values of columns."""

import datetime

import numpy as np
import pandas as pd
import pytest
from tfx_resampling.tables.row_groups import find_groups, group_rows


def grouped(values, **changes):
    frame = pd.DataFrame({"x": pd.Series(values, **changes)})
    before = frame.copy(deep=True)
    groups = group_rows(frame, ["x"])
    pd.testing.assert_frame_equal(frame, before)
    return groups


@pytest.mark.parametrize(
    "values, keys, ids",
    [
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        ([10, 2, 10], (2, 10), [1, 0, 1]),
        ([1.5, -1.0, 1.5], (-1.0, 1.5), [1, 0, 1]),
        ([True, False, True], (False, True), [1, 0, 1]),
        ([b"y", b"x", b"y"], (b"x", b"y"), [1, 0, 1]),
        # Missing values are a group of their own, the last one.
        ([None, "a", None], ("a", None), [1, 0, 1]),
        ([np.nan, 1.0, np.nan], (1.0, None), [1, 0, 1]),
        ([pd.NA, "a", None], ("a", None), [1, 0, 1]),
        ([None, None], (None,), [0, 0]),
        # Label sets: as tuples; the order of a tuple counts, that of a set does not.
        ([("a", "b"), ("a",), ("a", "b")], (("a",), ("a", "b")), [1, 0, 1]),
        ([("a", "b"), ("b", "a")], (("a", "b"), ("b", "a")), [0, 1]),
        ([["a", "b"], ["a"], ["a", "b"]], (("a",), ("a", "b")), [1, 0, 1]),
        # A name of its own: a set is written in another order by every process.
        pytest.param([{"a", "b"}, {"b", "a"}], (("a", "b"),), [0, 0], id="sets"),
        ([("a",), (), None], ((), ("a",), None), [1, 0, 2]),
        ([np.array([1, 2]), np.array([1, 2])], ((1, 2),), [0, 0]),
        # Several types: by type, then value.
        ([2, "a", 1], (1, 2, "a"), [1, 2, 0]),
    ],
    ids=str,
)
def test_groups(values, keys, ids):
    groups = grouped(values)
    assert groups.keys == keys and groups.ids.tolist() == ids
    assert groups.counts.tolist() == np.bincount(ids).tolist()
    assert groups.ids.dtype == np.int32 and groups.columns == ("x",)


@pytest.mark.parametrize("ordered", [False, True])
def test_categories_keep_their_order_and_need_rows(ordered):
    kind = pd.CategoricalDtype(["low", "mid", "high", "none"], ordered)
    groups = grouped(["high", "low", None, "high"], dtype=kind)
    assert groups.keys == ("low", "high", None)
    assert groups.ids.tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize("dtype", ["Int64", "string", "category"])
def test_extension_types(dtype):
    values = [2, None, 1] if dtype == "Int64" else ["2", None, "1"]
    groups = grouped(values, dtype=dtype)
    one, two = (1, 2) if dtype == "Int64" else ("1", "2")
    assert groups.keys == (one, two, None) and groups.ids.tolist() == [1, 2, 0]


def test_dates_group_though_no_tensor_holds_them():
    days = [datetime.datetime(2024, 1, d) for d in (2, 1, 2)]
    assert grouped(days).ids.tolist() == [1, 0, 1]


def test_several_columns_and_only_what_occurs():
    frame = pd.DataFrame(
        {"site": ["n", "s", "n", "n"], "labels": [("a",), ("a", "b"), ("a",), None]}
    )
    groups = group_rows(frame, ["site", "labels"])
    assert groups.keys == (("n", ("a",)), ("n", None), ("s", ("a", "b")))
    assert groups.ids.tolist() == [0, 2, 0, 1]
    assert groups.counts.tolist() == [2, 1, 1]


def test_as_pandas_groups_several_columns():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.integers(0, 9, 2_000) for name in "abcd"})
    groups = group_rows(frame, list("abcd"))
    expected = frame.groupby(list("abcd"))
    assert groups.keys == tuple(expected.groups)
    assert np.array_equal(groups.ids, expected.ngroup())


def test_groups_do_not_depend_on_the_order_of_rows():
    one, other = grouped(["b", None, "a"]), grouped(["a", "b", None])
    assert one.keys == other.keys


def test_bad_columns():
    frame = pd.DataFrame({"x": [1], "y": [{"k": 1}]})
    with pytest.raises(ValueError, match=r"got 'z'\. Columns: \['x', 'y'\]"):
        group_rows(frame, ["x", "z"])
    with pytest.raises(ValueError, match="each column once"):
        group_rows(frame, ["x", "x"])
    with pytest.raises(ValueError, match="column 'y' must have values .* hashed"):
        group_rows(frame, ["y"])
    with pytest.raises(ValueError, match="names of columns, got"):
        find_groups(frame, [1])  # pyright: ignore[reportArgumentType]


def test_groupby_may_be_one_name_or_nothing():
    frame = pd.DataFrame({"x": [1, 2]})
    groups = find_groups(frame, "x")
    assert groups is not None and groups.columns == ("x",)
    assert find_groups(frame, None) is None
    assert find_groups(frame, []) is None
