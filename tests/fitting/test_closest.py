"""Plans of targets out of reach: sides, sizes, effective samples; distances of fits are
compared with a linear program in `test_fit`."""

import dataclasses

import numpy as np
import pytest
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.counts import LabelCounts, LabelSets
from tfx_resampling.fitting.planning import make_plan

from tests.plans import row_counts

BOUNDS = [(0.0, 100.0), (0.1, 10.0), (0.2, 5.0)]


def long_tailed(num_labels=30, num_records=1500, seed=0) -> LabelCounts:
    """Labels that come with a frequent one more often than by themselves."""
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, num_labels + 1) ** 1.5
    rows = {}
    for _ in range(num_records):
        size = 1 + rng.poisson(2)
        row = set(rng.choice(num_labels, size, p=popularity / popularity.sum()))
        key = tuple(sorted(row | ({0} if max(row) > 4 else set())))
        rows[key] = rows.get(key, 0) + 1
    return row_counts(list(rows), list(rows.values()), num_labels)


def sides(plan):
    """Returns how much more often each label comes, if B raises it; else less often."""
    side = np.sign(np.array(plan.target) - plan.natural_shares)
    return side * (plan.emission_ratios - 1)


@pytest.mark.parametrize(
    "bounds, target",
    [
        (BOUNDS[1], "sqrt"),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in (
                (BOUNDS[0], "sqrt"),
                (BOUNDS[2], "sqrt"),
                (BOUNDS[0], "uniform"),
            )
        ),
        *(
            pytest.param(bounds, "uniform", marks=pytest.mark.nightly)
            for bounds in BOUNDS[1:]
        ),
    ],
)
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2))]
)
def test_no_label_is_moved_away_from_its_target(seed, bounds, target):
    low, high = bounds
    plan = make_plan(
        long_tailed(seed=seed),
        PlannerConfig("y", target=target, min_factor=low, max_factor=high),
    )
    assert plan.distance > 0.01  # Else nothing was asked of the search.
    assert sides(plan).min() >= -1e-6
    assert plan.predicted_records == pytest.approx(1500, rel=1e-6)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [3, 4])
def test_samples_are_preferred_where_asked_and_the_trade_off_is_told(seed):
    counts = long_tailed(seed=seed)
    plans = [
        make_plan(counts, PlannerConfig("y", target="uniform", prefer=prefer))
        for prefer in ("distance", "samples")
    ]
    near, broad = (plan.diagnostics["effective_sample_size"] for plan in plans)
    assert broad > 1.1 * near
    assert 0 < plans[1].distance - plans[0].distance <= 0.06
    trade_off = plans[0].diagnostics["trade_off"]
    chosen = [each for each in trade_off if each["chosen"]]
    assert [each["distance"] for each in chosen] == pytest.approx([plans[0].distance])
    assert chosen[0]["effective_sample_size"] == pytest.approx(near, rel=1e-6)
    distances = [each["distance"] for each in trade_off]
    assert distances == sorted(distances) and len(distances) > 2


@pytest.mark.nightly
def test_undersampling_says_what_it_keeps_and_refuses_next_to_nothing():
    counts = long_tailed()
    config = PlannerConfig("y", target="uniform", size="undersample", min_epoch=0)
    plan = make_plan(counts, config)
    kept = f"Undersampling keeps {plan.predicted_records:.0f} of 1500 labeled records"
    assert any(text.startswith(kept) for text in plan.warnings)
    assert "Larger epochs are farther off" in " ".join(plan.warnings)
    broad = make_plan(counts, dataclasses.replace(config, prefer="samples"))
    assert broad.predicted_records > plan.predicted_records
    least = (plan.predicted_records + 1) / 1500
    with pytest.raises(ValueError, match="less than min_epoch .* min_epoch=0"):
        make_plan(counts, dataclasses.replace(config, min_epoch=least))


def test_one_label_can_undo_another():
    # The second never comes without the first, which is dropped.
    sets = LabelSets.from_sets([[0], [0, 1]], [10_000, 1])
    counts = LabelCounts(
        "y", ("a", "b"), (10_001, 1), 10_001, multi_label=True, label_sets=sets
    )
    plan = make_plan(counts, PlannerConfig("y", target="uniform", size=0.02))
    assert plan.predicted[1] == pytest.approx(100.0, rel=1e-3)


@pytest.mark.parametrize(
    "combine",
    ["max", "min", "mean", pytest.param("product", marks=pytest.mark.long)],
)
def test_the_size_holds_for_every_rule(combine):
    config = PlannerConfig("y", target="uniform", combine=combine, max_factor=5)
    assert make_plan(long_tailed(), config).predicted_records == pytest.approx(1500)
    single = LabelCounts("y", ("a", "b", "c"), (10_000, 30, 6), 10_036)
    config = dataclasses.replace(config, max_factor=100)
    plan = make_plan(single, config)
    assert plan.predicted_records == pytest.approx(10_036)
    assert any("size='records:1800'" in text for text in plan.warnings)


def test_a_size_that_the_bounds_do_not_allow_is_told():
    single = LabelCounts("y", ("a", "b"), (1_000, 10), 1_010)
    config = PlannerConfig("y", target="uniform", size=3.0, max_factor=2)
    plan = make_plan(single, config)
    assert plan.predicted_records == pytest.approx(2_020)
    assert any("emits 2020 labeled records instead of 3030" in w for w in plan.warnings)


def test_labels_that_a_target_drops_are_named():
    single = LabelCounts("y", ("a", "b", "c"), (1_000, 10, 1), 1_011)
    plan = make_plan(single, PlannerConfig("y", target="log"))
    assert any("Dropped altogether, factor 0: 'c'" in text for text in plan.warnings)


def test_natural_from_marginals_is_natural():
    counts = LabelCounts("y", ("a", "b"), (70, 60), 100, multi_label=True)
    plan = make_plan(counts, PlannerConfig("y", target="natural"))
    assert plan.predicted == (70.0, 60.0) and plan.predicted_records == 100
    assert plan.prediction == "exact" and not plan.warnings
