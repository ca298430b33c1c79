"""Every flow that a server offers: where it runs, what its form starts from, when it runs by itself."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from deployments.automations import RESUMABLE
from deployments.catalogue import PHASES, PhaseEntry
from deployments.config import DeployConfig, MonitoringConfig, RetrainingConfig
from deployments.description import OWNED, Concurrency, Deployment, Schedule
from deployments.pools import CPU_POOL, DEFAULT_QUEUE, RETRAINING_QUEUE, training_pool_name
from stage1_core.phases.ladder import LadderConfig
from stage1_core.phases.retraining import RetrainConfig
from stage1_core.promotion.config import PromotionRequest

if TYPE_CHECKING:
    from prefect import Flow

Parameters = Mapping[str, Any]
ONE_AT_A_TIME = Concurrency(limit=1, on_collision="CANCEL_NEW")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the description of a deployment depends on."""

    config: DeployConfig
    retrained: LadderConfig
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFlow:
    """One deployment, before anything was chosen."""

    entrypoint: str
    parameters: Callable[[Choices], Parameters]
    pool: Literal["training", "cpu"]
    about: str
    """Tag by which the page's list can be narrowed."""
    queue: str = DEFAULT_QUEUE
    schedules: Callable[[DeployConfig], tuple[Schedule, ...]] = lambda _config: ()
    concurrency: Concurrency | None = None

    @property
    def name(self) -> str:
        """The flow's function and name, and that of its deployment."""
        return self.entrypoint.rpartition(".")[2]

    def load(self) -> Flow[..., Any]:
        """Import the flow."""
        module, _, function = self.entrypoint.rpartition(".")
        flow: Flow[..., Any] = getattr(importlib.import_module(module), function)
        return flow

    def describe(self, choices: Choices) -> Deployment:
        """The deployment under these ``choices``."""
        from prefect.utilities.callables import parameter_schema

        flow = self.load()
        training = self.pool == "training"
        return Deployment(
            flow=flow.name,
            name=self.name,
            entrypoint=self.entrypoint,
            description=(inspect.getdoc(flow.fn) or "").partition("\n\nArgs:")[0],
            version=choices.version,
            tags=(OWNED, self.about, RESUMABLE) if training else (OWNED, self.about),
            pool=training_pool_name(choices.config) if training else CPU_POOL,
            queue=self.queue,
            parameters=dict(self.parameters(choices)),
            parameter_schema=parameter_schema(flow).model_dump_for_openapi(),
            schedules=self.schedules(choices.config),
            concurrency=self.concurrency,
        )


def _retrain(choices: Choices) -> Parameters:
    return _form("config", RetrainConfig(ladder=choices.retrained, promotion=choices.config.promotion))


def _promote(choices: Choices) -> Parameters:
    return _form("request", PromotionRequest(model=_model(choices), config=choices.config.promotion))


def _model_only(choices: Choices) -> Parameters:
    return {"request": {"model": _model(choices)}}


def _nothing(_choices: Choices) -> Parameters:
    return {}


def _form(parameter: str, value: Any) -> Parameters:
    return {parameter: value.model_dump(mode="json")}


def _model(choices: Choices) -> str:
    return choices.retrained.top.release.name


def _retraining(config: DeployConfig) -> tuple[Schedule, ...]:
    return (_schedule("retraining", config.retraining),)


def _monitoring(config: DeployConfig) -> tuple[Schedule, ...]:
    return (_schedule("monitoring", config.monitoring),)


def _schedule(slug: str, when: RetrainingConfig | MonitoringConfig) -> Schedule:
    return Schedule(slug=slug, cron=when.cron, timezone=when.timezone, active=when.scheduled)


def _phase(entry: PhaseEntry) -> ServedFlow:
    return ServedFlow(
        entrypoint=entry.entrypoint.replace(":", "."),
        parameters=lambda _choices: _form("config", entry.recipes["demo"]()),
        pool="training",
        about="phase",
    )


SERVED: tuple[ServedFlow, ...] = (
    *(_phase(entry) for entry in PHASES.values()),
    ServedFlow(
        entrypoint="flows.retrain.retrain",
        parameters=_retrain,
        pool="training",
        about="retraining",
        queue=RETRAINING_QUEUE,
        schedules=_retraining,
        concurrency=ONE_AT_A_TIME,
    ),
    ServedFlow(entrypoint="flows.release.assessment", parameters=_promote, pool="cpu", about="release"),
    ServedFlow(entrypoint="flows.release.promotion", parameters=_promote, pool="cpu", about="release"),
    ServedFlow(entrypoint="flows.release.rollback", parameters=_model_only, pool="cpu", about="release"),
    ServedFlow(entrypoint="flows.release.repair", parameters=_model_only, pool="cpu", about="release"),
    ServedFlow(
        entrypoint="flows.monitor.monitor",
        parameters=_nothing,
        pool="cpu",
        about="monitoring",
        schedules=_monitoring,
        concurrency=ONE_AT_A_TIME,
    ),
    ServedFlow(entrypoint="flows.resume.resume_crashed", parameters=_nothing, pool="cpu", about="resuming"),
)
