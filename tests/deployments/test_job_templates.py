"""Templates as the workers of Docker and Kubernetes read them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prefect.client.orchestration import PrefectClient
from pydantic import ValidationError

from deployments.config import DeployConfig, DockerPool, KubernetesPool, Toleration
from deployments.pools import GPU_SLOT, pools

IMAGE = "registry.example/stage1:1"
MLFLOW = "http://mlflow.example:5000"


def job(config: DeployConfig, configuration: Any, **variables: Any) -> Any:
    """What a worker makes of the training pool's template. No template here refers to blocks, so nobody is asked."""
    template = pools(config)[0].base_job_template
    nobody = PrefectClient("http://nobody.invalid/api")
    return asyncio.run(configuration.from_template_and_values(template, variables, client=nobody))


def docker_job(pool: DockerPool, **variables: Any) -> Any:
    from prefect_docker.worker import DockerWorkerJobConfiguration

    return job(DeployConfig(training_pool=pool), DockerWorkerJobConfiguration, **variables)


def kubernetes_job(pool: KubernetesPool, **variables: Any) -> Any:
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    return job(DeployConfig(training_pool=pool), KubernetesWorkerJobConfiguration, **variables)


def pod(made: Any) -> dict[str, Any]:
    return made.job_manifest["spec"]["template"]["spec"]


class TestProcess:
    def test_a_run_is_told_its_device_its_slot_where_to_extract_and_keep_results_and_to_send_heartbeats(
        self, monkeypatch
    ):
        from prefect.workers.process import ProcessJobConfiguration

        monkeypatch.setenv("STAGE1_ARTIFACTS", "/shared/stage1")  # of the worker
        choices = DeployConfig(device="cuda", compute="dask://scheduler.internal:8786", heartbeat_seconds=45)
        made = job(choices, ProcessJobConfiguration)
        assert made.env == {
            "STAGE1_DEVICE": "cuda",
            "STAGE1_COMPUTE": "dask://scheduler.internal:8786",
            "STAGE1_GPU_SLOT": GPU_SLOT,
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "45",
            "PREFECT_RESULTS_LOCAL_STORAGE_PATH": "/shared/stage1/prefect/results",
        }

    def test_prefect_reads_the_heartbeat_from_this_variable(self, monkeypatch):
        from prefect.settings.models.root import Settings

        monkeypatch.setenv("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "45")
        assert Settings().flows.heartbeat_frequency == 45

    def test_the_small_pool_holds_no_gpu(self):
        environment = pools(DeployConfig())[1].base_job_template["variables"]["properties"]["env"]["default"]
        assert environment["STAGE1_DEVICE"] == "cpu"
        assert environment.keys().isdisjoint({"STAGE1_GPU_SLOT", "STAGE1_COMPUTE"})


class TestDocker:
    def test_a_container_gets_its_gpus_shared_memory_workspace_and_no_root(self):
        from docker.types import DeviceRequest

        made = docker_job(DockerPool(image=IMAGE, mlflow_url=MLFLOW, shm_size="4g"))
        assert made.image == IMAGE
        assert made.volumes == ["stage1-workspace:/workspace"]
        assert made.container_create_kwargs["shm_size"] == "4g"
        assert made.container_create_kwargs["user"] == "1000:1000"
        (gpus,) = made.container_create_kwargs["device_requests"]
        assert DeviceRequest(**gpus) == {
            "Driver": "nvidia", "Count": -1, "DeviceIDs": [], "Capabilities": [["gpu"]], "Options": {},
        }  # fmt: skip
        assert made.env["STAGE1_ARTIFACTS"] == "/workspace"
        assert made.env["MLFLOW_TRACKING_URI"] == MLFLOW
        assert made.env["STAGE1_GPU_SLOT"] == GPU_SLOT

    def test_without_gpus_none_is_asked_for(self):
        made = docker_job(DockerPool(image=IMAGE, mlflow_url=MLFLOW, gpu=False))
        assert made.container_create_kwargs["device_requests"] == []

    def test_one_run_can_do_without(self):
        made = docker_job(DockerPool(image=IMAGE, mlflow_url=MLFLOW), device_requests=[])
        assert made.container_create_kwargs["device_requests"] == []

    def test_the_worker_hands_all_of_it_to_docker(self):
        from prefect_docker.worker import DockerWorkerJobConfiguration

        made = docker_job(DockerPool(image=IMAGE, mlflow_url=MLFLOW))
        ignored = set(made.container_create_kwargs) & set(DockerWorkerJobConfiguration.model_fields)
        assert not ignored, "the worker drops what is a field of its own"


class TestKubernetes:
    def test_a_pod_gets_its_gpu_and_may_go_where_gpus_are(self):
        made = kubernetes_job(
            KubernetesPool(
                image=IMAGE,
                mlflow_url=MLFLOW,
                node_selector={"accelerator": "a100"},
                tolerations=(Toleration(key="gpu", operator="Equal", value="yes"), Toleration(key="nvidia.com/gpu")),
            )
        )
        (container,) = pod(made)["containers"]
        assert container["resources"]["limits"] == {"nvidia.com/gpu": 1}
        assert container["image"] == IMAGE
        assert pod(made)["nodeSelector"] == {"accelerator": "a100"}
        assert pod(made)["tolerations"] == [
            {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        ]
        assert made.namespace == made.job_manifest["metadata"]["namespace"] == "stage1"

    def test_a_pod_is_not_root_and_cannot_become_it(self):
        made = kubernetes_job(KubernetesPool(image=IMAGE, mlflow_url=MLFLOW, user_id=1234))
        (container,) = pod(made)["containers"]
        assert pod(made)["securityContext"] == {
            "runAsNonRoot": True, "runAsUser": 1234, "runAsGroup": 1234, "fsGroup": 1234,
            "seccompProfile": {"type": "RuntimeDefault"},
        }  # fmt: skip
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

    def test_workspace_and_shared_memory_are_mounted(self):
        made = kubernetes_job(KubernetesPool(image=IMAGE, mlflow_url=MLFLOW, workspace_claim="data", shm_size="2Gi"))
        (container,) = pod(made)["containers"]
        assert pod(made)["volumes"] == [
            {"name": "workspace", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
        ]
        assert container["volumeMounts"] == [
            {"name": "workspace", "mountPath": "/workspace"}, {"name": "shm", "mountPath": "/dev/shm"},
        ]  # fmt: skip
        assert made.env["STAGE1_ARTIFACTS"] == "/workspace"

    def test_without_gpus_there_is_no_limit(self):
        made = kubernetes_job(KubernetesPool(image=IMAGE, mlflow_url=MLFLOW, gpus_per_run=0))
        (container,) = pod(made)["containers"]
        assert "nvidia.com/gpu" not in container["resources"]["limits"]

    def test_a_run_may_ask_for_more(self):
        made = kubernetes_job(KubernetesPool(image=IMAGE, mlflow_url=MLFLOW, gpus_per_run=0), gpus=2)
        (container,) = pod(made)["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == 2


@pytest.mark.parametrize("address", ["http://user:password@mlflow.example", "mlflow.example:5000"])
def test_an_address_with_a_password_is_refused(address):
    with pytest.raises(ValidationError, match="mlflow_url"):
        DockerPool(image=IMAGE, mlflow_url=address)
