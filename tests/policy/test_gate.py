from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.special import expit

from stage1_core.calibration import IsotonicCalibrator, IsotonicConfig, PlattCalibrator, PlattConfig
from stage1_core.errors import PolicyError, SplitUseError
from stage1_core.metrics.calibration_error import ece
from stage1_core.metrics.intervals import binomial_p_value
from stage1_core.metrics.proper_scores import brier
from stage1_core.metrics.risk import coverage, exit_error, fnr_on_exited, fpr_on_exited
from stage1_core.policy import AnyPolicy, GatePolicy, GatePolicyConfig, NoExit
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.gate import GateExit, stage_b_label
from stage1_core.predictions import Predictions, Scores
from stage1_core.splits import Purpose
from tests.policy.gated import CALIBRATE, CERTIFY, ORDER, gated_of, gated_rows

CONSTRAINT = RiskConstraint()
AS_TRAINED = PlattCalibrator(slope=1.0, offset=0.0)


@dataclasses.dataclass(frozen=True)
class Rows:
    """The three sets that a gate is fitted on."""

    calibrate: Predictions
    order: Predictions
    certify: Predictions

    def fit(self, config: GatePolicyConfig | None = None, constraint: RiskConstraint = CONSTRAINT):
        return (config or GatePolicyConfig()).fit(self.order, self.certify, constraint, calibrate_on=self.calibrate)

    def fitted(self, config: GatePolicyConfig | None = None, constraint: RiskConstraint = CONSTRAINT) -> GatePolicy:
        policy = self.fit(config, constraint)
        assert isinstance(policy, GatePolicy)
        return policy


@pytest.fixture
def rows(rng: np.random.Generator) -> Rows:
    return Rows(gated_rows(rng, 800, CALIBRATE), gated_rows(rng, 2000, ORDER), gated_rows(rng, 2000, CERTIFY))


def with_gates(rows: Predictions, change) -> Predictions:
    scores = dataclasses.replace(rows.scores, gate_logits=change(rows.scores.gate_logits))
    return dataclasses.replace(rows, scores=scores)


def gate_scores(gates, margins=None) -> Scores:
    gates = np.asarray(gates, dtype=np.float64)
    margins = np.ones(len(gates)) if margins is None else np.asarray(margins)
    return gated_of(margins, np.ones(len(gates), dtype=np.int64), gates, CERTIFY).scores


class TestRule:
    def test_a_picture_exits_when_its_decision_is_probably_right(self):
        scores = gate_scores([-3, -1, 1, 3], margins=np.array([-9.0, 9.0, 0.1, -0.1]))
        assert GateExit(gate_threshold=0.7, calibrator_params=AS_TRAINED).decide(scores).label.tolist() == [
            -1,
            -1,
            1,
            0,
        ]

    def test_a_probability_equal_to_the_threshold_exits(self):
        rule = GateExit(gate_threshold=float(expit(2.0)), calibrator_params=AS_TRAINED)
        assert rule.decide(gate_scores([2.0, 1.9999])).exited.tolist() == [True, False]

    def test_a_tie_of_the_classes_is_called_roadwork(self):
        rule = GateExit(gate_threshold=0.5, calibrator_params=AS_TRAINED)
        assert rule.decide(gate_scores([3.0], margins=np.zeros(1))).label.tolist() == [1]

    def test_the_confidence_of_the_class_does_not_matter(self):
        scores = gate_scores([3.0, 3.0], margins=np.array([0.01, 40.0]))
        assert GateExit(gate_threshold=0.9, calibrator_params=AS_TRAINED).decide(scores).exited.all()

    @given(st.lists(st.floats(-50, 50), min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
    def test_a_stricter_threshold_exits_a_part_of_what_a_laxer_one_does(self, gates, one, other):
        strict, lax = (
            GateExit(gate_threshold=level, calibrator_params=AS_TRAINED).decide(gate_scores(gates)).exited
            for level in (max(one, other), min(one, other))
        )
        assert (lax | ~strict).all()

    def test_scores_without_a_gate_are_refused_with_what_to_do(self):
        scores = dataclasses.replace(gate_scores([1.0, 2.0]), gate_logits=None)
        with pytest.raises(PolicyError, match="2 pictures have no gate logits; train a head with gated: true"):
            GateExit(gate_threshold=0.5, calibrator_params=AS_TRAINED).decide(scores)

    def test_no_pictures_need_no_gate(self):
        scores = Scores(np.array([], dtype=np.str_), np.empty((0, 2)))
        assert len(GateExit(gate_threshold=0.5, calibrator_params=AS_TRAINED).decide(scores)) == 0
        assert len(stage_b_label(scores)) == 0

    def test_a_plateau_of_the_curve_exits_together(self):
        curve = IsotonicCalibrator(logits=(-2.0, 0.0, 1.0, 2.0), probabilities=(0.1, 0.8, 0.8, 1.0))
        rule = GateExit(gate_threshold=0.8, calibrator_params=curve)
        assert rule.decide(gate_scores([-0.01, 0.0, 0.5, 1.0])).exited.tolist() == [False, True, True, True]


class TestFit:
    def test_the_numbers_are_those_of_the_threshold_that_is_returned(self, rows: Rows):
        policy = rows.fitted()
        decisions = policy.decide(rows.certify.scores)
        risk = fnr_on_exited(decisions, rows.certify.labels)
        assert (policy.certificate.events, policy.certificate.trials) == (risk.events, risk.trials)
        assert policy.fnr_on_exits == risk.rate
        assert policy.coverage == coverage(decisions, rows.certify.labels).rate
        assert policy.exit_accuracy == pytest.approx(1 - (exit_error(decisions, rows.certify.labels).rate or 0))
        assert policy.certificate.p_value == binomial_p_value(risk.events, risk.trials, 0.02) <= CONSTRAINT.delta
        assert policy.certificate.purpose is Purpose.CERTIFY_POLICY

    def test_the_laxest_certified_threshold_is_returned(self, rows: Rows):
        policy = rows.fitted()
        thresholds = [level.threshold for level in policy.sweep_results]
        certified = [level.threshold for level in policy.sweep_results if level.certified]
        assert thresholds == sorted(thresholds, reverse=True)
        assert 1 < len(certified) < len(thresholds)
        assert policy.gate_threshold == policy.threshold == min(certified)

    def test_the_calibrator_is_the_one_of_the_calibrating_rows_alone(self, rows: Rows):
        right = (rows.calibrate.scores.margin_logits >= 0) == (rows.calibrate.labels == 1)
        expected = PlattConfig().fit(rows.calibrate.scores.gate_logits, right)
        policy = rows.fitted()
        assert policy.calibrator_params == expected
        assert policy.calibrator_type == "platt"
        assert (policy.metrics.fit_rows, policy.metrics.fit_failures) == (800, np.count_nonzero(~right))

    def test_calibration_is_measured_on_the_certifying_rows(self, rows: Rows):
        policy = rows.fitted()
        right = (rows.certify.scores.margin_logits >= 0) == (rows.certify.labels == 1)
        probability = policy.probability(rows.certify.scores)
        assert (policy.metrics.rows, policy.metrics.failures) == (2000, np.count_nonzero(~right))
        assert policy.metrics.ece == ece(probability, right)
        assert policy.metrics.brier == brier(probability, right.astype(np.int64))
        assert policy.metrics.ece < 0.05

    def test_the_last_candidate_lets_every_ordering_row_exit(self, rows: Rows):
        last = rows.fitted().sweep_results[-1].threshold
        assert last == rows.fitted().probability(rows.order.scores).min()

    @pytest.mark.parametrize("change", [lambda gate: 3 * gate + 5, lambda gate: gate / 50 - 1], ids=["×3+5", "/50-1"])
    def test_other_units_of_the_gate_give_the_same_exits(self, rows: Rows, change):
        changed = Rows(*(with_gates(part, change) for part in (rows.calibrate, rows.order, rows.certify)))
        expected = rows.fitted().decide(rows.certify.scores)
        found = changed.fitted().decide(changed.certify.scores)
        np.testing.assert_array_equal(found.prediction_set, expected.prediction_set)

    def test_platt_scaling_exits_what_ranking_by_the_raw_gate_would(self, rows: Rows):
        policy = rows.fitted()
        exited = policy.decide(rows.certify.scores).exited
        gates = rows.certify.scores.gate_logits
        assert exited.any()
        assert not exited.all()
        assert gates[exited].min() > gates[~exited].max()

    def test_isotonic_calibration_merges_levels_and_is_certified_alike(self, rows: Rows):
        policy = rows.fitted(GatePolicyConfig(calibrator=IsotonicConfig(), grid_size=1000))
        assert policy.calibrator_type == "isotonic"
        assert len(policy.sweep_results) < len(rows.fitted(GatePolicyConfig(grid_size=1000)).sweep_results)
        exited = policy.decide(rows.certify.scores).exited
        gates = rows.certify.scores.gate_logits
        assert gates[exited].min() > gates[~exited].max()

    def test_a_gate_without_failures_to_learn_from_still_ranks(self, rng: np.random.Generator, rows: Rows):
        easy = gated_rows(rng, 300, CALIBRATE, failure_fraction=0.0)
        policy = dataclasses.replace(rows, calibrate=easy).fitted()
        assert policy.calibrator_params.slope == 1
        assert policy.metrics.fit_failures == 0

    @pytest.mark.parametrize("calibrator", [PlattConfig(), IsotonicConfig()], ids=lambda config: config.kind)
    @pytest.mark.parametrize(
        ("change", "reason"),
        [(np.negative, "do not rank right above wrong"), (np.zeros_like, "all 800 logits are 0, so they rank nothing")],
        ids=["wrong way round", "constant"],
    )
    def test_a_gate_that_ranks_nothing_lets_nothing_exit_and_says_why(self, rows: Rows, calibrator, change, reason):
        useless = dataclasses.replace(rows, calibrate=with_gates(rows.calibrate, change))
        policy = useless.fit(GatePolicyConfig(calibrator=calibrator))
        assert isinstance(policy, NoExit)
        assert policy.sweep_results == ()
        assert "the gate cannot be calibrated on 800 fit_calibrator rows" in policy.no_exit_reason
        assert reason in policy.no_exit_reason
        assert not policy.decide(rows.certify.scores).exited.any()
        assert TypeAdapter(AnyPolicy).validate_json(policy.to_json()) == policy

    def test_a_guard_on_false_alarms_is_kept(self, rows: Rows):
        guarded = rows.fitted(constraint=RiskConstraint(max_fpr_on_exited=0.015))
        assert guarded.coverage < rows.fitted().coverage
        risk = fpr_on_exited(guarded.decide(rows.certify.scores), rows.certify.labels)
        assert binomial_p_value(risk.events, risk.trials, 0.015) <= CONSTRAINT.delta

    def test_frames_of_one_drive_count_once(self, rows: Rows):
        drives = np.char.add("drive ", (np.arange(2000) % 30).astype(np.str_))
        policy = dataclasses.replace(rows, certify=dataclasses.replace(rows.certify, groups=drives)).fit()
        assert isinstance(policy, NoExit)
        assert policy.shortfall.trials <= 30

    def test_every_number_of_the_record_counts_one_row_of_each_drive(self, rows: Rows):
        drives = np.char.add("drive ", (np.arange(2000) % 700).astype(np.str_))
        certify = dataclasses.replace(rows.certify, groups=drives)
        policy = dataclasses.replace(rows, certify=certify).fitted()
        assert policy.metrics.rows == len(certify.independent()) < 2000
        assert policy.fnr_on_exits == policy.certificate.events / policy.certificate.trials > 0

    def test_the_same_rows_give_the_same_exits_in_any_order(self, rows: Rows, rng: np.random.Generator):
        parts = (rows.calibrate, rows.order, rows.certify)
        shuffled = Rows(*(part.take(rng.permutation(len(part))) for part in parts)).fitted()
        expected = rows.fitted().decide(rows.certify.scores)
        np.testing.assert_array_equal(shuffled.decide(rows.certify.scores).prediction_set, expected.prediction_set)


class TestNoExit:
    @pytest.mark.parametrize("rest", ["second_stage", "stage_b"])
    def test_too_few_positives_say_how_many_more_are_needed(self, rows: Rows, rng: np.random.Generator, rest: str):
        few = gated_rows(rng, 150, CERTIFY)
        policy = dataclasses.replace(rows, certify=few).fit(GatePolicyConfig(rest=rest))
        assert isinstance(policy, NoExit)
        assert policy.shortfall.more_trials > 0
        assert not policy.decide(few.scores).exited.any()
        assert (policy.threshold, policy.certificate, policy.rest) == (None, None, "second_stage")

    def test_a_guard_that_cannot_be_met_lets_nothing_exit(self, rows: Rows):
        assert isinstance(rows.fit(constraint=RiskConstraint(max_exit_error=1e-6)), NoExit)

    def test_without_certifying_rows_nothing_exits(self, rows: Rows, rng: np.random.Generator):
        assert isinstance(dataclasses.replace(rows, certify=gated_rows(rng, 0, CERTIFY)).fit(), NoExit)


class TestRefusals:
    @pytest.mark.parametrize("purpose", sorted(set(Purpose) - {CALIBRATE}))
    def test_only_rows_of_the_fit_half_calibrate(self, rows: Rows, rng: np.random.Generator, purpose: Purpose):
        with pytest.raises(SplitUseError, match=f"rows read for {purpose} .* needs fit_calibrator"):
            dataclasses.replace(rows, calibrate=gated_rows(rng, 50, purpose, name="other")).fit()

    @pytest.mark.parametrize("purpose", sorted(set(Purpose) - {ORDER}))
    def test_only_selection_rows_order(self, rows: Rows, rng: np.random.Generator, purpose: Purpose):
        with pytest.raises(SplitUseError, match=f"rows read for {purpose} .* needs select_model"):
            dataclasses.replace(rows, order=gated_rows(rng, 50, purpose, name="other")).fit()

    @pytest.mark.parametrize("purpose", sorted(set(Purpose) - {CERTIFY}))
    def test_only_rows_of_the_certify_half_certify(self, rows: Rows, rng: np.random.Generator, purpose: Purpose):
        with pytest.raises(SplitUseError, match=f"rows read for {purpose} .* needs certify_policy"):
            dataclasses.replace(rows, certify=gated_rows(rng, 50, purpose, name="other")).fit()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"order": ("shared", ORDER), "calibrate": ("shared", CALIBRATE)},
                "50 rows calibrate and order, e.g. shared/0",
            ),
            ({"certify": ("shared", CERTIFY), "calibrate": ("shared", CALIBRATE)}, "50 rows calibrate and certify"),
            ({"order": ("shared", ORDER), "certify": ("shared", CERTIFY)}, "50 rows order and certify"),
        ],
    )
    def test_a_row_with_two_uses_is_named(self, rows: Rows, rng: np.random.Generator, changes, message: str):
        replaced = {part: gated_rows(rng, 50, purpose, name=name) for part, (name, purpose) in changes.items()}
        with pytest.raises(PolicyError, match=message):
            dataclasses.replace(rows, **replaced).fit()

    @pytest.mark.parametrize("part", ["calibrate", "order", "certify"])
    def test_rows_without_a_gate_are_refused(self, rows: Rows, part: str):
        bare = with_gates(getattr(rows, part), lambda gates: None)
        with pytest.raises(
            PolicyError, match="no gate logits; train a head with gated: true, or use the softmax policy"
        ):
            dataclasses.replace(rows, **{part: bare}).fit()

    @pytest.mark.parametrize("part", ["calibrate", "order", "certify"])
    def test_stage_b_cannot_answer_without_its_logits(self, rows: Rows, part: str):
        given = getattr(rows, part)
        bare = dataclasses.replace(given, scores=dataclasses.replace(given.scores, aux_logits=None))
        replaced = dataclasses.replace(rows, **{part: bare})
        assert isinstance(replaced.fit(), GatePolicy)
        with pytest.raises(PolicyError, match="no auxiliary logits"):
            replaced.fit(GatePolicyConfig(rest="stage_b"))

    def test_without_calibrating_rows_there_is_no_probability(self, rows: Rows, rng: np.random.Generator):
        with pytest.raises(PolicyError, match="no row to fit a calibrator on"):
            dataclasses.replace(rows, calibrate=gated_rows(rng, 0, CALIBRATE)).fit()

    def test_without_ordering_rows_there_is_no_order(self, rows: Rows, rng: np.random.Generator):
        with pytest.raises(PolicyError, match="no row to order"):
            dataclasses.replace(rows, order=gated_rows(rng, 0, ORDER)).fit()


class TestJson:
    @pytest.mark.parametrize("calibrator", [PlattConfig(), IsotonicConfig()], ids=lambda config: config.kind)
    def test_a_policy_comes_back_through_the_union_and_decides_the_same(self, rows: Rows, calibrator):
        policy = rows.fitted(GatePolicyConfig(calibrator=calibrator, rest="stage_b"))
        read = TypeAdapter(AnyPolicy).validate_json(policy.to_json())
        assert read == policy
        np.testing.assert_array_equal(
            read.decide(rows.certify.scores).prediction_set, policy.decide(rows.certify.scores).prediction_set
        )

    def test_a_calibrator_under_another_name_is_refused(self, rows: Rows):
        changed = rows.fitted().model_dump() | {"calibrator_type": "isotonic"}
        with pytest.raises(ValidationError, match="calibrator_type is 'isotonic', the calibrator 'platt'"):
            GatePolicy.model_validate(changed)

    def test_a_gate_that_was_turned_round_by_hand_is_refused(self, rows: Rows):
        dumped = rows.fitted().model_dump()
        with pytest.raises(ValidationError, match="greater than 0"):
            GatePolicy.model_validate(dumped | {"calibrator_params": dumped["calibrator_params"] | {"slope": -1.0}})
