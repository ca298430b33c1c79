"""Where the servers listen, and how they are reached."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Literal

from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.errors import Stage1Error

LOOPBACK = "127.0.0.1"


class StackConfig(FrozenModel):
    """What `stage1 stack` starts. `stage1 pages` is the same with the two servers alone."""

    workspace: Path
    """Absolute; everything that the stack keeps lies below it."""
    host: str = LOOPBACK
    """Name or address that the two servers listen on; anything but this machine's loopback demands passwords."""
    prefect_port: int = Field(default=4200, ge=1, le=65535)
    """Of Prefect's API and page."""
    mlflow_port: int = Field(default=5000, ge=1, le=65535)
    """Of MLflow's API and page."""
    public_mlflow_host: str = ""
    """Name, with its port unless 443, under which a proxy with TLS offers MLflow; empty: there is none."""
    database: Literal["auto", "postgres", "sqlite"] = "auto"
    """auto is postgres where its programs are installed and can be used and MLflow has no SQLite file yet, else sqlite;
    a workspace that has a cluster stays with it."""
    cpu_workers: int = Field(default=1, ge=0)
    """Processes that take runs from the pool ``cpu``."""
    gpu_workers: int = Field(default=1, ge=0)
    """Processes that take runs from the pool ``gpu``."""
    deploy: bool = True
    """Whether the deployments are applied before the workers start."""

    @property
    def folder(self) -> Path:
        """Logs, the lock and what servers read when they start."""
        return self.workspace / "stack"

    @property
    def local(self) -> bool:
        """Whether only this machine can reach the servers."""
        try:
            return all(ipaddress.ip_address(address).is_loopback for address in _resolved(self.host))
        except OSError:
            raise Stage1Error(f"--host {self.host} is no name or address that this machine knows") from None

    @property
    def reached_at(self) -> str:
        """Host part of the servers' addresses, for browsers and workers."""
        if self.host in ("0.0.0.0", "::"):
            return socket.gethostname()
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def asked_at(self) -> str:
        """Host part for this machine's own questions, which need no name service."""
        return LOOPBACK if self.host in ("0.0.0.0", "::") else self.reached_at

    @property
    def prefect_api(self) -> str:
        """What clients call ``PREFECT_API_URL``."""
        return f"http://{self.reached_at}:{self.prefect_port}/api"

    @property
    def mlflow(self) -> str:
        """What clients call ``MLFLOW_TRACKING_URI``."""
        return f"http://{self.reached_at}:{self.mlflow_port}"

    def require_free_ports(self) -> None:
        """Raises `Stage1Error` naming the first port that something listens on already."""
        if self.prefect_port == self.mlflow_port:
            raise Stage1Error(f"both servers would listen on port {self.mlflow_port}; give them different ones")
        for option, port in (("--prefect-port", self.prefect_port), ("--mlflow-port", self.mlflow_port)):
            family = socket.getaddrinfo(self.host, port, type=socket.SOCK_STREAM)[0][0]
            with socket.socket(family) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind((self.host, port))
                except OSError as error:
                    raise Stage1Error(
                        f"port {port} of {self.host}: {error.strerror}; choose another {option}"
                    ) from None


def free_port() -> int:
    """A port of the loopback that nothing listens on at this moment."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


def _resolved(host: str) -> set[str]:
    return {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
