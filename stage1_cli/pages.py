"""`stage1 pages`: the Prefect and MLflow pages of the local workspace."""

from __future__ import annotations

from typing import Annotated

import typer


def pages(
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Prefect page.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the MLflow page.")] = 5000,
) -> None:
    """Serve what local runs have recorded, on 127.0.0.1, until Ctrl-C."""
    from deployments.stack.config import StackConfig
    from stage1_cli._serving import prepare_servers_environment, serve

    serve(
        StackConfig(
            workspace=prepare_servers_environment(),
            prefect_port=prefect_port,
            mlflow_port=mlflow_port,
            database="sqlite",
            cpu_workers=0,
            gpu_workers=0,
            deploy=False,
        )
    )
