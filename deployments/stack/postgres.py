"""A PostgreSQL cluster of the workspace's own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from deployments.stack.account import Account, account_for
from deployments.stack.config import LOOPBACK, free_port
from deployments.stack.readiness import database_answers
from deployments.stack.service import Service
from stage1_core.errors import Stage1Error

DEBIAN_PROGRAMS = "/usr/lib/postgresql"
USER = "stage1"
DATABASES = ("prefect", "mlflow")


@dataclass(frozen=True, slots=True)
class Postgres:
    """A cluster in ``folder``, on a port of the loopback that is new with each start."""

    folder: Path
    programs: Path
    """Folder of ``initdb`` and ``postgres``."""
    account: Account | None
    port: int
    password: str = field(repr=False)

    def url(self, database: str, scheme: str = "postgresql") -> str:
        """Address of ``database`` with user and password."""
        return f"{scheme}://{USER}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def service(self) -> Service:
        """The server. SIGINT is its fast shutdown: open sessions end, nothing that was committed is lost."""
        options = {"listen_addresses": LOOPBACK, "port": str(self.port), "unix_socket_directories": ""}
        return Service(
            name="postgres",
            command=(
                *(str(self.programs / "postgres"), "-D", str(self.folder / "data")),
                *(word for name, value in options.items() for word in ("-c", f"{name}={value}")),
            ),
            environment=_environment(),
            ready=partial(database_answers, self.url(DATABASES[-1])),
            account=self.account,
            folder=self.folder,
            stop_signal=signal.SIGINT,
        )


def open_cluster(workspace: Path) -> Postgres:
    """The workspace's cluster, made on first use (some five seconds).

    Raises `Stage1Error` saying why there can be none: programs or a driver are missing, or root has no account for it.
    """
    folder = workspace / "postgres"
    programs = _programs()
    if find_spec("psycopg") is None:
        raise Stage1Error(
            "MLflow needs psycopg to use PostgreSQL; install with `pip install -c constraints.txt '.[stack]'`"
        )
    account = account_for(folder)
    password = _kept_password(folder / "password", account)
    if not (folder / "data").exists():
        _make(folder, programs, account)
    return Postgres(folder, programs, account, free_port(), password)


def _programs() -> Path:
    places = [*os.get_exec_path(), *map(str, sorted(Path(DEBIAN_PROGRAMS).glob("*/bin"), reverse=True))]
    for name in ("postgres", "initdb"):
        if shutil.which(name, path=os.pathsep.join(places)) is None:
            raise Stage1Error(f"PostgreSQL's program {name} is not installed (on Debian: apt-get install postgresql)")
    found = shutil.which("initdb", path=os.pathsep.join(places))
    assert found is not None
    return Path(found).resolve().parent  # both of one version


def _kept_password(path: Path, account: Account | None) -> str:
    """Made once; only the account that runs the server may read the file."""
    if not path.exists():
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(24))
        if account is not None:
            os.chown(draft, account.user, account.group)
        draft.rename(path)
    return path.read_text()


def _make(folder: Path, programs: Path, account: Account | None) -> None:
    """The data appear whole or not at all: what was killed half-way is made again."""
    draft = folder / "data.draft"
    shutil.rmtree(draft, ignore_errors=True)
    settings = ["--username", USER, "--auth", "scram-sha-256", "--pwfile", str(folder / "password")]
    initdb = [str(programs / "initdb"), "--pgdata", str(draft), *settings, "--encoding", "UTF8", "--no-locale"]
    _run(initdb, folder, account)
    statements = "".join(f"CREATE DATABASE {name}\n" for name in DATABASES)
    _run([str(programs / "postgres"), "--single", "-D", str(draft), "postgres"], folder, account, statements)
    draft.rename(folder / "data")


def _run(command: list[str], folder: Path, account: Account | None, statements: str = "") -> None:
    made = subprocess.run(
        command,
        cwd=folder,
        env=_environment(),
        input=statements,
        capture_output=True,
        text=True,
        user=account.user if account else None,
        group=account.group if account else None,
        extra_groups=[] if account else None,
        check=False,
    )
    if made.returncode != 0:
        raise Stage1Error(f"{Path(command[0]).name} could not make a cluster in {folder}: {made.stderr.strip()[-600:]}")


def _environment() -> Mapping[str, str]:
    """Nothing of the caller's: its PG variables are about other servers."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
