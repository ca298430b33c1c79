"""The promise of a certified gate, counted: how often is its true FNR above the ceiling?

Every draw is a fresh triple of calibrating, ordering and certifying rows and goes through the real `fit`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import logit

from stage1_core.calibration import PlattCalibrator
from stage1_core.policy import GatePolicy, GatePolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.splits import Purpose
from tests.validity.populations import GatedPopulation, Truth

pytestmark = pytest.mark.slow

DRAWS = 1000
CONSTRAINT = RiskConstraint()
ALLOWED = CONSTRAINT.delta + 3 * np.sqrt(CONSTRAINT.delta * (1 - CONSTRAINT.delta) / DRAWS)
"""A violation rate that a valid search exceeds in about one of a thousand runs of this file."""

CLEAN = GatedPopulation()
LABEL_NOISE = GatedPopulation(failure=0.05, label_noise=0.02)
NOT_MONOTONE = GatedPopulation(failure=0.06, confident_misses=0.005)


@dataclasses.dataclass(frozen=True)
class Count:
    """Shares of the draws, and the mean true coverage with "no exit" as zero."""

    certified: float
    violated: float
    coverage: float


def judged(gates: list[float], truth: Truth) -> Count:
    """What certified thresholds on the gate logit are worth in the population."""
    violations = sum(truth.fnr(gate) > CONSTRAINT.max_risk for gate in gates)
    return Count(len(gates) / DRAWS, violations / DRAWS, sum(map(truth.coverage, gates)) / DRAWS)


def exit_gate(policy: GatePolicy) -> float:
    """The smallest gate logit that exits."""
    platt = policy.calibrator_params
    assert isinstance(platt, PlattCalibrator)
    return (float(logit(policy.gate_threshold)) - platt.offset) / platt.slope


def count_fits(population: GatedPopulation, rows: int, *, seed: int) -> Count:
    rng = np.random.default_rng(seed)
    truth = population.truth(rng)
    gates = []
    for _ in range(DRAWS):
        calibrate, order, certify = (
            population.draw(rng, size, purpose)
            for size, purpose in (
                (rows // 2, Purpose.FIT_CALIBRATOR),
                (rows, Purpose.SELECT_MODEL),
                (rows, Purpose.CERTIFY_POLICY),
            )
        )
        policy = GatePolicyConfig().fit(order, certify, CONSTRAINT, calibrate_on=calibrate)
        if isinstance(policy, GatePolicy):
            gates.append(exit_gate(policy))
    return judged(gates, truth)


def count_naive_sweeps(population: GatedPopulation, rows: int, *, seed: int) -> Count:
    """The laxest threshold whose counted FNR keeps the ceiling, found and judged on the rows that also calibrate.

    Platt scaling keeps the ranking, so the sweep over probabilities is one over gate logits.
    """
    rng = np.random.default_rng(seed)
    truth = population.truth(rng)
    gates = []
    for _ in range(DRAWS):
        margins, gate, labels = population.arrays(rng, rows)
        margins, gate = margins[labels == 1], gate[labels == 1]
        order = np.argsort(-gate)
        counted = np.cumsum(margins[order] < 0) / np.arange(1, len(margins) + 1)
        kept = np.flatnonzero(counted <= CONSTRAINT.max_risk)
        if len(kept):
            gates.append(float(gate[order[kept[-1]]]))
    return judged(gates, truth)


def test_a_gate_that_ranks_well_keeps_the_promise_and_is_used():
    count = count_fits(CLEAN, 1500, seed=1)
    assert count.violated <= ALLOWED
    assert count.certified >= 0.8
    assert count.coverage >= 0.7  # of .89 that an oracle could let exit


def test_a_promise_that_label_noise_makes_impossible_is_rarely_given():
    """With noise q the FNR is q + (1 - 2q) · (the clean one), above the ceiling at every threshold."""
    assert count_fits(LABEL_NOISE, 1000, seed=2).certified <= ALLOWED


def test_a_risk_that_grows_with_strictness_keeps_the_promise():
    count = count_fits(NOT_MONOTONE, 1000, seed=3)
    assert count.violated <= ALLOWED
    assert count.certified >= 0.1


@pytest.mark.parametrize(
    "population", [CLEAN, LABEL_NOISE, NOT_MONOTONE], ids=["clean", "label noise", "confident misses"]
)
def test_a_naive_sweep_breaks_the_promise_on_the_same_populations(population: GatedPopulation):
    assert count_naive_sweeps(population, 1000, seed=4).violated > 3 * ALLOWED


def test_the_populations_are_what_their_names_say():
    rng = np.random.default_rng(5)
    thresholds = np.linspace(-2, 4, 16)
    clean, misses, noisy = (
        np.array([truth.fnr(threshold) for threshold in thresholds])
        for truth in (population.truth(rng) for population in (CLEAN, NOT_MONOTONE, LABEL_NOISE))
    )
    assert (np.diff(clean[:12]) < 0).all()
    assert clean[0] > CONSTRAINT.max_risk > clean.min()
    assert misses[0] > CONSTRAINT.max_risk > misses.min()
    assert misses[-1] > CONSTRAINT.max_risk
    assert (noisy[:10] > CONSTRAINT.max_risk).all()
