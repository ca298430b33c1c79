"""Base job templates: Prefect's own for each type of pool, with GPUs, shared memory and the workspace added."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from deployments.config import DOCKER_SIZE, KUBERNETES_SIZE, NOT_ROOT, DockerPool, KubernetesPool

WORKSPACE = "/workspace"
"""Where containers see the workspace."""

GPU_RESOURCE = "nvidia.com/gpu"


RESULTS_BELOW_WORKSPACE = "prefect/results"
"""Where results of steps lie, for every worker that sees the workspace: by them a run goes on where it stopped."""


def process_template(environment: Mapping[str, str]) -> dict[str, Any]:
    """Runs as processes, which inherit the worker's environment; ``environment`` wins over it.

    Workers replace ``{{ $NAME }}`` by their own variable.
    """
    template = _default("prefect", "process")
    results = f"{{{{ $STAGE1_ARTIFACTS }}}}/{RESULTS_BELOW_WORKSPACE}"
    _variable(template, "env", default={"PREFECT_RESULTS_LOCAL_STORAGE_PATH": results, **environment})
    return template


def docker_template(pool: DockerPool, environment: Mapping[str, str]) -> dict[str, Any]:
    """Runs as containers with the workspace mounted, and all GPUs of their machine if ``pool`` wants any.

    With a number instead of all, Docker gives every container the same ones, beginning with the first.
    """
    template = _default("prefect-docker", "docker")
    template["job_configuration"]["container_create_kwargs"] = {
        name: f"{{{{ {name} }}}}" for name in ("device_requests", "shm_size", "user")
    }
    gpus = [{"driver": "nvidia", "count": -1, "capabilities": [["gpu"]]}]
    _variable(template, "env", default={**_inside_containers(pool.mlflow_url), **environment})
    _variable(template, "image", default=pool.image)
    _variable(template, "auto_remove", default=True)
    _variable(template, "volumes", default=[f"{pool.workspace_volume}:{WORKSPACE}"])
    _variable(
        template,
        "device_requests",
        title="GPUs",
        description="Devices of the container, as `docker run --gpus` asks for them; an empty list for none.",
        type="array",
        items=_DEVICE_REQUEST,
        default=gpus if pool.gpu else [],
    )
    _shared_memory(template, pool.shm_size, "Size of /dev/shm with its unit, like 8g.", DOCKER_SIZE)
    _variable(
        template,
        "user",
        title="User",
        description="User and group of the container's processes; not root.",
        type="string",
        pattern=NOT_ROOT,
        default=pool.user,
    )
    return template


_DEVICE_REQUEST = {
    "type": "object",
    "properties": {
        "driver": {"type": "string"},
        "count": {"type": "integer", "minimum": -1, "description": "Number of GPUs; -1 for all."},
        "device_ids": {"type": "array", "items": {"type": "string"}},
        "capabilities": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
    },
    "required": ["capabilities"],
    "additionalProperties": False,
}


def kubernetes_template(pool: KubernetesPool, environment: Mapping[str, str]) -> dict[str, Any]:
    """Runs as jobs: not root, the workspace's claim and shared memory mounted, and GPUs if ``pool`` wants any."""
    template = _default("prefect-kubernetes", "kubernetes")
    spec = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    spec |= {
        "nodeSelector": "{{ node_selector }}",
        "tolerations": "{{ tolerations }}",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": "{{ user_id }}",
            "runAsGroup": "{{ user_id }}",
            "fsGroup": "{{ user_id }}",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "workspace", "persistentVolumeClaim": {"claimName": "{{ workspace_claim }}"}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "{{ shm_size }}"}},
        ],
    }
    (container,) = spec["containers"]
    container["resources"]["limits"][GPU_RESOURCE] = "{{ gpus }}"
    container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container["volumeMounts"] = [
        {"name": "workspace", "mountPath": WORKSPACE},
        {"name": "shm", "mountPath": "/dev/shm"},
    ]
    _variable(template, "env", default={**_inside_containers(pool.mlflow_url), **environment})
    _variable(template, "image", default=pool.image)
    _variable(template, "namespace", default=pool.namespace)
    _variable(template, "finished_job_ttl", default=3600)
    _gpus_of_a_pod(template, pool)
    about = "Size of /dev/shm with its unit, like 8Gi; it counts against the memory limit."
    _shared_memory(template, pool.shm_size, about, KUBERNETES_SIZE)
    _variable(
        template,
        "workspace_claim",
        title="Workspace",
        description=f"Persistent volume claim that is mounted at {WORKSPACE}.",
        type="string",
        default=pool.workspace_claim,
    )
    _variable(
        template,
        "user_id",
        title="User",
        description="User and group of the pod's processes; not root.",
        type="integer",
        minimum=1,
        default=pool.user_id,
    )
    return template


def _gpus_of_a_pod(template: dict[str, Any], pool: KubernetesPool) -> None:
    _variable(
        template,
        "gpus",
        title="GPUs",
        description=f"Limit of {GPU_RESOURCE} of the pod; absent for none.",
        type="integer",
        minimum=1,
        **({"default": pool.gpus_per_run} if pool.gpus_per_run else {}),
    )
    _variable(
        template,
        "node_selector",
        title="Node selector",
        description="Labels of the nodes that may be used.",
        type="object",
        additionalProperties={"type": "string"},
        default=pool.node_selector,
    )
    _variable(
        template,
        "tolerations",
        title="Tolerations",
        description="Taints that the pod tolerates.",
        type="array",
        items={"type": "object", "required": ["key"]},
        default=[
            toleration.model_dump(exclude_defaults=True)
            | {"operator": toleration.operator, "effect": toleration.effect}
            for toleration in pool.tolerations
        ],
    )


def _shared_memory(template: dict[str, Any], size: str, description: str, pattern: str) -> None:
    _variable(
        template,
        "shm_size",
        title="Shared memory",
        description=description,
        type="string",
        pattern=pattern,
        default=size,
    )


def _inside_containers(mlflow_url: str) -> dict[str, str]:
    """A container has nothing of the worker's environment but Prefect's own address."""
    return {
        "STAGE1_ARTIFACTS": WORKSPACE,
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": f"{WORKSPACE}/{RESULTS_BELOW_WORKSPACE}",
        "MLFLOW_TRACKING_URI": mlflow_url,
    }


def _variable(template: dict[str, Any], name: str, **schema: Any) -> None:
    """Add a variable to the form, or change what Prefect's says about it."""
    template["variables"]["properties"].setdefault(name, {}).update(schema)


def _default(package: str, type_: str) -> dict[str, Any]:
    """Prefect's own template. It travels with Prefect, so that no worker's package is needed to deploy."""
    template: dict[str, Any] = copy.deepcopy(_worker_metadata()[package][type_]["default_base_job_configuration"])
    return template


@cache
def _worker_metadata() -> dict[str, Any]:
    import prefect

    views = Path(prefect.__file__).parent / "server" / "api" / "collections_data" / "views"
    metadata: dict[str, Any] = json.loads((views / "aggregate-worker-metadata.json").read_bytes())
    return metadata
