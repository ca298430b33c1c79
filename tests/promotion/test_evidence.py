"""What a person sees before a promotion, and that their answer counts for exactly that."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from stage1_core.errors import PromotionRefused
from stage1_core.promotion.evidence import Approval, PromotionEvidence, require_approved, require_passed
from tests.promotion.toys import approval, bundle, evidence, report

PASSED = evidence()
FIRST = evidence(champion=None, not_worse=None)
WORSE = evidence(not_worse=report("candidate not worse than champion", accuracy=0.9))
UNACCEPTED = evidence(acceptance=report("gate", accuracy=0.9))
UNKNOWN = evidence(not_worse=report("candidate not worse than champion", accuracy=None))


class TestPassing:
    @pytest.mark.parametrize("made", [PASSED, FIRST])
    def test_what_passed_everything_has_no_refusal(self, made):
        assert made.passed
        assert made.refusal is None
        require_passed(made)

    @pytest.mark.parametrize("made", [WORSE, UNACCEPTED, UNKNOWN])
    def test_one_report_that_did_not_pass_is_enough_to_refuse(self, made):
        assert not made.passed
        with pytest.raises(PromotionRefused, match=r"version 7 .* not promoted"):
            require_passed(made)

    def test_the_refusal_names_what_failed_with_its_number_and_bound(self):
        both = evidence(acceptance=WORSE.not_worse, not_worse=report("candidate not worse", accuracy=None))
        assert "accuracy: FAIL (0.9 (n = 400), needs ≥ 0.95)" in both.refusal
        assert "accuracy: INSUFFICIENT_EVIDENCE (undefined (n = 400), needs ≥ 0.95)" in both.refusal
        assert "the bundle loads" not in both.refusal

    @pytest.mark.parametrize("changes", [{"champion": None}, {"not_worse": None}])
    def test_a_champion_cannot_be_replaced_without_a_comparison(self, changes):
        with pytest.raises(ValidationError, match="compared with the champion exactly where there is one"):
            evidence(**changes)


class TestShowing:
    @pytest.mark.parametrize("made", [PASSED, FIRST, WORSE])
    def test_a_dialog_shows_both_versions_every_check_the_promise_the_looks_and_the_code(self, made):
        text = made.markdown()
        assert "version 7 (000000000000…)" in text
        assert ("version 5 (" in text) is (made.champion is not None)
        for row in made.table():
            assert f"| {row['check']} | {row['verdict']} |" in text
        assert made.certificate in text
        assert "Openings of VAL_TEST: 2; certification looks: 3" in text
        assert f"Code of this evidence: `{made.digest()[:12]}`\n" in text

    def test_the_table_has_the_checks_of_both_reports(self):
        assert [row["report"] for row in PASSED.table()] == ["candidate not worse than champion"] * 2 + ["gate"] * 2
        assert len(FIRST.table()) == 2

    def test_what_did_not_pass_stands_above_the_table(self):
        text = WORSE.markdown()
        assert text.index("Not passed") < text.index("0.9 (n = 400), needs") < text.index("| report |")
        assert "Not passed" not in PASSED.markdown()

    def test_a_text_with_bars_or_lines_does_not_break_the_table(self):
        lines = [line for line in PASSED.markdown().splitlines() if line.startswith("| gate")]
        assert all(line.replace("\\|", "").count("|") == 6 for line in lines)
        assert "30 files \\| all as sealed" in lines[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "other"},
        {"candidate": bundle("8")},
        {"champion": bundle("6")},
        {"acceptance": report("gate", accuracy=0.98)},
        {"not_worse": report("candidate not worse than champion", accuracy=0.98)},
        {"certificate": "Nothing exits."},
        {"ledger_digest": "2" * 64},
        {"test_openings": 3},
        {"certification_looks": 4},
    ],
)
def test_whatever_changes_needs_a_new_answer(changes):
    later = evidence(**changes)
    assert later.code != PASSED.code
    with pytest.raises(PromotionRefused, match=f"changed since it was shown: its code is {later.code}"):
        require_approved(later, approval(PASSED))


class TestAnswering:
    def test_a_named_yes_with_reason_and_code_counts(self):
        require_approved(PASSED, approval(PASSED))

    def test_the_code_may_be_typed_in_capitals_and_with_spaces(self):
        require_approved(PASSED, approval(PASSED, code=f" {PASSED.code.upper()}\n"))

    @pytest.mark.parametrize("code", ["", "000000000000", PASSED.code[:11], PASSED.digest()])
    def test_another_code_does_not(self, code):
        with pytest.raises(PromotionRefused, match="changed since it was shown"):
            require_approved(PASSED, approval(PASSED, code=code))

    @pytest.mark.parametrize("missing", ["approver", "reason"])
    @pytest.mark.parametrize("given", ["", " \t\n"])
    def test_a_yes_of_nobody_or_for_no_reason_does_not(self, missing, given):
        with pytest.raises(PromotionRefused, match=f"gives no {missing}"):
            require_approved(PASSED, approval(PASSED, **{missing: given}))

    @pytest.mark.parametrize("changes", [{}, {"code": "stale"}, {"reason": ""}, {"approver": ""}])
    def test_a_no_is_a_no_however_it_is_given(self, changes):
        with pytest.raises(PromotionRefused, match=r"refused by .*; the champion stays"):
            require_approved(PASSED, approval(PASSED, decision="refuse", **changes))

    def test_a_no_names_who_said_it_and_why(self):
        with pytest.raises(PromotionRefused, match="refused by Kim: too soon"):
            require_approved(PASSED, approval(PASSED, decision="refuse", reason="too soon"))

    @pytest.mark.parametrize("made", [WORSE, UNACCEPTED, UNKNOWN])
    def test_nobody_can_say_yes_to_what_did_not_pass(self, made):
        for answer in (approval(made), Approval.automatic(made)):
            with pytest.raises(PromotionRefused, match=r"needs ≥ 0\.95"):
                require_approved(made, answer)

    def test_where_nobody_is_asked_the_policy_says_yes(self):
        answer = Approval.automatic(PASSED)
        assert (answer.approver, answer.decision) == ("policy", "approve")
        require_approved(PASSED, answer)

    def test_a_refusal_carries_the_evidence_through_pickling(self):
        with pytest.raises(PromotionRefused) as caught:
            require_passed(WORSE)
        again = pickle.loads(pickle.dumps(caught.value))
        assert PromotionEvidence.model_validate(again.evidence) == WORSE
