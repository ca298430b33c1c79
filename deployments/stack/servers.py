"""Prefect, MLflow and workers as services."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from deployments.stack.config import StackConfig
from deployments.stack.credentials import Credentials
from deployments.stack.readiness import answers
from deployments.stack.service import Job, Service
from stage1_core.errors import Stage1Error

PYTHON = (sys.executable, "-m")


def prefect_server(config: StackConfig, environment: Mapping[str, str]) -> Service:
    """API, page and background services of Prefect in one process."""
    address = ("--host", config.host, "--port", str(config.prefect_port))
    variables = {
        # The page asks the address that it came from, which behind a proxy or a tunnel this server does not know.
        "PREFECT_SERVER_UI_API_URL": "/api",
        # Where the page is copied at each start; Prefect's own choice is among the installed packages.
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(config.folder / "prefect-pages"),
    }
    health = f"http://{config.asked_at}:{config.prefect_port}/api/ready"
    return Service(
        name="prefect",
        command=(*PYTHON, "prefect", "server", "start", *address),
        environment={**variables, **environment},
        ready=lambda: answers(health),
    )


def mlflow_server(config: StackConfig, environment: Mapping[str, str], credentials: Credentials | None) -> Service:
    """Tracking server and registry; files go through it into the workspace."""
    server = f"http://{config.asked_at}:{config.mlflow_port}"
    variables = {
        "MLFLOW_ARTIFACTS_DESTINATION": str(config.workspace / "mlflow"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # six more processes, for evaluations of language models
    }
    public = [config.public_mlflow_host] if config.public_mlflow_host else []
    if public or not config.local:
        origins = [config.mlflow, *(f"https://{name}" for name in public)]
        variables["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join([*_own_names(), *public])
        variables["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] = ",".join(origins)
    words = ["--host", config.host, "--port", str(config.mlflow_port), "--workers", "1"]
    if credentials is not None:
        words += ["--app-name", "basic-auth"]
        variables |= credentials.of_mlflow_server()
        variables["MLFLOW_AUTH_CONFIG_PATH"] = str(_user_settings(config))
        variables["MLFLOW_FLASK_SERVER_SECRET_KEY"] = secrets.token_hex(32)

    def ready() -> bool:
        try:
            return answers(f"{server}/health") and answers(f"{server}/version", credentials)
        except PermissionError:
            raise Stage1Error(
                f"MLflow knows its user by another password; start with that one, or remove {_users(config)} "
                "to begin with the new one"
            ) from None

    command = (*PYTHON, "mlflow", "server", *words)
    return Service(name="mlflow", command=command, environment={**environment, **variables}, ready=ready)


def worker(pool: str, number: int, environment: Mapping[str, str]) -> Service:
    """A process that takes runs from ``pool`` and starts each as a process of its own."""
    name = f"{socket.gethostname()}-{pool}-{number}"
    words = ("worker", "start", "--pool", pool, "--type", "process", "--name", name, "--install-policy", "never")
    return Service(
        name=f"worker-{pool}-{number}",
        command=(*PYTHON, "prefect", *words),
        environment={"PREFECT_WORKER_QUERY_SECONDS": "5", **environment},
    )


def deploy(environment: Mapping[str, str]) -> Job:
    """`stage1 deploy`, which makes the pools before workers would."""
    program = "from stage1_cli.app import main; main()"
    return Job(name="deploy", command=(sys.executable, "-c", program, "deploy"), environment=environment)


def _users(config: StackConfig) -> Path:
    return config.workspace / "mlflow_users.db"


def _user_settings(config: StackConfig) -> Path:
    """MLflow reads where its users are from a file and from nowhere else."""
    path = config.folder / "mlflow_auth.ini"
    settings = {
        "default_permission": "READ",
        "database_uri": f"sqlite:///{_users(config)}",
        "auth_cache_ttl_seconds": 60,  # else every request hashes the password anew, which takes .1 s
    }
    path.write_text("[mlflow]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    return path


def _own_names() -> list[str]:
    """Every name and address by which a browser may call this machine, with any port."""
    addresses = {entry.address.partition("%")[0] for entries in psutil.net_if_addrs().values() for entry in entries
                 if entry.family in (socket.AF_INET, socket.AF_INET6)}  # fmt: skip
    bracketed = {f"[[]{address}]" if ":" in address else address for address in addresses}  # MLflow reads patterns
    return sorted(f"{name}:*" for name in bracketed | {"localhost", socket.gethostname(), socket.getfqdn()})
