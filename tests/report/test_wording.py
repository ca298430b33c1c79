from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.acceptance import Verdict
from stage1_core.metrics.risk import RISKS
from stage1_core.report.wording import ANSWERS, RISK_NAMES, RISK_SENTENCES, percent


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(0, "0 %"), (0.02, "2 %"), (0.0213, "2.13 %"), (0.9, "90 %"), (0.955, "95.5 %"), (1, "100 %")],
)
def test_percent_shows_up_to_two_decimals(fraction, shown):
    assert percent(fraction) == shown


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_only_exact_certainty_is_shown_as_certainty(fraction):
    assert percent(fraction) not in {"0 %", "100 %"}


def test_every_risk_and_verdict_has_words():
    assert {*RISKS, "coverage"} == set(RISK_NAMES) == set(RISK_SENTENCES)
    assert set(ANSWERS) == set(Verdict)
