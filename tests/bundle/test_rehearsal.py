from __future__ import annotations

import dataclasses

import numpy as np

from stage1_core.acceptance import Verdict
from stage1_core.bundle.golden import GoldenCandidate
from stage1_core.bundle.rehearsal import rehearse
from stage1_core.predictions import Scores
from stage1_core.splits import Purpose
from tests.bundle.toys import no_exit_policy, toy_predictions

SCORES = toy_predictions(Purpose.CERTIFY_UNCALIBRATED_POLICY, 50, 2).scores


def verdicts(rehearsal) -> list[Verdict]:
    return [fact.verdict for fact in rehearsal.facts]


def test_a_good_release_passes_its_rehearsal_with_equal_words_each_time(contents):
    first = rehearse(contents, SCORES)
    assert verdicts(first) == [Verdict.PASS] * 3
    assert rehearse(contents, SCORES) == first


def test_a_threshold_that_decides_nothing_fails(contents):
    unsure = Scores(SCORES.ids, np.zeros_like(SCORES.logits))
    assert verdicts(rehearse(contents, unsure)) == [Verdict.PASS, Verdict.PASS, Verdict.FAIL]


def test_a_policy_that_lets_nothing_exit_has_no_threshold_to_rehearse(contents):
    rehearsal = rehearse(dataclasses.replace(contents, policy=no_exit_policy()), SCORES)
    assert verdicts(rehearsal) == [Verdict.PASS]


def test_a_release_that_cannot_be_made_fails_with_the_reason(contents, tmp_path):
    broken = dataclasses.replace(contents, metrics_csv=tmp_path / "absent.csv")
    rehearsal = rehearse(broken, SCORES)
    assert rehearsal.facts[0].verdict is Verdict.FAIL
    assert "absent.csv" in rehearsal.facts[0].evidence


def test_a_candidate_without_label_can_be_golden(contents):
    unlabeled = [GoldenCandidate(candidate.path) for candidate in contents.golden_candidates]
    assert verdicts(rehearse(dataclasses.replace(contents, golden_candidates=unlabeled), SCORES)) == [Verdict.PASS] * 3
