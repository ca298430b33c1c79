"""The promise, counted: how often is the true FNR of a certified policy above its ceiling?

Every draw is a fresh pair of ordering and certifying rows and goes through the real `fit`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import logit

from stage1_core.policy import SoftmaxPolicy, SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from tests.validity.populations import Population, Truth, separated, with_confident_misses

pytestmark = pytest.mark.slow

DRAWS = 1000
CONSTRAINT = RiskConstraint()
ALLOWED = CONSTRAINT.delta + 3 * np.sqrt(CONSTRAINT.delta * (1 - CONSTRAINT.delta) / DRAWS)
"""A violation rate that a valid search exceeds in about one of a thousand runs of this file."""

CLEAN = Population(separated(1.3))
LABEL_NOISE = Population(separated(3.0), label_noise=0.02)
NOT_MONOTONE = Population(with_confident_misses(2.2, 0.012))
CLUSTERED = Population(separated(1.3), group_size=8, spread_in_group=0.1)


@dataclasses.dataclass(frozen=True)
class Count:
    """Shares of the draws, and the mean true coverage with "no exit" as zero."""

    certified: float
    violated: float
    coverage: float


def exit_margin(policy: SoftmaxPolicy) -> float:
    return float(logit(policy.exit_threshold))


def rows_alone(rows: Predictions) -> Predictions:
    """The mistake: every row counts as its own group."""
    return Predictions(rows.purpose, rows.scores, rows.labels, rows.scores.ids, rows.sources)


def count_fits(
    population: Population, groups: int, *, seed: int, draws: int = DRAWS, ignore_groups: bool = False
) -> Count:
    rng = np.random.default_rng(seed)
    truth = Truth.of(population, rng)
    risks, coverages = [], []
    for _ in range(draws):
        order = population.draw(rng, groups, Purpose.SELECT_MODEL)
        certify = population.draw(rng, groups, Purpose.CERTIFY_UNCALIBRATED_POLICY)
        if ignore_groups:
            order, certify = rows_alone(order), rows_alone(certify)
        policy = SoftmaxPolicyConfig().fit(order, certify, CONSTRAINT)
        if isinstance(policy, SoftmaxPolicy):
            risks.append(truth.fnr(exit_margin(policy)))
            coverages.append(truth.coverage(exit_margin(policy)))
    violations = sum(risk > CONSTRAINT.max_risk for risk in risks)
    return Count(len(risks) / draws, violations / draws, sum(coverages) / draws)


def count_naive_sweeps(population: Population, groups: int, *, seed: int) -> Count:
    """The laxest threshold whose counted FNR keeps the ceiling, found and judged on the same rows."""
    rng = np.random.default_rng(seed)
    truth = Truth.of(population, rng)
    risks, coverages = [], []
    for _ in range(DRAWS):
        margins, labels = population.arrays(rng, groups)
        margins = margins[labels == 1]
        order = np.argsort(-np.abs(margins))
        counted = np.cumsum(margins[order] < 0) / np.arange(1, len(margins) + 1)
        kept = np.flatnonzero(counted <= CONSTRAINT.max_risk)
        if len(kept):
            margin = float(np.abs(margins[order[kept[-1]]]))
            risks.append(truth.fnr(margin))
            coverages.append(truth.coverage(margin))
    violations = sum(risk > CONSTRAINT.max_risk for risk in risks)
    return Count(len(risks) / DRAWS, violations / DRAWS, sum(coverages) / DRAWS)


def test_clean_scores_keep_the_promise_and_are_used():
    count = count_fits(CLEAN, 2000, seed=1)
    assert count.violated <= ALLOWED
    assert count.certified >= 0.8
    assert count.coverage >= 0.45  # of .69 that an oracle could let exit


def test_a_promise_that_label_noise_makes_impossible_is_rarely_given():
    """With noise q the FNR is q + (1 - 2q) · (the clean one), above the ceiling at every threshold."""
    assert count_fits(LABEL_NOISE, 1000, seed=2).certified <= ALLOWED


def test_a_risk_that_grows_with_strictness_keeps_the_promise():
    count = count_fits(NOT_MONOTONE, 1000, seed=3)
    assert count.violated <= ALLOWED
    assert count.certified >= 0.1


def test_rows_of_one_group_keep_the_promise():
    assert count_fits(CLUSTERED, 600, seed=4).violated <= ALLOWED


def test_rows_of_one_group_counted_as_independent_would_break_it():
    assert count_fits(CLUSTERED, 300, seed=5, draws=200, ignore_groups=True).violated > 0.2


@pytest.mark.parametrize(
    "population", [CLEAN, LABEL_NOISE, NOT_MONOTONE], ids=["clean", "label noise", "confident misses"]
)
def test_a_naive_sweep_breaks_the_promise_on_the_same_populations(population: Population):
    assert count_naive_sweeps(population, 1000, seed=6).violated > 3 * ALLOWED


def test_the_populations_are_what_their_names_say():
    rng = np.random.default_rng(7)
    margins = np.linspace(0, 2.8, 15)
    clean, misses = (
        np.array([truth.fnr(margin) for margin in margins])
        for truth in (Truth.of(population, rng) for population in (CLEAN, NOT_MONOTONE))
    )
    assert (np.diff(clean) < 0).all()
    assert misses[0] > CONSTRAINT.max_risk > misses.min()
    assert misses[-1] > CONSTRAINT.max_risk
