from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import expit, log_softmax
from sklearn.linear_model import LogisticRegression

from stage1_core.errors import PolicyError
from stage1_core.policy.selection import Selector, fit_selector, signal_of
from stage1_core.predictions import Boolean, Float, Scores
from tests.policy.gated import ORDER, gated_of, paired_rows
from tests.toys import make_scores

BY_BOTH = Selector(signal="gate", signal_slope=1.5, confidence_slope=0.5, offset=-1.0)


def scored(margins: Float, gates: Float | None = None) -> Scores:
    return gated_of(np.asarray(margins), np.zeros(len(margins), dtype=np.int64), gates, ORDER).scores


def fitted(scores: Scores, right: Boolean, *, with_confidence: bool = True, signal="gate") -> Selector:
    return fit_selector(signal, scores, scores, right, with_confidence=with_confidence)


@pytest.fixture
def scores_and_right(rng: np.random.Generator) -> tuple[Scores, Boolean]:
    rows = paired_rows(rng, 1500, ORDER)
    return rows.scores, rows.scores.likelier_class == rows.labels


def by_sklearn(features: Float, right: Boolean) -> LogisticRegression:
    """Unpenalised regression to Platt's targets: each row occurs as a 1 and as a 0, weighted by its target."""
    ones, zeros = right.sum(), (~right).sum()
    targets = np.where(right, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    return LogisticRegression(C=np.inf, tol=1e-10, max_iter=2000).fit(
        np.concatenate([features, features]),
        np.repeat([1, 0], len(right)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )


class TestScore:
    def test_it_is_the_logistic_of_signal_and_margin(self):
        scores = scored([3.0, -3.0, 0.0], np.array([2.0, 2.0, -1.0]))
        assert BY_BOTH.probability(scores, scores) == pytest.approx(expit([3.5, 3.5, -2.5]))

    def test_the_margin_is_the_calibrated_one_and_the_signal_the_model_s_own(self):
        scores = scored([3.0], np.array([2.0]))
        calibrated = dataclasses.replace(scores, logits=scores.logits / 3, gate_logits=np.array([99.0]))
        assert BY_BOTH.probability(scores, calibrated) == pytest.approx(expit(1.5 * 2 + 0.5 * 1 - 1))

    def test_the_energy_is_the_logarithm_of_the_summed_exponentials(self):
        scores = Scores(np.array(["a", "b"]), np.array([[0.0, 0.0], [-1.0, 2.0]], dtype=np.float32))
        assert signal_of("energy", scores) == pytest.approx(np.log([2.0, np.exp(-1) + np.exp(2)]))
        assert signal_of("energy", scores).dtype == np.float64

    @given(st.lists(st.tuples(st.floats(-900, 900), st.floats(-900, 900)), min_size=2, max_size=20))
    def test_a_stronger_signal_or_a_clearer_margin_never_lowers_it(self, rows):
        margins, gates = np.array(rows).T
        score = BY_BOTH.probability(scored(margins, gates), scored(margins, gates))
        stronger = (gates[:, None] >= gates) & (np.abs(margins)[:, None] >= np.abs(margins))
        assert (score[:, None] >= score)[stronger].all()

    def test_scores_without_a_gate_are_refused_with_what_to_do(self):
        scores = make_scores(np.array([1.0, 2.0]))
        with pytest.raises(PolicyError, match=r"the scores of 2 pictures have no gate logits, .* gated: true"):
            BY_BOTH.probability(scores, scores)

    def test_a_gate_that_counts_for_nothing_is_not_asked_for(self):
        scores = make_scores(np.array([1.0, -2.0]))
        selector = BY_BOTH.model_copy(update={"signal_slope": 0.0})
        assert selector.probability(scores, scores) == pytest.approx(expit([-0.5, 0.0]))

    def test_no_pictures_need_no_gate(self):
        empty = Scores(np.array([], dtype=np.str_), np.empty((0, 2)))
        assert len(BY_BOTH.probability(empty, empty)) == 0

    @pytest.mark.parametrize("slope", ["signal_slope", "confidence_slope"])
    def test_a_selector_that_was_turned_round_by_hand_is_refused(self, slope: str):
        with pytest.raises(ValidationError, match="greater than or equal to 0"):
            Selector.model_validate(BY_BOTH.model_dump() | {slope: -0.1})

    def test_it_comes_back_from_json(self, scores_and_right):
        selector = fitted(*scores_and_right)
        assert Selector.model_validate_json(selector.to_json()) == selector


class TestFit:
    def test_it_is_the_unpenalised_regression_to_smoothed_outcomes(self, scores_and_right):
        scores, right = scores_and_right
        features = np.stack([scores.gate_logits, np.abs(scores.margin_logits)], axis=1)
        expected = by_sklearn(features, right)
        selector = fitted(scores, right)
        assert (selector.signal_slope, selector.confidence_slope) == pytest.approx(expected.coef_[0], rel=1e-5)
        assert selector.offset == pytest.approx(expected.intercept_[0], rel=1e-5)
        assert expected.coef_.min() > 0.1
        assert selector.probability(scores, scores) == pytest.approx(expected.predict_proba(features)[:, 1], abs=1e-6)

    def test_without_the_confidence_it_is_the_regression_to_the_signal_alone(self, scores_and_right):
        scores, right = scores_and_right
        expected = by_sklearn(scores.gate_logits[:, None], right)
        selector = fitted(scores, right, with_confidence=False)
        assert selector.confidence_slope == 0
        assert (selector.signal_slope, selector.offset) == pytest.approx(
            (expected.coef_[0, 0], expected.intercept_[0]), rel=1e-5
        )

    def test_a_signal_that_ranks_the_wrong_way_round_counts_for_nothing(self, scores_and_right):
        scores, right = scores_and_right
        turned = dataclasses.replace(scores, gate_logits=-scores.gate_logits)
        expected = by_sklearn(np.abs(scores.margin_logits)[:, None], right)
        selector = fitted(turned, right)
        assert selector.signal_slope == 0
        assert (selector.confidence_slope, selector.offset) == pytest.approx(
            (expected.coef_[0, 0], expected.intercept_[0]), rel=1e-5
        )
        alone = fitted(turned, right, with_confidence=False)
        assert (alone.signal_slope, alone.confidence_slope) == (0, 0)
        assert expit(alone.offset) == pytest.approx(right.mean(), abs=1e-3)

    def test_a_confidence_that_ranks_the_wrong_way_round_counts_for_nothing(self, rng: np.random.Generator):
        right = rng.random(1500) < 0.8
        margins = np.where(right, rng.uniform(0, 2, 1500), rng.uniform(1, 4, 1500))
        gates = rng.normal(np.where(right, 1.0, 0.0))
        selector = fitted(scored(margins, gates), right)
        expected = by_sklearn(gates[:, None], right)
        assert selector.confidence_slope == 0
        assert selector.signal_slope == pytest.approx(expected.coef_[0, 0], rel=1e-5)

    @given(st.integers(0, 10**6), st.floats(-3, 3), st.floats(-3, 3), st.sampled_from([1e-3, 1.0, 50.0]))
    def test_it_is_the_best_of_all_selectors_without_a_negative_slope(self, seed, of_gate, of_margin, unit):
        """The gradient vanishes, or points out of bounds where a slope is 0."""
        rng = np.random.default_rng(seed)
        margins, gates = unit * rng.normal(size=300), unit * rng.normal(size=300)
        right = rng.random(300) < expit((of_gate * gates + of_margin * np.abs(margins)) / unit + 0.5)
        if right.all() or not right.any():
            return
        scores = scored(margins, gates)
        selector = fitted(scores, right)
        ones, zeros = right.sum(), (~right).sum()
        away = selector.probability(scores, scores) - np.where(right, (ones + 1) / (ones + 2), 1 / (zeros + 2))
        of_features = away @ np.stack([gates, np.abs(margins)], axis=1) / (300 * unit)
        slopes = np.array([selector.signal_slope, selector.confidence_slope])
        assert (slopes >= 0).all()
        assert abs(away.mean()) < 1e-5
        assert (np.abs(of_features[slopes > 0]) < 1e-5).all()
        assert (of_features[slopes == 0] > -1e-5).all()

    @pytest.mark.parametrize("outcome", [True, False])
    def test_unanimous_outcomes_leave_the_confidence_or_the_signal_as_they_are(self, outcome: bool):
        scores = scored([2.0, -1.0, 0.5], np.array([1.0, -3.0, 0.0]))
        right = np.full(3, outcome)
        assert fitted(scores, right).probability(scores, scores).tolist() == scores.confidence.tolist()
        alone = fitted(scores, right, with_confidence=False)
        assert alone.probability(scores, scores) == pytest.approx(expit([1.0, -3.0, 0.0]))

    @pytest.mark.parametrize("number", [0.3, 0.1, -0.7, 5.3, 1e6 / 3])
    def test_a_signal_that_is_one_number_counts_for_nothing_beside_the_confidence(self, scores_and_right, number):
        scores, right = scores_and_right
        constant = dataclasses.replace(scores, gate_logits=np.full(len(scores), number))
        selector = fitted(constant, right)
        assert selector.signal_slope == pytest.approx(0, abs=1e-9)
        assert len(np.unique(selector.probability(constant, constant))) == len(scores)

    @pytest.mark.parametrize("number", [0.0, 0.3, 0.1, -0.7, 5.3, 1e6 / 3])
    def test_a_signal_that_is_one_number_is_the_share_of_right_decisions_by_itself(self, scores_and_right, number):
        scores, right = scores_and_right
        constant = dataclasses.replace(scores, gate_logits=np.full(len(scores), number))
        selector = fitted(constant, right, with_confidence=False)
        assert np.unique(selector.probability(constant, constant)) == pytest.approx([right.mean()], abs=1e-3)

    def test_the_rounding_error_of_normalised_logits_is_no_signal(self, scores_and_right):
        scores, right = scores_and_right
        normalised = dataclasses.replace(scores, logits=log_softmax(scores.logits, axis=1))
        assert 0 < np.ptp(signal_of("energy", normalised)) < 1e-14
        assert fitted(normalised, right, signal="energy").signal_slope == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize("signal", ["gate", "energy"])
    def test_saturated_logits_stay_finite(self, scores_and_right, signal):
        scores, right = scores_and_right
        huge = dataclasses.replace(scores, logits=100 * scores.logits, gate_logits=100 * scores.gate_logits)
        assert np.abs(huge.margin_logits).max() > 500
        selector = fitted(huge, right, signal=signal)
        probability = selector.probability(huge, huge)
        assert np.isfinite([selector.signal_slope, selector.confidence_slope, selector.offset]).all()
        assert probability.mean() == pytest.approx(right.mean(), abs=2e-3)
        assert probability[right].mean() > probability[~right].mean() + 0.1

    def test_other_units_of_the_gate_select_the_same(self, scores_and_right):
        scores, right = scores_and_right
        changed = dataclasses.replace(scores, gate_logits=scores.gate_logits / 50 - 1)
        assert fitted(changed, right).probability(changed, changed) == pytest.approx(
            fitted(scores, right).probability(scores, scores), abs=1e-6
        )

    def test_a_signal_that_the_scores_do_not_have_is_refused(self):
        scores = make_scores(np.array([1.0, 2.0]))
        with pytest.raises(PolicyError, match="2 pictures have no gate logits"):
            fitted(scores, np.array([True, False]))
