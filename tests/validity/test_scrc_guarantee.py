"""The promise of a certified pair of thresholds, counted: how often is its true FNR above the ceiling?

Every draw is a fresh pair of ordering and certifying rows and goes through the real `fit`; what it returns is judged on
rows so many that they count as the population.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from stage1_core.calibration import DirichletConfig, TemperatureConfig
from stage1_core.metrics.risk import coverage, fnr_on_exited
from stage1_core.policy import NoExit, ScrcPolicyConfig
from stage1_core.policy.certify import Decides
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.scrc_exit import ScrcExit
from stage1_core.policy.scrc_paths import ScrcGrid, scrc_paths
from stage1_core.policy.search import search
from stage1_core.predictions import Boolean, Float, Predictions
from stage1_core.splits import Purpose
from tests.policy.gated import gated_of

pytestmark = pytest.mark.slow

DRAWS = 120
CONSTRAINT = RiskConstraint()
GUARDED = RiskConstraint(max_risk=0.01, max_fpr_on_exited=0.15)
ALLOWED = CONSTRAINT.delta + 3 * np.sqrt(CONSTRAINT.delta * (1 - CONSTRAINT.delta) / DRAWS)
"""A violation rate that a valid search exceeds in about one of a thousand runs of this file."""

GRID = ScrcGrid(size=20, selection_levels=4)
"""Coarse, for time."""
DEFAULT = ScrcPolicyConfig(grid=GRID)
SOONER = ScrcPolicyConfig(grid=ScrcGrid(size=20, selection_levels=2, positives="sooner"))
FINE = ScrcGrid(size=100, selection_levels=3)

Gates = Callable[[np.random.Generator, Boolean], Float]
"""Draws a gate logit for each row, by whether its class decision is right."""


def knowing(rng: np.random.Generator, right: Boolean) -> Float:
    return rng.normal(np.where(right, 1.5, -0.5))


def ignorant(rng: np.random.Generator, right: Boolean) -> Float:
    return rng.normal(size=len(right))


@dataclasses.dataclass(frozen=True)
class PairedPopulation:
    """Groups of rows that share their class and most of their scores: margins N(± distance, 1) · 2, and gates."""

    gates: Gates = knowing
    distance: float = 1.5
    positive_fraction: float = 0.5
    blind: float = 0.0
    """Fraction of the positives that look like the clearest of negatives, but for a gate around -3."""
    label_noise: float = 0.0
    group_size: int = 1

    def draw(self, rng: np.random.Generator, groups: int, purpose: Purpose) -> Predictions:
        """One set of rows, with as many positive groups as there should be."""
        truth = (np.arange(groups) < self.positive_fraction * groups).astype(np.int64)
        margins = 2 * rng.normal(np.where(truth == 1, self.distance, -self.distance))
        blind = (truth == 1) & (rng.random(groups) < self.blind)
        margins = np.where(blind, rng.normal(-6, 0.3, groups), margins)
        gates = np.where(blind, rng.normal(-3, 0.5, groups), self.gates(rng, (margins >= 0) == (truth == 1)))
        group = np.repeat(np.arange(groups), self.group_size)
        margins, gates = (
            shared[group] + 0.1 * (self.group_size > 1) * rng.normal(size=len(group)) for shared in (margins, gates)
        )
        flipped = rng.random(len(group)) < self.label_noise
        rows = gated_of(margins, np.where(flipped, 1 - truth[group], truth[group]), gates, purpose)
        return dataclasses.replace(rows, groups=np.char.add(f"{purpose} ", group.astype(np.str_)))


COMPLEMENTARY = PairedPopulation()
GATE_USELESS = PairedPopulation(ignorant)
SEEN_BY_THE_GATE = PairedPopulation(lambda rng, right: rng.normal(1, 1, len(right)), distance=2.2, blind=0.03)
LABEL_NOISE = PairedPopulation(distance=2.5, label_noise=0.02)
MORE_NOISE = dataclasses.replace(LABEL_NOISE, label_noise=0.025)
RARE = PairedPopulation(distance=2.0, positive_fraction=0.1)
CLUSTERED = PairedPopulation(group_size=4)


@dataclasses.dataclass(frozen=True)
class Count:
    """Shares of the draws, and the mean true coverage with "no exit" as zero."""

    certified: float
    violated: float
    coverage: float


class Judge:
    """What rules are worth in a population: both classes are drawn apart, so that rare ones are known as well."""

    def __init__(self, population: PairedPopulation, rng: np.random.Generator, constraint: RiskConstraint) -> None:
        balanced = dataclasses.replace(population, positive_fraction=0.5)
        rows = balanced.draw(rng, 200_000 // population.group_size, Purpose.FINAL_EVALUATION)
        self._truth = rows
        self._weight = {1: population.positive_fraction, 0: 1 - population.positive_fraction}
        self._constraint = constraint
        self._kept: list[bool] = []
        self._coverages: list[float] = []

    def see(self, rule: Decides) -> None:
        decisions, labels = rule.decide(self._truth.scores), self._truth.labels
        demands = self._constraint.demands(decisions, labels)
        self._kept.append(all((demand.risk.rate or 0) <= demand.ceiling for demand in demands))
        exits = sum(weight * decisions.exited[labels == label].mean() for label, weight in self._weight.items())
        self._coverages.append(float(exits))

    def count(self, draws: int) -> Count:
        return Count(len(self._kept) / draws, self._kept.count(False) / draws, sum(self._coverages) / draws)


def pairs(population: PairedPopulation, rng: np.random.Generator, groups: int, draws: int):
    """Fresh ordering and certifying rows."""
    for _ in range(draws):
        yield (
            population.draw(rng, groups, Purpose.SELECT_MODEL),
            population.draw(rng, groups, Purpose.CERTIFY_UNCALIBRATED_POLICY),
        )


def count_fits(
    population: PairedPopulation,
    groups: int,
    *,
    seed: int,
    constraint: RiskConstraint = CONSTRAINT,
    config: ScrcPolicyConfig = DEFAULT,
    draws: int = DRAWS,
) -> Count:
    rng = np.random.default_rng(seed)
    judge = Judge(population, rng, constraint)
    for order, certify in pairs(population, rng, groups, draws):
        policy = config.fit(order, certify, constraint)
        if not isinstance(policy, NoExit):
            judge.see(policy)
    return judge.count(draws)


def count_naive_sweeps(population: PairedPopulation, groups: int, *, seed: int, draws: int = 60) -> Count:
    """Of the same pairs the one that lets most rows exit while their counted FNR keeps the ceiling, on these rows."""
    rng = np.random.default_rng(seed)
    judge = Judge(population, rng, CONSTRAINT)
    for order, certify in pairs(population, rng, groups, draws):
        calibrator = DirichletConfig().fit(order.scores.logits, order.labels)
        kept: list[tuple[int, ScrcExit]] = []
        for path in scrc_paths(FINE, [calibrator], order, order, CONSTRAINT):
            rules = [path.rule_at(level) for level in path.levels.tolist()]
            reading = rules[0].read(certify.scores)
            for rule in rules:
                decisions = rule.decide_read(reading)
                if (fnr_on_exited(decisions, certify.labels).rate or 0) <= CONSTRAINT.max_risk:
                    kept.append((coverage(decisions, certify.labels).events, rule))
        judge.see(max(kept, key=lambda exits_and_rule: exits_and_rule[0])[1])
    return judge.count(draws)


def fit_on_halves(order: Predictions, calib: Predictions) -> ScrcExit | None:
    """The other design: calibrators and selector of one half of VAL_CALIB, certified on the other."""
    fit_half, certify_half = (calib.take(np.arange(start, len(calib), 2)) for start in (0, 1))
    calibrator = DirichletConfig().fit(fit_half.scores.logits, fit_half.labels)
    found = search(
        lambda counted: scrc_paths(GRID, [calibrator], fit_half, counted, CONSTRAINT), order, certify_half, CONSTRAINT
    )
    return None if isinstance(found, NoExit) else found.rule


def compare_designs(population: PairedPopulation, groups: int, *, seed: int, draws: int = 60) -> tuple[Count, Count]:
    """Calibrators of VAL_SELECT and all of VAL_CALIB certifying, and those of halves, on the same rows."""
    rng = np.random.default_rng(seed)
    whole, halves = (Judge(population, np.random.default_rng(seed), CONSTRAINT) for _ in range(2))
    for order, calib in pairs(population, rng, groups, draws):
        policy, rule = DEFAULT.fit(order, calib, CONSTRAINT), fit_on_halves(order, calib)
        if not isinstance(policy, NoExit):
            whole.see(policy)
        if rule is not None:
            halves.see(rule)
    return whole.count(draws), halves.count(draws)


def oracle(rows: Predictions, score: Float) -> float:
    """The largest share of ``rows`` that a threshold on the ``(n,)`` score lets exit with an FNR under the ceiling."""
    strict_to_lax = np.argsort(-score)
    positives = np.cumsum(rows.labels[strict_to_lax] == 1)
    misses = np.cumsum((rows.labels == 1)[strict_to_lax] & (rows.scores.margin_logits[strict_to_lax] < 0))
    kept = np.flatnonzero((misses <= CONSTRAINT.max_risk * positives) & (positives >= 20_000))
    return (kept.max(initial=-1) + 1) / len(rows)


def test_a_gate_and_a_confidence_that_complement_each_other_keep_the_promise_and_are_used():
    count = count_fits(COMPLEMENTARY, 1200, seed=1)
    assert count.violated <= ALLOWED
    assert count.certified >= 0.9
    assert count.coverage >= 0.8  # of .92 that an oracle could let exit


def test_a_gate_that_knows_nothing_keeps_the_promise_and_does_little_harm():
    count = count_fits(GATE_USELESS, 1200, seed=2)
    assert count.violated <= ALLOWED
    assert count.coverage >= 0.55  # of .79


def test_confident_misses_that_only_the_gate_sees_are_kept_back():
    count = count_fits(SEEN_BY_THE_GATE, 1200, seed=3)
    assert count.violated <= ALLOWED
    assert count.coverage >= 0.8


def test_a_promise_that_label_noise_makes_all_but_impossible_is_kept():
    """Only where hardly a picture that is called 0 exits can it be kept; calibrated classes allow that."""
    assert count_fits(MORE_NOISE, 1000, seed=4).violated <= ALLOWED


def test_a_promise_that_label_noise_makes_impossible_is_rarely_given():
    """With noise q, and classes treated alike, the FNR is q + (1 - 2q) · (the clean one), always above the ceiling."""
    alike = ScrcPolicyConfig(calibrator=TemperatureConfig(), grid=GRID)
    assert count_fits(LABEL_NOISE, 1000, seed=5, config=alike).certified <= ALLOWED


def test_rare_positives_keep_the_promise():
    count = count_fits(RARE, 5000, seed=6)
    assert count.violated <= ALLOWED
    assert count.certified >= 0.5


def test_rows_of_one_group_keep_the_promise():
    assert count_fits(CLUSTERED, 800, seed=7).violated <= ALLOWED


def test_rows_of_one_group_counted_as_independent_would_break_it():
    large, every_row = dataclasses.replace(GATE_USELESS, group_size=20), RiskConstraint(counting="every_row")
    assert count_fits(large, 100, seed=8, constraint=every_row, draws=40).violated > 0.25


def test_positives_that_exit_sooner_keep_both_ceilings():
    count = count_fits(COMPLEMENTARY, 1600, seed=9, constraint=GUARDED, config=SOONER)
    assert count.violated <= ALLOWED
    assert count.coverage >= 0.78  # .72 where both classes have the same thresholds


@pytest.mark.parametrize(
    "population",
    [COMPLEMENTARY, GATE_USELESS, LABEL_NOISE],
    ids=["complementary", "useless gate", "label noise"],
)
def test_a_naive_search_breaks_the_promise_on_the_same_populations(population: PairedPopulation):
    assert count_naive_sweeps(population, 400, seed=10).violated > 2 * ALLOWED


def test_all_of_the_calibration_rows_certify_more_than_one_half_with_calibrators_of_the_other():
    whole, halves = compare_designs(COMPLEMENTARY, 1200, seed=11)
    assert whole.coverage > halves.coverage + 0.05
    assert whole.certified >= halves.certified


def test_the_populations_are_what_their_names_say():
    rng = np.random.default_rng(12)
    complementary, useless, seen, noisy = (
        population.draw(rng, 200_000, Purpose.FINAL_EVALUATION)
        for population in (COMPLEMENTARY, GATE_USELESS, SEEN_BY_THE_GATE, MORE_NOISE)
    )
    by_margin, by_gate = (lambda rows: np.abs(rows.scores.margin_logits)), (lambda rows: rows.scores.gate_logits)
    both = oracle(complementary, 1.5 * by_margin(complementary) + 2 * by_gate(complementary))
    alone = [oracle(complementary, score(complementary)) for score in (by_margin, by_gate)]
    assert both > max(alone) + 0.05
    assert oracle(useless, by_gate(useless)) == 0 < oracle(useless, by_margin(useless))
    assert oracle(seen, by_margin(seen)) == 0 < oracle(seen, by_gate(seen))
    assert [oracle(noisy, score(noisy)) for score in (by_margin, by_gate)] == [0, 0]
