"""Counting labels of files: exact totals and label sets, and clear errors."""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.identity import Identity
from tfx_resampling.fitting.planning import make_plan
from tfx_resampling.options import InputOptions
from tfx_resampling.scan.audit import check_plan
from tfx_resampling.scan.count import count_labels

from tests import tfrecords


def written(tmp_path, values, **others):
    """Writes one record per value of the feature "label"."""
    rows = [{"label": value, **others} for value in values]
    return tfrecords.write(tmp_path / "x.tfrecord", map(tfrecords.example, rows))


def sets_of(counts):
    """Returns {frozenset of label names: records} of the label sets."""
    sets = counts.label_sets
    rows = np.split(sets.indices, sets.indptr[1:-1])
    names = [frozenset(counts.groups[i] for i in row) for row in rows]
    assert len(set(names)) == len(names)
    return dict(zip(names, sets.weights.tolist()))


@pytest.mark.long
@pytest.mark.parametrize(
    "feature, names",
    [pytest.param("label", "abcd", marks=pytest.mark.nightly), ("labels", "pqrst")],
)
def test_counts_of_many_records_are_exact(corpus, feature, names):
    hot = corpus.single if feature == "label" else corpus.multi
    counts = count_labels(corpus.files, feature)
    assert counts.groups == tuple(names)
    assert counts.counts == tuple(hot.sum(axis=0))
    assert counts.num_records == len(hot)
    assert counts.num_unlabeled == (~hot.any(axis=1)).sum()
    assert counts.multi_label == (feature == "labels")
    assert counts.label_dtype == "bytes"
    rows, numbers = np.unique(hot, axis=0, return_counts=True)
    assert sets_of(counts) == {
        frozenset(name for name, has in zip(names, row) if has): number
        for row, number in zip(rows, numbers)
    }


@pytest.mark.long
@pytest.mark.parametrize(
    "values, labels, totals, unlabeled, multi",
    [
        ([b"a", None, tfrecords.NO_BYTES], ("a",), (1,), 2, False),
        ([[b"a", b"a"], b"b", b"a"], ("a", "b"), (2, 1), 0, False),  # Twice is once.
        ([b"", "é".encode(), b"z"], ("", "z", "é"), (1, 1, 1), 0, False),
        ([10, 9, [-1, 9]], ("-1", "9", "10"), (1, 2, 1), 0, True),  # By number.
        ([2**62, -(2**62)], (str(-(2**62)), str(2**62)), (1, 1), 0, False),
        *(
            pytest.param(*more, marks=pytest.mark.nightly)
            for more in (
                ([b"a", b"b", b"a"], ("a", "b"), (2, 1), 0, False),
                ([[b"b", b"a"], [b"a", b"b"]], ("a", "b"), (2, 2), 0, True),
                ([3, None, tfrecords.NO_INTEGERS], ("3",), (1,), 2, False),
            )
        ),
    ],
)
def test_few_records_have_hand_counted_labels(
    tmp_path, values, labels, totals, unlabeled, multi
):
    counts = count_labels(written(tmp_path, values), "label")
    assert counts.groups == labels
    assert counts.counts == totals
    assert counts.num_records == len(values)
    assert counts.num_unlabeled == unlabeled
    assert counts.multi_label is multi
    assert sum(sets_of(counts).values()) == len(values)
    integers = isinstance(values[0], int)
    assert counts.label_dtype == ("int64" if integers else "bytes")


@pytest.mark.long
@pytest.mark.parametrize("unlabeled, files", [(40, 1), (90, 2)])
def test_integers_behind_unlabeled_records_are_counted(tmp_path, unlabeled, files):
    rows = [{"id": i} for i in range(unlabeled)] + [{"label": i % 2} for i in range(7)]
    records = list(map(tfrecords.example, rows))
    # In the second of two files, if there are two.
    cut = len(records) if files == 1 else unlabeled
    tfrecords.write(tmp_path / "x-0", records[:cut])
    tfrecords.write(tmp_path / "x-1", records[cut:])
    counts = count_labels(str(tmp_path / "x-*"), "label")
    assert (counts.groups, counts.counts) == (("0", "1"), (4, 3))
    assert (counts.label_dtype, counts.num_unlabeled) == ("int64", unlabeled)
    # A column of groups may be as sparse.
    by_label = count_labels(str(tmp_path / "x-*"), "id", group_by=["label"])
    assert by_label.groups[0] == "label=0" and by_label.counts[0] == 4


@pytest.mark.long
def test_label_sets_do_not_depend_on_files_or_options(tmp_path):
    records = tfrecords.labeled(["ba", "a", "", "cab", "ab", "c", "a", "bb"] * 20)
    one = count_labels(tfrecords.write(tmp_path / "one", records), "label")
    tfrecords.spread(tmp_path, records, files=4, compression="GZIP")
    options = InputOptions(chunk_size=3, num_parallel_calls=2, deterministic=False)
    four = count_labels(str(tmp_path / "part-*"), "label", options=options)
    assert sets_of(one) == {
        frozenset("ab"): 40,
        frozenset("a"): 40,
        frozenset(): 20,
        frozenset("abc"): 20,
        frozenset("c"): 20,
        frozenset("b"): 20,
    }
    assert one.groups == four.groups == ("a", "b", "c")
    for name in ("indptr", "indices", "weights"):
        assert np.array_equal(
            getattr(one.label_sets, name), getattr(four.label_sets, name)
        )
    assert four.source["files"] == 4


@pytest.mark.long
@pytest.mark.parametrize(
    "values, message",
    [
        ([b"a", b"\xff\xfe"], r"'label' has the .* b'\\xff\\xfe', .* not UTF-8"),
        ([0.5, 1.5], "'label' .*x.tfrecord.* has floats"),
        ([None, None], "'label' has no labels in 2 records. Is it"),
        ([], "no records in .*x.tfrecord"),
    ],
)
def test_what_cannot_be_counted_is_refused(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        count_labels(written(tmp_path, values, other=b"x"), "label")


def test_another_feature_is_refused_as_having_no_labels(tmp_path):
    name = written(tmp_path, [b"a", b"b"])
    with pytest.raises(ValueError, match="'lable' has no labels.*the right feature?"):
        count_labels(name, "lable")


def test_a_broken_file_is_not_counted_in_part(tmp_path):
    name = written(tmp_path, [b"a"] * 50, other=b"x" * 100)
    with open(name, "r+b") as file:
        file.truncate(os.path.getsize(name) - 60)
    with pytest.raises(tf.errors.InvalidArgumentError, match="x.tfrecord"):
        count_labels(name, "label")


# As a table without ids has them: 60 rows, each of them 35 times on average.
TABLE = [
    tfrecords.example({"id": i, "x": i % 60, "label": b"aab"[i % 3 : i % 3 + 1]})
    for i in np.random.default_rng(0).integers(0, 60, 2_100).tolist()
]
PLANNED = dict(target={"a": 100, "b": 70})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return tfrecords.spread(tmp_path_factory.mktemp("table"), TABLE, files=2)


@pytest.mark.nightly
def test_records_that_share_an_identity_are_counted(table, tmp_path):
    counts = count_labels(table, "label")
    assert counts.duplicates.num_distinct == 60
    assert np.all(np.array(counts.duplicates.inflation) > 30)
    by_id = count_labels(table, "label", identity=Identity(key_features=("id", "x")))
    assert by_id.duplicates.inflation == counts.duplicates.inflation
    by_group = count_labels(table, "label", group_by=["x"])
    assert min(by_group.duplicates.inflation) > 15
    # Each one of its own: the records are the same, but for an id.
    counts = count_labels(
        tfrecords.write(tmp_path / "x", tfrecords.labeled("aab" * 20)), "label"
    )
    assert counts.duplicates.num_distinct == 60
    assert counts.duplicates.inflation == (1.0, 1.0)
    position = count_labels(table, "label", identity=Identity("position"))
    assert position.duplicates.num_distinct == len(TABLE)


@pytest.mark.long
def test_a_table_of_few_rows_is_refused_or_told_apart_by_position(table):
    counts = count_labels(table, "label")
    with pytest.raises(
        ValueError,
        match=r"2,100 records have 60 identities \(the content of the record\).* "
        r"2 labels off \('a', 'b'\).*Name key_features .* identity='position'",
    ):
        make_plan(counts, PlannerConfig("label", **PLANNED))
    warned = make_plan(counts, PlannerConfig("label", on_duplicates="warn", **PLANNED))
    assert warned.identity == "content" and "60 identities" in warned.warnings[0]
    off = 0
    for seed in range(3):
        config = PlannerConfig("label", on_duplicates="position", seed=seed, **PLANNED)
        plan = make_plan(counts, config)
        assert plan.identity == "position"
        assert plan.diagnostics["distinct_records"] == 60
        assert "known by their position instead" in plan.warnings[0]
        assert not check_plan(table, plan).is_outside.any()
        found = check_plan(table, dataclasses.replace(warned, seed=seed))
        assert found.num_distinct == 60
        off += found.is_outside.any()
        assert (found.is_of_duplicates == found.is_outside).all()
    assert off


def test_what_has_no_chance_in_it_stands_any_duplicates(table):
    counts = count_labels(table, "label")
    assert make_plan(counts, PlannerConfig("label", target="natural")).is_natural
