"""What goes to MLflow, and that saying it again changes nothing."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from deployments.recipes import demo
from tasks.tracking import experiment_id, find_or_start, finish, flatten, log_metrics, log_parameters

pytestmark = pytest.mark.usefixtures("workspace")


def test_files_of_the_experiment_lie_in_the_workspace(workspace):
    location = MlflowClient().get_experiment(experiment_id()).artifact_location
    assert location == (workspace / "mlflow").as_uri()


def test_the_same_computation_has_one_run():
    first = find_or_start("a" * 64, "baseline")
    assert find_or_start("a" * 64, "baseline") == first
    assert find_or_start("b" * 64, "baseline") != first


def test_a_nested_run_belongs_to_its_parent():
    parents = [find_or_start(digit * 64, "baseline") for digit in "ab"]
    children = [find_or_start("c" * 64, "training", parent=parent) for parent in parents]
    assert len({*parents, *children}) == 4
    assert find_or_start("c" * 64, "training", parent=parents[1]) == children[1]
    assert MlflowClient().get_run(children[0]).data.tags["mlflow.parentRunId"] == parents[0]


def test_undefined_metrics_are_left_out():
    run = find_or_start("a" * 64, "baseline")
    log_metrics(run, {"rate": 0.5, "absent": None, "broken": float("nan"), "endless": float("inf")}, step=3)
    assert MlflowClient().get_run(run).data.metrics == {"rate": 0.5}
    assert [point.step for point in MlflowClient().get_metric_history(run, "rate")] == [3]


def test_a_configuration_of_more_leaves_than_a_request_takes_is_logged_once():
    run, config = find_or_start("a" * 64, "baseline"), demo()
    log_parameters(run, config)
    log_parameters(run, config)
    leaves = flatten(config.model_dump(mode="json"))
    assert MlflowClient().get_run(run).data.params == {name: str(value) for name, value in leaves.items()}


def test_a_run_is_closed_as_finished_or_failed():
    for digit, succeeded, status in (("a", True, "FINISHED"), ("b", False, "FAILED")):
        run = find_or_start(digit * 64, "baseline")
        assert MlflowClient().get_run(run).info.status == "RUNNING"
        finish(run, succeeded=succeeded)
        assert MlflowClient().get_run(run).info.status == status


def test_nested_values_have_dotted_names():
    value = {"a": {"b": 1, "c": [1, 2]}, "d": [{"e": None}, {"e": True}], "f": {}}
    assert flatten(value) == {"a.b": 1, "a.c": [1, 2], "d.0.e": None, "d.1.e": True}
