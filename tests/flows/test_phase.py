"""How the outcome of a flow's body becomes the outcome of its run."""

from __future__ import annotations

import inspect

import pytest

from flows._flow import flow
from flows.baseline import baseline
from stage1_core.errors import DataError, PhaseRejected
from stage1_core.phases.baseline import BaselineConfig
from tasks._task import gate


@gate
def refuse(verdict: str) -> None:
    """Raises, whatever it is given."""
    raise PhaseRejected(f"toy: {verdict}", {"verdict": verdict, "phase": "toy"})


@flow("toy")
def toy(verdict: str, seen: list[str]) -> str:
    """Halts at its only gate."""
    refuse(verdict)
    return "never"


@flow("parent")
def parent(verdict: str) -> str:
    """A phase after a phase."""
    outcome = toy(verdict, [])
    pytest.fail("the parent went on")
    return outcome


@flow("broken")
def broken() -> None:
    """Not a rejection."""
    raise DataError("no pictures; give some")


@pytest.mark.parametrize(
    ("verdict", "name"),
    [("FAIL", "Rejected"), ("INSUFFICIENT_EVIDENCE", "InsufficientEvidence"), ("", "InsufficientEvidence")],
)
def test_the_state_is_named_after_the_verdict(workspace, verdict, name):
    state = toy(verdict, [], return_state=True)
    assert (state.is_failed(), state.name, state.message) == (True, name, f"toy: {verdict}")


def test_a_parent_halts_with_its_child(workspace):
    state = parent("FAIL", return_state=True)
    assert (state.is_failed(), state.name) == (True, "Rejected")
    assert state.result(raise_on_failure=False).report == {"verdict": "FAIL", "phase": "toy"}


def test_an_error_is_a_plain_failure(workspace):
    state = broken(return_state=True)
    assert (state.is_failed(), state.name) == (True, "Failed")
    with pytest.raises(DataError, match="no pictures"):
        state.result()


def test_a_flow_keeps_the_name_parameters_and_text_of_its_body():
    assert baseline.name == "baseline"
    assert baseline.description.startswith("Train a head on a frozen backbone")
    assert inspect.signature(baseline.fn).parameters["config"].annotation is BaselineConfig
