from __future__ import annotations

import re

import pytest

from stage1_core.acceptance import AcceptanceReport, Direction, ValueCheck, Verdict
from stage1_core.phases.adoption import adoption_report
from stage1_core.phases.checks import accuracy_check, certificate_checks
from stage1_core.policy.comparison import ComparisonConfig
from stage1_core.report.checks import FAMILIES, acceptance_section, evidence_and_demand, family_of
from stage1_core.report.wording import percent, points
from stage1_core.splits import Purpose
from tests.report import toys
from tests.report.page_reader import Page

EVERY_FAMILY = {check.name for check in toys.many_checks().checks if family_of(check) is not None}


def _read(acceptance):
    """Text outside and text inside the folded parts."""
    made = acceptance_section(acceptance)
    inside = "".join(re.findall(r"</summary>(.*?)</details>", made, re.DOTALL))
    outside = re.sub(r"</summary>.*?</details>", "</summary></details>", made, flags=re.DOTALL)
    return tuple(Page(f"<body>{part}</body>").text for part in (outside, inside))


def test_passed_checks_of_a_family_are_one_row_that_counts_them():
    outside, inside = _read(toys.many_checks())
    for family, members in zip(FAMILIES, (2, 8, 6), strict=True):
        assert f"{members} checks: {family} ✓ PASS" in outside
    assert "AUROC agrees with the sum of ranks" in inside
    assert "AUROC agrees with the sum of ranks" not in outside


def test_every_check_is_on_the_page_once():
    text = " ".join(_read(toys.many_checks()))
    for name in EVERY_FAMILY:
        assert text.count(name) == 1
    assert len(EVERY_FAMILY) == 16


@pytest.mark.parametrize("name", sorted(EVERY_FAMILY))
def test_what_failed_is_never_folded(name):
    outside, inside = _read(toys.many_checks(missed=(name,)))
    assert f"{name} ✕ FAIL" in outside
    assert "FAIL" not in inside
    assert outside.index(name) < outside.index("certified FNR on exited")


def test_a_family_that_failed_as_a_whole_has_no_folded_row():
    names = tuple(name for name in EVERY_FAMILY if " agrees with " in name)
    outside, _ = _read(toys.many_checks(missed=names))
    assert outside.count("✕ FAIL") == 8
    assert "numbers agree with a second computation" not in outside


def test_what_is_undecided_is_never_folded():
    undecided = [check.model_copy(update={"value": None}) for check in toys.many_checks().checks[3:]]
    _, inside = _read(AcceptanceReport.of("selective_evaluation", tuple(undecided)))
    assert inside == ""


def test_a_single_passed_check_is_not_folded():
    (check,) = [check for check in toys.many_checks().checks if check.name.startswith("MCC")]
    outside, inside = _read(AcceptanceReport.of("baseline", (check,)))
    assert check.name in outside
    assert inside == ""


def test_names_are_those_that_people_use():
    outside, _ = _read(toys.acceptance(Verdict.PASS))
    assert "certified FNR on exited ✓ PASS 4 of 411 (0.97 %), upper bound 1.94 % upper bound ≤ 2.00 %" in outside
    assert "fnr_on_exited" not in outside


def test_rates_of_the_phases_are_percent(certified, measure):
    certify_on = toys.rows(1500, seed=2, purpose=Purpose.CERTIFY_UNCALIBRATED_POLICY)
    evaluation = measure(certified, toys.rows(300)).evaluation
    _, covering, tested = certificate_checks(toys.CONSTRAINT, certified, certify_on, evaluation, min_coverage=0.3)
    assert evidence_and_demand(covering) == (f"{percent(covering.value)} (n = 1,500)", "≥ 30 %")
    assert evidence_and_demand(tested) == (percent(tested.value), "≤ 2 %")
    accurate = accuracy_check("accuracy against the baseline", evaluation.model, 0.91)
    assert evidence_and_demand(accurate) == (f"{percent(accurate.value)} (n = 300)", "≥ 91 %")


def test_differences_of_rates_are_points(compared):
    _, gain, alarms, accuracy = adoption_report(ComparisonConfig(), compared).checks
    assert evidence_and_demand(gain) == (f"{points(gain.value)} (n = 800)", "≥ +0.5 points")
    assert evidence_and_demand(accuracy)[1] == "≥ −1 points"
    assert evidence_and_demand(alarms)[1] == f"≤ {percent(alarms.bound)}"


def test_an_undefined_rate_is_undefined_and_its_demand_still_percent():
    check = ValueCheck(name="coverage on the rows", value=None, bound=0.3, direction=Direction.AT_LEAST, trials=0)
    assert evidence_and_demand(check) == ("undefined (n = 0)", "≥ 30 %")


def test_other_numbers_stay_as_they_are():
    for check in toys.many_checks().checks[3:]:
        assert evidence_and_demand(check) == (check.evidence, check.demand)
