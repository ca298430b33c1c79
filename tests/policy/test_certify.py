from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapie.risk_control import FWERFixedSequenceTesting, control_fwer

from stage1_core.acceptance import Verdict
from stage1_core.errors import PolicyError
from stage1_core.metrics.intervals import binomial_p_value
from stage1_core.policy.certify import CallsEverythingNegative, SequenceResult, SweepLevel, fixed_sequence, risk_check
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.predictions import Decisions, Scores
from tests.toys import make_predictions, predictions_of

CONSTRAINT = RiskConstraint()


@dataclass(frozen=True)
class Misses:
    """Lets the first ``trials`` rows exit and calls the first ``events`` of them 0."""

    events: int
    trials: int

    def decide(self, scores: Scores) -> Decisions:
        place = np.arange(len(scores))
        return Decisions.of(place < self.trials, place >= self.events)


POSITIVES = predictions_of(np.zeros(400), np.ones(400))


def search(*counts: tuple[int, int], constraint: RiskConstraint = CONSTRAINT) -> SequenceResult:
    candidates = [(1 - i / 100, Misses(*count)) for i, count in enumerate(counts)]
    return fixed_sequence(candidates, POSITIVES, constraint, order_rows_digest="order")


def test_the_laxest_certified_level_wins_and_comes_with_its_own_numbers():
    result = search((0, 150), (1, 200), (20, 350))
    assert result.best == 1
    assert result.certificate is not None
    assert (result.certificate.events, result.certificate.trials) == (1, 200)
    assert result.certificate.p_value == binomial_p_value(1, 200, 0.02)
    assert 0.019 < result.certificate.upper_bound <= 0.02
    assert result.certificate.levels_tested == 3


def test_a_level_where_nothing_exits_has_no_exit_accuracy():
    level = SweepLevel(threshold=0.9, exited=0, rows=8, events=0, trials=0, exit_errors=0, p_value=1.0, certified=False)
    assert (level.coverage, level.exit_accuracy) == (0, None)
    assert level.model_copy(update={"exited": 4, "exit_errors": 1}).exit_accuracy == 0.75


def test_nothing_behind_the_first_failure_is_certified():
    result = search((0, 114), (5, 150), (5, 400))
    assert [level.p_value <= CONSTRAINT.delta for level in result.levels] == [True, False, False]
    result = search((0, 114), (5, 150), (0, 400))
    assert result.levels[2].p_value <= CONSTRAINT.delta
    assert [level.certified for level in result.levels] == [True, False, False]
    assert result.best == 0


def test_a_failure_at_the_start_certifies_nothing_and_says_what_is_missing():
    result = search((1, 150), (0, 400))
    assert (result.best, result.certificate) == (None, None)
    assert result.shortfall is not None
    assert (result.shortfall.events, result.shortfall.trials, result.shortfall.more_trials) == (1, 150, 194 - 150)
    assert "44 more such rows" in result.shortfall.message


@pytest.mark.parametrize(("confidence", "needed"), [(0.90, 114), (0.95, 149)])
def test_without_a_miss_it_takes_114_exits_at_90_percent_and_149_at_95(confidence: float, needed: int):
    constraint = RiskConstraint(confidence=confidence)
    assert search((0, needed), constraint=constraint).certificate is not None
    short = search((0, needed - 1), constraint=constraint)
    assert short.certificate is None
    assert short.shortfall is not None
    assert short.shortfall.more_trials == 1


def test_no_exited_positive_is_no_certificate():
    result = search((0, 0))
    assert result.levels[0].p_value == 1
    assert result.shortfall is not None
    assert result.shortfall.more_trials == 114


def test_a_shortfall_names_a_guard_that_was_not_met():
    rows = predictions_of(np.zeros(400), np.repeat([1, 0], 200))
    guarded = RiskConstraint(max_fpr_on_exited=0.05)
    result = fixed_sequence([(0.9, Misses(0, 400))], rows, guarded, order_rows_digest="order")
    assert result.shortfall is not None
    assert "a guard was not met" in result.shortfall.message


def test_a_search_without_candidates_is_refused():
    with pytest.raises(PolicyError, match="no candidate"):
        search()


def test_the_registered_sequence_and_rows_are_on_record():
    one, other = search((0, 150)), search((0, 150), (0, 160))
    assert one.certificate is not None
    assert other.certificate is not None
    assert one.certificate.order_rows_digest == "order"
    assert one.certificate.rows_digest == other.certificate.rows_digest
    assert one.certificate.candidates_digest != other.certificate.candidates_digest


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(8, 400)), min_size=1, max_size=12))
def test_the_certified_set_is_that_of_mapies_fixed_sequence_on_our_p_values_in_our_order(counts):
    result = search(*counts)
    p_values = np.array([level.p_value for level in result.levels])
    expected = control_fwer(p_values, CONSTRAINT.delta, FWERFixedSequenceTesting(n_starts=1))
    certified = [index for index, level in enumerate(result.levels) if level.certified]
    assert certified == np.asarray(expected).ravel().tolist()


class TestRiskCheck:
    def test_a_good_policy_passes_with_its_counts(self, rng: np.random.Generator):
        rows = make_predictions(rng, 2000, separation=3.0)
        check = risk_check("FNR on exited", ThresholdExit(exit_threshold=0.9), rows, CONSTRAINT)
        assert check.verdict is Verdict.PASS
        assert check.negative_control.events == check.negative_control.trials == np.count_nonzero(rows.labels)

    def test_the_known_bad_policy_fails(self, rng: np.random.Generator):
        check = risk_check("FNR on exited", CallsEverythingNegative(), make_predictions(rng, 50), CONSTRAINT)
        assert check.verdict is Verdict.FAIL

    def test_rows_without_a_positive_cannot_pass_anything(self):
        rows = predictions_of(np.full(500, -9.0), np.zeros(500))
        check = risk_check("FNR on exited", ThresholdExit(exit_threshold=0.9), rows, CONSTRAINT)
        assert check.verdict is Verdict.INSUFFICIENT_EVIDENCE
        assert "void" in check.evidence
