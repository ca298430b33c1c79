"""Which services a stack has on this machine, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.stack.config import StackConfig
from deployments.stack.credentials import VARIABLES, Credentials
from deployments.stack.postgres import Postgres, open_cluster
from deployments.stack.redis_server import RedisServer, open_redis
from deployments.stack.servers import deploy, mlflow_server, prefect_server, worker
from deployments.stack.service import Service, Step
from stage1_core.errors import Stage1Error

NOT_FOR_SERVICES = {*VARIABLES, "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_API_URL"}
"""What the caller's environment says about servers; Prefect would even prefer a key to a password."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything that is to be started, and what there is to say about it."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    """What the databases are, and why nothing better was taken."""


LEASES_IN_FILES = "prefect.server.concurrency.lease_storage.filesystem"


@dataclass(frozen=True, slots=True)
class Databases:
    """What the two servers keep their records in. Without PostgreSQL each has a SQLite file."""

    postgres: Postgres | None
    redis: RedisServer | None
    notes: tuple[str, ...]

    def services(self) -> tuple[Service, ...]:
        """Those that run, and start together."""
        return tuple(each.service() for each in (self.postgres, self.redis) if each is not None)

    def of_prefect_server(self) -> dict[str, str]:
        """Leases in files where there is no Redis: in memory, as is Prefect's choice, a restart would lose slots."""
        variables = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES_IN_FILES}
        if self.postgres is not None:
            variables["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = self.postgres.url("prefect", "postgresql+asyncpg")
        if self.redis is not None:
            variables |= self.redis.of_prefect_server()
        return variables

    def mlflow_store(self, sqlite: str) -> str:
        """Address of MLflow's database; ``sqlite`` without PostgreSQL."""
        return sqlite if self.postgres is None else self.postgres.url("mlflow", "postgresql+psycopg")


def assemble(config: StackConfig, environment: Mapping[str, str], credentials: Credentials | None) -> Stack:
    """Make what must lie in the workspace, a PostgreSQL cluster above all, and describe what is to be started.

    ``environment`` names MLflow's SQLite file as ``MLFLOW_TRACKING_URI``. Raises `Stage1Error` when a database that was
    asked for cannot be had.
    """
    sqlite = environment["MLFLOW_TRACKING_URI"]
    databases = open_databases(config, Path(sqlite.removeprefix("sqlite:///")))
    common = {name: value for name, value in environment.items() if name not in NOT_FOR_SERVICES}
    common["PYTHONUNBUFFERED"] = "1"  # a log has what a process said before it died
    client = {
        **common,
        **(credentials.of_client() if credentials else {}),
        "PREFECT_API_URL": f"http://{config.asked_at}:{config.prefect_port}/api",
        "MLFLOW_TRACKING_URI": f"http://{config.asked_at}:{config.mlflow_port}",
    }
    prefect = common | databases.of_prefect_server() | (credentials.of_prefect_server() if credentials else {})
    mlflow = common | {"MLFLOW_BACKEND_STORE_URI": databases.mlflow_store(sqlite)}
    del mlflow["MLFLOW_TRACKING_URI"], prefect["MLFLOW_TRACKING_URI"]
    cpu = [worker("cpu", number, client | {"STAGE1_DEVICE": "cpu"}) for number in _numbers(config.cpu_workers)]
    gpu = [worker("gpu", number, client) for number in _numbers(config.gpu_workers)]
    steps: list[Step] = [
        databases.services(),
        (prefect_server(config, prefect), mlflow_server(config, mlflow, credentials)),
        *([deploy(client)] if config.deploy else []),
        (*cpu, *gpu),
    ]
    return Stack(tuple(steps), databases.notes)


def require_passwords_beyond_this_machine(config: StackConfig, credentials: Credentials | None) -> None:
    """Raises `Stage1Error` when other machines could reach servers that ask nobody who they are."""
    if credentials is not None or (config.local and not config.public_mlflow_host):
        return
    option = f"--public-mlflow-host {config.public_mlflow_host}" if config.local else f"--host {config.host}"
    raise Stage1Error(f"{option} opens both servers to other machines; set {VARIABLES[0]}=user:password first")


def open_databases(config: StackConfig, records: Path) -> Databases:
    """PostgreSQL, with Redis where there is one, or SQLite; see `StackConfig.database`.

    ``records`` is MLflow's SQLite file, which need not exist.
    """
    if config.database == "sqlite":
        return Databases(None, None, ())
    has_cluster = (config.workspace / "postgres" / "data").exists()
    if config.database == "auto" and not has_cluster and records.exists():  # what local runs registered would seem lost
        return Databases(
            None, None, (f"SQLite, because {records} exists; --database postgres begins without its records",)
        )
    try:
        postgres = open_cluster(config.workspace)
    except Stage1Error as error:
        if config.database == "postgres" or has_cluster:
            raise  # what is in the cluster would seem lost
        return Databases(None, None, (f"SQLite, because: {error}",))
    try:
        return Databases(postgres, open_redis(config.workspace), ())
    except Stage1Error as error:
        return Databases(postgres, None, (f"without Redis, because: {error}",))


def _numbers(count: int) -> range:
    return range(1, count + 1)
