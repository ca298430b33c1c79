"""Each of four differences is judged by its unfavourable end, and too few rows never pass."""

from __future__ import annotations

import pytest

from stage1_core.acceptance import Verdict
from stage1_core.errors import SplitUseError
from stage1_core.promotion.config import NonInferiorityConfig
from stage1_core.promotion.non_inferiority import not_worse_report
from stage1_core.splits import Purpose
from tests.promotion.toys import SOUND, compared

CONFIG = NonInferiorityConfig()
ONE_SURE_SIDE = 299
"""Rows of which one at least shows what happens to 1 % of them, with a probability of 95 %."""


def test_a_candidate_inside_all_margins_is_not_worse():
    report = not_worse_report(CONFIG, compared())
    assert report.passed
    assert report.phase == "candidate not worse than champion"
    assert len(report.checks) == 5


@pytest.mark.parametrize(
    ("number", "inside", "outside"),
    [
        ("coverage", (-0.02, 0.5), (-0.0201, 0.5)),
        ("accuracy", (-0.01, 0.5), (-0.0101, 0.5)),
        ("augrc", (-0.5, 0.005), (-0.5, 0.0051)),
        ("fnr_on_exited", (-0.5, 0.01), (-0.5, 0.0101)),
    ],
)
def test_the_unfavourable_end_decides_alone(number, inside, outside):
    assert not_worse_report(CONFIG, compared(**{number: inside})).passed
    report = not_worse_report(CONFIG, compared(**{number: outside}))
    assert report.verdict is Verdict.FAIL
    assert [check.verdict for check in report.checks].count(Verdict.FAIL) == 1


def test_each_margin_is_that_of_its_own_number():
    config = NonInferiorityConfig(max_coverage_loss=0.1, max_accuracy_loss=0.2, max_augrc_gain=0.3, max_fnr_gain=0.4)
    *values, _ = not_worse_report(config, compared()).checks
    assert [check.bound for check in values] == [-0.1, -0.2, 0.3, 0.4]
    assert [check.value for check in values] == [-0.01, -0.004, 0.002, 0.005]


@pytest.mark.parametrize("number", SOUND)
def test_an_undefined_difference_is_insufficient_evidence(number):
    report = not_worse_report(CONFIG, compared(**{number: None}))
    assert report.verdict is Verdict.INSUFFICIENT_EVIDENCE


def test_a_proven_loss_is_a_failure_even_where_another_number_is_undefined():
    assert not_worse_report(CONFIG, compared(coverage=(-0.5, -0.4), augrc=None)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("rows", "groups", "exiting", "verdict"),
    [
        (1000, ONE_SURE_SIDE, 1000, Verdict.PASS),
        (1000, ONE_SURE_SIDE - 1, 1000, Verdict.INSUFFICIENT_EVIDENCE),
        (1000, 1000, ONE_SURE_SIDE, Verdict.PASS),
        (1000, 1000, ONE_SURE_SIDE - 1, Verdict.INSUFFICIENT_EVIDENCE),
        (1000, 500, 2 * ONE_SURE_SIDE, Verdict.PASS),
        (1000, 500, 2 * ONE_SURE_SIDE - 1, Verdict.INSUFFICIENT_EVIDENCE),
        (0, 0, 0, Verdict.INSUFFICIENT_EVIDENCE),
    ],
)
def test_rows_that_could_not_have_shown_a_loss_prove_nothing(rows, groups, exiting, verdict):
    equal = dict.fromkeys(SOUND, (0.0, 0.0))
    assert not_worse_report(CONFIG, compared(rows=rows, groups=groups, exiting=exiting, **equal)).verdict is verdict


def test_the_rows_that_are_needed_follow_from_the_tightest_margin_and_the_level():
    few = compared(groups=120, rows=120, exiting=120, level=0.8)
    wide = NonInferiorityConfig(max_coverage_loss=0.02, max_accuracy_loss=0.02, max_fnr_gain=0.02)
    assert not_worse_report(wide, few).passed  # 114 are needed
    for tight in ("max_coverage_loss", "max_accuracy_loss", "max_fnr_gain"):
        report = not_worse_report(wide.model_copy(update={tight: 0.015}), few)  # 153
        assert report.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert not_worse_report(wide, few.model_copy(update={"level": 0.9})).verdict is Verdict.INSUFFICIENT_EVIDENCE


def test_the_summary_names_what_failed_with_its_number_and_margin():
    summary = not_worse_report(CONFIG, compared(coverage=(-0.031, 0.01))).summary()
    assert "difference in coverage (lower end of the 90% interval): FAIL (-0.031 (n = 1000), needs ≥ -0.02)" in summary


@pytest.mark.parametrize("purpose", [Purpose.SELECT_MODEL, Purpose.CERTIFY_POLICY])
def test_rows_that_chose_a_side_cannot_judge_it(purpose):
    with pytest.raises(SplitUseError, match=purpose):
        not_worse_report(CONFIG, compared().model_copy(update={"purpose": purpose}))
