from __future__ import annotations

import numpy as np
import pytest

from stage1_core.metrics.intervals import clopper_pearson_upper
from stage1_core.policy.false_alarms import bearable_false_alarms
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.predictions import Decisions, Predictions
from tests.toys import make_predictions, predictions_of


@pytest.fixture
def rows(rng: np.random.Generator) -> Predictions:
    return make_predictions(rng, 2000, separation=1.3)


def called_one(exits: np.ndarray) -> Decisions:
    return Decisions.of(exits, np.ones(len(exits), dtype=np.bool_))


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95, 0.9999])
def test_the_confidence_itself_is_bearable_at_every_threshold(rows: Predictions, threshold: float):
    assert bearable_false_alarms(rows, 0.001)(ThresholdExit(exit_threshold=threshold).decide(rows.scores))


def test_calling_everything_roadwork_is_not(rows: Predictions):
    assert not bearable_false_alarms(rows, 0.02)(called_one(np.ones(len(rows), dtype=np.bool_)))


def test_where_no_negative_exits_there_is_no_false_alarm_to_bear(rows: Predictions):
    bearable = bearable_false_alarms(rows, 0.02)
    assert bearable(called_one(rows.labels == 1))
    assert bearable(called_one(np.zeros(len(rows), dtype=np.bool_)))


@pytest.mark.parametrize("max_risk", [0.01, 0.09])
def test_the_limit_is_the_promised_rate_of_misses_or_the_upper_bound_where_as_many_rows_exit(max_risk: float):
    labels = np.zeros(200, dtype=np.int64)
    margins = -np.linspace(9, 1, 200)
    margins[[20, 60]] *= -1  # two false alarms among the 100 most confident
    rows = predictions_of(margins, labels)
    most = int(100 * max(max_risk, clopper_pearson_upper(2, 100, 0.95)))
    bearable = bearable_false_alarms(rows, max_risk)
    for false_alarms in (most, most + 1):
        called = np.arange(200) < false_alarms
        assert bearable(Decisions.of(np.arange(200) < 100, called)) == (false_alarms == most)
