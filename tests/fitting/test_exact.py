"""Fitted plans: small tables by hand, random ones against a linear program."""

import numpy as np
import pytest
import scipy.optimize
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.counts import LabelCounts, LabelSets
from tfx_resampling.core.factors import (
    RecordRule,
    emission_of_sets,
    record_factors,
)
from tfx_resampling.fitting import exact
from tfx_resampling.fitting.planning import make_plan

from tests.plans import row_counts


def plan_of(counts, **options):
    return make_plan(counts, PlannerConfig("y", **options))


def random_table(rng, max_labels=8, max_sets=24):
    """A random joint table; small ones are often unreachable, others not."""
    num_labels = int(rng.integers(2, max_labels + 1))
    popularity = 1 / np.arange(1, num_labels + 1)
    rows = set()
    for _ in range(int(rng.integers(3, max_sets))):
        size = 1 + min(int(rng.poisson(rng.uniform(0.2, 2))), num_labels - 1)
        chosen = rng.choice(
            num_labels, size, replace=False, p=popularity / popularity.sum()
        )
        rows.add(tuple(sorted(chosen.tolist())))
    rows.add(tuple(range(num_labels)))  # Every label occurs.
    rows = sorted(rows)
    weights = rng.geometric(0.05, len(rows)).astype(float)
    return rows, weights


# --- by hand -----------------------------------------------------------------------


def test_two_labels_that_overlap():
    # 60 a, 20 b, 20 ab; equal shares of 120 occurrences in 100 records. By hand: T_a x
    # for {a}, T_b y for {b}, xy for {ab}; 60x + 20xy = 20y + 20xy, so y = 3x, and
    # 60x + 60x + 60x^2 = 100: x = (-120 + sqrt(120^2 + 24000)) / 120.
    counts = row_counts([[0], [1], [0, 1]], [60, 20, 20])
    plan = plan_of(counts, target="uniform")
    x = (-120 + np.sqrt(120**2 + 24_000)) / 120
    assert plan.factors == pytest.approx([x, 3 * x], rel=1e-6)
    assert plan.predicted_records == pytest.approx(100, rel=1e-6)
    assert plan.predicted_shares == pytest.approx([0.5, 0.5], abs=1e-9)
    assert plan.prediction == "exact"


def test_natural_target_changes_nothing():
    counts = row_counts([[0], [1], [0, 1], [0, 2]], [60, 20, 20, 5], num_unlabeled=7)
    plan = plan_of(counts, target="natural")
    assert plan.factors == (1, 1, 1)  # To the last bit: such an input decides nothing.
    assert plan.predicted_records == 112


def test_an_unwanted_label_takes_its_records_along():
    counts = row_counts([[0], [1], [0, 1]], [60, 20, 20])
    plan = plan_of(counts, target={"l0000": 1.0, "l0001": 0.0})
    assert plan.factors[1] == 0
    assert plan.predicted == pytest.approx([100, 0], rel=1e-6)
    assert plan.factors[0] == pytest.approx(100 / 60, rel=1e-6)


def test_one_label_only_and_a_label_with_one_record():
    single = plan_of(row_counts([[0]], [50]), target="uniform", size=2.0)
    assert single.factors == (2.0,)
    plan = plan_of(row_counts([[0], [0, 1]], [99, 1]), target={"l0001": 0.25})
    # 0.25 of the occurrences: a third of the records carry both.
    assert plan.predicted_shares == pytest.approx([0.75, 0.25], abs=1e-7)
    assert plan.predicted == pytest.approx([100, 100 / 3], rel=1e-6)
    assert plan.diagnostics["half_of_rarest"] == 1


def test_a_label_that_every_record_has():
    # l0 is in every record, so its share is at least 1/3 with two labels beside it.
    counts = row_counts([[0, 1], [0, 2], [0, 1, 2]], [60, 30, 10])
    plan = plan_of(counts, target={"l0000": 0.4, "l0001": 0.3, "l0002": 0.3})
    assert plan.distance < 1e-6
    missed = plan_of(counts, target={"l0000": 0.1, "l0001": 0.45, "l0002": 0.45})
    assert missed.predicted_shares[0] == pytest.approx(1 / 3, abs=0.01)
    assert "occurs only" not in missed.diagnostics["unreached"]["l0000"]


def test_a_label_twice_in_a_record_counts_once():
    twice = row_counts([[0, 0], [1, 0, 1]], [10, 5])
    once = row_counts([[0], [0, 1]], [10, 5])
    assert twice.counts == (15, 5)
    assert plan_of(twice).factors == plan_of(once).factors


def test_factors_are_finite_where_many_extreme_ones_meet():
    # 60 labels that occur only all together and once each on their own.
    sets = [list(range(60)), *([i] for i in range(60))]
    plan = plan_of(row_counts(sets, [1000] + [1] * 60), target="uniform", max_factor=50)
    assert np.isfinite(plan.factors).all() and np.isfinite(plan.predicted).all()


@pytest.mark.parametrize("combine", ["product", "max", "min", "mean"])
def test_a_product_that_overflows_is_clipped(combine):
    sets = LabelSets.from_sets([list(range(80)), [0, 80], list(range(81))], [1, 1, 1])
    factors = np.append(np.full(80, 1e6), 0.0)
    found = record_factors(
        factors,
        sets,
        RecordRule(combine, 0.0, 9.0, unlabeled_factor=1.0),
    )
    assert found[0] == 9
    # With a factor of 0 among them, also one that comes after the overflow.
    zero = combine in ("product", "min")
    assert found[1:].tolist() == ([0, 0] if zero else [9, 9])


# --- sizes -------------------------------------------------------------------------

OVERLAPPING = row_counts(
    [[0], [1], [0, 1], [2], [0, 2], [0, 1, 2], [1, 3], [3]],
    [500, 200, 150, 30, 40, 10, 8, 5],
    num_unlabeled=20,
)


@pytest.mark.parametrize(
    "size, records",
    [
        (None, 963),
        ("preserve", 963),
        (0.5, 20 + 943 / 2),
        (2.0, 20 + 943 * 2),
        (400, 400),
    ],
)
def test_the_size_holds(size, records):
    plan = plan_of(OVERLAPPING, target="sqrt", size=size)
    assert plan.distance < 1e-6
    assert plan.predicted_records == pytest.approx(records, rel=1e-5)


def test_counts_that_are_asked_for_are_emitted():
    wanted = {"l0000": 400, "l0001": 300, "l0002": 100, "l0003": 40}
    plan = plan_of(OVERLAPPING, target=wanted)
    assert plan.predicted == pytest.approx(list(wanted.values()), rel=1e-6)
    # A label that is left out keeps its count, whatever the others do.
    plan = plan_of(OVERLAPPING, target={"l0002": 160})
    assert plan.predicted == pytest.approx(
        [*OVERLAPPING.counts[:2], 160, OVERLAPPING.counts[3]], rel=1e-6
    )


def test_undersampling_drops_no_more_than_it_must():
    plan = plan_of(OVERLAPPING, target="sqrt", size="undersample")
    assert plan.distance < 1e-5
    assert plan.diagnostics["largest_factor"] == pytest.approx(1, abs=1e-6)
    assert plan.max_factor == 1
    # More records cannot reach the target without copies.
    larger = plan_of(
        OVERLAPPING,
        target="sqrt",
        max_factor=1,
        size=int(plan.predicted_records * 1.05),
    )
    assert larger.distance > 1e-4


@pytest.mark.parametrize("target", ["sqrt", "uniform", "power:0.8"])
def test_oversampling_drops_nothing_and_reaches_the_target(target):
    options = dict(target=target, max_factor=1000)
    plan = plan_of(OVERLAPPING, size="oversample", **options)
    assert plan.distance < 1e-4 and not plan.warnings
    found = record_factors(np.array(plan.factors), OVERLAPPING.label_sets, plan.rule)
    assert found.min() >= 1
    assert plan.min_factor == 1
    assert plan.predicted_records > 963
    # A smaller epoch that drops nothing cannot reach the target.
    smaller = int(plan.predicted_records * 0.98)
    smaller = plan_of(OVERLAPPING, size=smaller, min_factor=1, **options)
    assert smaller.distance > plan.distance + 1e-5


@pytest.mark.nightly
def test_the_closest_oversampling_where_max_factor_keeps_it_from_the_target():
    options = dict(target="uniform", size="oversample")
    plan = plan_of(OVERLAPPING, max_factor=5, **options)
    assert plan.distance > 0.05
    for size in (1.2, 2.0, 3.0, 4.0):
        other = plan_of(
            OVERLAPPING, target="uniform", size=size, min_factor=1, max_factor=5
        )
        assert plan.distance < other.distance + 0.02


# --- random tables -----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_what_can_be_reached_is_reached(seed):
    """Targets made from factors are reachable: the fit finds them and their size."""
    rng = np.random.default_rng(seed)
    rows, weights = random_table(rng)
    counts = row_counts(rows, weights)
    truth = np.exp(rng.normal(0, 0.7, len(counts.groups)))
    rule = RecordRule("product", 0.0, 100.0, unlabeled_factor=1.0)
    wanted = emission_of_sets(truth, counts.label_sets, rule)
    target = wanted.counts / wanted.counts.sum()
    bounds = exact.Bounds(0.0, 100.0)
    found = exact.fit_factors(counts.label_sets, target, wanted.records, bounds)
    reached = emission_of_sets(found, counts.label_sets, rule)
    assert np.abs(reached.counts / reached.counts.sum() - target).sum() / 2 <= 1e-6
    assert reached.records == pytest.approx(wanted.records, rel=1e-5)


def closest_by_linear_program(rows, weights, target, num_records, low, high, sides):
    """The smallest distance that any repeat factors within the bounds can have.

    With `sides`, no label comes less often than naturally if its share is to rise, nor
    more often if it is to fall. Charnes-Cooper: w_y = n_y r_y / S and t = 1 / S make
    shares linear in (w, t).
    """
    num_sets, num_labels = len(rows), len(target)
    member = np.zeros((num_sets, num_labels))
    for i, row in enumerate(rows):
        member[i, list(row)] = 1
    zeros, eye = np.zeros((num_labels, 1)), np.eye(num_labels)
    equal = np.vstack(
        [
            np.concatenate([member.sum(axis=1), [0], np.zeros(2 * num_labels)]),
            np.concatenate(
                [np.ones(num_sets), [-num_records], np.zeros(2 * num_labels)]
            ),
            np.hstack([member.T, zeros, -eye, eye]),
        ]
    )
    pad = np.zeros((num_sets, 2 * num_labels))
    upper = np.vstack(
        [
            np.hstack([np.eye(num_sets), -high * weights[:, None], pad]),
            np.hstack([-np.eye(num_sets), low * weights[:, None], pad]),
        ]
    )
    natural = weights @ member
    side = np.sign(target - natural / natural.sum()) * sides
    on_side = np.hstack(
        [
            -side[:, None] * member.T,
            (side * natural)[:, None],
            np.zeros((num_labels, 2 * num_labels)),
        ]
    )
    cost = np.concatenate([np.zeros(num_sets + 1), np.full(2 * num_labels, 0.5)])
    solution = scipy.optimize.linprog(
        cost,
        A_ub=np.vstack([upper, on_side]),
        b_ub=np.zeros(2 * num_sets + num_labels),
        A_eq=equal,
        b_eq=[1, 0, *target],
    )
    assert solution.success
    return solution.fun


@pytest.mark.parametrize(
    "seed",
    [
        *range(12),
        *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(12, 60)),
    ],
)
def test_close_to_the_closest_and_no_worse_than_plain_rules(seed):
    rng = np.random.default_rng(1000 + seed)
    rows, weights = random_table(rng)
    counts = row_counts(rows, weights)
    low, high = float(rng.choice([0, 0, 0.2])), float(rng.choice([2, 5, 100]))
    bounds = dict(min_factor=low, max_factor=high)
    plan = plan_of(counts, target=f"power:{rng.choice([0, 0.3, 0.6])}", **bounds)
    target = np.array(plan.target)
    # Where the target is unreachable, the closest distribution may jump with the size.
    assert plan.predicted_records == pytest.approx(weights.sum(), rel=5e-3)
    free, best = (
        closest_by_linear_program(
            rows, weights, target, weights.sum(), low, high, sides
        )
        for sides in (False, True)
    )
    assert free - 1e-6 <= plan.distance <= best + 0.06, (plan.distance, free, best)
    for combine in ("product", "max"):
        plain = plain_counts(rows, weights, target, weights.sum(), combine, low, high)
        if plain is None or not is_on_side(plain, weights, rows, target):
            continue
        distance = np.abs(plain / plain.sum() - target).sum() / 2
        assert plan.distance <= distance + 0.005


def is_on_side(emitted, weights, rows, target) -> bool:
    """Returns whether no label is emitted less, or more, against its target."""
    natural = np.zeros(len(target))
    for weight, labels in zip(weights, rows):
        natural[list(labels)] += weight
    side = np.sign(target - natural / natural.sum())
    return bool((side * (emitted - natural) >= -1e-6 * natural).all())


def plain_counts(rows, weights, target, num_records, combine, low, high):
    """Returns what T = s * B / A emits at a size, or None: nobody's fit."""
    member = np.zeros((len(rows), len(target)))
    for row, labels in zip(member, rows):
        row[list(labels)] = 1
    counts = weights @ member
    ratio = np.divide(target * counts.sum(), counts, where=counts > 0, out=counts * 0)

    def factors(log_scale):
        each = [ratio[list(labels)] * np.exp(log_scale) for labels in rows]
        reduce = np.prod if combine == "product" else np.max
        return np.clip([reduce(factors) for factors in each], low, high)

    def excess(log_scale):
        return weights @ factors(log_scale) - num_records

    if excess(-13) > 0 or excess(13) < 0:
        return None
    return (weights * factors(scipy.optimize.brentq(excess, -13, 13))) @ member


# --- unreachable targets -----------------------------------------------------------

# A train never comes without a person.
RIDING = LabelCounts(
    label_key="y",
    groups=("person", "train"),
    counts=(100, 10),
    num_records=100,
    multi_label=True,
    label_sets=LabelSets.from_sets([[0], [0, 1]], [90, 10]),
)


def test_an_unreachable_target_is_explained():
    plan = plan_of(RIDING, target={"person": 0.2, "train": 0.8})
    # At best every record shows both.
    assert plan.predicted_shares == pytest.approx([0.5, 0.5], abs=0.01)
    assert plan.distance == pytest.approx(0.3, abs=0.01)
    reason = plan.diagnostics["unreached"]["train"]
    assert "occurs only together with person" in reason
    assert any("occurs only together with person" in text for text in plan.warnings)


def test_a_bound_that_binds_is_named():
    counts = row_counts([[0], [1], [0, 1], [1, 2], [2]], [900, 60, 30, 4, 6])
    plan = plan_of(counts, target="uniform", max_factor=10)
    reason = plan.diagnostics["unreached"]["l0002"]
    assert "max_factor 10 binds for 2 of 2 label sets" in reason


def test_unreachable_can_be_an_error_with_a_tolerance():
    options = dict(target={"person": 0.2, "train": 0.8}, on_unreachable="error")
    with pytest.raises(ValueError, match="not reached.*0.3.*only together with person"):
        plan_of(RIDING, **options)
    assert plan_of(RIDING, **options, tolerance=0.35).distance < 0.35
    reachable = dict(options, target={"person": 0.6, "train": 0.4})
    assert plan_of(RIDING, **reachable).distance < 1e-6


def test_single_labels_that_a_bound_keeps_from_the_target_can_be_an_error():
    counts = LabelCounts("y", ("a", "b"), (1000, 1), 1001)
    with pytest.raises(ValueError, match="max_factor 100 binds for 1 of 1"):
        plan_of(counts, target="uniform", on_unreachable="error")


# --- repeat-factor sampling --------------------------------------------------------


def test_repeat_factor_sampling_of_lvis():
    """r = max over labels of max(1, sqrt(t / f)) (Gupta et al., CVPR 2019, 4.2)."""
    # Three images: {0, 1}, {0}, {}; t = 0.5. f = 2/3 and 1/3: factors 1 and sqrt(3/2),
    # images sqrt(3/2), 1, 1: the worked example in Detectron2's own tests.
    counts = row_counts([[0, 1], [0]], [1, 1], num_unlabeled=1)
    plan = plan_of(counts, target="repeat_threshold:0.5", combine="max")
    assert plan.factors == pytest.approx([1.0, np.sqrt(3 / 2)])
    found = record_factors(np.array(plan.factors), counts.label_sets, plan.rule)
    assert found == pytest.approx([np.sqrt(3 / 2), 1.0, 1.0], abs=1e-9)
    assert plan.predicted_records == pytest.approx(np.sqrt(3 / 2) + 2)
    # The rule asks for no distribution, so it cannot miss one.
    assert plan.distance == pytest.approx(0, abs=1e-12) and not plan.warnings


def test_repeat_threshold_of_lvis_scale():
    # t = 0.001 over 100,000 images: a label in 10 of them is repeated sqrt(10) times,
    # one in 100 or more of them once.
    counts = row_counts([[0], [1], [0, 2]], [99_890, 100, 10])
    plan = plan_of(counts, target="repeat_threshold:0.001", combine="max")
    assert plan.factors == pytest.approx([1.0, 1.0, np.sqrt(10)])
