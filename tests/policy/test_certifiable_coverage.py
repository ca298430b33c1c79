from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stage1_core.errors import SplitUseError
from stage1_core.metrics.risk import RiskEstimate
from stage1_core.policy.certifiable_coverage import GRID, certifiable_coverage
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from tests.toys import make_predictions

PROMISE = RiskConstraint()


def every(rows: Predictions) -> np.ndarray:
    return np.ones(len(rows), dtype=np.bool_)


@pytest.fixture
def rows(rng) -> Predictions:
    return make_predictions(rng, 1500, purpose=Purpose.SELECT_MODEL, separation=1.4)


def test_the_threshold_keeps_the_promise_and_no_laxer_one_of_the_grid_does(rows):
    found = certifiable_coverage(rows, every(rows), PROMISE)
    assert 0 < found.coverage < 1
    assert RiskEstimate(found.events, found.trials).upper_bound(PROMISE.confidence) <= PROMISE.max_risk
    for level in GRID.levels(rows):
        if level < found.threshold:
            decisions = ThresholdExit(exit_threshold=float(level)).decide(rows.scores)
            assert PROMISE.p_value(decisions, rows.labels) > PROMISE.delta


def test_the_rows_that_exit_are_those_that_were_counted(rows):
    found = certifiable_coverage(rows, every(rows), PROMISE)
    exits = found.exits(rows)
    assert (found.exited, found.rows) == (exits.sum(), len(rows))
    assert found.trials == np.count_nonzero(exits & (rows.labels == 1))


def test_a_guard_of_the_promise_is_kept_too(rows):
    guarded = certifiable_coverage(rows, every(rows), RiskConstraint(max_fpr_on_exited=0.01))
    assert guarded.threshold > certifiable_coverage(rows, every(rows), PROMISE).threshold


def test_rows_that_the_promise_does_not_count_exit_but_prove_nothing(rows):
    twice = rows.take(np.repeat(np.arange(len(rows)), 2))
    ids = np.array([f"copy {place}" for place in range(len(twice))])
    twice = replace(twice, scores=replace(twice.scores, ids=ids))
    counted = np.arange(len(twice)) % 2 == 0
    alone, together = certifiable_coverage(rows, every(rows), PROMISE), certifiable_coverage(twice, counted, PROMISE)
    assert (together.threshold, together.events, together.trials) == (alone.threshold, alone.events, alone.trials)
    assert together.exited == 2 * alone.exited


def test_where_no_threshold_keeps_the_promise_nothing_exits(rows):
    few = rows.take(np.arange(60))
    found = certifiable_coverage(few, every(few), PROMISE)
    assert (found.threshold, found.exited, found.rows, found.trials) == (None, 0, 60, 0)
    assert not found.exits(few).any()


def test_certifying_rows_are_refused(rows):
    with pytest.raises(SplitUseError, match="select_model"):
        certifiable_coverage(replace(rows, purpose=Purpose.CERTIFY_POLICY), every(rows), PROMISE)
