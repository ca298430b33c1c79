"""The pools, their queues, and the limit that counts GPUs."""

from __future__ import annotations

from typing import assert_never

from deployments.config import DeployConfig, DockerPool, KubernetesPool, ProcessPool
from deployments.description import GlobalLimit, WorkPool, WorkQueue
from deployments.job_templates import docker_template, kubernetes_template, process_template
from stage1_core.compute.choice import VARIABLE as COMPUTE_VARIABLE
from tasks._device import SLOT_VARIABLE

CPU_POOL = "cpu"
GPU_SLOT = "stage1-gpu"
"""Limit that a step holds while it computes on a device."""

DEFAULT_QUEUE = "default"
URGENT_QUEUE = "urgent"
RETRAINING_QUEUE = "retraining"

_DEFAULT = WorkQueue(name=DEFAULT_QUEUE, priority=10, description="What people start.")
_URGENT = WorkQueue(name=URGENT_QUEUE, priority=1, description="Before everything else: choose it when starting a run.")


def training_pool_name(config: DeployConfig) -> str:
    """Name of the pool that phases run on. A pool's type is fixed, so each kind has its own."""
    kind = config.training_pool.kind
    return "gpu" if kind == "process" else f"gpu-{kind}"


def pools(config: DeployConfig) -> tuple[WorkPool, WorkPool]:
    """The pool for trainings, and the one for everything else."""
    return _training_pool(config), _cpu_pool(config)


def gpu_limit(config: DeployConfig) -> GlobalLimit:
    """One slot for each GPU."""
    return GlobalLimit(name=GPU_SLOT, limit=config.gpus)


def _training_pool(config: DeployConfig) -> WorkPool:
    # One run more than there are GPUs. The limit above is what keeps trainings apart. A pool that is full hands nothing
    # out, so a second retraining would wait its turn there instead of being cancelled by its deployment's own limit.
    return WorkPool(
        name=training_pool_name(config),
        type=config.training_pool.kind,
        description="Phases and retraining: what needs a GPU.",
        concurrency_limit=config.gpus + 1,
        base_job_template=_training_template(config),
        queues=(
            _DEFAULT,
            _URGENT,
            WorkQueue(
                name=RETRAINING_QUEUE,
                priority=20,
                description="What nobody waits for.",
                concurrency_limit=2,  # more than its deployment allows, for the same reason
            ),
        ),
    )


def _cpu_pool(config: DeployConfig) -> WorkPool:
    environment = _everywhere(config) | {"STAGE1_DEVICE": "cpu"}
    return WorkPool(
        name=CPU_POOL,
        type="process",
        description="Promotion, rollback, repair, monitoring and resuming.",
        concurrency_limit=config.cpu_runs,
        base_job_template=process_template(environment),
        queues=(_DEFAULT, _URGENT),
    )


def _training_template(config: DeployConfig) -> dict[str, object]:
    environment = _everywhere(config) | {
        "STAGE1_DEVICE": config.device,
        COMPUTE_VARIABLE: config.compute,
        SLOT_VARIABLE: GPU_SLOT,
    }
    match config.training_pool:
        case ProcessPool():
            return process_template(environment)
        case DockerPool() as pool:
            return docker_template(pool, environment)
        case KubernetesPool() as pool:
            return kubernetes_template(pool, environment)
    assert_never(config.training_pool)


def _everywhere(config: DeployConfig) -> dict[str, str]:
    return {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(config.heartbeat_seconds)}
