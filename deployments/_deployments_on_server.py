"""Deployments and their schedules on a server."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from deployments._prefect_objects import NOT_THERE_YET
from deployments.changes import Change, Stale, compared, differing
from deployments.description import OWNED, Deployment, Plan, Schedule

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import DeploymentSchedule
    from prefect.client.schemas.responses import DeploymentResponse

PAGE = 200


async def apply_deployment(server: PrefectClient, deployment: Deployment, *, write: bool) -> tuple[Change, UUID]:
    """The deployment with its limit and its schedules, and its id. Schedules that people added are left alone."""
    there = await _find(server, deployment)
    if there is None:
        id_ = await _create(server, deployment) if write else NOT_THERE_YET
        return Change(kind="deployment", name=deployment.full_name, outcome="created"), id_
    fields = differing(_fields_there(there), _fields(deployment))
    schedules = [schedule for schedule in deployment.schedules if _schedule_there(there, schedule) != schedule]
    if write and fields:
        await _update(server, there.id, deployment, fields)
    if write:
        for schedule in schedules:
            await _write_schedule(server, there, schedule)
    what = (*fields, *(f"schedule {schedule.slug}" for schedule in schedules))
    return compared("deployment", deployment.full_name, what), there.id


async def stale_deployments(server: PrefectClient, plan: Plan) -> list[Stale]:
    """Deployments that ``plan`` does not describe, with this project's tag and named as their flow.

    Both, because a copy that a person makes in the page carries the tag too.
    """
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[OWNED]))
    tagged: list[DeploymentResponse] = []
    while page := await server.read_deployments(deployment_filter=ours, limit=PAGE, offset=len(tagged)):
        tagged += page
    described = {deployment.full_name for deployment in plan.deployments}
    flows = {flow_id: (await server.read_flow(flow_id)).name for flow_id in {there.flow_id for there in tagged}}
    named = {f"{there.name}/{there.name}": there.id for there in tagged if there.name == flows[there.flow_id]}
    return [
        Stale("deployment", name, partial(server.delete_deployment, id_))
        for name, id_ in sorted(named.items())
        if name not in described
    ]


async def _find(server: PrefectClient, deployment: Deployment) -> DeploymentResponse | None:
    from prefect.exceptions import ObjectNotFound

    try:
        return await server.read_deployment_by_name(deployment.full_name)
    except ObjectNotFound:
        return None


def _fields(deployment: Deployment) -> dict[str, Any]:
    limit = deployment.concurrency
    return {
        "version": deployment.version,
        "description": deployment.description,
        "tags": sorted(deployment.tags),
        "entrypoint": deployment.entrypoint,
        "work_pool_name": deployment.pool,
        "work_queue_name": deployment.queue,
        "parameters": deployment.parameters,
        "parameter_openapi_schema": deployment.parameter_schema,
        "enforce_parameter_schema": True,
        "concurrency_limit": limit.limit if limit else None,
        "concurrency_options": {"collision_strategy": limit.on_collision} if limit else None,
    }


def _fields_there(there: DeploymentResponse) -> dict[str, Any]:
    limit, options = there.global_concurrency_limit, there.concurrency_options
    return there.model_dump() | {
        "tags": sorted(there.tags),
        "concurrency_limit": limit.limit if limit else None,
        "concurrency_options": {"collision_strategy": options.collision_strategy.value} if options else None,
    }


async def _create(server: PrefectClient, deployment: Deployment) -> UUID:
    from prefect.client.schemas.objects import ConcurrencyOptions

    fields = _fields(deployment)
    options = fields.pop("concurrency_options")
    return await server.create_deployment(
        flow_id=await server.create_flow_from_name(deployment.flow),
        name=deployment.name,
        schedules=[_schedule_create(schedule) for schedule in deployment.schedules],
        concurrency_options=ConcurrencyOptions.model_validate(options) if options else None,
        **fields,
    )


async def _update(server: PrefectClient, id_: UUID, deployment: Deployment, fields: Iterable[str]) -> None:
    from prefect.client.schemas.actions import DeploymentUpdate

    wanted = _fields(deployment)
    # The server reads these in pairs: a queue is looked up in its pool, and values are tried against the schema.
    pairs = ({"work_pool_name", "work_queue_name"}, {"parameters", "parameter_openapi_schema"})
    sent = set(fields).union(*(pair for pair in pairs if pair & set(fields)))
    await server.update_deployment(id_, DeploymentUpdate(**{name: wanted[name] for name in sent}))


def _schedule_there(there: DeploymentResponse, schedule: Schedule) -> Schedule | None:
    from prefect.client.schemas.schedules import CronSchedule

    found = _by_slug(there, schedule.slug)
    if found is None or not isinstance(found.schedule, CronSchedule):
        return None
    cron = found.schedule
    return Schedule(slug=schedule.slug, cron=cron.cron, timezone=cron.timezone or "UTC", active=found.active)


def _by_slug(there: DeploymentResponse, slug: str) -> DeploymentSchedule | None:
    return next((schedule for schedule in there.schedules if schedule.slug == slug), None)


async def _write_schedule(server: PrefectClient, there: DeploymentResponse, schedule: Schedule) -> None:
    found, wanted = _by_slug(there, schedule.slug), _schedule_create(schedule)
    if found is None:
        await server.create_deployment_schedules(there.id, [wanted])
    else:
        await server.update_deployment_schedule(there.id, found.id, active=wanted.active, schedule=wanted.schedule)


def _schedule_create(schedule: Schedule) -> Any:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    return DeploymentScheduleCreate(
        schedule=CronSchedule(cron=schedule.cron, timezone=schedule.timezone),
        active=schedule.active,
        slug=schedule.slug,
    )
