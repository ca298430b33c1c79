"""Two policies on the same rows: matching, pairing, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stage1_core.errors import PolicyError, SplitUseError
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.metrics.intervals import clopper_pearson_upper
from stage1_core.metrics.risk import coverage, fpr_on_exited
from stage1_core.policy import GatePolicy, GatePolicyConfig, NoExit, SoftmaxPolicy, SoftmaxPolicyConfig
from stage1_core.policy.comparison import COMPARED, PolicyComparison, Side, at_matched_fpr, compare
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Predictions, Scores
from stage1_core.splits import Purpose
from tests.toys import predictions_of

CONSTRAINT = RiskConstraint(max_risk=0.05)
CONFIG = BootstrapConfig(level=0.9, resamples=400)


def gated(rng: np.random.Generator, n: int, purpose: Purpose, *, knowing: float) -> Predictions:
    """Rows of a mediocre model whose gate knows the margin's sign error with weight ``knowing``."""
    labels = (np.arange(n) % 2).astype(np.int64)
    margins = rng.normal(np.where(labels == 1, 1.2, -1.2))
    rows = predictions_of(margins, labels, purpose=purpose, name=purpose.value)
    right = (margins >= 0) == (labels == 1)
    gate = np.abs(margins) + knowing * (right - 0.5) + 0.3 * rng.normal(size=n)
    scores = rows.scores
    return replace(rows, scores=Scores(scores.ids, scores.logits, gate))


def compared(incumbent: Side, challenger: Side, confidence: float = 0.9) -> PolicyComparison:
    """Both sides on the selection rows."""
    return compare(incumbent, challenger, CONFIG, purpose=Purpose.SELECT_MODEL, exact_confidence=confidence)


def read_for(purpose: Purpose, side: Side) -> Side:
    """The same rows, as if they had been read for ``purpose``."""
    return replace(side, rows=replace(side.rows, purpose=purpose))


def fitted(rng: np.random.Generator, knowing: float) -> tuple[Side, Side]:
    """A softmax policy and a gate policy on the same model, with their selection rows."""
    order = gated(rng, 1500, Purpose.SELECT_MODEL, knowing=knowing)
    certify = gated(rng, 3000, Purpose.CERTIFY_POLICY, knowing=knowing)
    calibrate = gated(rng, 2000, Purpose.FIT_CALIBRATOR, knowing=knowing)
    softmax = SoftmaxPolicyConfig().fit(order, certify, CONSTRAINT)
    gate = GatePolicyConfig().fit(order, certify, CONSTRAINT, calibrate_on=calibrate)
    return Side("softmax", softmax, order), Side("gate", gate, order)


@pytest.fixture(scope="module")
def knowing() -> tuple[Side, Side]:
    return fitted(np.random.default_rng(1), 6.0)


@pytest.fixture(scope="module")
def ignorant() -> tuple[Side, Side]:
    return fitted(np.random.default_rng(2), 0.0)


def policy_at(gate: Side, index: int) -> GatePolicy:
    """The gate at a certified level of its sweep, by its place from strict to lax."""
    certified = [level.threshold for level in gate.policy.sweep_results if level.certified]
    assert len(certified) > 1
    return gate.policy.at_threshold(certified[index])


class TestMatching:
    def test_the_matched_level_is_certified_and_has_no_more_false_alarms(self, knowing):
        softmax, gate = knowing
        matched = at_matched_fpr(gate.policy, gate.rows, softmax)
        assert isinstance(matched, GatePolicy)
        assert matched.gate_threshold in {level.threshold for level in matched.sweep_results if level.certified}
        new, old = (
            fpr_on_exited(side.decisions, side.rows.labels) for side in (replace(gate, policy=matched), softmax)
        )
        assert new.rate <= old.rate

    def test_no_laxer_certified_level_would_match(self, knowing):
        softmax, gate = knowing
        matched = at_matched_fpr(gate.policy, gate.rows, softmax)
        ceiling = fpr_on_exited(softmax.decisions, softmax.rows.labels).rate
        reached = coverage(matched.decide(gate.rows.scores), gate.rows.labels).events
        for level in gate.policy.sweep_results:
            if level.certified:
                made = gate.policy.at_threshold(level.threshold).decide(gate.rows.scores)
                found = fpr_on_exited(made, gate.rows.labels)
                assert coverage(made, gate.rows.labels).events <= reached or found.rate > ceiling

    def test_a_level_with_exactly_the_incumbents_false_alarms_matches(self, knowing):
        _, gate = knowing
        laxest = policy_at(gate, -1)
        assert at_matched_fpr(gate.policy, gate.rows, Side("itself", laxest, gate.rows)).threshold == laxest.threshold

    def test_where_no_negative_exits_there_is_no_false_alarm_to_match(self, knowing):
        softmax, gate = knowing
        positives = gate.rows.take(np.flatnonzero(gate.rows.labels == 1))
        for incumbent in (softmax, replace(softmax, rows=positives)):
            assert at_matched_fpr(gate.policy, positives, incumbent).threshold == policy_at(gate, -1).threshold

    def test_of_levels_with_equally_many_false_alarms_the_laxest_is_taken(self, knowing):
        softmax, gate = knowing
        scores = gate.rows.scores
        called_1 = np.stack([np.zeros(len(scores)), np.ones(len(scores))], axis=1)
        gates = np.where(gate.rows.labels == 0, 50.0, scores.gate_logits)
        all_wrong = replace(gate.rows, scores=Scores(scores.ids, called_1, gates))
        assert at_matched_fpr(gate.policy, all_wrong, softmax).threshold == policy_at(gate, -1).threshold

    def test_without_a_match_the_level_with_the_fewest_false_alarms_is_taken(self, ignorant):
        softmax, gate = ignorant
        strict = Side("strict", softmax.policy.strictest(), softmax.rows)
        matched = at_matched_fpr(gate.policy, gate.rows, strict)
        rates = [
            fpr_on_exited(gate.policy.at_threshold(level.threshold).decide(gate.rows.scores), gate.rows.labels).rate
            for level in gate.policy.sweep_results
            if level.certified
        ]
        found = fpr_on_exited(matched.decide(gate.rows.scores), gate.rows.labels)
        assert found.rate == min(rates)

    def test_a_policy_that_lets_nothing_exit_is_handed_through(self, knowing):
        softmax, gate = knowing
        nothing = GatePolicyConfig().fit(
            gate.rows,
            gated(np.random.default_rng(3), 10, Purpose.CERTIFY_POLICY, knowing=0),
            CONSTRAINT,
            calibrate_on=gated(np.random.default_rng(4), 500, Purpose.FIT_CALIBRATOR, knowing=1),
        )
        assert isinstance(nothing, NoExit)
        assert at_matched_fpr(nothing, gate.rows, softmax) is nothing

    def test_a_softmax_policy_is_matched_in_the_same_way(self, knowing):
        softmax, _ = knowing
        certified = [level.threshold for level in softmax.policy.sweep_results if level.certified]
        made = {
            threshold: softmax.policy.at_threshold(threshold).decide(softmax.rows.scores) for threshold in certified
        }
        rates = {threshold: fpr_on_exited(found, softmax.rows.labels).rate for threshold, found in made.items()}
        middle = sorted(certified)[len(certified) // 2]
        incumbent = Side("itself", softmax.policy.at_threshold(middle), softmax.rows)
        matched = at_matched_fpr(softmax.policy, softmax.rows, incumbent)
        assert isinstance(matched, SoftmaxPolicy)
        matching = [
            threshold for threshold in certified if rates[threshold] is None or rates[threshold] <= rates[middle]
        ]
        assert middle in matching
        assert matched.threshold == min(matching)
        assert matched.sweep_results == softmax.policy.sweep_results

    def test_only_selection_rows_may_choose_the_level(self, knowing):
        softmax, gate = knowing
        with pytest.raises(SplitUseError, match="select_model"):
            at_matched_fpr(gate.policy, replace(gate.rows, purpose=Purpose.FINAL_EVALUATION), softmax)


class TestComparing:
    def test_a_gate_that_knows_more_gains_coverage(self, knowing):
        softmax, gate = knowing
        matched = replace(gate, policy=at_matched_fpr(gate.policy, gate.rows, softmax))
        found = compared(softmax, matched)
        assert found.differences["coverage"].lower > 0.05
        assert found.challenger.exits.coverage.rate - found.incumbent.exits.coverage.rate == pytest.approx(
            found.differences["coverage"].value
        )

    def test_a_gate_that_knows_no_more_does_not(self, ignorant):
        softmax, gate = ignorant
        matched = replace(gate, policy=at_matched_fpr(gate.policy, gate.rows, softmax))
        assert compared(softmax, matched).differences["coverage"].lower < 0.005

    def test_a_policy_differs_from_itself_by_exactly_nothing(self, knowing):
        softmax, _ = knowing
        found = compared(softmax, softmax)
        for interval in found.differences.values():
            assert (interval.value, interval.lower, interval.upper) == (0, 0, 0)

    def test_pairing_makes_the_interval_shorter_than_two_separate_ones(self, knowing):
        softmax, gate = knowing
        paired = compared(softmax, gate).differences["coverage"]
        n = len(softmax.rows)
        rates = [coverage(side.decisions, side.rows.labels).rate for side in (softmax, gate)]
        unpaired = np.sqrt(sum(rate * (1 - rate) / n for rate in rates))
        assert paired.std < unpaired

    def test_rows_of_a_group_are_drawn_together(self, knowing):
        softmax, gate = knowing
        groups = np.array([f"drive {index // 10}" for index in range(len(softmax.rows))])
        alone = compared(softmax, gate)
        joined = compared(
            replace(softmax, rows=replace(softmax.rows, groups=groups)),
            replace(gate, rows=replace(gate.rows, groups=groups)),
        )
        assert (alone.groups, joined.groups) == (1500, 150)
        assert joined.differences["coverage"].value == alone.differences["coverage"].value
        assert joined.differences["coverage"].std != alone.differences["coverage"].std

    def test_each_difference_is_that_of_the_numbers_of_both_sides(self, knowing):
        softmax, gate = knowing
        scores = gate.rows.scores
        better = Scores(scores.ids, scores.logits + np.eye(2)[gate.rows.labels], scores.gate_logits)
        found = compared(softmax, replace(gate, rows=replace(gate.rows, scores=better)))
        old, new = found.incumbent, found.challenger
        expected = {name: getattr(new.model, name) - getattr(old.model, name) for name in ("accuracy", "augrc")}
        for name in ("coverage", "fnr_on_exited", "fpr_on_exited", "exit_error"):
            expected[name] = getattr(new.exits, name).rate - getattr(old.exits, name).rate
        assert len(set(expected.values())) == len(COMPARED)
        assert {name: interval.value for name, interval in found.differences.items()} == pytest.approx(expected)

    def test_each_resample_has_as_many_rows_of_a_class(self, knowing):
        """So where exactly the positives exit, the coverage cannot vary."""
        softmax, gate = knowing
        gates = np.where(gate.rows.labels == 1, 50.0, -50.0)
        scores = replace(gate.rows.scores, gate_logits=gates)
        clairvoyant = replace(gate, rows=replace(gate.rows, scores=scores))
        nothing = replace(softmax, policy=softmax.policy.strictest())
        gain = compared(nothing, clairvoyant).differences["coverage"]
        assert (gain.value, gain.lower, gain.upper, gain.std) == (0.5, 0.5, 0.5, 0)

    def test_the_exact_bounds_are_those_of_the_stated_confidence(self, knowing):
        for confidence in (0.9, 0.99):
            found = compared(*knowing, confidence)
            counted = found.challenger.exits.coverage
            assert found.confidence == confidence
            assert counted.upper_bound == clopper_pearson_upper(counted.events, counted.trials, confidence)

    def test_the_same_seed_gives_the_same_comparison(self, knowing):
        assert compared(*knowing) == compared(*knowing)

    def test_other_rows_are_refused(self, knowing):
        softmax, gate = knowing
        shuffled = replace(gate, rows=gate.rows.take(np.arange(len(gate.rows))[::-1]))
        with pytest.raises(PolicyError, match="same rows in the same order"):
            compared(softmax, shuffled)

    @pytest.mark.parametrize("purpose", [Purpose.FINAL_EVALUATION, Purpose.CERTIFY_POLICY])
    @pytest.mark.parametrize("sides", [(0,), (1,), (0, 1)], ids=["incumbent", "challenger", "both"])
    def test_rows_of_another_purpose_than_the_named_one_are_refused(self, knowing, purpose, sides):
        softmax, gate = (read_for(purpose, side) if place in sides else side for place, side in enumerate(knowing))
        with pytest.raises(SplitUseError, match="select_model"):
            compared(softmax, gate)

    def test_released_policies_are_compared_on_the_rows_of_the_final_evaluation(self, knowing):
        purpose = Purpose.FINAL_EVALUATION
        final = [read_for(purpose, side) for side in knowing]
        found = compare(*final, CONFIG, purpose=purpose, exact_confidence=0.9)
        assert found.purpose is purpose
        assert found.differences == compared(*knowing).differences
        with pytest.raises(SplitUseError, match="final_evaluation"):
            compare(*knowing, CONFIG, purpose=purpose, exact_confidence=0.9)
