"""What lies on a Prefect server, as values: compared with what is there, then written."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, SecretStr

from stage1_core.config import FrozenModel

OWNED = "stage1"
"""Tag of every deployment and automation of this project. What carries it and is not described is stale, except
deployments that are not named as their flow: those are copies that people made."""


class WorkQueue(FrozenModel):
    """One lane of a pool."""

    name: str
    priority: PositiveInt
    """1 is served first. Unique within a pool."""
    description: str
    concurrency_limit: int | None = None
    """Runs of this lane at once; none: as many as the pool allows."""


class WorkPool(FrozenModel):
    """A place where runs happen. Its workers are started elsewhere, `prefect worker start --pool NAME`."""

    name: str
    type: Literal["process", "docker", "kubernetes"]
    description: str
    concurrency_limit: int
    """Runs of this pool at once, over all its workers."""
    base_job_template: dict[str, Any]
    """Prefect's own for this type, with what this project adds."""
    queues: tuple[WorkQueue, ...]
    """The first is `default`, which Prefect makes with the pool."""


class GlobalLimit(FrozenModel):
    """A counter that steps of any run hold while they use what it counts."""

    name: str
    limit: PositiveInt


class Webhook(FrozenModel):
    """Where notifications go."""

    name: str
    url: SecretStr


class Schedule(FrozenModel):
    """When a deployment runs by itself. The slug is its identity: a new cron expression changes it in place."""

    slug: str
    cron: str
    timezone: str
    active: bool


class Concurrency(FrozenModel):
    """How many runs of one deployment may go on at once, and what becomes of the next."""

    limit: PositiveInt
    on_collision: Literal["ENQUEUE", "CANCEL_NEW"]


class Deployment(FrozenModel):
    """A flow that can be started from the page, by a schedule or by an event."""

    flow: str
    name: str
    entrypoint: str
    """``package.module.function``; the package is installed where the pool's workers are."""
    description: str
    version: str
    tags: tuple[str, ...]
    pool: str
    queue: str
    parameters: dict[str, Any]
    """What the form starts from."""
    parameter_schema: dict[str, Any]
    """The form; the server refuses what does not fit it."""
    schedules: tuple[Schedule, ...] = ()
    concurrency: Concurrency | None = None

    @property
    def full_name(self) -> str:
        """``flow/name``, by which Prefect finds it."""
        return f"{self.flow}/{self.name}"


class EventSeen(FrozenModel):
    """Any of these events happened."""

    kind: Literal["seen"] = "seen"
    events: tuple[str, ...]
    subject: str
    """Id of what the event is about; may end in ``*``."""
    run_tag: str | None = None
    """Only for runs that carry this tag."""


class RunFellSilent(FrozenModel):
    """A run that had sent a heartbeat then sent nothing, not even that it has ended."""

    kind: Literal["silent"] = "silent"
    seconds: float = Field(ge=10)
    run_tag: str


Trigger = Annotated[EventSeen | RunFellSilent, Field(discriminator="kind")]


class CallWebhook(FrozenModel):
    """Send a message to a `Webhook`."""

    kind: Literal["webhook"] = "webhook"
    webhook: str
    payload: str
    """Jinja template of the request's body."""


class StartDeployment(FrozenModel):
    """Start a run."""

    kind: Literal["start"] = "start"
    deployment: str
    """``flow/name``."""
    parameters: dict[str, str] = Field(default_factory=dict)
    """Jinja templates that replace single parameters of the deployment."""


class MarkCrashed(FrozenModel):
    """Say of the run in question that it has crashed."""

    kind: Literal["crashed"] = "crashed"
    message: str


Action = Annotated[CallWebhook | StartDeployment | MarkCrashed, Field(discriminator="kind")]


class Automation(FrozenModel):
    """What the server does by itself."""

    name: str
    description: str
    trigger: Trigger
    action: Action


class Plan(FrozenModel):
    """Everything that this project keeps on a server, in the order in which it is written."""

    pools: tuple[WorkPool, ...]
    limits: tuple[GlobalLimit, ...]
    webhook: Webhook | None
    deployments: tuple[Deployment, ...]
    automations: tuple[Automation, ...]
