from __future__ import annotations

import numpy as np
import pytest

from stage1_core.metrics.counting import Counting
from stage1_core.metrics.risk import RISKS, ConditionalRisk, coverage, rejection
from stage1_core.predictions import Decisions
from tests.toys import predictions_of

ROWS = predictions_of(np.zeros(6), np.array([1, 0, 1, 1, 0, 0]), groups=np.array(list("aaabbc")))
EVERYTHING_EXITS = Decisions.of(np.ones(6, dtype=np.bool_), np.ones(6, dtype=np.bool_))


@pytest.mark.parametrize("risk", [*RISKS.values(), coverage, rejection], ids=lambda risk: risk.name)
def test_only_rates_that_pool_labels_have_trials_of_both(risk: ConditionalRisk):
    one_label = [risk(EVERYTHING_EXITS, np.full(6, label)).trials > 0 for label in (0, 1)]
    assert all(one_label) == risk.pools_labels


@pytest.mark.parametrize(("name", "trials"), [("fnr_on_exited", 2), ("fpr_on_exited", 3), ("exit_error", 3)])
def test_a_group_is_counted_once_in_every_rate(name: str, trials: int):
    counting = Counting.independent(ROWS)
    assert counting.count(RISKS[name], EVERYTHING_EXITS, ROWS.labels, 0.9).trials == trials


@pytest.mark.parametrize(("name", "trials"), [("fnr_on_exited", 3), ("exit_error", 6)])
def test_every_row_is_counted_where_that_is_asked(name: str, trials: int):
    counting = Counting.every_row(ROWS)
    assert counting.count(RISKS[name], EVERYTHING_EXITS, ROWS.labels, 0.9).trials == trials
