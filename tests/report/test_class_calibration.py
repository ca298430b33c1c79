from __future__ import annotations

from stage1_core.report.class_calibration import class_calibration_section
from stage1_core.report.page import page
from stage1_core.report.wording import percent
from tests.report.page_reader import Page


def _text(policy) -> str:
    return Page(page("", class_calibration_section(policy), figures={})).text


def test_both_numbers_are_shown_before_and_after_with_the_rows_they_rest_on(scrc):
    text, found = _text(scrc), scrc.calibration
    assert f"NLL (nats) {found.nll_before:.4f} {found.nll_after:.4f}" in text
    assert f"ECE, 10 bins {percent(found.ece_before)} {percent(found.ece_after)}" in text
    assert f"dirichlet calibrator was fitted on {found.fit_rows} val_select rows" in text
    assert f"On the {found.rows:,} certifying rows, which the calibrator never saw" in text


def test_numbers_of_no_rows_are_undefined(scrc):
    nothing = dict.fromkeys(("nll_before", "nll_after", "ece_before", "ece_after"))
    empty = scrc.model_copy(update={"calibration": scrc.calibration.model_copy(update=nothing | {"rows": 0})})
    assert _text(empty).count("undefined (0 rows)") == 4
