from __future__ import annotations

import pytest
from pydantic import ValidationError

from stage1_core.acceptance import (
    AcceptanceReport,
    CountedRisk,
    Direction,
    FactCheck,
    RiskCheck,
    ValueCheck,
    Verdict,
)
from stage1_core.errors import Stage1Error
from stage1_core.metrics.intervals import clopper_pearson_lower, clopper_pearson_upper


def counted(events: int, trials: int, confidence: float = 0.9) -> CountedRisk:
    return CountedRisk(
        events=events,
        trials=trials,
        lower_bound=clopper_pearson_lower(events, trials, confidence),
        upper_bound=clopper_pearson_upper(events, trials, confidence),
    )


def risk_check(risk: CountedRisk, control: CountedRisk | None = None, needed: int = 114) -> RiskCheck:
    return RiskCheck(
        name="FNR on exited",
        max_risk=0.02,
        confidence=0.9,
        risk=risk,
        negative_control=counted(500, 500) if control is None else control,
        trials_needed=needed,
    )


def value_check(
    value: float | None, direction: Direction = Direction.AT_LEAST, trials: int | None = None
) -> ValueCheck:
    return ValueCheck(name="coverage", value=value, bound=0.5, direction=direction, trials=trials)


FACT = FactCheck(name="one policy", holds=True, evidence="softmax")


class TestValueCheck:
    @pytest.mark.parametrize(
        ("value", "direction", "verdict"),
        [
            (0.5, Direction.AT_LEAST, Verdict.PASS),
            (0.49, Direction.AT_LEAST, Verdict.FAIL),
            (0.5, Direction.AT_MOST, Verdict.PASS),
            (0.51, Direction.AT_MOST, Verdict.FAIL),
        ],
    )
    def test_the_bound_itself_still_passes(self, value: float, direction: Direction, verdict: Verdict):
        assert value_check(value, direction).verdict is verdict

    @pytest.mark.parametrize("direction", list(Direction))
    def test_a_missing_number_is_insufficient_evidence(self, direction: Direction):
        assert value_check(None, direction).verdict is Verdict.INSUFFICIENT_EVIDENCE

    def test_a_number_over_no_rows_is_insufficient_evidence(self):
        assert value_check(1.0, trials=0).verdict is Verdict.INSUFFICIENT_EVIDENCE

    def test_a_number_that_is_not_finite_cannot_be_written_down(self):
        with pytest.raises(ValidationError, match="finite"):
            value_check(float("nan"))

    def test_the_table_says_undefined_and_shows_the_demand(self):
        assert (value_check(None).evidence, value_check(None).demand) == ("undefined", "≥ 0.5")


class TestRiskCheck:
    def test_no_miss_in_114_passes(self):
        assert risk_check(counted(0, 114)).verdict is Verdict.PASS

    def test_no_miss_in_113_is_insufficient_and_says_what_is_missing(self):
        check = risk_check(counted(0, 113))
        assert check.verdict is Verdict.INSUFFICIENT_EVIDENCE
        assert "1 more trials without an event would do" in check.evidence

    def test_five_misses_in_500_pass_at_90_percent_but_not_at_95(self):
        assert risk_check(counted(5, 500, 0.90)).verdict is Verdict.PASS
        assert risk_check(counted(5, 500, 0.95)).verdict is Verdict.INSUFFICIENT_EVIDENCE

    def test_a_risk_credibly_above_its_ceiling_fails(self):
        assert risk_check(counted(10, 100)).verdict is Verdict.FAIL

    def test_no_trials_are_insufficient_evidence(self):
        assert risk_check(counted(0, 0)).verdict is Verdict.INSUFFICIENT_EVIDENCE

    def test_a_control_that_is_not_rejected_voids_the_check(self):
        check = risk_check(counted(0, 200), control=counted(0, 0))
        assert check.verdict is Verdict.INSUFFICIENT_EVIDENCE
        assert "void: the known-bad policy was not rejected" in check.evidence

    def test_a_void_control_does_not_save_a_bad_policy(self):
        assert risk_check(counted(50, 100), control=counted(0, 0)).verdict is Verdict.FAIL


class TestCountedRisk:
    @pytest.mark.parametrize(
        "edit",
        [{"events": 9, "trials": 8}, {"upper_bound": 0.001}, {"lower_bound": 0.5}, {"events": 0, "trials": 0}],
        ids=["more events than trials", "upper bound below the rate", "lower bound above it", "bounds without trials"],
    )
    def test_numbers_that_contradict_each_other_are_refused(self, edit: dict[str, float]):
        with pytest.raises(ValidationError):
            CountedRisk.model_validate({**counted(5, 500).model_dump(), **edit})


class TestReport:
    def test_an_empty_report_does_not_pass(self):
        report = AcceptanceReport.of("baseline", ())
        assert report.verdict is Verdict.INSUFFICIENT_EVIDENCE
        assert not report.passed

    def test_a_report_passes_when_all_its_checks_do(self):
        assert AcceptanceReport.of("baseline", (FACT, value_check(0.6), risk_check(counted(0, 114)))).passed

    @pytest.mark.parametrize("missing", [value_check(None), FACT.model_copy(update={"holds": None})])
    def test_one_undefined_check_keeps_a_report_from_passing(self, missing: ValueCheck | FactCheck):
        assert AcceptanceReport.of("baseline", (FACT, missing)).verdict is Verdict.INSUFFICIENT_EVIDENCE

    def test_a_failure_outweighs_missing_evidence(self):
        report = AcceptanceReport.of("baseline", (value_check(None), FACT.model_copy(update={"holds": False}), FACT))
        assert report.verdict is Verdict.FAIL

    def test_an_edited_verdict_is_refused(self):
        data = AcceptanceReport.of("baseline", (value_check(0.4),)).model_dump(mode="json")
        with pytest.raises(ValidationError, match="the verdict PASS is not what the checks say, FAIL"):
            AcceptanceReport.model_validate({**data, "verdict": "PASS"})

    def test_an_edited_check_is_refused_with_the_old_verdict(self):
        data = AcceptanceReport.of("baseline", (value_check(0.4),)).model_dump(mode="json")
        data["checks"][0]["value"] = 0.6
        with pytest.raises(ValidationError, match="the verdict FAIL is not what the checks say, PASS"):
            AcceptanceReport.model_validate(data)

    def test_json_written_and_read_gives_the_same_report(self):
        report = AcceptanceReport.of("baseline", (FACT, value_check(None), risk_check(counted(1, 200))))
        assert AcceptanceReport.model_validate_json(report.to_json()) == report

    def test_the_table_has_one_row_per_check(self):
        report = AcceptanceReport.of("baseline", (FACT, value_check(0.4)))
        assert report.table() == [
            {"check": "one policy", "verdict": "PASS", "evidence": "softmax", "demand": "holds"},
            {"check": "coverage", "verdict": "FAIL", "evidence": "0.4", "demand": "≥ 0.5"},
        ]

    def test_the_certificate_is_the_check_of_the_risk_and_a_report_without_one_has_none(self):
        check = risk_check(counted(1, 200))
        assert AcceptanceReport.of("baseline", (FACT, check)).certificate == check
        with pytest.raises(Stage1Error, match="the report of baseline certifies no risk"):
            _ = AcceptanceReport.of("baseline", (FACT,)).certificate

    def test_the_summary_names_only_what_did_not_pass(self):
        assert AcceptanceReport.of("baseline", (FACT,)).summary() == "baseline: PASS"
        missed = AcceptanceReport.of("baseline", (FACT, value_check(0.4))).summary()
        assert missed == "baseline: FAIL — coverage: FAIL (0.4, needs ≥ 0.5)"
