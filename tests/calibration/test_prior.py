"""Corrections against Bayes' rule over all label sets, computed in the tests."""

import dataclasses
import itertools

import numpy as np
import pytest
import tfx_resampling as tr
from scipy import special, stats
from tfx_resampling.core.counts import LabelSets
from tfx_resampling.core.groups import Column, Grouping
from tfx_resampling.fitting import planning

from tests import plans

SHARES = np.array([0.5, 0.3, 0.15, 0.05])


def single(**options):
    counts = tr.LabelCounts("y", tuple("abcd"), (5_000, 3_000, 1_500, 500), 10_000)
    return tr.make_plan(counts, tr.PlannerConfig("y", **options))


def correlated(num_records=4_000, num_labels=6, correlation=0.6, seed=0):
    """Returns counts of labels that come together, and their sets as rows of 0 and 1.

    Each label is there where a normal variable, of which a part is common to all, is
    low enough.
    """
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(num_records, 1)) * correlation
    own = rng.normal(size=(num_records, num_labels)) * np.sqrt(1 - correlation**2)
    often = np.geomspace(0.5, 0.03, num_labels)
    has = (common + own < stats.norm.ppf(often)).astype(int)
    rows, weights = np.unique(has, axis=0, return_counts=True)
    counts = tr.LabelCounts(
        "y",
        tuple("abcdef"[:num_labels]),
        tuple(has.sum(axis=0).tolist()),
        num_records,
        int((has.sum(axis=1) == 0).sum()),
        multi_label=True,
        label_sets=LabelSets.from_sets([np.flatnonzero(r) for r in rows], weights),
    )
    return counts, rows, weights


def factors_of(plan, rows):
    """Returns r(S) of rows of 0 and 1, as the definition has it."""
    t = np.array(plan.factors)
    combine = {"product": np.prod, "max": np.max, "min": np.min, "mean": np.mean}
    found = []
    for row in rows:
        own = t[row > 0]
        factor = combine[plan.combine](own) if len(own) else plan.unlabeled_factor
        if len(own):
            factor = np.clip(factor, plan.min_factor, plan.max_factor)
        found.append(factor)
    return np.array(found)


def marginal(plan):
    """Returns a plan as of one that knows no label sets."""
    return dataclasses.replace(plan, label_sets={})


def excess(truth, logits):
    """Returns log loss, nats per record, above that of the truth [records, labels]."""
    truth = np.clip(truth, 1e-7, 1 - 1e-7)

    def loss(z):
        return (np.logaddexp(0, z) - truth * z).sum(axis=-1).mean()

    return loss(logits) - loss(special.logit(truth))


def test_single_labels_are_exact():
    plan = single(max_factor=3.0)
    assert max(plan.factors) == 3.0  # A bound is part of the factor.
    p = np.random.default_rng(1).dirichlet(SHARES * 5, size=200)
    q = p * plan.factors
    q /= q.sum(axis=1, keepdims=True)
    undo = tr.prior_correction(plan)
    logits = np.log(np.maximum(q, 1e-300))
    np.testing.assert_allclose(special.softmax(undo(logits), axis=1), p, atol=1e-12)
    inside = (q > 1e-6).all(axis=1)
    np.testing.assert_allclose(undo.probabilities(q[inside]), p[inside], atol=1e-9)
    np.testing.assert_array_equal(plan.log_factors(), np.log(plan.factors))


@pytest.mark.parametrize("to", ["target", {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}])
def test_other_shares_of_single_labels(to):
    plan = single(target="sqrt", size=0.5)
    wanted = plan.target if to == "target" else list(to.values())
    evidence = np.random.default_rng(2).gamma(1.0, size=(50, 4))  # p(x|k)
    q = evidence * SHARES * plan.factors
    expected = evidence * wanted
    found = special.softmax(tr.prior_correction(plan, to)(np.log(q)), axis=1)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_several_labels_that_are_independent_given_x():
    counts, *_ = correlated(correlation=0.0)
    plan = tr.make_plan(counts, tr.PlannerConfig("y", target="sqrt"))
    undo = tr.prior_correction(marginal(plan))
    p = np.random.default_rng(3).uniform(0.01, 0.9, size=(20, 6))
    rows = np.array(list(itertools.product([0, 1], repeat=6)))
    of_sets = np.prod(np.where(rows, p[:, None], 1 - p[:, None]), axis=2)
    emitted = of_sets * np.prod(np.where(rows, plan.factors, 1.0), axis=1)
    q = emitted @ rows / emitted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(undo.probabilities(q), p, rtol=1e-9)
    assert "independent given x" in undo.notes[0]
    # And of the plain ratio of shares, which is another thing.
    ratio = np.log(np.array(plan.target) / plan.natural_shares)
    assert np.abs(special.expit(special.logit(q) - ratio) - p).max() > 0.01


def noisy(plan, rows, weights):
    """Returns logits of a model of 2,000 records, and the probabilities of Bayes' rule.

    x is the labels with noise of deviation 0.4.
    """
    rng = np.random.default_rng(4)
    seen = rows[rng.choice(len(rows), 2_000, p=weights / weights.sum())]
    x = seen + 0.4 * rng.normal(size=seen.shape)
    likelihood = -((x[:, None] - rows) ** 2).sum(axis=2) / (2 * 0.4**2)

    def marginals(share):  # Bayes' rule, with the true likelihood.
        return special.softmax(likelihood + np.log(share), axis=1) @ rows

    q = np.clip(marginals(weights * factors_of(plan, rows)), 1e-7, 1 - 1e-7)
    return special.logit(q), marginals(weights)


@pytest.mark.parametrize("combine", ["product", "max", "mean"])
@pytest.mark.parametrize("max_factor", [100.0, 3.0])
def test_label_sets_correct_what_a_shift_cannot(combine, max_factor):
    counts, rows, weights = correlated()
    config = tr.PlannerConfig(
        "y", target="uniform", combine=combine, max_factor=max_factor
    )
    plan = tr.make_plan(counts, config)
    q, truth = noisy(plan, rows, weights)
    uncorrected = excess(truth, q)
    shift = excess(truth, tr.prior_correction(marginal(plan))(q))
    used = excess(truth, tr.prior_correction(plan)(q))
    assert 0 <= used < 0.1 * uncorrected
    assert used < 0.5 * shift
    given = tr.prior_correction(marginal(plan), counts=counts)
    np.testing.assert_allclose(given(q), tr.prior_correction(plan)(q), atol=1e-9)


def test_a_sample_of_label_sets_is_nearly_as_good(monkeypatch):
    counts, rows, weights = correlated()
    assert len(rows) > 40
    config = tr.PlannerConfig("y", target="uniform", max_factor=3.0)
    exact = tr.make_plan(counts, config)
    monkeypatch.setattr(planning, "_MOST_SETS", 24)
    plan = tr.make_plan(counts, config)
    assert (len(plan.label_sets), plan.factors) == (24, exact.factors)
    undo = tr.prior_correction(plan)
    assert undo.notes == ("label sets: a sample of 24.",)
    emitted = weights * factors_of(plan, rows)
    nothing = undo.probabilities(emitted @ rows / emitted.sum())
    np.testing.assert_allclose(nothing, weights @ rows / weights.sum(), rtol=1e-6)
    q, truth = noisy(plan, rows, weights)
    assert excess(truth, undo(q)) < 0.15 * excess(truth, q)


def test_sigmoids_of_one_label_per_record():
    plan = single(target="uniform")
    undo = tr.prior_correction(plan, outputs="sigmoid")
    p = np.random.default_rng(1).dirichlet(SHARES * 5, size=500)
    q = p * plan.factors
    q = special.logit(np.clip(q / q.sum(axis=1, keepdims=True), 1e-7, 1 - 1e-7))
    assert excess(p, undo(q)) < 0.1 * excess(p, q)
    nothing = np.array(plan.predicted) / plan.predicted_records
    np.testing.assert_allclose(undo.probabilities(nothing), SHARES, rtol=1e-6)
    counts, *_ = correlated()
    several = tr.make_plan(counts, tr.PlannerConfig("y"))
    with pytest.raises(ValueError, match="must be 'sigmoid' where records have sev"):
        tr.prior_correction(several, outputs="softmax")


def test_label_sets_are_exact_where_x_says_nothing():
    counts, rows, weights = correlated()
    plan = tr.make_plan(counts, tr.PlannerConfig("y", combine="max"))
    undo = tr.prior_correction(plan)
    emitted = weights * factors_of(plan, rows)
    q = emitted @ rows / emitted.sum()
    natural = weights @ rows / weights.sum()
    np.testing.assert_allclose(undo.probabilities(q), natural, rtol=1e-6)
    losses = undo.losses
    assert losses["used"] == pytest.approx(losses["natural"], rel=1e-9)
    assert losses["natural"] < losses["shift"] and undo.notes == ()
    assert losses["uncorrected"] - losses["natural"] == pytest.approx(
        excess(natural, special.logit(q)), rel=1e-3
    )


def test_a_natural_plan_changes_nothing():
    counts, *_ = correlated()
    plan = tr.make_plan(counts, tr.PlannerConfig("y")).natural()
    logits = np.random.default_rng(5).normal(size=(3, 2, 6))
    for undo in (tr.prior_correction(plan), tr.prior_correction(marginal(plan))):
        np.testing.assert_allclose(undo(logits), logits, atol=1e-12)


def test_other_shares_of_several_labels():
    counts, *_ = correlated()
    plan = tr.make_plan(counts, tr.PlannerConfig("y"))
    natural = np.array(plan.counts) / plan.num_records
    same = dict(zip(plan.groups, natural))
    logits = np.random.default_rng(6).normal(size=(4, 6))
    undo = tr.prior_correction(plan)(logits)
    found = tr.prior_correction(plan, same)(logits)
    np.testing.assert_allclose(found, undo, atol=1e-12)
    found = tr.prior_correction(plan, {**same, "f": 0.5})(logits) - undo
    expected = np.zeros(6)
    expected[5] = special.logit(0.5) - special.logit(natural[5])
    np.testing.assert_allclose(found, np.tile(expected, (4, 1)), atol=1e-12)


@pytest.mark.parametrize("multi_label", [False, True])
def test_shares_are_estimated_where_they_have_changed(multi_label):
    rng = np.random.default_rng(7)
    trained, used = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    n = 20_000
    if multi_label:
        has = rng.random((n, 3)) < used
        x = has + rng.normal(size=(n, 3))
        said = special.expit(x - 0.5 + special.logit(trained))
        seen = has.mean(axis=0)
    else:
        label = rng.choice(3, n, p=used)
        x = np.eye(3)[label] * 2 + rng.normal(size=(n, 3))
        said = special.softmax(2 * x + np.log(trained), axis=1)
        seen = np.bincount(label) / n
    found = tr.estimate_prior(said, trained, multi_label=multi_label)
    # An estimate of labels that are half seen: a few times what counting them has.
    assert np.abs(found - seen).max() < 4 * 3 * np.sqrt(0.25 / n)
    assert np.abs(found - trained).max() > 0.3


def test_what_cannot_be_corrected_is_refused():
    plan = single()
    counts, *_ = correlated()
    several = tr.make_plan(counts, tr.PlannerConfig("y"))
    dropped = dataclasses.replace(plan, factors=(1.0, 1.0, 1.0, 0.0))
    for message, given in [
        (r"never emits \['d'\]: .* min_factor above 0", (dropped,)),
        ("to must be 'natural', 'target' or", (plan, "balanced")),
        (
            r"to must have every label .* \['d'\]",
            (plan, {"a": 0.5, "b": 0.3, "c": 0.2}),
        ),
        ("to must sum to 1, got 1.6", (plan, dict.fromkeys("abcd", 0.4))),
        ("one label per record", (several, "target")),
        (r"not for \['f'\]", (several, {**dict.fromkeys("abcde", 0.5), "f": 0.0})),
        ("counts must be those that the plan", (plan, "natural", counts)),
        ("plan must be", (counts,)),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            tr.prior_correction(*given)
    with pytest.raises(ValueError, match=r"4 columns.* got shape \(3,\)"):
        tr.prior_correction(plan)(np.zeros(3))
    with pytest.raises(ValueError, match="set multi_label for sigmoids"):
        tr.estimate_prior(np.full((5, 2), 0.9), [0.5, 0.5])
    with pytest.raises(ValueError, match=r"\[records, 2\]"):
        tr.estimate_prior(np.full((5, 3), 0.9), [0.5, 0.5])


def test_a_plan_of_groups_is_refused():
    grouping = Grouping((Column("site", "bytes", ("north", "south")),), ((0,), (1,)))
    counts = tr.LabelCounts(
        *("y", grouping.names, (90, 10), 100), classes=("a", "b"), grouping=grouping
    )
    plan = tr.make_plan(counts, tr.PlannerConfig("y"))
    with pytest.raises(ValueError, match="must be one of labels, got one of groups"):
        tr.prior_correction(plan)


def test_label_sets_that_are_never_seen_are_told():
    counts = plans.row_counts([[0], [1], [0, 1], [2]], [60, 20, 9, 1], num_unlabeled=10)
    plan = tr.make_plan(counts, tr.PlannerConfig("y"))
    assert tr.prior_correction(plan).unseen == 0
    # Label 0 comes with label 1 alone.
    extreme = dataclasses.replace(plan, factors=(1e-6, 1e6, 1.0))
    undo = tr.prior_correction(extreme)
    assert undo.unseen == pytest.approx(0.6)
    assert "60% of the data have label sets that the plan never" in undo.notes[-1]


def test_what_is_not_exact_is_told():
    counts, *_ = correlated()
    plan = tr.make_plan(counts, tr.PlannerConfig("y", combine="min"))
    undo = tr.prior_correction(plan.scheduled("linear:4"))
    assert undo.notes == ("schedule 'linear:4': of its last epochs.",)
    for message, options in [
        ("'min' is not a product", dict(combine="min")),
        ("bounds clip the factors", dict(max_factor=2.0)),
        ("without a label have", dict(unlabeled="drop")),
    ]:
        plan = tr.make_plan(counts, tr.PlannerConfig("y", **options))
        assert message in tr.prior_correction(marginal(plan)).notes[0]
