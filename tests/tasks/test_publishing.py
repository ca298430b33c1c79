"""A release is news once: when its version is first put on record."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow import MlflowClient

import tasks.publishing
from stage1_core.acceptance import CountedRisk, RiskCheck
from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.policy.evaluation import evaluate
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.splits import Purpose
from tasks.events import EventName
from tasks.phase import PhaseArtifacts, ReleasedPhase
from tasks.publishing import record_and_announce
from tasks.registry import Registered
from tasks.registry_versions import CERTIFICATE_TAG, DIGEST_TAG, RELEASE_TAG
from tasks.runs import RunRef
from tasks.tracking import find_or_start
from tests.toys import predictions_of

MODEL, DIGEST = "toy", "d" * 64
REF = ArtifactRef(kind=ArtifactKind.POLICY, path="policy/some", sha256="0" * 64)
NO_RISK = CountedRisk(events=0, trials=0, lower_bound=0, upper_bound=1)
CERTIFIED = RiskCheck(
    name="certified", max_risk=0.02, confidence=0.9, risk=NO_RISK, negative_control=NO_RISK, trials_needed=114
)


@pytest.fixture
def released(workspace) -> ReleasedPhase:
    """A version that is registered and not yet on record."""
    run = find_or_start("e" * 64, "gate")
    client = MlflowClient()
    client.create_registered_model(MODEL)
    tags = {DIGEST_TAG: DIGEST, RELEASE_TAG: "0.3.0"}
    version = client.create_model_version(MODEL, "s3://nowhere/model", run_id=run, tags=tags)
    rows = predictions_of([-2.0, 2.0, 1.0], [0, 1, 1], purpose=Purpose.FINAL_EVALUATION)
    parts = ("ledger", "features", "head", "order_on", "certify_on", "policy", "evaluation")
    return ReleasedPhase(
        phase="gate",
        made=PhaseArtifacts(**dict.fromkeys(parts, REF)),
        bundle=REF,
        registered=Registered(name=MODEL, version=str(version.version)),
        run=RunRef(run_id="20260101_000000", mlflow_run_id=run),
        evaluation=evaluate(ThresholdExit(exit_threshold=0.5), rows, 0.9).evaluation,
        certified=CERTIFIED,
    )


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[EventName, str, dict[str, Any]]]:
    """Events, which this server does not keep."""
    events: list[tuple[EventName, str, dict[str, Any]]] = []
    monkeypatch.setattr(
        tasks.publishing, "emit", lambda name, resource, **payload: events.append((name, resource, payload))
    )
    return events


def test_a_release_says_what_an_automation_needs(released, sent):
    record_and_announce(released)
    ((name, resource, payload),) = sent
    assert (name, resource) == (EventName.BUNDLE_RELEASED, "stage1.model.toy")
    assert (payload["model"], payload["version"], payload["release"]) == (MODEL, "1", "0.3.0")
    assert (payload["digest"], payload["phase"], payload["mlflow_run"]) == (DIGEST, "gate", released.run.mlflow_run_id)
    assert payload["certified"] == MlflowClient().get_model_version(MODEL, "1").tags[CERTIFICATE_TAG]


def test_what_is_found_again_is_no_news(released, sent):
    record_and_announce(released)
    record_and_announce(released)
    assert len(sent) == 1


def test_a_release_that_could_not_be_recorded_is_news_only_once_it_is(released, sent, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(tasks.publishing, "record_release", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            record_and_announce(released)
    assert sent == []
    record_and_announce(released)
    assert len(sent) == 1
