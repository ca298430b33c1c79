"""`stage1 stack`: databases, servers and workers of this machine in one command."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import typer


def _name_alone(text: str) -> str:
    """Refuses addresses, and patterns, which MLflow would follow."""
    if not re.fullmatch(r"[\w.:-]*", text):
        raise typer.BadParameter(f"{text} is no name; write one like mlflow.example.com or mlflow.example.com:8443")
    return text


def stack(
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Prefect's API and page.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of MLflow's API and page.")] = 5000,
    database: Annotated[
        Literal["auto", "postgres", "sqlite"],
        typer.Option(help="auto is PostgreSQL, with Redis, where they are installed and mlflow.db does not exist."),
    ] = "auto",
    host: Annotated[
        str, typer.Option(help="Name or address the servers listen on; beyond this machine only with passwords.")
    ] = "127.0.0.1",
    public_mlflow_host: Annotated[
        str,
        typer.Option(
            callback=_name_alone, help="Name, with its port unless 443, under which a proxy with TLS offers MLflow."
        ),
    ] = "",
    cpu_workers: Annotated[int, typer.Option(min=0, help="Workers that take runs from the pool cpu.")] = 1,
    gpu_workers: Annotated[int, typer.Option(min=0, help="Workers that take runs from the pool gpu.")] = 1,
    deploy: Annotated[bool, typer.Option(help="Apply the deployments before the workers start.")] = True,
) -> None:
    """Start databases, servers and workers on this machine, until Ctrl-C.

    Everything lies in the workspace and is there again after the next start. With STAGE1_STACK_AUTH=user:password in
    the environment, both servers ask for it.
    """
    from deployments.stack.config import StackConfig
    from stage1_cli._serving import prepare_servers_environment, serve

    serve(
        StackConfig(
            workspace=prepare_servers_environment(),
            host=host,
            prefect_port=prefect_port,
            mlflow_port=mlflow_port,
            public_mlflow_host=public_mlflow_host,
            database=database,
            cpu_workers=cpu_workers,
            gpu_workers=gpu_workers,
            deploy=deploy,
        )
    )
