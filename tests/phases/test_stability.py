"""When trainings count as stable."""

from __future__ import annotations

import math

import pytest

from stage1_core.acceptance import Verdict
from stage1_core.phases.stability import stability_report


def log(*losses: float | None) -> list[dict[str, float | None]]:
    """metrics.csv, of which one column is looked at."""
    return [{"NLL": loss} for loss in losses]


def test_trainings_that_all_go_downhill_are_accepted():
    found = stability_report({"adamw": [log(0.6, 0.4), log(0.7, 0.5)], "f-sam": [log(0.6, 0.3), log(0.7, 0.6)]})
    assert found.passed
    assert [check.evidence for check in found.checks] == ["by 0.2, 0.2", "by 0.3, 0.1"]


def test_the_lowest_later_epoch_counts():
    assert stability_report({"adamw": [log(0.6, 0.7, 0.4, 0.9)]}).passed


@pytest.mark.parametrize("losses", [(0.6, 0.7, 0.8), (0.6, 0.6)], ids=["rises", "stays"])
def test_one_seed_that_does_not_fall_is_enough_to_refuse(losses):
    found = stability_report({"adamw": [log(0.6, 0.4), log(0.6, 0.4)], "f-sam": [log(0.6, 0.4), log(*losses)]})
    assert found.verdict is Verdict.FAIL
    (missed,) = [check.name for check in found.checks if check.verdict is Verdict.FAIL]
    assert missed.startswith("f-sam: ")


@pytest.mark.parametrize("broken", [math.nan, math.inf, None], ids=["nan", "infinite", "undefined"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_loss_that_is_not_finite_is_refused_wherever_it_stands(broken, place):
    losses = [0.6, 0.5, 0.4]
    losses[place] = broken
    found = stability_report({"f-sam": [log(*losses)]})
    assert found.verdict is Verdict.FAIL
    assert "-inf" in found.summary()


@pytest.mark.parametrize("losses", [(), (0.6,)], ids=["no epoch", "one epoch"])
def test_without_a_second_epoch_nothing_is_known(losses):
    found = stability_report({"adamw": [log(*losses)]})
    assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert "no second epoch" in found.summary()


def test_one_seed_without_a_second_epoch_leaves_the_recipe_undecided():
    found = stability_report({"adamw": [log(0.6, 0.4), log(0.6)]})
    assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE


def test_without_a_seed_nothing_is_known():
    assert stability_report({"adamw": []}).verdict is Verdict.INSUFFICIENT_EVIDENCE
