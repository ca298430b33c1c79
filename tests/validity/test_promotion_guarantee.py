"""The promise of a promotion, counted: how often does a candidate that is truly worse pass as "not worse"?

Every draw is a fresh set of rows, seen by both sides, and goes through the real comparison and report. The candidate is
worse by exactly the margin of one number, while the other margins are out of reach: the hardest case for each check.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.policy.comparison import Side, compare
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.softmax import FixedGrid
from stage1_core.predictions import Boolean, Float, Integer
from stage1_core.promotion.config import NonInferiorityConfig
from stage1_core.promotion.non_inferiority import not_worse_report
from stage1_core.splits import Purpose
from tests.toys import make_predictions, predictions_of

pytestmark = pytest.mark.slow

DRAWS = 300
LEVEL = 0.05
ALLOWED = LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / DRAWS)
"""A share of wrong promotions that a valid test exceeds in about one of a thousand runs of this file."""

GROUPS, GROUP_SIZE = 300, 8
ALIKE = 0.9
"""Probability that a row does what its group does; else it is drawn alone, with the same probabilities."""

MARGINS = {
    "coverage": ("max_coverage_loss", 0.04),
    "accuracy": ("max_accuracy_loss", 0.035),
    "fnr": ("max_fnr_gain", 0.05),
}
"""By what the candidate fails, with the loss that is just not put up with."""
EXIT = SoftmaxPolicyConfig(grid=FixedGrid(thresholds=(0.9,))).fit(
    *(
        make_predictions(np.random.default_rng(0), 2000, purpose=purpose, name=purpose.value, separation=3.0)
        for purpose in (Purpose.SELECT_MODEL, Purpose.CERTIFY_UNCALIBRATED_POLICY)
    ),
    RiskConstraint(),
)
SURE, UNSURE = 4.0, 1.0
"""Margin logits on both sides of the threshold, 2.2."""


@dataclass(frozen=True)
class Pair:
    """A champion and a candidate that fail on the same rows but for a few."""

    number: str
    """What a failing row spoils: it does not exit ("coverage"), or it is called wrong, unsure of it ("accuracy") or, if
    it is positive, sure of it ("fnr")."""
    lost: float
    """P(the candidate fails where the champion does not)."""
    gained: float = 0.02
    """P(the champion fails where the candidate does not)."""
    both: float = 0.03

    def failures(self, rng: np.random.Generator) -> tuple[Boolean, Boolean]:
        """``(rows,)`` for the champion and the candidate."""
        neither = 1 - self.both - self.lost - self.gained
        shares = [neither, self.gained, self.lost, self.both]
        shared = np.repeat(rng.choice(4, GROUPS, p=shares), GROUP_SIZE)
        alone = rng.choice(4, GROUPS * GROUP_SIZE, p=shares)
        drawn = np.where(rng.random(len(shared)) < ALIKE, shared, alone)
        return np.isin(drawn, (1, 3)), np.isin(drawn, (2, 3))

    def margins(self, failed: Boolean, labels: Integer) -> Float:
        """What a model says that fails on these rows."""
        right, unsure = 2.0 * labels - 1, np.arange(len(labels)) % 4 == 0
        if self.number == "coverage":
            return right * np.where(failed, UNSURE, SURE)
        if self.number == "accuracy":
            return right * np.where(failed, -UNSURE, np.where(unsure, UNSURE, SURE))
        return right * np.where(failed & (labels == 1), -SURE, SURE)


def promoted(pair: Pair, *, draws: int, seed: int, ignore_groups: bool = False) -> float:
    """Share of draws in which the candidate passes as not worse."""
    rng = np.random.default_rng(seed)
    name, margin = MARGINS[pair.number]
    wide = {"max_coverage_loss": 0.45, "max_accuracy_loss": 0.45, "max_augrc_gain": 0.45, "max_fnr_gain": 0.45}
    config = NonInferiorityConfig(**(wide | {name: margin}), bootstrap=BootstrapConfig(level=0.9, resamples=200))
    group = np.repeat(np.arange(GROUPS), GROUP_SIZE)
    labels = group % 2
    groups = (np.arange(len(group)) if ignore_groups else group).astype(np.str_)
    passed = 0
    for _ in range(draws):
        sides = [
            Side(
                side,
                EXIT,
                predictions_of(pair.margins(failed, labels), labels, purpose=Purpose.FINAL_EVALUATION, groups=groups),
            )
            for side, failed in zip(("champion", "candidate"), pair.failures(rng), strict=True)
        ]
        bootstrap = config.bootstrap.model_copy(update={"seed": int(rng.integers(1 << 31))})
        found = compare(*sides, bootstrap, purpose=Purpose.FINAL_EVALUATION, exact_confidence=0.9)
        passed += not_worse_report(config, found).passed
    return passed / draws


def worse_by_the_margin(number: str) -> Pair:
    return Pair(number, lost=Pair(number, 0).gained + MARGINS[number][1])


@pytest.mark.parametrize("number", MARGINS)
def test_a_candidate_that_is_worse_by_the_margin_is_hardly_ever_promoted(number):
    assert promoted(worse_by_the_margin(number), draws=DRAWS, seed=len(number)) <= ALLOWED


@pytest.mark.parametrize(("number", "power"), [("coverage", 0.9), ("accuracy", 0.85), ("fnr", 0.75)])
def test_a_candidate_that_is_as_good_mostly_is(number, power):
    assert promoted(Pair(number, lost=Pair(number, 0).gained), draws=DRAWS // 4, seed=2) >= power


def test_without_groups_the_promise_would_be_broken():
    """Rows of a group fail together, so as rows alone they seem to know more than they do."""
    assert promoted(worse_by_the_margin("coverage"), draws=DRAWS // 4, seed=3, ignore_groups=True) > 0.15
