"""Servers of the local workspace, in the foreground until Ctrl-C: what `stage1 stack` and `stage1 pages` share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from deployments.stack.config import StackConfig
    from deployments.stack.credentials import Credentials


def prepare_servers_environment() -> Path:
    """As for a local run, except that a server which the caller's shell names is not asked: it may be the one to start.

    Returns the workspace.
    """
    from stage1_cli._environment import prepare_environment

    os.environ.pop("PREFECT_API_URL", None)
    if os.environ.get("MLFLOW_TRACKING_URI", "").startswith(("http://", "https://")):
        del os.environ["MLFLOW_TRACKING_URI"]
    return prepare_environment()


def serve(config: StackConfig) -> None:
    """Start what ``config`` says, print where it is, and return when it was asked to stop and has stopped.

    Raises `Stage1Error` where it cannot start, and where a service ends by itself.
    """
    from deployments.stack.assembly import assemble, require_passwords_beyond_this_machine
    from deployments.stack.credentials import Credentials
    from deployments.stack.supervisor import Supervisor
    from deployments.stack.tenancy import sole_stack

    credentials = Credentials.from_environment(os.environ)
    require_passwords_beyond_this_machine(config, credentials)
    with sole_stack(config.folder):
        config.require_free_ports()
        stack = assemble(config, os.environ, credentials)
        typer.echo("\n".join([*stack.notes, f"logs in {config.folder}"]))
        supervisor = Supervisor(config.folder, say=typer.echo)
        supervisor.run(stack.steps, on_ready=lambda: typer.echo("\n".join(_summary(config, credentials))))


def _summary(config: StackConfig, credentials: Credentials | None) -> Iterator[str]:
    yield f"\nPrefect {config.prefect_api.removesuffix('/api')}\nMLflow  {config.mlflow}\n"
    yield "For a run from another terminal:"
    yield f"export PREFECT_API_URL={config.prefect_api}"
    yield f"export MLFLOW_TRACKING_URI={config.mlflow}"
    yield from credentials.exports() if credentials else ()
    yield "\nCtrl-C stops everything"
