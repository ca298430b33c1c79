"""How an MLflow run ends whose flow ends badly."""

from __future__ import annotations

import shutil

import pytest

from tasks.open_runs import note_opened, open_runs_closed
from tasks.tracking import client, find_or_start, finish


@pytest.fixture(autouse=True)
def tracking(tmp_path, monkeypatch, empty_tracking_store):
    shutil.copy(empty_tracking_store, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("STAGE1_ARTIFACTS", str(tmp_path))


@open_runs_closed()
def break_off(run_id: str, error: type[BaseException] = ValueError) -> None:
    """As a flow that opens a run and ends badly."""
    note_opened(run_id)
    raise error("the news")


def status(run_id: str) -> str:
    return str(client().get_run(run_id).info.status)


@pytest.mark.parametrize(("error", "ends_as"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_that_was_open_ends_as_its_flow_did(error, ends_as):
    run_id = find_or_start("step", "phase")
    with pytest.raises(error, match="the news"):
        break_off(run_id, error)
    assert status(run_id) == ends_as


def test_a_run_that_was_over_stays_what_it_was():
    run_id = find_or_start("step", "phase")
    finish(run_id, succeeded=True)
    with pytest.raises(ValueError, match="the news"):
        break_off(run_id)
    assert status(run_id) == "FINISHED"


def test_the_runs_of_a_flow_above_stay_open_when_one_below_fails():
    above, below = find_or_start("above", "above"), find_or_start("below", "below")
    with open_runs_closed():
        note_opened(above)
        with pytest.raises(ValueError, match="the news"):
            break_off(below)
    assert (status(above), status(below)) == ("RUNNING", "FAILED")


def test_a_tracker_that_cannot_be_told_does_not_hide_the_error(caplog):
    with pytest.raises(ValueError, match="the news"):
        break_off("no such run")
    assert "no such run" in caplog.text
