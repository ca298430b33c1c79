"""What a person chooses about a server: which pools, which schedules, who approves. No secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt

from deployments.recipes import demo_promotion
from stage1_core.compute.choice import parse_compute
from stage1_core.config import FrozenModel
from stage1_core.errors import ComputeError
from stage1_core.promotion.config import PromotionConfig


def _cron(expression: str) -> str:
    from prefect.client.schemas.schedules import CronSchedule

    try:
        return CronSchedule(cron=expression).cron
    except ValueError as error:
        raise ValueError(f"{expression!r} is no cron expression; write one like 0 3 * * 1") from error


def _place(text: str) -> str:
    try:
        parse_compute(text)
    except ComputeError as error:
        raise ValueError(str(error)) from error
    return text


def _timezone(name: str) -> str:
    from zoneinfo import available_timezones

    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone; write one like UTC or Europe/Berlin")
    return name


Cron = Annotated[str, AfterValidator(_cron)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Place = Annotated[str, AfterValidator(_place)]
AddressWithoutPassword = Annotated[str, Field(pattern=r"^https?://[^@\s]+$")]

DOCKER_SIZE = r"^\d+[bkmgBKMG]?$"
KUBERNETES_SIZE = r"^\d+([KMGT]i?)?$"
NOT_ROOT = r"^[1-9]\d*(:\d+)?$"
"""User, or user and group, by number."""


class FromRecipe(FrozenModel):
    """A shipped configuration."""

    kind: Literal["recipe"] = "recipe"
    name: str = "demo"
    """As in `stage1 run ladder --recipe NAME`."""


class FromFile(FrozenModel):
    """A configuration in a file, read when `stage1 deploy` runs."""

    kind: Literal["file"] = "file"
    path: Path
    """YAML or JSON, as for `stage1 run ladder --config FILE`."""


Source = Annotated[FromRecipe | FromFile, Field(discriminator="kind")]


class RetrainingConfig(FrozenModel):
    """What is trained again, and when."""

    ladder: Source = FromRecipe()
    """The ladder that is climbed."""
    cron: Cron = "0 3 * * 1"
    """Minute, hour, day of month, month, day of week; Mondays at three."""
    timezone: Timezone = "UTC"
    """Whose clock ``cron`` means."""
    scheduled: bool = True
    """Off: only drift and people start it."""


class MonitoringConfig(FrozenModel):
    """When the champion is looked at."""

    cron: Cron = "0 * * * *"
    """Minute, hour, day of month, month, day of week; every full hour."""
    timezone: Timezone = "UTC"
    """Whose clock ``cron`` means."""
    scheduled: bool = True
    """Off: only people start it."""


class ProcessPool(FrozenModel):
    """Runs are processes beside their worker. Workspace and MLflow are those of the worker's environment."""

    kind: Literal["process"] = "process"


class DockerPool(FrozenModel):
    """Runs are containers on the worker's machine."""

    kind: Literal["docker"] = "docker"
    image: str
    """Image with this project installed."""
    mlflow_url: AddressWithoutPassword
    """MLflow server as containers reach it."""
    workspace_volume: str = "stage1-workspace"
    """Docker volume, or folder of the host, that holds the workspace."""
    gpu: bool = True
    """Containers see every GPU of their machine, and a step takes one that is free; off: none."""
    shm_size: Annotated[str, Field(pattern=DOCKER_SIZE)] = "8g"
    """Shared memory, through which loaders hand over pictures."""
    user: Annotated[str, Field(pattern=NOT_ROOT)] = "1000:1000"
    """User and group of the container's processes, by number and never root; the workspace must be theirs."""


class Toleration(FrozenModel):
    """A taint that pods of this project tolerate."""

    key: str
    """The taint's key."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """Whether any value is tolerated, or only ``value``."""
    value: str = ""
    """The taint's value, for ``Equal``."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"
    """What the taint would do to a pod that does not tolerate it."""


class KubernetesPool(FrozenModel):
    """Runs are jobs in a cluster."""

    kind: Literal["kubernetes"] = "kubernetes"
    image: str
    """Image with this project installed."""
    mlflow_url: AddressWithoutPassword
    """MLflow server as pods reach it."""
    workspace_claim: str = "stage1-workspace"
    """Persistent volume claim that holds the workspace."""
    namespace: str = "stage1"
    """Where jobs are made."""
    gpus_per_run: int = Field(default=1, ge=0)
    """0: pods without a GPU."""
    shm_size: Annotated[str, Field(pattern=KUBERNETES_SIZE)] = "8Gi"
    """Shared memory, through which loaders hand over pictures."""
    user_id: int = Field(default=1000, ge=1)
    """User and group of the container's processes; never root."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the nodes that may be used."""
    tolerations: tuple[Toleration, ...] = (Toleration(key="nvidia.com/gpu"),)
    """Taints of the nodes that may be used all the same."""


TrainingPool = Annotated[ProcessPool | DockerPool | KubernetesPool, Field(discriminator="kind")]


class DeployConfig(FrozenModel):
    """Everything that `stage1 deploy` can be told. The address for notifications comes from STAGE1_WEBHOOK_URL."""

    training_pool: TrainingPool = ProcessPool()
    """Where phases run. Each kind is a pool of its own: `gpu`, `gpu-docker`, `gpu-kubernetes`."""
    gpus: PositiveInt = 1
    """GPUs of the training pool, all workers together: so many steps compute on a device at once."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What trainings compute on; `cuda` fails on a worker without a GPU, `auto` says so and goes on."""
    compute: Place = "local"
    """Where the training pool's runs extract features: `local`, `dask-local:N` for N processes beside the run, or
    `dask://host:port` for the workers of a running scheduler."""
    cpu_runs: PositiveInt = 4
    """Runs of the `cpu` pool at once: releases, monitoring, resuming."""
    retraining: RetrainingConfig = RetrainingConfig()
    """What is trained again, and when."""
    promotion: PromotionConfig = demo_promotion()
    """What a retrained candidate must show to become champion, and who has the last word. Some of the margins are wide,
    because the demo, which is retrained by default, has few pictures."""
    monitoring: MonitoringConfig = MonitoringConfig()
    """When the champion is looked at."""
    heartbeat_seconds: int = Field(default=30, ge=30)
    """Runs say this often that they live; one that is silent three times as long counts as crashed."""
