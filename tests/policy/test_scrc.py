from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.special import expit

from stage1_core.calibration import DirichletCalibrator, DirichletConfig, TemperatureCalibrator, TemperatureConfig
from stage1_core.errors import PolicyError, SplitUseError
from stage1_core.metrics.intervals import binomial_p_value, clopper_pearson_upper
from stage1_core.metrics.risk import fpr_on_exited
from stage1_core.policy import AnyPolicy, NoExit, ScrcPolicy, ScrcPolicyConfig, SoftmaxPolicyConfig
from stage1_core.policy.certify import NotSearched, Shortfall, ids_digest
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.scrc_exit import NOTHING_SELECTED, ScrcExit, SoonerExit
from stage1_core.policy.scrc_paths import ScrcGrid, scrc_paths
from stage1_core.policy.selection import Selector, fit_selector
from stage1_core.policy.softmax import QuantileGrid, ThresholdExit
from stage1_core.predictions import Predictions
from stage1_core.splits import CERTIFYING, Purpose
from tests.policy.gated import CERTIFY, ORDER, gated_of, paired_rows
from tests.toys import predictions_of

CONSTRAINT = RiskConstraint()
SMALL = ScrcGrid(size=20, selection_levels=3)
SOONER = ScrcGrid(size=20, selection_levels=2, positives="sooner")
GUARDED = RiskConstraint(max_risk=0.008, max_fpr_on_exited=0.15)

TOWARDS_ROADWORK = DirichletCalibrator(weights=((1.0, 0.0), (0.0, 1.0)), offsets=(-0.5, 0.5))
"""Adds one logit to every margin."""
AS_TRAINED = TemperatureCalibrator(temperature=1.0)
GATE_ALONE = Selector(signal="gate", signal_slope=1.0, confidence_slope=0.0, offset=0.0)


def rule(lambda1: float, lambda2: float, calibrator=AS_TRAINED, **changes) -> ScrcExit:
    return ScrcExit(
        lambda1=lambda1,
        lambda2=lambda2,
        sweeps="lambda1",
        selector=GATE_ALONE,
        class_calibrator=calibrator,
        **changes,
    )


def rows_of(margins, gates, labels=None) -> Predictions:
    labels = np.zeros(len(margins), dtype=np.int64) if labels is None else labels
    return gated_of(np.asarray(margins, dtype=np.float64), labels, np.asarray(gates, dtype=np.float64), CERTIFY)


def without_gate(rows: Predictions) -> Predictions:
    return dataclasses.replace(rows, scores=dataclasses.replace(rows.scores, gate_logits=None))


@dataclasses.dataclass(frozen=True)
class Rows:
    """The two sets that a policy is fitted on."""

    order: Predictions
    certify: Predictions

    def fit(self, config: ScrcPolicyConfig | None = None, constraint: RiskConstraint = CONSTRAINT):
        return (config or ScrcPolicyConfig(grid=SMALL)).fit(self.order, self.certify, constraint)

    def fitted(self, config: ScrcPolicyConfig | None = None, constraint: RiskConstraint = CONSTRAINT) -> ScrcPolicy:
        policy = self.fit(config, constraint)
        assert isinstance(policy, ScrcPolicy)
        return policy


@cache
def drawn() -> Rows:
    rng = np.random.default_rng(20)
    return Rows(paired_rows(rng, 2000, ORDER), paired_rows(rng, 2000, CERTIFY))


@cache
def drawn_sooner() -> ScrcPolicy:
    return drawn().fitted(ScrcPolicyConfig(grid=SOONER), GUARDED)


@pytest.fixture
def rows() -> Rows:
    return drawn()


class TestRule:
    def test_a_picture_exits_where_it_is_selected_and_its_class_is_clear(self):
        scores = rows_of([3.0, -3.0, 3.0, 0.5], [2.0, 2.0, 0.5, 2.0]).scores
        assert rule(0.8, 0.9).decide(scores).label.tolist() == [1, 0, -1, -1]

    def test_a_picture_that_goes_on_may_still_be_either_class(self):
        scores = rows_of([3.0, 0.5], [0.5, 2.0]).scores
        assert rule(0.8, 0.9).decide(scores).prediction_set.all()

    def test_what_equals_both_thresholds_exits(self):
        scores = rows_of([2.0, 1.9999, 2.0], [1.0, 1.0, 0.9999]).scores
        assert rule(float(expit(1.0)), float(expit(2.0))).decide(scores).exited.tolist() == [True, False, False]

    def test_class_and_confidence_are_the_calibrated_ones(self):
        scores = rows_of([-0.5, -3.0, 1.5], [9.0, 9.0, 9.0]).scores
        assert rule(0.5, 0.5, TOWARDS_ROADWORK).decide(scores).label.tolist() == [1, 0, 1]
        assert rule(0.5, 0.9, TOWARDS_ROADWORK).decide(scores).label.tolist() == [-1, -1, 1]

    def test_a_tie_of_the_calibrated_classes_is_called_roadwork(self):
        scores = rows_of([-1.0], [9.0]).scores
        assert rule(0.5, 0.5, TOWARDS_ROADWORK).decide(scores).label.tolist() == [1]

    def test_pictures_that_are_called_roadwork_exit_sooner_where_the_rule_says_so(self):
        scores = rows_of([1.0, -1.0, 1.0, 0.2], [0.5, 0.5, -2.0, 3.0]).scores
        sooner = rule(0.9, 0.9, positives=SoonerExit(lambda1=0.5, lambda2=0.7))
        assert not rule(0.9, 0.9).decide(scores).exited.any()
        assert sooner.decide(scores).label.tolist() == [1, -1, -1, -1]

    @given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0.5, 1), st.floats(0, 1), st.floats(0.5, 1))
    def test_sooner_adds_only_pictures_that_are_called_roadwork(self, seed, lambda1, lambda2, sooner1, sooner2):
        rng = np.random.default_rng(seed)
        scores = rows_of(rng.normal(0, 2, 40), rng.normal(0, 2, 40)).scores
        alike = rule(lambda1, lambda2).decide(scores)
        sooner = rule(lambda1, lambda2, positives=SoonerExit(lambda1=sooner1, lambda2=sooner2)).decide(scores)
        assert (sooner.label[alike.exited] == alike.label[alike.exited]).all()
        assert (sooner.label[sooner.exited & ~alike.exited] == 1).all()

    def test_where_the_certified_level_is_as_lax_for_both_classes_nothing_exits_sooner(self):
        lax = rule(0.4, 0.6, positives=SoonerExit(lambda1=0.42, lambda2=0.65))
        assert not lax.exits_sooner
        assert lax.rule_in_words() == rule(0.4, 0.6).rule_in_words()
        assert rule(0.4, 0.7, positives=SoonerExit(lambda1=0.42, lambda2=0.65)).exits_sooner

    def test_the_words_name_every_threshold(self):
        words = rule(0.81, 0.93, positives=SoonerExit(lambda1=0.42, lambda2=0.65)).rule_in_words()
        assert all(number in words for number in ("0.81", "0.93", "0.42", "0.65"))
        assert "called roadwork" not in rule(0.81, 0.93).rule_in_words()

    @pytest.mark.parametrize("thresholds", [(-0.1, 0.9), (0.5, 0.4), (2.1, 0.9), (0.5, 1.1)])
    def test_thresholds_that_are_no_probabilities_are_refused(self, thresholds):
        with pytest.raises(ValidationError):
            rule(*thresholds)

    def test_scores_without_the_gate_that_selects_are_refused(self, rows: Rows):
        with pytest.raises(PolicyError, match="2000 pictures have no gate logits, and the policy selects by them"):
            rows.fitted().decide(without_gate(rows.certify).scores)


class TestFit:
    @pytest.mark.parametrize("constraint", [CONSTRAINT, RiskConstraint(confidence=0.8, max_risk=0.03)])
    def test_the_certificate_counts_misses_among_exited_positives(self, rows: Rows, constraint: RiskConstraint):
        policy = rows.fitted(constraint=constraint)
        scores, labels = rows.certify.scores, rows.certify.labels
        margins = policy.class_calibrator.class_logits(scores.logits) @ [-1, 1]
        score = expit(
            policy.selector.signal_slope * scores.gate_logits
            + policy.selector.confidence_slope * np.abs(margins)
            + policy.selector.offset
        )
        exits = (score >= policy.lambda1) & (expit(np.abs(margins)) >= policy.lambda2)
        trials, events = np.sum(exits & (labels == 1)), np.sum(exits & (labels == 1) & (margins < 0))
        proof = policy.certificate
        assert (proof.events, proof.trials) == (events, trials)
        assert proof.p_value == binomial_p_value(events, trials, constraint.max_risk) <= constraint.delta
        assert proof.upper_bound == clopper_pearson_upper(events, trials, constraint.confidence) <= constraint.max_risk
        assert policy.coverage == exits.mean() > 0.4
        assert policy.fnr_on_exits == events / trials
        assert policy.exit_accuracy == pytest.approx(((margins >= 0) == labels)[exits].mean())

    def test_the_certificate_names_the_rows_and_the_policy_their_parts(self, rows: Rows):
        policy = rows.fitted()
        assert policy.certificate.order_rows_digest == ids_digest(rows.order)
        assert policy.certificate.rows_digest == ids_digest(rows.certify)
        assert (policy.order_split, policy.certify_split) == ("val_select", "val_calib")
        assert (policy.calibration.fit_rows, policy.calibration.rows) == (2000, 2000)

    def test_calibrator_and_selector_are_those_of_the_ordering_rows_alone(self, rows: Rows):
        policy = rows.fitted()
        calibrator = DirichletConfig().fit(rows.order.scores.logits, rows.order.labels)
        calibrated = dataclasses.replace(rows.order.scores, logits=calibrator.class_logits(rows.order.scores.logits))
        right = calibrated.likelier_class == rows.order.labels
        assert policy.class_calibrator == calibrator
        assert policy.selector in [
            fit_selector("gate", rows.order.scores, calibrated, right, with_confidence=both) for both in (True, False)
        ]

    def test_the_laxest_certified_level_is_returned(self, rows: Rows):
        policy = rows.fitted()
        thresholds = [level.threshold for level in policy.sweep_results]
        certified = [level.threshold for level in policy.sweep_results if level.certified]
        assert thresholds == sorted(thresholds, reverse=True)
        assert 1 < len(certified) < len(thresholds)
        assert policy.threshold == min(certified) == getattr(policy, policy.sweeps)

    def test_certified_levels_differ_in_the_threshold_that_is_swept_alone(self, rows: Rows):
        policy = rows.fitted()
        certified = [level.threshold for level in policy.sweep_results if level.certified]
        for threshold in certified:
            other = policy.at_threshold(threshold)
            expected = {name: getattr(policy, name) for name in ScrcExit.model_fields} | {policy.sweeps: threshold}
            assert {name: getattr(other, name) for name in ScrcExit.model_fields} == expected

    def test_gate_and_confidence_together_let_more_exit_than_the_confidence_alone(self, rows: Rows):
        alone = SoftmaxPolicyConfig().fit(rows.order, rows.certify, CONSTRAINT)
        assert rows.fitted().coverage > alone.coverage + 0.05

    def test_frames_of_one_drive_count_once(self, rows: Rows):
        drives = np.char.add("drive ", (np.arange(2000) % 700).astype(np.str_))
        certify = dataclasses.replace(rows.certify, groups=drives)
        policy = dataclasses.replace(rows, certify=certify).fitted()
        counted = certify.independent()
        decisions = policy.decide(counted.scores)
        assert len(counted) < 2000
        assert policy.calibration.rows == policy.sweep_results[0].rows == len(counted)
        assert policy.certificate.trials == np.sum(decisions.exited & (counted.labels == 1))
        assert policy.coverage == decisions.exited.mean()
        assert policy.certificate.rows_digest == ids_digest(counted)

    def test_levels_are_quantiles_of_one_ordering_row_of_each_drive(self, rows: Rows):
        drives = np.char.add("drive ", (np.arange(2000) % 700).astype(np.str_))
        order = dataclasses.replace(rows.order, groups=drives)
        policy = dataclasses.replace(rows, order=order).fitted()
        reading = policy.read(order.independent().scores)
        values = reading.selection if policy.sweeps == "lambda1" else reading.confidence
        assert {level.threshold for level in policy.sweep_results} <= set(values.tolist())
        assert policy.class_calibrator == DirichletConfig().fit(order.scores.logits, order.labels)

    def test_the_same_rows_give_the_same_exits_in_any_order(self, rows: Rows, rng: np.random.Generator):
        shuffled = Rows(*(part.take(rng.permutation(2000)) for part in (rows.order, rows.certify))).fitted()
        policy = rows.fitted()
        np.testing.assert_array_equal(
            shuffled.decide(rows.certify.scores).prediction_set, policy.decide(rows.certify.scores).prediction_set
        )
        assert shuffled.certificate.rows_digest == policy.certificate.rows_digest
        assert (shuffled.certificate.events, shuffled.coverage) == (policy.certificate.events, policy.coverage)

    def test_without_a_gate_it_selects_by_energy_and_says_so(self, rows: Rows):
        policy = Rows(without_gate(rows.order), without_gate(rows.certify)).fitted()
        assert policy.selector.signal == "energy"
        assert rows.fitted().selector.signal == "gate"
        assert rows.fitted(ScrcPolicyConfig(grid=ScrcGrid(signal="energy", size=20))).selector.signal == "energy"

    def test_what_is_called_certain_is_calibrated_on_the_certifying_rows_too(self, rng: np.random.Generator):
        def overconfident(purpose: Purpose) -> Predictions:
            rows = paired_rows(rng, 2000, purpose)
            return dataclasses.replace(rows, scores=dataclasses.replace(rows.scores, logits=4 * rows.scores.logits))

        calibration = Rows(overconfident(ORDER), overconfident(CERTIFY)).fitted().calibration
        assert calibration.nll_after < calibration.nll_before
        assert calibration.ece_after < 0.03 < calibration.ece_before

    def test_what_the_method_promises_itself_is_reported_for_a_lambda1_of_the_ordering_rows(self, rows: Rows):
        policy = rows.fitted()
        assert policy.sweeps == "lambda1"
        bounds = policy.bounds
        assert bounds.lambda1 == policy.sweep_results[0].threshold > policy.lambda1
        selected = policy.read(rows.certify.scores).selection >= bounds.lambda1
        assert bounds.selected_positives == np.sum(selected & (rows.certify.labels == 1))
        assert (bounds.alpha, bounds.delta_s) == (CONSTRAINT.max_risk, ScrcPolicyConfig().delta_s)

    @pytest.mark.parametrize("purpose", sorted(CERTIFYING))
    def test_one_half_or_all_of_the_certifying_rows_may_certify(self, rows: Rows, purpose: Purpose):
        certify = dataclasses.replace(rows.certify, purpose=purpose)
        assert dataclasses.replace(rows, certify=certify).fitted().certificate.purpose is purpose


class TestPaths:
    def test_a_calibrator_that_keeps_the_order_keeps_every_exit_of_the_softmax_policy(self, rows: Rows):
        grid = ScrcGrid()
        calibrator = TemperatureConfig().fit(rows.order.scores.logits, rows.order.labels)
        [path] = [
            path
            for path in scrc_paths(grid, [calibrator], rows.order, rows.order, RiskConstraint())
            if (found := path.rule_at(0.75)).sweeps == "lambda2" and found.lambda1 == 0
        ]
        levels = QuantileGrid(size=grid.size).levels(rows.order)
        assert calibrator.temperature != 1
        assert len(path.levels) == len(levels)
        for own, softmax in zip(path.levels.tolist(), levels.tolist(), strict=True):
            expected = ThresholdExit(exit_threshold=softmax).decide(rows.order.scores)
            np.testing.assert_array_equal(path.ordered_at(own).prediction_set, expected.prediction_set)

    @settings(max_examples=25)
    @given(
        seed=st.integers(0, 10**6),
        positives=st.sampled_from(["alike", "sooner"]),
        calibrator=st.sampled_from([DirichletConfig(), TemperatureConfig()]),
        with_gate=st.booleans(),
    )
    def test_every_exit_is_the_calibrated_class_and_strictness_never_adds_one(
        self, seed, positives, calibrator, with_gate
    ):
        rng = np.random.default_rng(seed)
        rows = paired_rows(rng, 120, ORDER)
        rows = rows if with_gate else without_gate(rows)
        grid = ScrcGrid(size=8, selection_levels=3, positives=positives)
        fitted = calibrator.fit(rows.scores.logits, rows.labels)
        called = (fitted.class_logits(rows.scores.logits) @ [-1, 1] >= 0).astype(np.int64)
        for path in scrc_paths(grid, [fitted], rows, rows, RiskConstraint()):
            assert (np.diff(path.levels) < 0).all()
            stricter = np.zeros(120, dtype=np.bool_)
            for level in path.levels.tolist():
                decisions = path.rule_at(level).decide(rows.scores)
                np.testing.assert_array_equal(decisions.prediction_set, path.ordered_at(level).prediction_set)
                assert (decisions.label[decisions.exited] == called[decisions.exited]).all()
                assert not (stricter & ~decisions.exited).any()
                stricter = decisions.exited

    def test_only_paths_with_a_lambda1_or_a_signal_of_their_own_are_handicapped(self, rows: Rows):
        grid = ScrcGrid(size=5, selection_levels=3, pair_handicap=0.2)
        calibrator = DirichletConfig().fit(rows.order.scores.logits, rows.order.labels)
        paths = scrc_paths(grid, [calibrator], rows.order, rows.order, RiskConstraint())
        assert [path.handicap for path in paths] == [0, 0, 0.2, 0.2, 0.2]
        assert [path.rule_at(0.7).sweeps for path in paths] == ["lambda1", "lambda2", "lambda1", "lambda2", "lambda2"]
        fixed = [path.rule_at(0.7).lambda1 for path in paths[-2:]]
        assert fixed == sorted(fixed, reverse=True)

    @pytest.mark.parametrize("scale", [1, 0.05])
    def test_coverage_is_not_bought_with_false_alarms(self, rng: np.random.Generator, scale: float):
        """Where positives are common, calling everything roadwork keeps a promise about misses and lets all exit."""

        def drawn(rows: int, purpose: Purpose) -> Predictions:
            labels = (rng.random(rows) < 0.9).astype(np.int64)
            margins = scale * rng.normal(np.where(labels == 1, 4.5, -4.5), 3)
            return predictions_of(margins, labels, purpose=purpose, name=purpose.value)

        order, certify, fresh = (
            drawn(rows, purpose)
            for rows, purpose in ((1200, ORDER), (2800, CERTIFY), (50_000, Purpose.FINAL_EVALUATION))
        )
        policy = ScrcPolicyConfig().fit(order, certify, CONSTRAINT)
        assert isinstance(policy, ScrcPolicy)
        assert (policy.decide(fresh.scores).label[fresh.labels == 0] == 1).mean() < 0.08

    def test_a_large_handicap_leaves_the_simple_paths(self, rows: Rows):
        policy = rows.fitted(ScrcPolicyConfig(grid=ScrcGrid(size=20, pair_handicap=1.0)))
        assert policy.lambda2 == 0.5 if policy.sweeps == "lambda1" else policy.lambda1 == 0


class TestSooner:
    @pytest.mark.parametrize("guard", [{"max_fpr_on_exited": 0.08}, {"max_exit_error": 0.05}, {"risk": "exit_error"}])
    def test_a_ceiling_on_false_alarms_allows_it(self, guard):
        SOONER.require_guard(RiskConstraint(**guard))

    def test_without_a_ceiling_on_false_alarms_it_is_refused_with_what_to_do(self, rows: Rows):
        with pytest.raises(PolicyError, match="set max_fpr_on_exited or max_exit_error, or positives: alike"):
            rows.fit(ScrcPolicyConfig(grid=SOONER))

    def test_it_lets_more_exit_and_both_ceilings_are_certified(self, rows: Rows):
        policy, alike = drawn_sooner(), rows.fitted(constraint=GUARDED)
        assert policy.positives is not None
        assert policy.coverage > alike.coverage
        decisions = policy.decide(rows.certify.scores)
        misses = np.sum((decisions.label == 0) & (rows.certify.labels == 1))
        trials = np.sum(decisions.exited & (rows.certify.labels == 1))
        alarms = fpr_on_exited(decisions, rows.certify.labels)
        assert (policy.certificate.events, policy.certificate.trials) == (misses, trials)
        assert policy.certificate.p_value == max(
            binomial_p_value(misses, trials, 0.008), binomial_p_value(alarms.events, alarms.trials, 0.15)
        )
        assert policy.certificate.p_value <= GUARDED.delta

    def test_every_certified_level_counts_the_pictures_that_exit_sooner(self, rows: Rows):
        policy = drawn_sooner()
        for level in policy.sweep_results:
            if level.certified:
                other = policy.at_threshold(level.threshold)
                decisions = other.decide(rows.certify.scores)
                assert other.positives == policy.positives
                assert (other.coverage, level.exited) == (decisions.exited.mean(), decisions.exited.sum())

    def test_at_its_strictest_not_even_positives_exit(self, rows: Rows):
        strictest = drawn_sooner().strictest()
        assert strictest.lambda1 == NOTHING_SELECTED
        assert not strictest.decide(rows.certify.scores).exited.any()
        assert TypeAdapter(AnyPolicy).validate_json(strictest.to_json()) == strictest


class TestNoExit:
    @pytest.mark.parametrize("label", [0, 1])
    def test_one_class_alone_cannot_be_calibrated(self, rows: Rows, label: int):
        order = rows.order.take(rows.order.labels == label)
        policy = dataclasses.replace(rows, order=order).fit()
        assert isinstance(policy, NoExit)
        assert isinstance(policy.shortfall, NotSearched)
        assert policy.sweep_results == ()
        assert f"the classes cannot be calibrated on {len(order)} select_model rows" in policy.no_exit_reason
        assert f"none of the {len(order)} rows is of class {1 - label}" in policy.no_exit_reason

    def test_a_model_that_ranks_the_wrong_way_cannot_be_calibrated(self, rows: Rows):
        turned = dataclasses.replace(
            rows.order, scores=dataclasses.replace(rows.order.scores, logits=-rows.order.scores.logits)
        )
        policy = dataclasses.replace(rows, order=turned).fit()
        assert isinstance(policy, NoExit)
        assert "the fitted slope is -" in policy.no_exit_reason

    def test_too_few_positives_say_how_many_more_are_needed(self, rows: Rows):
        few = rows.certify.take(np.arange(200))
        policy = dataclasses.replace(rows, certify=few).fit()
        assert isinstance(policy, NoExit)
        assert isinstance(policy.shortfall, Shortfall)
        assert (
            policy.shortfall.trials <= few.labels.sum() < 114 <= policy.shortfall.trials + policy.shortfall.more_trials
        )
        assert not policy.decide(few.scores).exited.any()

    def test_without_certifying_rows_nothing_exits(self, rows: Rows):
        assert isinstance(dataclasses.replace(rows, certify=rows.certify.take(np.arange(0))).fit(), NoExit)

    def test_a_guard_that_cannot_be_met_lets_nothing_exit(self, rows: Rows):
        assert isinstance(rows.fit(constraint=RiskConstraint(max_exit_error=1e-6)), NoExit)


class TestRefusals:
    @pytest.mark.parametrize("purpose", sorted(set(Purpose) - {ORDER}))
    def test_only_selection_rows_order(self, rows: Rows, purpose: Purpose):
        with pytest.raises(SplitUseError, match=f"rows read for {purpose} .* needs select_model"):
            dataclasses.replace(rows, order=dataclasses.replace(rows.order, purpose=purpose)).fit()

    @pytest.mark.parametrize("purpose", sorted(set(Purpose) - CERTIFYING))
    def test_only_calibration_rows_certify(self, rows: Rows, purpose: Purpose):
        with pytest.raises(SplitUseError, match=f"rows read for {purpose} .* needs certify_policy or certify_unc"):
            dataclasses.replace(rows, certify=dataclasses.replace(rows.certify, purpose=purpose)).fit()

    def test_a_row_that_orders_and_certifies_is_named(self, rows: Rows):
        ids = np.concatenate([rows.order.scores.ids[:7], rows.certify.scores.ids[7:]])
        shared = dataclasses.replace(rows.certify, scores=dataclasses.replace(rows.certify.scores, ids=ids))
        with pytest.raises(PolicyError, match=r"7 rows order and certify, e\.g\. select_model/0; split them apart"):
            dataclasses.replace(rows, certify=shared).fit()

    @pytest.mark.parametrize("part", ["order", "certify"])
    def test_a_gate_that_only_one_part_has_is_refused(self, rows: Rows, part: str):
        config = ScrcPolicyConfig(grid=ScrcGrid(signal="gate", size=10, selection_levels=2))
        with pytest.raises(PolicyError, match="have no gate logits"):
            dataclasses.replace(rows, **{part: without_gate(getattr(rows, part))}).fit(config)

    def test_without_ordering_rows_there_is_nothing_to_fit_on(self, rows: Rows):
        with pytest.raises(PolicyError, match="no row to"):
            dataclasses.replace(rows, order=rows.order.take(np.arange(0))).fit()


class TestJson:
    @pytest.mark.parametrize("calibrator", [DirichletConfig(), TemperatureConfig()], ids=lambda config: config.kind)
    @pytest.mark.parametrize("grid", [SMALL, SOONER], ids=lambda grid: grid.positives)
    def test_a_policy_comes_back_through_the_union_and_decides_the_same(self, rows: Rows, calibrator, grid: ScrcGrid):
        policy = rows.fitted(ScrcPolicyConfig(calibrator=calibrator, grid=grid), GUARDED)
        read = TypeAdapter(AnyPolicy).validate_json(policy.to_json())
        assert read == policy
        assert read.class_calibrator.kind == calibrator.kind
        np.testing.assert_array_equal(
            read.decide(rows.certify.scores).prediction_set, policy.decide(rows.certify.scores).prediction_set
        )

    def test_no_exit_comes_back_through_the_union(self, rows: Rows):
        policy = dataclasses.replace(rows, order=rows.order.take(rows.order.labels == 1)).fit()
        assert TypeAdapter(AnyPolicy).validate_json(policy.to_json()) == policy

    def test_rows_of_the_softmax_policy_are_decided_too(self, rng: np.random.Generator):
        """Scores with nothing but class logits, of one picture."""
        margins, labels = 3 * rng.normal(np.tile([1.6, -1.6], 1000)), np.tile([1, 0], 1000)
        order = predictions_of(margins, labels, purpose=ORDER, name="order")
        certify = predictions_of(3 * rng.normal(np.tile([1.6, -1.6], 1000)), labels)
        policy = Rows(order, certify).fitted()
        assert policy.decide(predictions_of(np.array([9.0]), np.ones(1)).scores).label.tolist() == [1]
