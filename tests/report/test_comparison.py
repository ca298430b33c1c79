from __future__ import annotations

import pytest

from stage1_core.acceptance import AcceptanceReport, Verdict
from stage1_core.report.comparison import comparison_report
from stage1_core.report.wording import percent, points, seen
from tests.report import toys
from tests.report.page_reader import Page


def _text(compared, acceptance):
    return Page(comparison_report("release candidate", compared, acceptance)).text


def test_a_challenger_that_is_not_better_is_not_adopted_and_the_page_says_why(compared):
    lost = toys.comparison(gate_is_better=False)
    text = _text(lost, toys.adoption(lost))
    assert "The gate is not adopted; softmax goes on standing as released." in text
    assert text.index("NOT ADOPTED") < text.index("gain in coverage over softmax") < text.index("Both policies")
    assert "The gate is adopted" not in text


def test_a_challenger_that_is_better_is_adopted(compared):
    assert "The gate is adopted and replaces softmax." in _text(compared, toys.adoption(compared))


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INSUFFICIENT_EVIDENCE])
def test_only_a_proven_gain_is_adopted(compared, verdict):
    assert "NOT ADOPTED" in _text(compared, toys.acceptance(verdict))


def test_no_check_is_no_proof(compared):
    assert "NOT ADOPTED" in _text(compared, AcceptanceReport.of("gate instead of softmax", ()))


def test_both_sides_and_their_differences_are_in_the_tables(compared):
    text = _text(compared, toys.adoption(compared))
    for side in (compared.incumbent, compared.challenger):
        assert side.rule in text
        risk = side.exits.fpr_on_exited
        assert f"{seen(risk.events, risk.trials)}, ≤ {percent(risk.upper_bound)}" in text
    gain = compared.differences["coverage"]
    assert f"coverage {points(gain.value)} {percent(gain.std)} {points(gain.lower)} {points(gain.upper)}" in text
    assert f"{compared.rows:,} rows ({compared.groups:,} groups)" in text


def test_the_figure_is_inside_the_page(compared):
    page = Page(comparison_report("release candidate", compared, toys.adoption(compared)))
    (source,) = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert source.startswith("data:image/png;base64,")


def test_equal_comparisons_give_equal_pages(compared):
    made = [comparison_report("release candidate", compared, toys.adoption(compared)) for _ in range(2)]
    assert made[0] == made[1]


def test_a_challenger_that_lets_nothing_exit_is_said_to_let_nothing_exit():
    nothing = toys.comparison_without_exits()
    reason = nothing.challenger.no_exit_reason
    text = _text(nothing, toys.adoption(nothing))
    assert "The gate is not adopted: it lets nothing exit; softmax goes on standing as released." in text
    assert "No level of the gate could be certified, so every picture goes on." in text
    assert f"gate never, nothing is certified ({reason.removeprefix('no exit: ')})" in text
    assert "undefined (nothing exits)" in text
    assert "none" not in text.split()


def test_policies_that_let_pictures_exit_are_not_said_to_let_nothing_exit(compared):
    text = _text(compared, toys.adoption(compared))
    assert "nothing exit" not in text
    assert "could be certified" not in text


def test_the_confidence_of_the_exact_bounds_is_named(compared):
    changed = compared.model_copy(update={"confidence": 0.95})
    assert "exact upper bounds (one-sided, 95 %)" in _text(changed, toys.adoption(changed))
