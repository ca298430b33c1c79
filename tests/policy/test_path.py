from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from stage1_core.metrics.risk import coverage, fnr_on_exited
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.path import Path, most_promising, quantile_levels
from stage1_core.policy.search import search
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.policy.start import predicted_power
from stage1_core.predictions import Decisions, Float, Predictions, Scores
from tests.policy.gated import CERTIFY, ORDER, gated_of, paired_rows

CONSTRAINT = RiskConstraint()
LABELS = np.repeat([1, 0], [900, 1100])
"""Of certifying rows."""


@dataclasses.dataclass(frozen=True)
class GateAbove:
    """Exit where the raw gate logit reaches a level."""

    level: float

    def decide(self, scores: Scores) -> Decisions:
        assert scores.gate_logits is not None
        return Decisions.of(scores.gate_logits >= self.level, scores.likelier_class)


def by_confidence(order: Predictions) -> Path[ThresholdExit]:
    levels = quantile_levels(order.scores.confidence, 20)
    return Path.of(levels, lambda level: ThresholdExit(exit_threshold=level), order)


def by_gate(order: Predictions) -> Path[GateAbove]:
    assert order.scores.gate_logits is not None
    return Path.of(quantile_levels(order.scores.gate_logits, 20), GateAbove, order)


def promises(path: Path, order: Predictions, positives: int) -> Float:
    """``(levels,)`` products of predicted power and coverage, counted here."""
    found = []
    for level in path.levels.tolist():
        decisions = path.rule_at(level).decide(order.scores)
        risk, pool = fnr_on_exited(decisions, order.labels), int(order.labels.sum())
        events, trials = np.array([risk.events]), np.array([risk.trials])
        [power] = predicted_power(events, trials, pool, positives, CONSTRAINT.max_risk, CONSTRAINT.delta)
        found.append(power * (coverage(decisions, order.labels).rate or 0))
    return np.array(found)


@pytest.fixture
def order(rng: np.random.Generator) -> Predictions:
    return paired_rows(rng, 2000, ORDER)


@pytest.fixture
def noise(order: Predictions, rng: np.random.Generator) -> Predictions:
    """The same rows with a gate that knows nothing."""
    return dataclasses.replace(order, scores=dataclasses.replace(order.scores, gate_logits=rng.normal(size=len(order))))


def rules(found) -> set[type]:
    return {type(rule) for _, rule in found}


@pytest.mark.parametrize("turn", [1, -1], ids=["gate last", "gate first"])
def test_the_path_that_promises_more_certified_coverage_is_chosen(order: Predictions, noise: Predictions, turn: int):
    for rows in (order, noise):
        paths = [by_confidence(rows), by_gate(rows)]
        confidence, gate = (promises(path, rows, 900).max() for path in paths)
        chosen = GateAbove if gate > confidence else ThresholdExit
        assert rules(most_promising(paths[::turn], rows, LABELS, CONSTRAINT)) == {chosen}
    assert promises(by_gate(order), order, 900).max() > promises(by_confidence(order), order, 900).max() > 0
    assert promises(by_gate(noise), noise, 900).max() < promises(by_confidence(noise), noise, 900).max()


def test_coverage_counts_beside_power():
    """The gate lets one half exit and is the surer to be certified; the confidence lets all exit and is sure enough."""
    labels = np.tile([1, 0], 1000)
    margins = np.where((labels == 1) & (np.arange(2000) >= 16), 5.0, -5.0)  # 8 misses among the first rows
    order = gated_of(margins, labels, np.where(np.arange(2000) < 1000, -1.0, 1.0), ORDER)
    surer = Path.of(np.array([0.0]), GateAbove, order)
    wider = Path.of(np.array([0.5]), lambda level: ThresholdExit(exit_threshold=level), order)
    [half], [whole] = promises(surer, order, 900), promises(wider, order, 900)
    assert half / 0.5 > whole / 1.0 > half > 0.4
    assert rules(most_promising([surer, wider], order, LABELS, CONSTRAINT)) == {ThresholdExit}


def test_the_rules_to_test_are_those_of_one_path_from_its_likeliest_level_to_the_laxest(order: Predictions):
    path = by_gate(order)
    found = most_promising([by_confidence(order), path], order, LABELS, CONSTRAINT)
    start = len(path.levels) - len(found)
    assert [level for level, _ in found] == path.levels[start:].tolist()
    assert all(rule == GateAbove(level) for level, rule in found)
    exited = np.array([coverage(path.ordered_at(level), order.labels).rate for level in path.levels])
    power = promises(path, order, 900) / exited
    assert 0 < start == len(power) - 1 - int(np.argmax(power[::-1]))


def test_of_equal_paths_the_first_is_chosen(order: Predictions):
    first = by_confidence(order)
    marked = dataclasses.replace(first, rule_at=GateAbove)
    assert rules(most_promising([first, marked], order, LABELS, CONSTRAINT)) == {ThresholdExit}
    assert rules(most_promising([marked, first], order, LABELS, CONSTRAINT)) == {GateAbove}


def test_where_nothing_is_promised_the_first_path_is_tried_to_its_laxest_level(order: Predictions):
    first, second = by_confidence(order), by_gate(order)
    [(level, rule)] = most_promising([first, second], order, np.ones(20, dtype=np.int64), CONSTRAINT)
    assert (level, type(rule)) == (first.levels[-1], ThresholdExit)


def test_a_handicap_decides_where_the_lead_is_smaller_and_only_there(order: Predictions):
    confidence, gate = by_confidence(order), by_gate(order)
    lead = promises(gate, order, 900).max() - promises(confidence, order, 900).max()
    for handicap, chosen in ((lead - 1e-6, GateAbove), (lead + 1e-6, ThresholdExit)):
        paths = [confidence, dataclasses.replace(gate, handicap=handicap)]
        assert rules(most_promising(paths, order, LABELS, CONSTRAINT)) == {chosen}
    both = [dataclasses.replace(path, handicap=lead + 1e-6) for path in (confidence, gate)]
    assert rules(most_promising(both, order, LABELS, CONSTRAINT)) == {GateAbove}


def test_of_the_certifying_rows_only_the_number_of_each_label_is_read(order: Predictions, rng: np.random.Generator):
    paths = [by_confidence(order), by_gate(order)]
    found = most_promising(paths, order, LABELS, CONSTRAINT)
    assert most_promising(paths, order, rng.permutation(LABELS), CONSTRAINT) == found
    assert most_promising(paths, order, LABELS[600:], CONSTRAINT) != found


def test_certifying_scores_do_not_move_the_search(order: Predictions, rng: np.random.Generator):
    def tested(certify: Predictions) -> list[float]:
        found = search(lambda rows: [by_confidence(rows), by_gate(rows)], order, certify, CONSTRAINT)
        levels = getattr(found, "record", found).sweep_results
        return [level.threshold for level in levels]

    certify = paired_rows(rng, 2000, CERTIFY)
    other = dataclasses.replace(
        certify,
        scores=dataclasses.replace(
            certify.scores, logits=-certify.scores.logits, gate_logits=rng.normal(size=len(certify))
        ),
    )
    assert tested(certify) == tested(other)


def test_levels_are_observed_values_from_strict_to_lax_and_end_at_the_smallest(rng: np.random.Generator):
    values = rng.normal(size=300)
    levels = quantile_levels(values, 20)
    assert [np.count_nonzero(values >= level) for level in levels] == pytest.approx([*range(16, 300, 15), 300], abs=1)
    assert (np.diff(levels) < 0).all()
    assert set(levels) <= set(values)
    assert levels[-1] == values.min()


def test_equal_values_give_one_level():
    assert quantile_levels(np.full(9, 0.5), 20).tolist() == [0.5]
