"""The native promises of selective conformal risk control, counted: how many selected positives are missed on average?

Every draw is a fresh set of calibration positives and goes through the real thresholds. The population is known in
closed form, so a draw's true risks are numbers, not estimates; SCRC-T is counted on the batch that it was made for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import expit, logit, ndtr

from stage1_core.metrics.conformal_budget import SelectionRate, crc_budget
from stage1_core.policy.native_guarantee import AnySelection, FixedSelection, QuantileSelection, native_guarantee
from stage1_core.policy.selective_conformal import SelectiveScores, decide_batch, selection_threshold, set_threshold
from stage1_core.predictions import Float

pytestmark = pytest.mark.slow

DRAWS = 3000
RATE = 0.7
DELTA_S = 0.1
every_size = pytest.mark.parametrize(("n", "alpha"), [(200, 0.02), (1000, 0.02), (50, 0.1), (1000, 0.1)])
"""Calibration positives, and the ceiling of the expected risk."""

SHARES, MARGINS, SELECTION = (0.7, 0.3), (1.2, 0.0), (0.5, -0.5)
"""Positives as a mediocre model sees them, easy and hard ones: their shares, and the means of their margins and
selection scores, which are normal with standard deviation 1. A fifth of those selected look more like a 0."""

Thresholds = tuple[float, float | None]
"""lambda1 and tau."""
Fit = Callable[[SelectiveScores, float], Thresholds]


def positives(rng: np.random.Generator, n: int) -> SelectiveScores:
    sort = (rng.random(n) >= SHARES[0]).astype(np.int64)
    return SelectiveScores(rng.normal(np.take(SELECTION, sort)), expit(rng.normal(np.take(MARGINS, sort))))


def parts(lambda1: Float, tau: Float) -> tuple[Float, Float, Float]:
    """P(selected), P(selected and missed), P(selected and one class left), of positives; without a tau it is 0."""
    edge = logit(tau)
    sorts = list(zip(SHARES, MARGINS, SELECTION, strict=True))
    selected = [share * ndtr(score - lambda1) for share, _, score in sorts]
    missed = [ndtr(edge - margin) for _, margin, _ in sorts]
    called_1 = [ndtr(margin + edge) for _, margin, _ in sorts]
    return (
        sum(selected),
        sum(here * low for here, low in zip(selected, missed, strict=True)),
        sum(here * (low + high) for here, low, high in zip(selected, missed, called_1, strict=True)),
    )


@dataclass(frozen=True)
class Counted:
    """``(draws,)`` true risks, 0 where nothing exits."""

    on_selected: Float
    on_exited: Float

    @property
    def error(self) -> float:
        """Three standard errors of the mean risk on selected: a valid method exceeds alpha by more in one of 700."""
        return 3 * float(np.std(self.on_selected)) / math.sqrt(DRAWS)


def counted(fit: Fit, n: int, alpha: float, *, seed: int) -> Counted:
    rng = np.random.default_rng(seed)
    thresholds = [fit(positives(rng, n), alpha) for _ in range(DRAWS)]
    lambda1, tau = (np.array(each) for each in zip(*((found, tau or 0.0) for found, tau in thresholds), strict=True))
    selected, missed, exited = parts(lambda1, tau)
    return Counted(missed / selected, np.divide(missed, exited, out=np.zeros(DRAWS), where=exited > 0))


def native(selection: AnySelection) -> Fit:
    def fit(rows: SelectiveScores, alpha: float) -> Thresholds:
        found = native_guarantee(rows, np.ones(len(rows)), selection, alpha=alpha, delta_s=DELTA_S)
        return found.lambda1, found.tau

    return fit


def rounded_up(rows: SelectiveScores, alpha: float) -> Thresholds:
    """The mistake: the budget with the bound on the selection rate, rounded up."""
    lambda1 = selection_threshold(rows.selection, RATE)
    p1 = rows.p1[rows.selection >= lambda1]
    bound = SelectionRate(len(p1), len(rows), DELTA_S).lower_bound
    return lambda1, set_threshold(p1, math.ceil((len(rows) + 1) * alpha * bound) - 1)


def swept(budget: Callable[[int, float], int | None]) -> Fit:
    """The mistake: of many lambda1, each with its tau, the one that lets most rows exit, all on the same rows."""

    def fit(rows: SelectiveScores, alpha: float) -> Thresholds:
        best = (-1, 0.0, 0.0)
        for rate in np.linspace(0.2, 1, 9):
            lambda1 = selection_threshold(rows.selection, rate)
            p1 = rows.p1[rows.selection >= lambda1]
            tau = set_threshold(p1, budget(len(p1), alpha))
            if tau is not None:
                best = max(best, (np.count_nonzero((p1 < tau) | (p1 > 1 - tau)), lambda1, tau))
        return best[1:]

    return fit


def kept_empirically(selected: int, alpha: float) -> int:
    """As many misses as keep the counted share at alpha, and none for the picture to come."""
    return math.floor(alpha * selected + 1e-9)


SPLIT = native(FixedSelection(lambda1=-0.37))
DKW = native(QuantileSelection(selection_rate=RATE))
every_native_form = pytest.mark.parametrize("fit", [SPLIT, DKW], ids=["split", "dkw"])


@every_size
@every_native_form
def test_selected_positives_are_missed_no_more_often_than_promised(fit: Fit, n: int, alpha: float):
    count = counted(fit, n, alpha, seed=1)
    assert np.mean(count.on_selected) <= alpha + count.error
    assert np.mean(count.on_selected) >= alpha / 2  # the promise is used


@every_size
def test_selected_positives_of_a_batch_are_missed_no_more_often_than_promised(n: int, alpha: float):
    rng = np.random.default_rng(2)
    missed, selected = np.empty(DRAWS), np.empty(DRAWS)
    for draw in range(DRAWS):
        rows, batch = positives(rng, n), positives(rng, 20)
        decisions = decide_batch(rows, np.ones(n), batch, selection_rate=RATE, alpha=alpha)
        lambda1 = selection_threshold(np.concatenate([rows.selection, batch.selection]), RATE)
        missed[draw] = np.count_nonzero(decisions.label == 0)
        selected[draw] = np.count_nonzero(batch.selection >= lambda1)
    risk = missed.sum() / selected.sum()
    error = 3 * np.std(missed - risk * selected) / np.mean(selected) / math.sqrt(DRAWS)
    assert alpha / 2 <= risk <= alpha + error


def test_a_budget_that_is_rounded_up_would_break_the_promise():
    right, wrong = (counted(fit, 200, 0.02, seed=3) for fit in (DKW, rounded_up))
    assert np.mean(right.on_selected) < 0.016
    assert np.mean(wrong.on_selected) > 0.02 + wrong.error


@every_size
def test_a_naive_sweep_breaks_the_promise(n: int, alpha: float):
    count = counted(swept(kept_empirically), n, alpha, seed=4)
    assert np.mean(count.on_selected) > alpha + count.error


@pytest.mark.parametrize("n", [200, 1000])
def test_a_searched_selection_breaks_the_promise_even_with_the_right_budget(n: int):
    count = counted(swept(crc_budget), n, 0.02, seed=5)
    assert np.mean(count.on_selected) > 0.02 + count.error


@every_native_form
def test_exited_positives_are_missed_much_more_often_than_the_native_promise_says(fit: Fit):
    """Why what exits has a certificate of its own: most positives of a mediocre model keep both classes."""
    count = counted(fit, 1000, 0.02, seed=6)
    assert np.mean(count.on_selected) <= 0.02 + count.error
    assert np.mean(count.on_exited) > 2 * 0.02
    assert np.mean(count.on_exited > 0.02) > 0.99


def test_the_population_is_what_its_closed_form_says():
    rows = positives(np.random.default_rng(7), 2_000_000)
    selected = rows.selection >= -0.37
    missed, called_1 = selected & (rows.p1 < 0.2), selected & (rows.p1 > 0.8)
    seen = [np.mean(selected), np.mean(missed), np.mean(missed | called_1)]
    assert seen == pytest.approx(list(parts(np.array(-0.37), np.array(0.2))), abs=0.0015)
    assert np.mean(rows.p1[selected] < 0.5) == pytest.approx(0.19, abs=0.005)
