"""The description as a whole: complete, consistent, without secrets."""

from __future__ import annotations

import importlib
import inspect

import jsonschema
import pytest
from pydantic import ValidationError

from deployments import config
from deployments.catalogue import PHASES
from deployments.config import DeployConfig, DockerPool, KubernetesPool, MonitoringConfig, RetrainingConfig
from deployments.description import OWNED, Plan
from deployments.plan import plan
from deployments.recipes import ladder_demo

LEFT_TO_PEOPLE = {"rollback": "reason", "resume_crashed": "flow_run_id"}
SECRET = "https://hooks.example/T0/secret"


@pytest.fixture(scope="module")
def described() -> Plan:
    return plan(DeployConfig(), ladder_demo(), webhook_url=SECRET)


def test_every_phase_and_every_flow_around_it_is_deployed_once(described):
    names = [deployment.full_name for deployment in described.deployments]
    assert len(names) == len(set(names))
    assert {deployment.flow for deployment in described.deployments} >= {
        *PHASES, "retrain", "assessment", "promotion", "rollback", "repair", "monitor", "resume_crashed",
    }  # fmt: skip
    assert all(name == f"{name.partition('/')[0]}/{name.partition('/')[0]}" for name in names)


def test_an_entrypoint_is_a_flow_that_can_be_imported(described):
    for deployment in described.deployments:
        module, _, function = deployment.entrypoint.rpartition(".")
        assert getattr(importlib.import_module(module), function).name == deployment.flow


def test_a_form_starts_from_values_that_fit_it(described):
    complete = [item for item in described.deployments if item.name not in LEFT_TO_PEOPLE]
    for deployment in complete:
        jsonschema.validate(deployment.parameters, deployment.parameter_schema)


@pytest.mark.parametrize("name", LEFT_TO_PEOPLE)
def test_what_only_a_person_or_an_event_knows_is_asked_for(described, name):
    (deployment,) = (item for item in described.deployments if item.name == name)
    with pytest.raises(jsonschema.ValidationError, match=f"{LEFT_TO_PEOPLE[name]}' is a required property"):
        jsonschema.validate(deployment.parameters, deployment.parameter_schema)


def test_every_deployment_says_what_it_does(described):
    for deployment in described.deployments:
        assert deployment.description
        assert "Args:" not in deployment.description
        assert OWNED in deployment.tags


def test_each_runs_in_a_queue_of_its_pool(described):
    queues = {(pool.name, queue.name) for pool in described.pools for queue in pool.queues}
    assert {(deployment.pool, deployment.queue) for deployment in described.deployments} <= queues


def test_priorities_are_unique_within_a_pool(described):
    for pool in described.pools:
        assert pool.queues[0].name == "default"
        assert len({queue.priority for queue in pool.queues}) == len(pool.queues)


def test_a_retraining_too_many_reaches_the_rule_that_cancels_it(described):
    """A full pool or queue would let it wait and run afterwards."""
    (retraining,) = (item for item in described.deployments if item.name == "retrain")
    (pool,) = (item for item in described.pools if item.name == retraining.pool)
    (queue,) = (item for item in pool.queues if item.name == retraining.queue)
    assert retraining.concurrency.on_collision == "CANCEL_NEW"
    assert retraining.concurrency.limit < min(pool.concurrency_limit, queue.concurrency_limit)


def test_the_address_for_notifications_is_in_no_text(described):
    assert SECRET not in described.model_dump_json()
    assert SECRET not in repr(described)


def test_without_an_address_nobody_is_notified(described):
    silent = plan(DeployConfig(), ladder_demo())
    assert silent.webhook is None
    left = {rule.name for rule in silent.automations}
    told = {rule.name for rule in described.automations} - left
    assert len(told) == 3
    assert {rule.action.kind for rule in silent.automations} == {"start", "crashed"}


def test_rules_start_only_what_is_deployed(described):
    deployed = {deployment.full_name for deployment in described.deployments}
    assert {rule.action.deployment for rule in described.automations if rule.action.kind == "start"} <= deployed


def test_resuming_a_run_cannot_crash_in_a_circle(described):
    (rule,) = (item for item in described.automations if item.name == "stage1: resume a crashed run")
    (resuming,) = (item for item in described.deployments if item.full_name == rule.action.deployment)
    assert rule.trigger.run_tag not in resuming.tags


def test_choices_reach_the_plan():
    chosen = plan(
        DeployConfig(
            training_pool=KubernetesPool(image="stage1:1", mlflow_url="http://mlflow.example"),
            gpus=3,
            retraining=RetrainingConfig(cron="0 5 * * 0", timezone="Europe/Berlin", scheduled=False),
        ),
        ladder_demo(),
    )
    retraining = next(item for item in chosen.deployments if item.name == "retrain")
    (schedule,) = retraining.schedules
    assert (schedule.cron, schedule.timezone, schedule.active) == ("0 5 * * 0", "Europe/Berlin", False)
    assert retraining.pool == chosen.pools[0].name == "gpu-kubernetes"
    assert chosen.limits[0].limit == 3


@pytest.mark.parametrize(("field", "value"), [("cron", "every day"), ("timezone", "Berlin")])
def test_a_schedule_that_is_none_is_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        MonitoringConfig(**{field: value})


def test_a_place_to_compute_that_is_none_is_refused_with_what_could_be_written():
    with pytest.raises(ValidationError, match=r"'everywhere'; set it to local, dask-local:N"):
        DeployConfig(compute="everywhere")


@pytest.mark.parametrize(("field", "value"), [("user", "root"), ("user", "0:0"), ("shm_size", "8 GB")])
def test_a_container_cannot_be_told_to_be_root_or_what_docker_does_not_read(field, value):
    with pytest.raises(ValidationError, match=field):
        DockerPool(image="stage1:1", mlflow_url="http://mlflow.example", **{field: value})


def test_every_field_of_the_configuration_is_explained():
    models = [model for _, model in inspect.getmembers(config, inspect.isclass) if model.__module__ == config.__name__]
    fields = {(model.__name__, name): field for model in models for name, field in model.model_fields.items()}
    assert [where for where, field in fields.items() if where[1] != "kind" and not field.description] == []
