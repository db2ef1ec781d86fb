"""Whether records are such as the plan was made for: what is refused, and what not."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.core.plan import Plan
from tfx_resampling.decision.agreement import Agreement, check_first_labels
from tfx_resampling.errors import reason
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.reader import WHOLE, Shard

from tests import plans, tfrecords


def planned(counts, predicted, num_unlabeled=0, **changes) -> Plan:
    """Returns a plan for so many records of labels a, b, ..., one each."""
    labels = "abcdefgh"[: len(counts)]
    fields = dict(
        counts=tuple(counts),
        predicted=tuple(map(float, predicted)),
        predicted_records=float(sum(predicted)) + num_unlabeled,
        num_records=sum(counts) + num_unlabeled,
        num_unlabeled=num_unlabeled,
        multi_label=False,
    )
    factors = changes.pop("factors", np.divide(predicted, counts))
    return plans.make(labels, factors, **{**fields, **changes})


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> RecordFiles:
    """Files whose records have the labels under another name; the first is empty."""
    folder = tmp_path_factory.mktemp("files")
    rows = [{"label_xf": 3, "image": b"x", "id": i} for i in range(70)]
    names = [
        tfrecords.write(folder / "part-0", []),
        tfrecords.write(folder / "part-1", map(tfrecords.example, rows[:5])),
        tfrecords.write(folder / "part-2", map(tfrecords.example, rows[5:])),
    ]
    return RecordFiles(tuple(names))


def disagrees(plan, files, counts, unlabeled=0, shard=WHOLE) -> str | None:
    """Returns the error about so many labels and records without any, or None."""
    found = [*counts, 0, unlabeled, sum(counts) + unlabeled]
    try:
        _ = Agreement(plan, files, shard).check(
            tf.constant(found, tf.int64), ["read in epoch ", tf.constant(3)]
        )
    except tf.errors.InvalidArgumentError as error:
        return reason(error)


PENGUINS = planned([120, 79, 32], [77, 77, 77])


@pytest.mark.parametrize(
    "counts",
    [(120, 79, 32), (12, 8, 3), (0, 0, 32), (0, 0, 0), (1200, 790, 320), (110, 90, 31)],
)
def test_natural_records_agree(files, counts):
    assert disagrees(PENGUINS, files, counts) is None


@pytest.mark.parametrize("counts", [(77, 78, 76), (230, 230, 235), (70, 85, 76)])
def test_samples_are_known_by_their_shares(files, counts):
    error = disagrees(PENGUINS, files, counts)
    assert error and error.startswith(
        "the records read in epoch 3 are resampled already"
    )
    assert "plan.applied()" in error
    assert disagrees(PENGUINS.applied(), files, counts) is None


def test_distances_are_in_the_error(files):
    error = disagrees(planned([900, 100], [500, 500]), files, (500, 500))
    assert error and re.search(r"0\.000 from .* predicts .* 0\.400 from", error)


@pytest.mark.parametrize(
    "plan, counts",
    [
        # Predicted as they are: nothing tells them apart.
        (planned([500, 500], [501, 499]), (501, 499)),
        (planned([50, 50], [45, 55]), (45, 55)),
        # Neither this nor that.
        (PENGUINS, (20, 20, 191)),
        (PENGUINS, (98, 78, 55)),
        # A part of the natural records, such as two of four files of one label.
        (planned([300, 100], [200, 200]), (100, 100)),
    ],
)
def test_what_fits_badly_or_both_is_no_error(files, plan, counts):
    assert disagrees(plan, files, counts) is None


def test_groups_are_compared_as_labels_are(files):
    plan = planned([900, 100], [500, 500], unlabeled_known=False)
    assert disagrees(plan, files, (500, 500))


def test_workers_with_files_of_one_label_agree(files):
    plan = planned([300, 100], [200, 200])
    two = Shard(num_shards=2, index=0)
    assert disagrees(plan, files, (100, 100), shard=two) is None
    # More of a label than there are.
    plan = planned([3960, 40], [2000, 2000])
    assert disagrees(plan, files, (1000, 1000), shard=two)
    # Every second record of all files is like all of them.
    by_record = Shard(num_shards=2, index=0, by_record=True)
    assert disagrees(planned([300, 100], [200, 200]), files, (100, 100), 0, by_record)


@pytest.mark.parametrize(
    "num_unlabeled, counts, unlabeled, num_shards",
    [
        (0, (600, 400), 0, 1),
        (100, (600, 400), 100, 1),
        (100, (0, 0), 100, 1),  # A file with all of them.
        (100, (0, 0), 100, 3),
        (100, (600, 400), 140, 1),  # By chance.
        (100, (6000, 4000), 1_000, 1),  # Of ten times the data.
        (100, (0, 1000), 1_000, 5),
        (0, (600, 400), 19, 1),
        (0, (0, 0), 19, 1),
    ],
)
def test_as_many_unlabeled_records_as_the_plan_knows_agree(
    files, num_unlabeled, counts, unlabeled, num_shards
):
    plan = planned([600, 400], [600, 400], num_unlabeled, factors=(1.0, 2.0))
    shard = Shard(num_shards)
    assert disagrees(plan, files, counts, unlabeled, shard) is None


@pytest.mark.parametrize(
    "num_unlabeled, counts, unlabeled",
    [(0, (600, 400), 25), (0, (0, 0), 1_000), (100, (500, 400), 200)],
)
def test_more_unlabeled_records_are_an_error(files, num_unlabeled, counts, unlabeled):
    plan = planned([600, 400], [600, 400], num_unlabeled, factors=(1.0, 2.0))
    error = disagrees(plan, files, counts, unlabeled)
    total = sum(counts) + unlabeled
    start = f"label feature label has no value in {unlabeled} of {total} records read"
    assert error and error.startswith(start)
    assert f"{num_unlabeled} had none" in error and "['label_xf']" in error
    unknown = planned(
        [600, 400], [600, 400], num_unlabeled, factors=(1.0, 2.0), unlabeled_known=False
    )
    assert disagrees(unknown, files, counts, unlabeled) is None


def test_records_without_the_label_key_are_refused_at_once(files):
    words = r"no value in the first 70 records of .* of the 1,000 .* 0 had none"
    with pytest.raises(ValueError, match=rf"{words}.* \['label_xf'\]"):
        check_first_labels(files, planned([600, 400], [500, 500]))


@pytest.mark.parametrize(
    "plan",
    [
        planned([600, 400], [500, 500]).natural(),
        planned([600, 400], [500, 500]).applied(),
        planned([600, 400], [500, 500], unlabeled_known=False),
        planned([600, 400], [500, 500], num_unlabeled=50),  # 5 %.
        planned([60_000, 40_000], [500, 500], num_unlabeled=100),  # All may be first.
    ],
)
def test_records_without_labels_may_be_what_the_plan_knows(files, plan):
    check_first_labels(files, plan)


def test_a_label_far_behind_is_found(tmp_path):
    records = tfrecords.labeled([""] * 990 + ["a"])
    files = RecordFiles(tuple(tfrecords.spread(tmp_path, records, 2)))
    check_first_labels(files, planned([600, 400], [500, 500]))
