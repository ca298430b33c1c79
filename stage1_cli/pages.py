"""`stage1 pages`: the Prefect and MLflow pages of the local workspace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer


def pages(
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Prefect page.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the MLflow page.")] = 5000,
) -> None:
    """Serve what local runs have recorded, on 127.0.0.1, until Ctrl-C."""
    from stage1_cli._environment import prepare_environment

    workspace = prepare_environment()
    # The page asks the port that this setting names, which is 4200 whatever port the server listens on.
    environment = os.environ | {"PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{prefect_port}/api"}
    commands = [_prefect(prefect_port), _mlflow(mlflow_port, workspace)]
    servers = [subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) for command in commands]
    typer.echo(f"Prefect http://127.0.0.1:{prefect_port}\nMLflow  http://127.0.0.1:{mlflow_port}\nCtrl-C stops both")
    signal.signal(signal.SIGTERM, _stop)
    try:
        while all(server.poll() is None for server in servers):
            time.sleep(0.5)
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(timeout=20)


def _stop(_number: int, _frame: FrameType | None) -> None:
    """End like Ctrl-C does, so that the servers end too."""
    raise KeyboardInterrupt


def _prefect(port: int) -> list[str]:
    return [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]


def _mlflow(port: int, workspace: Path) -> list[str]:
    store = os.environ["MLFLOW_TRACKING_URI"]
    files = ["--artifacts-destination", str(workspace / "mlflow")]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, *files, *address]
