"""A run's own folder and log."""

from __future__ import annotations

import logging
import re

import pytest

from tasks._workspace import runs_folder, workspace
from tasks.runs import RunRef, new_run_id, place, write_log_to


@pytest.fixture(autouse=True)
def own_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("STAGE1_ARTIFACTS", str(tmp_path))


@pytest.fixture
def run():
    yield RunRef(run_id=new_run_id(), mlflow_run_id="none")
    library = logging.getLogger("stage1_core")
    for handler in [known for known in library.handlers if isinstance(known, logging.FileHandler)]:
        library.removeHandler(handler)
        handler.close()


def test_one_variable_moves_the_workspace(tmp_path, monkeypatch):
    assert workspace() == tmp_path
    monkeypatch.delenv("STAGE1_ARTIFACTS")
    monkeypatch.chdir(tmp_path)
    assert workspace() == tmp_path / "artifacts"


def test_runs_of_one_second_have_different_folders():
    names = [new_run_id() for _ in range(3)]
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"\d{8}_\d{6}(_\d+)?", name) for name in names)
    assert {path.name for path in runs_folder().iterdir()} == set(names)


def test_a_run_folder_has_its_subfolders(run):
    assert {path.name for path in run.folder.iterdir()} == {"checkpoints", "calibrators", "metrics", "logs"}


def test_what_the_library_logs_goes_to_the_latest_run_alone(run):
    write_log_to(run)
    logging.getLogger("stage1_core.training").info("the first")
    second = RunRef(run_id=new_run_id(), mlflow_run_id="none")
    write_log_to(second)
    logging.getLogger("stage1_core.training").info("the second")
    first_log, second_log = ((r.folder / "logs" / "stage1.log").read_text() for r in (run, second))
    assert "the first" in first_log
    assert "the second" not in first_log
    assert "the second" in second_log


def test_files_are_shown_as_links_and_placing_them_again_changes_nothing(run, tmp_path):
    target = tmp_path / "head"
    target.mkdir()
    place(run, target, "checkpoints/head")
    place(run, tmp_path / "other", "checkpoints/head")
    assert (run.folder / "checkpoints" / "head").resolve() == target
