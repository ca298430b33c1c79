"""A Redis of the workspace's own, for Prefect's messages, leases and timed tasks."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from deployments.stack.account import Account, account_for
from deployments.stack.config import LOOPBACK, free_port
from deployments.stack.readiness import redis_answers
from deployments.stack.service import Service
from stage1_core.errors import Stage1Error


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Redis on a port of the loopback, with a password, both new with each start."""

    folder: Path
    program: Path
    account: Account | None
    port: int
    password: str = field(repr=False)

    def url(self, database: int) -> str:
        """Address of ``database`` with the password."""
        return f"redis://default:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def service(self) -> Service:
        """It reads its settings, with the password, from standard input."""
        settings = {
            "bind": LOOPBACK,
            "port": self.port,
            "requirepass": self.password,
            "dir": f'"{self.folder}"',
            "appendonly": "yes",  # leases of limits outlive a restart
            "set-proc-title": "no",  # it would overwrite the mark by which the stack knows its processes
        }
        return Service(
            name="redis",
            command=(str(self.program), "-"),
            environment={"PATH": os.environ.get("PATH", os.defpath)},
            standard_input="".join(f"{name} {value}\n" for name, value in settings.items()).encode(),
            ready=partial(redis_answers, self.url(0)),
            account=self.account,
            folder=self.folder,
        )

    def of_prefect_server(self) -> dict[str, str]:
        """Settings with which Prefect keeps in Redis what it would keep in memory."""
        return {
            "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "prefect_redis.messaging",
            "PREFECT_SERVER_EVENTS_MESSAGING_CACHE": "prefect_redis.messaging",
            "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
            "PREFECT_REDIS_MESSAGING_URL": self.url(0),
            "PREFECT_SERVER_DOCKET_URL": self.url(1),
        }


def open_redis(workspace: Path) -> RedisServer:
    """The workspace's Redis. Raises `Stage1Error` saying what is missing."""
    program = shutil.which("redis-server")
    if program is None:
        raise Stage1Error("redis-server is not installed (on Debian: apt-get install redis-server)")
    if find_spec("prefect_redis") is None:
        raise Stage1Error("prefect-redis is not installed (`pip install -c constraints.txt '.[stack]'`)")
    folder = workspace / "redis"
    return RedisServer(folder, Path(program), account_for(folder), free_port(), secrets.token_hex(24))
