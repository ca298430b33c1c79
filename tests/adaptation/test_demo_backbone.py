from __future__ import annotations

import pytest
from pydantic import ValidationError

from stage1_core.acceptance import Verdict
from stage1_core.adaptation.demo_backbone import (
    STUDENT,
    TEACHER,
    UNTRAINED,
    DemoBackboneConfig,
    demo_backbone_report,
)
from stage1_core.adaptation.ranking_probe import RankingProbe
from stage1_core.data.road_scenes.description import RoadScenesConfig
from stage1_core.metrics.bootstrap import Interval


def interval(value: float | None, spread: float = 0.01) -> Interval:
    defined = value is not None
    return Interval(
        value=value,
        mean=value,
        std=spread if defined else None,
        lower=value - spread if defined else None,
        upper=value + spread if defined else None,
        method="bca",
        resamples=1000 if defined else 0,
    )


def probe(*, teacher: float = 0.99, student: float | None = 0.96, untrained: float | None = 0.6) -> RankingProbe:
    return RankingProbe(
        fit_pictures=100,
        pictures=90,
        drives=45,
        level=0.95,
        areas={TEACHER: interval(teacher), STUDENT: interval(student), UNTRAINED: interval(untrained)},
        behind={STUDENT: interval(None if student is None else teacher - student), UNTRAINED: interval(0.4)},
    )


def test_near_the_teacher_better_than_random_and_small_is_accepted():
    assert demo_backbone_report(DemoBackboneConfig(), probe(), 5.7).passed


@pytest.mark.parametrize(
    ("seen", "megabytes", "missed"),
    [
        (probe(student=0.93), 5.7, "AUC that the student lacks to the teacher on held-out drives"),
        (probe(untrained=0.955), 5.7, "AUC of the student (lower bound) against that of random weights (upper bound)"),
        (probe(), 12.1, "megabytes of weights"),
    ],
)
def test_each_shortcoming_fails_by_its_name(seen: RankingProbe, megabytes: float, missed: str):
    report = demo_backbone_report(DemoBackboneConfig(), seen, megabytes)

    assert report.verdict is Verdict.FAIL
    assert [check.name for check in report.checks if check.verdict is not Verdict.PASS] == [missed]


def test_what_could_not_be_measured_is_not_accepted():
    assert demo_backbone_report(DemoBackboneConfig(), probe(student=None), 5.7).verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert not demo_backbone_report(DemoBackboneConfig(), probe(untrained=None), 5.7).passed


def test_learning_and_judging_on_the_same_drives_is_refused():
    with pytest.raises(ValidationError, match="both sets of drives have seed 0"):
        DemoBackboneConfig(learn_from=RoadScenesConfig(pictures=6000, seed=0))
