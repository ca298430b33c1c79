from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from stage1_core.promotion.config import (
    ApprovalConfig,
    HumanApproval,
    NonInferiorityConfig,
    PromotionConfig,
    PromotionRequest,
    RepairRequest,
    RollbackRequest,
)


def test_without_further_word_the_candidate_alias_is_promoted_over_whichever_champion_there_is():
    request = PromotionRequest(model="toy")
    assert (request.candidate, request.expected_champion) == ("candidate", "current")
    assert request.config.approval.kind == "automatic"


def test_the_default_intervals_have_five_percent_on_each_side():
    assert PromotionConfig().not_worse.bootstrap.level == 0.9


@pytest.mark.parametrize("margin", ["max_coverage_loss", "max_accuracy_loss", "max_augrc_gain", "max_fnr_gain"])
@pytest.mark.parametrize("value", [0, -0.01, 1])
def test_a_margin_that_can_never_be_shown_or_never_be_broken_is_refused(margin, value):
    with pytest.raises(ValidationError, match=margin):
        NonInferiorityConfig(**{margin: value})


@pytest.mark.parametrize("candidate", ["latest", "champion", "0", "07", "-1", ""])
def test_a_candidate_is_the_alias_or_a_version_number(candidate):
    assert PromotionRequest(model="toy", candidate="12").candidate == "12"
    with pytest.raises(ValidationError, match="candidate"):
        PromotionRequest(model="toy", candidate=candidate)


@pytest.mark.parametrize("champion", ["any", "0", "candidate"])
def test_the_expected_champion_is_a_version_none_or_the_current_one(champion):
    for known in ("current", "none", "3"):
        assert PromotionRequest(model="toy", expected_champion=known).expected_champion == known
    with pytest.raises(ValidationError, match="expected_champion"):
        PromotionRequest(model="toy", expected_champion=champion)


def test_there_is_no_rollback_from_no_champion():
    with pytest.raises(ValidationError, match="expected_champion"):
        RollbackRequest(model="toy", reason="it is blind at night", expected_champion="none")


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_rollback_needs_a_reason(reason):
    with pytest.raises(ValidationError, match="reason"):
        RollbackRequest(model="toy", reason=reason)


@pytest.mark.parametrize("hours", [0, -1])
def test_a_person_gets_time_to_answer(hours):
    with pytest.raises(ValidationError, match="timeout_hours"):
        HumanApproval(timeout_hours=hours)


def test_approvals_are_told_apart_by_their_kind():
    read = TypeAdapter(ApprovalConfig).validate_python
    assert read({"kind": "human", "timeout_hours": 2}) == HumanApproval(timeout_hours=2)
    with pytest.raises(ValidationError, match="timeout_hours"):
        read({"kind": "automatic", "timeout_hours": 2})


def test_a_repair_abandons_nothing_unless_told_to():
    assert not RepairRequest(model="toy").abandon


@pytest.mark.parametrize("request_class", [PromotionRequest, RollbackRequest, RepairRequest, NonInferiorityConfig])
def test_every_field_of_a_form_says_what_it_means(request_class):
    for field in request_class.model_json_schema()["properties"].values():
        assert field["description"]
