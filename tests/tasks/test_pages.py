"""Links to pages carry no credentials."""

from __future__ import annotations

import pytest

import tasks.pages
from tasks.pages import mlflow_page
from tasks.runs import RunRef

RUN = RunRef(run_id="20260102_030405", mlflow_run_id="abc")


@pytest.mark.parametrize(
    ("store", "page"),
    [
        ("http://mlflow:5000", "http://mlflow:5000/#/experiments/7/runs/abc"),
        ("https://someone:secret@mlflow/base/", "https://mlflow/base/#/experiments/7/runs/abc"),
        ("http://token@10.0.0.1:5000?key=secret#secret", "http://10.0.0.1:5000/#/experiments/7/runs/abc"),
    ],
)
def test_the_page_of_a_run_is_named_without_credentials(monkeypatch, store, page):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setattr(tasks.pages, "experiment_id", lambda: "7")  # there is no such server to ask
    assert mlflow_page(RUN) == page


def test_a_store_without_a_server_has_no_page(workspace):
    assert mlflow_page(RUN) is None
