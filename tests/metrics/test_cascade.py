from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from stage1_core.metrics.cascade import cascade_quality
from stage1_core.metrics.intervals import clopper_pearson_lower, clopper_pearson_upper
from stage1_core.metrics.risk import coverage, exit_error, fnr_on_exited, fpr_on_exited
from stage1_core.predictions import Decisions
from tests.policy.gated import CERTIFY, gated_of, gated_rows

CONFIDENCE = 0.9


def made(exits: list[bool], called: list[int], auxiliary: list[int], labels: list[int]):
    """Four columns of a cascade: who exits, what stage A and stage B say, and the truth."""
    margins, answers = (2.0 * np.array(column) - 1 for column in (called, auxiliary))
    rows = gated_of(margins, np.array(labels), np.zeros(len(labels)), CERTIFY, auxiliary=answers)
    return rows, Decisions.of(np.array(exits), np.array(called))


def test_each_row_is_answered_by_the_stage_it_belongs_to():
    rows, decisions = made(
        exits=[True, True, True, False, False, False, False],
        called=[0, 1, 1, 0, 0, 1, 1],
        auxiliary=[1, 0, 0, 1, 0, 0, 1],
        labels=[0, 0, 1, 1, 1, 0, 0],
    )
    quality = cascade_quality(rows, decisions, CONFIDENCE)
    counts = {
        stage: {name: (count["events"], count["trials"]) for name, count in values.items()}
        for stage, values in quality.model_dump().items()
    }
    assert counts == {
        "stage_a": {"answered": (3, 7), "errors": (1, 3), "missed": (0, 1), "false_alarms": (1, 2)},
        "stage_b": {"answered": (4, 7), "errors": (2, 4), "missed": (1, 2), "false_alarms": (1, 2)},
        "together": {"answered": (7, 7), "errors": (3, 7), "missed": (1, 3), "false_alarms": (2, 4)},
    }


@pytest.fixture
def cascade(rng: np.random.Generator):
    rows = gated_rows(rng, 500, CERTIFY)
    decisions = Decisions.of(rows.scores.gate_logits > 1.5, rows.scores.margin_logits >= 0)
    return rows, decisions, cascade_quality(rows, decisions, CONFIDENCE)


def test_together_is_what_scikit_learn_sees_in_the_joined_answers(cascade):
    rows, decisions, quality = cascade
    answers = np.where(decisions.exited, decisions.label, np.argmax(rows.scores.aux_logits, axis=1))
    assert quality.together.errors.rate == pytest.approx(1 - accuracy_score(rows.labels, answers))
    assert quality.together.missed.rate == pytest.approx(1 - recall_score(rows.labels, answers))
    assert quality.together.false_alarms.rate == pytest.approx(1 - recall_score(rows.labels, answers, pos_label=0))


def test_the_stages_add_up(cascade):
    _, _, quality = cascade
    for name in type(quality.together).model_fields:
        stages = [getattr(stage, name) for stage in (quality.stage_a, quality.stage_b)]
        assert sum(count.events for count in stages) == getattr(quality.together, name).events
    assert quality.stage_a.errors.trials + quality.stage_b.errors.trials == 500


def test_stage_a_has_the_numbers_of_the_exits(cascade):
    rows, decisions, quality = cascade
    for name, risk in (
        ("answered", coverage), ("errors", exit_error), ("missed", fnr_on_exited), ("false_alarms", fpr_on_exited)
    ):  # fmt: skip
        found = risk(decisions, rows.labels)
        count = getattr(quality.stage_a, name)
        assert (count.events, count.trials) == (found.events, found.trials)


def test_bounds_are_exact(cascade):
    _, _, quality = cascade
    count = quality.stage_b.errors
    assert count.lower_bound == clopper_pearson_lower(count.events, count.trials, CONFIDENCE)
    assert count.upper_bound == clopper_pearson_upper(count.events, count.trials, CONFIDENCE)


def test_a_stage_that_answers_nothing_has_undefined_rates(cascade):
    rows, _, _ = cascade
    everything = np.ones(500, dtype=np.bool_)
    quality = cascade_quality(rows, Decisions.of(everything, rows.scores.likelier_class), CONFIDENCE)
    assert quality.stage_b.answered.rate == 0
    assert quality.stage_b.errors.rate is quality.stage_b.missed.rate is quality.stage_b.false_alarms.rate is None
    assert quality.together == quality.stage_a


def test_without_auxiliary_logits_there_is_no_cascade(cascade):
    rows, decisions, _ = cascade
    bare = dataclasses.replace(rows, scores=dataclasses.replace(rows.scores, aux_logits=None))
    assert cascade_quality(bare, decisions, CONFIDENCE) is None
