"""A challenger that is not better ends its phase as an outcome: completed, named, with what stands as the result."""

from __future__ import annotations

import pickle

import pytest

from flows._flow import flow
from stage1_core.acceptance import AcceptanceReport, CountedRisk, Direction, RiskCheck, ValueCheck
from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.errors import NotAdopted
from stage1_core.metrics.suite import Evaluation
from stage1_core.policy.evaluation import evaluate
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.splits import Purpose
from tasks._task import gate
from tasks.phase import PhaseArtifacts, ReleasedPhase, TurnedDown
from tasks.registry import Registered
from tasks.runs import RunRef
from tests.toys import predictions_of

WORSE = AcceptanceReport.of(
    "gate instead of softmax",
    (ValueCheck(name="gain in coverage", value=-0.1, bound=0.005, direction=Direction.AT_LEAST),),
)


def some_evaluation() -> Evaluation:
    rows = predictions_of([-2.0, 2.0, 1.0], [0, 1, 1], purpose=Purpose.FINAL_EVALUATION)
    return evaluate(ThresholdExit(exit_threshold=0.5), rows, 0.9).evaluation


def released(name: str) -> ReleasedPhase:
    ref = ArtifactRef(kind=ArtifactKind.POLICY, path="policy/some", sha256="0" * 64)
    parts = ("ledger", "features", "head", "order_on", "certify_on", "policy", "evaluation")
    risk = CountedRisk(events=0, trials=0, lower_bound=0, upper_bound=1)
    return ReleasedPhase(
        phase=name,
        made=PhaseArtifacts(**dict.fromkeys(parts, ref)),
        bundle=ref,
        registered=Registered(name="toy", version="1"),
        run=RunRef(run_id="20260101_000000", mlflow_run_id="none"),
        evaluation=some_evaluation(),
        certified=RiskCheck(
            name="certified", max_risk=0.02, confidence=0.9, risk=risk, negative_control=risk, trials_needed=114
        ),
    )


@gate
def turn_down(standing: ReleasedPhase) -> None:
    """Raises, whatever it is given."""
    why = TurnedDown(report=WORSE, run=standing.run)
    raise NotAdopted(WORSE.summary(), standing.model_copy(update={"turned_down": why}).model_dump(mode="json"))


@flow("challenge")
def challenge(seen: list[str]) -> ReleasedPhase:
    """Halts at its only gate."""
    turn_down(released("selective_evaluation"))
    pytest.fail("the phase went on")


@flow("above")
def above() -> str:
    """A phase that stands on what the challenge left standing."""
    return f"stands on {challenge([]).phase}"


def test_the_state_is_completed_and_says_what_was_decided(workspace):
    state = challenge([], return_state=True)
    assert (state.is_completed(), state.name) == (True, "NotAdopted")
    assert state.message == WORSE.summary()


def test_the_result_is_what_stands_with_the_reason(workspace):
    found = challenge([])
    assert found.phase == "selective_evaluation"
    assert found.turned_down.report == WORSE


def test_a_parent_goes_on_with_what_stands(workspace):
    assert above() == "stands on selective_evaluation"


def test_the_outcome_survives_pickling():
    again = pickle.loads(pickle.dumps(NotAdopted("not better", {"phase": "old"})))
    assert (str(again), again.standing) == ("not better", {"phase": "old"})
