"""make_plan: from counts and options to factors, predictions and warnings."""

import dataclasses
import math
import re

import numpy as np
import pytest
from tfx_resampling.core import draws
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.factors import record_factors
from tfx_resampling.core.schedule import Schedule
from tfx_resampling.fitting.planning import make_plan
from tfx_resampling.version import __version__

from tests import plans

COUNTS = {"a": 80, "b": 20}


def planned(counts, **options):
    return make_plan(counts, PlannerConfig("label", **options))


@pytest.mark.parametrize(
    "options, factors, predicted",
    [
        ({}, [0.625, 2.5], [50, 50]),
        ({"size": "preserve"}, [0.625, 2.5], [50, 50]),
        ({"size": "undersample"}, [0.25, 1.0], [20, 20]),
        ({"size": "oversample"}, [1.0, 4.0], [80, 80]),
        ({"size": 0.5}, [0.3125, 1.25], [25, 25]),
        ({"size": "ratio:2"}, [1.25, 5.0], [100, 100]),
        ({"size": 40}, [0.25, 1.0], [20, 20]),
        ({"target": "natural"}, [1.0, 1.0], [80, 20]),
        ({"target": "sqrt", "size": 300}, [2.5, 5.0], [200, 100]),
        ({"target": {"a": 0.2}}, [0.25, 4.0], [20, 80]),
        ({"target": {"a": 8, "b": 50}}, [0.1, 2.5], [8, 50]),
        ({"target": {"b": 50}}, [1.0, 2.5], [80, 50]),
        ({"target": "repeat_threshold:0.8"}, [1.0, 2.0], [80, 40]),
        ({"target": {"a": 0.0, "b": 1.0}}, [0.0, 5.0], [0, 100]),
    ],
)
def test_single_label_plans_have_hand_computed_factors(options, factors, predicted):
    plan = planned(plans.counts(COUNTS), **options)
    assert plan.factors == pytest.approx(factors, rel=1e-12)
    assert plan.predicted == pytest.approx(predicted, abs=1e-6)
    assert plan.predicted_records == pytest.approx(sum(predicted), abs=1e-6)
    assert plan.prediction == "exact"
    assert plan.distance == pytest.approx(0, abs=1e-8)
    dropped = ("Dropped altogether, factor 0: 'a'.",) if factors[0] == 0 else ()
    assert plan.warnings == dropped


@pytest.mark.parametrize(
    "options, predicted",
    [
        ({}, [24, 24, 50, 2]),
        ({"size": 0.5}, [12, 12, 25, 1]),
        ({"size": 300, "keep_natural": ["c", "d"]}, [72, 72, 150, 6]),
        ({"target": {"a": 10}}, [10, 8, 50, 2]),
        # The bound binds for b alone; what is kept stays where it is.
        ({"max_factor": 2.0}, [32, 16, 50, 2]),
    ],
)
def test_labels_that_are_kept_come_as_often_as_naturally(options, predicted):
    counts = plans.counts({"a": 40, "b": 8, "c": 50, "d": 2})
    plan = planned(counts, **{"keep_natural": ["c", "d"], **options})
    assert plan.predicted == pytest.approx(predicted, abs=1e-5)


def test_labels_that_are_kept_are_conditions_of_a_fit():
    sets = {"a": 500, "ab": 40, "b": 20, "c": 100, "ac": 60, "bc": 15, "": 9}
    counts = plans.set_counts("abc", sets)
    plan = planned(counts, keep_natural="c")
    natural = np.array(counts.counts) / sum(counts.counts)
    rest = (1 - natural[2]) / 2
    assert plan.distance < 1e-6
    shares = np.array(plan.predicted) / sum(plan.predicted)
    assert shares == pytest.approx([rest, rest, natural[2]], abs=1e-6)
    # For other rules of combining, too, what is not fitted.
    assert planned(counts, keep_natural="c", combine="max").target[2] == natural[2]


@pytest.mark.parametrize(
    "unlabeled, size, factors, records",
    # Half of 200 records are unlabeled.
    [
        ("keep", None, [0.625, 2.5], 100 + 100),
        ("drop", None, [0.625, 2.5], 100 + 0),
        (0.5, None, [0.625, 2.5], 100 + 50),
        ("keep", 140, [0.25, 1.0], 40 + 100),
        (0.5, 90, [0.25, 1.0], 40 + 50),
        ("drop", 40, [0.25, 1.0], 40),
        (3, "undersample", [0.25, 1.0], 40 + 300),
    ],
)
def test_unlabeled_records_have_a_factor_of_their_own(
    unlabeled, size, factors, records
):
    counts = plans.counts(COUNTS, num_unlabeled=100)
    plan = planned(counts, unlabeled=unlabeled, size=size)
    assert plan.factors == pytest.approx(factors, rel=1e-12)
    assert plan.predicted_records == pytest.approx(records, abs=1e-6)
    assert (plan.num_records, plan.num_unlabeled) == (200, 100)


def test_too_few_records_for_the_unlabeled_ones_are_refused():
    with pytest.raises(ValueError, match="unlabeled='drop'"):
        planned(plans.counts(COUNTS, num_unlabeled=100), size=60)


@pytest.mark.parametrize(
    "bounds, factors, predicted, distance, warning",
    [
        # The size holds all the same: what b lacks of it is a's, and the reverse.
        ({"max_factor": 2}, [0.75, 2.0], [60, 40], 0.1, "max_factor 2 .*'b'"),
        ({"min_factor": 0.75}, [0.75, 2.0], [60, 40], 0.1, "min_factor 0.75 .*'a'"),
        ({"max_factor": 2.5}, [0.625, 2.5], [50, 50], 0, None),
    ],
)
def test_bounds_clip_and_say_what_that_does(
    bounds, factors, predicted, distance, warning
):
    plan = planned(plans.counts(COUNTS), **bounds)
    assert plan.factors == pytest.approx(factors, rel=1e-9)
    assert plan.predicted == pytest.approx(predicted, abs=1e-6)
    assert plan.target == pytest.approx([0.5, 0.5])
    assert plan.distance == pytest.approx(distance, abs=1e-8)
    if warning:
        assert re.search(f"{warning}.*not reached", "\n".join(plan.warnings))
    else:
        assert plan.warnings == ()


def test_warning_of_many_labels_names_the_first_five():
    totals = {"common": 10_000, **{f"rare{i}": 1 for i in range(7)}}
    warnings = planned(plans.counts(totals), max_factor=2).warnings
    (warning,) = (text for text in warnings if text.startswith("max_factor 2"))
    assert "7 of 8 labels" in warning
    assert "'rare0'" in warning and "'rare4'" in warning and "2 more" in warning
    assert "'rare5'" not in warning


def test_label_without_records_keeps_factor_1_and_is_warned_of():
    plan = planned(plans.counts({"a": 80, "b": 20, "c": 0}))
    assert plan.factors == pytest.approx([0.625, 2.5, 1.0])
    assert plan.target == pytest.approx([0.5, 0.5, 0.0])
    assert any("No records for 'c'" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    "combine, both",
    # A = (80, 40) / 120, so T = s (0.75, 1.5), with s such that 60 a x 0.75 s, 20 b x
    # 1.5 s and 20 ab x both s are 100 records.
    [("max", 1.5), ("min", 0.75), ("mean", 1.125)],
)
def test_known_label_sets_are_predicted_exactly(combine, both):
    counts = plans.set_counts("ab", {"a": 60, "b": 20, "ab": 20, "": 10})
    plan = planned(counts, combine=combine)
    scale = 100 / (45 + 30 + 20 * both)
    predicted = [scale * (45 + 20 * both), scale * (30 + 20 * both)]
    assert plan.factors == pytest.approx([0.75 * scale, 1.5 * scale])
    assert plan.predicted == pytest.approx(predicted, abs=1e-5)
    assert plan.predicted_records == pytest.approx(100 + 10, abs=1e-5)
    assert plan.prediction == "exact"
    assert plan.multi_label
    assert plan.distance == pytest.approx(predicted[0] / sum(predicted) - 0.5)


@pytest.mark.parametrize(
    "options, records",
    [
        ({}, 100 + 10),
        ({"size": 0.5}, 50 + 10),
        ({"size": 70, "unlabeled": "drop"}, 70),
        ({"target": {"a": 0.3, "b": 0.7}, "size": 200}, 200),
    ],
)
def test_products_of_known_label_sets_are_fitted_to_target_and_size(options, records):
    counts = plans.set_counts("ab", {"a": 60, "b": 20, "ab": 20, "": 10})
    plan = planned(counts, **options)
    assert plan.predicted_shares == pytest.approx(plan.target, abs=1e-5)
    assert plan.predicted_records == pytest.approx(records, rel=1e-4)
    assert plan.warnings == ()


def test_a_target_out_of_reach_is_a_warning_or_an_error():
    # b never comes without a, so that it cannot have more than half.
    counts = plans.set_counts("ab", {"a": 60, "ab": 20})
    options = dict(target={"a": 0.25, "b": 0.75})
    plan = planned(counts, **options)
    assert plan.predicted_shares == pytest.approx([0.5, 0.5], abs=1e-3)
    assert any("not reached" in warning for warning in plan.warnings)
    with pytest.raises(ValueError, match="not reached.*on_unreachable='warn'"):
        planned(counts, **options, on_unreachable="error")


def test_marginal_counts_of_several_labels_are_an_estimate_and_say_so():
    counts = plans.counts({"a": 80, "b": 40}, num_records=100, multi_label=True)
    plan = planned(counts)
    assert plan.prediction == "independent"
    assert any("independent" in warning for warning in plan.warnings)


def test_notes_of_the_counts_are_warnings_of_the_plan():
    plan = planned(plans.counts(COUNTS, notes=("counts are of a sample",)))
    assert plan.warnings == ("counts are of a sample",)


def test_plan_records_where_it_comes_from():
    counts = plans.counts(COUNTS, source={"files": 3})
    plan = planned(counts, target="sqrt", size=0.5, seed=7, combine="max")
    assert plan.provenance["source"] == {"files": 3}
    assert plan.provenance["tfx_resampling"] == __version__
    options = PlannerConfig(**plan.provenance["options"])
    assert options == PlannerConfig(
        "label", target="sqrt", size=0.5, seed=7, combine="max"
    )
    assert (plan.seed, plan.combine) == (7, "max")


@pytest.mark.parametrize("schedule", ["linear:4", "step:2"])
def test_a_schedule_is_carried_along_and_changes_nothing_else(schedule):
    counts = plans.set_counts("ab", {"a": 60, "b": 20, "ab": 20, "": 10})
    plan = planned(counts, target="sqrt", schedule=schedule)
    assert plan.schedule == schedule
    assert plan.provenance["options"]["schedule"] == schedule
    constant = planned(counts, target="sqrt")
    assert constant.schedule == "constant"
    for name in ("factors", "target", "predicted", "predicted_records", "diagnostics"):
        assert getattr(plan, name) == getattr(constant, name), name


@pytest.mark.parametrize("schedule", ["constant", "linear:4", "step:2"])
@pytest.mark.parametrize("combine", ["product", "max"])
def test_epochs_of_a_schedule_emit_what_is_predicted_for_them(schedule, combine):
    table = {"a": 6_000, "b": 900, "ab": 700, "c": 200, "": 1_000}
    plan = planned(
        plans.set_counts("abc", table),
        combine=combine,
        unlabeled=0.3,
        max_factor=5.0,
        schedule=schedule,
        seed=3,
    )
    sets = plans.label_sets("abc", {letters: 1 for letters in table})
    final = record_factors(np.array(plan.factors), sets, plan.rule)
    weights = Schedule.parse(schedule)
    numbers = np.array(list(table.values()))
    factors = np.repeat(final, numbers)
    of_set = np.repeat(np.arange(len(table)), numbers)
    uniforms = draws.uniforms(plan.seed, np.arange(len(factors), dtype=np.uint64))
    member = np.array([[letter in letters for letter in "abc"] for letters in table])
    for epoch in range(6):
        in_epoch = 1 + weights.weight(epoch) * (final - 1)
        # The plan interpolates the sums, the rule the factors: the same.
        assert plan.predicted_at(epoch) == pytest.approx((numbers * in_epoch) @ member)
        assert plan.predicted_records_at(epoch) == pytest.approx(numbers @ in_epoch)
        copies = draws.copies(
            uniforms,
            draws.cumulative_factors(factors, weights.cumulative(epoch), epoch),
            draws.cumulative_factors(factors, weights.cumulative(epoch + 1), epoch + 1),
        )
        seen = np.bincount(of_set, copies, len(table))
        fraction = in_epoch % 1
        variance = numbers * fraction * (1 - fraction)
        for label, expected in enumerate(plan.predicted_at(epoch)):
            bound = 4 * math.sqrt(variance @ member[:, label]) + 1e-3
            difference = seen @ member[:, label] - expected
            assert abs(difference) <= bound, (epoch, label, difference, bound)
        bound = 4 * math.sqrt(variance.sum()) + 1e-3
        difference = copies.sum() - plan.predicted_records_at(epoch)
        assert abs(difference) <= bound, (epoch, difference, bound)


def test_options_for_another_label_feature_are_refused():
    with pytest.raises(ValueError, match="label_key must be .*'label', got 'other'"):
        make_plan(plans.counts(COUNTS), PlannerConfig("other"))


def test_target_with_an_unknown_label_is_refused():
    with pytest.raises(ValueError, match=r"names \['z'\].*'a', 'b'"):
        planned(plans.counts(COUNTS), target={"z": 0.5})


def test_an_epoch_of_unlabeled_records_is_warned_of():
    counts = plans.counts({"a": 900, "b": 10}, num_unlabeled=90)
    config = PlannerConfig("label", target="uniform", size="undersample")
    (warning,) = make_plan(counts, config).warnings
    # 10 records of each label are left.
    assert warning.startswith("82% of the records that an epoch emits have no label")
    dropped = dataclasses.replace(config, unlabeled="drop")
    assert not make_plan(counts, dropped).warnings
    preserved = dataclasses.replace(config, size=None)
    assert not make_plan(counts, preserved).warnings
