from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.special import expit

from stage1_core.errors import PolicyError, SplitUseError
from stage1_core.metrics.intervals import binomial_p_value
from stage1_core.metrics.risk import coverage, exit_error, fnr_on_exited, fpr_on_exited
from stage1_core.policy import AnyPolicy, NoExit, SoftmaxPolicy, SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.softmax import FixedGrid, QuantileGrid, ThresholdExit
from stage1_core.predictions import Predictions
from stage1_core.splits import CERTIFYING, Purpose
from tests.toys import make_predictions, make_scores, predictions_of

CONSTRAINT = RiskConstraint()


@pytest.fixture
def order(rng: np.random.Generator) -> Predictions:
    return make_predictions(rng, 2000, purpose=Purpose.SELECT_MODEL, name="order")


@pytest.fixture
def certify(rng: np.random.Generator) -> Predictions:
    return make_predictions(rng, 2000, name="certify")


def fitted(order: Predictions, certify: Predictions, constraint: RiskConstraint = CONSTRAINT) -> SoftmaxPolicy:
    policy = SoftmaxPolicyConfig().fit(order, certify, constraint)
    assert isinstance(policy, SoftmaxPolicy)
    return policy


class TestRule:
    def test_a_picture_exits_when_its_likelier_class_reaches_the_threshold(self):
        scores = make_scores(np.array([-3.0, -1.0, 1.0, 3.0]))
        decisions = ThresholdExit(exit_threshold=0.9).decide(scores)
        assert decisions.label.tolist() == [0, -1, -1, 1]

    def test_a_confidence_equal_to_the_threshold_exits(self):
        scores = make_scores(np.array([-2.0, 2.0, 1.9999]))
        policy = ThresholdExit(exit_threshold=float(expit(2.0)))
        assert policy.decide(scores).exited.tolist() == [True, True, False]

    def test_a_tie_of_the_classes_is_called_roadwork(self):
        assert ThresholdExit(exit_threshold=0.5).decide(make_scores(np.zeros(1))).label.tolist() == [1]

    def test_a_threshold_of_one_half_lets_everything_exit(self, rng: np.random.Generator):
        assert ThresholdExit(exit_threshold=0.5).decide(make_scores(rng.normal(size=50))).exited.all()

    @given(st.lists(st.floats(-50, 50), min_size=1, max_size=20), st.floats(0.5, 1), st.floats(0.5, 1))
    def test_a_stricter_threshold_exits_a_part_of_what_a_laxer_one_does(self, margins, one, other):
        scores = make_scores(np.array(margins))
        strict = ThresholdExit(exit_threshold=max(one, other)).decide(scores).exited
        lax = ThresholdExit(exit_threshold=min(one, other)).decide(scores).exited
        assert (lax | ~strict).all()

    def test_not_even_a_probability_of_one_reaches_the_strictest_threshold(self, order, certify):
        certain = make_scores(np.array([-800.0, -40.0, 40.0, 800.0]))
        assert (certain.confidence == 1).all()
        strictest = fitted(order, certify).strictest()
        assert not strictest.decide(certain).exited.any()
        assert TypeAdapter(AnyPolicy).validate_json(strictest.to_json()) == strictest

    def test_a_threshold_below_one_half_is_refused(self):
        with pytest.raises(ValidationError, match=r"greater than or equal to 0\.5"):
            ThresholdExit(exit_threshold=0.4)


class TestGrids:
    def test_a_fixed_grid_is_tried_from_strict_to_lax(self, order: Predictions):
        assert FixedGrid(thresholds=(0.8, 0.95, 0.8)).levels(order).tolist() == [0.95, 0.8]

    def test_an_empty_grid_is_refused(self):
        with pytest.raises(ValidationError, match="at least 1 item"):
            FixedGrid(thresholds=())

    def test_a_quantile_grid_ends_where_every_ordering_row_exits(self, order: Predictions):
        levels = QuantileGrid(size=50).levels(order)
        assert len(levels) == 50
        assert (np.diff(levels) < 0).all()
        assert levels[-1] == order.scores.confidence.min()

    def test_equal_confidences_give_one_level(self):
        assert len(QuantileGrid().levels(predictions_of(np.full(9, 2.0), np.ones(9)))) == 1


class TestFit:
    def test_the_numbers_are_those_of_the_threshold_that_is_returned(self, order: Predictions, certify: Predictions):
        policy = fitted(order, certify)
        decisions = ThresholdExit(exit_threshold=policy.exit_threshold).decide(certify.scores)
        risk = fnr_on_exited(decisions, certify.labels)
        assert (policy.certificate.events, policy.certificate.trials) == (risk.events, risk.trials)
        assert policy.fnr_on_exits == risk.rate
        assert policy.coverage == coverage(decisions, certify.labels).rate
        assert policy.exit_accuracy == pytest.approx(1 - (exit_error(decisions, certify.labels).rate or 0))
        assert policy.certificate.p_value == binomial_p_value(risk.events, risk.trials, 0.02) <= CONSTRAINT.delta

    def test_the_laxest_certified_threshold_is_returned(self, order: Predictions, certify: Predictions):
        policy = fitted(order, certify)
        certified = [level.threshold for level in policy.sweep_results if level.certified]
        assert policy.exit_threshold == min(certified)
        assert len(certified) > 1
        thresholds = [level.threshold for level in policy.sweep_results]
        assert thresholds == sorted(thresholds, reverse=True)

    def test_the_first_level_behind_the_certified_ones_breaks_the_promise(self, order: Predictions, certify):
        levels = fitted(order, certify).sweep_results
        certified = sum(level.certified for level in levels)
        assert certified < len(levels)
        assert all(level.certified for level in levels[:certified])
        assert levels[certified].p_value > CONSTRAINT.delta

    def test_where_no_positive_exits_nothing_does(self, order: Predictions, rng: np.random.Generator):
        negatives = make_predictions(rng, 500, name="certify", positive_fraction=0.0)
        policy = SoftmaxPolicyConfig().fit(order, negatives, CONSTRAINT)
        assert isinstance(policy, NoExit)
        assert (policy.shortfall.trials, policy.shortfall.more_trials) == (0, 114)
        assert not policy.decide(negatives.scores).exited.any()

    @pytest.mark.parametrize(("positives", "certified"), [(114, True), (113, False)])
    def test_114_perfect_positives_are_enough_and_113_are_not(self, positives: int, certified: bool):
        order = predictions_of(np.tile([-9.0, 9.0], 200), np.tile([0, 1], 200), purpose=Purpose.SELECT_MODEL, name="o")
        rows = predictions_of(np.full(positives, 9.0), np.ones(positives))
        assert isinstance(SoftmaxPolicyConfig().fit(order, rows, CONSTRAINT), SoftmaxPolicy) == certified

    def test_without_certifying_rows_nothing_exits(self, order: Predictions):
        empty = predictions_of(np.zeros(0), np.zeros(0))
        assert isinstance(SoftmaxPolicyConfig().fit(order, empty, CONSTRAINT), NoExit)

    def test_frames_of_one_drive_count_once(self, order: Predictions):
        margins, labels = np.full(400, 9.0), np.ones(400)
        drives = np.repeat(np.array([f"drive {i}" for i in range(40)]), 10)
        policy = SoftmaxPolicyConfig().fit(order, predictions_of(margins, labels, groups=drives), CONSTRAINT)
        assert isinstance(policy, NoExit)
        assert policy.shortfall.trials <= 40

    def test_a_guard_on_false_alarms_is_kept(self, rng: np.random.Generator):
        def rows(name: str, purpose: Purpose) -> Predictions:
            labels = np.repeat([1, 0], 1000)
            margins = np.r_[rng.normal(5, 1, 1000), rng.normal(-3, 3, 1000)]  # positives are easier than negatives
            return predictions_of(margins, labels, purpose=purpose, name=name)

        order, certify = rows("order", Purpose.SELECT_MODEL), rows("certify", Purpose.CERTIFY_POLICY)
        free = fitted(order, certify)
        guarded = fitted(order, certify, RiskConstraint(max_fpr_on_exited=0.1))
        assert (fpr_on_exited(free.decide(certify.scores), certify.labels).rate or 0) > 0.12
        assert fpr_on_exited(guarded.decide(certify.scores), certify.labels).upper_bound(0.9) <= 0.1
        assert guarded.coverage < free.coverage

    def test_a_promise_on_the_exit_error_still_reports_the_fnr(self, order: Predictions, certify: Predictions):
        policy = fitted(order, certify, RiskConstraint(risk="exit_error"))
        decisions = policy.decide(certify.scores)
        errors = exit_error(decisions, certify.labels)
        assert (policy.certificate.events, policy.certificate.trials) == (errors.events, errors.trials)
        assert policy.fnr_on_exits == fnr_on_exited(decisions, certify.labels).rate

    def test_a_float32_model_is_decided_as_it_was_certified(self, order: Predictions, certify: Predictions):
        scores = type(certify.scores)(certify.scores.ids, certify.scores.logits.astype(np.float32))
        rows = Predictions(certify.purpose, scores, certify.labels, certify.groups, certify.sources)
        policy = fitted(order, rows)
        assert policy.coverage == policy.decide(scores).exited.mean()

    def test_the_same_rows_give_the_same_policy_in_any_order(self, order, certify, rng: np.random.Generator):
        shuffled = [rows.take(rng.permutation(len(rows))) for rows in (order, certify)]
        assert fitted(*shuffled) == fitted(order, certify)


class TestRefusals:
    @pytest.mark.parametrize("purpose", sorted(set(Purpose) - {Purpose.SELECT_MODEL}))
    def test_only_selection_rows_order(self, purpose: Purpose, rng: np.random.Generator, certify: Predictions):
        with pytest.raises(SplitUseError, match=f"rows read for {purpose}"):
            SoftmaxPolicyConfig().fit(make_predictions(rng, 9, purpose=purpose, name="o"), certify, CONSTRAINT)

    @pytest.mark.parametrize("purpose", sorted(set(Purpose) - CERTIFYING))
    def test_only_calibration_rows_certify(self, purpose: Purpose, rng: np.random.Generator, order: Predictions):
        with pytest.raises(SplitUseError, match=f"rows read for {purpose}"):
            SoftmaxPolicyConfig().fit(order, make_predictions(rng, 9, purpose=purpose), CONSTRAINT)

    def test_a_row_that_orders_and_certifies_is_named(self, rng: np.random.Generator, order: Predictions):
        with pytest.raises(PolicyError, match=r"9 rows order and certify, e\.g\. order/0"):
            SoftmaxPolicyConfig().fit(order, make_predictions(rng, 9, name="order"), CONSTRAINT)

    def test_without_ordering_rows_there_is_no_order(self, certify: Predictions):
        empty = predictions_of(np.zeros(0), np.zeros(0), purpose=Purpose.SELECT_MODEL, name="o")
        with pytest.raises(PolicyError, match="no row to order"):
            SoftmaxPolicyConfig().fit(empty, certify, CONSTRAINT)


class TestJson:
    def test_a_policy_comes_back_through_the_union_and_decides_the_same(self, order: Predictions, certify: Predictions):
        policy = fitted(order, certify)
        read = TypeAdapter(AnyPolicy).validate_json(policy.to_json())
        assert read == policy
        np.testing.assert_array_equal(
            read.decide(certify.scores).prediction_set, policy.decide(certify.scores).prediction_set
        )

    def test_no_exit_comes_back_through_the_union(self, order: Predictions):
        policy = SoftmaxPolicyConfig().fit(order, predictions_of(np.zeros(3), np.ones(3)), CONSTRAINT)
        assert isinstance(policy, NoExit)
        assert TypeAdapter(AnyPolicy).validate_json(policy.to_json()) == policy
