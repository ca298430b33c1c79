"""The environment of a local run: everything Prefect and MLflow keep lies in the workspace, unless told otherwise."""

from __future__ import annotations

import os
from pathlib import Path


def prepare_environment() -> Path:
    """Set defaults for this process and its children, before Prefect or MLflow is imported; return the workspace.

    A server that the user named (`PREFECT_API_URL`, `PREFECT_PROFILE`, `MLFLOW_TRACKING_URI`) is left alone.
    """
    workspace = Path(os.environ.get("STAGE1_ARTIFACTS", "artifacts")).absolute()
    os.environ["STAGE1_ARTIFACTS"] = str(workspace)  # a server started by this process may stand elsewhere
    workspace.mkdir(parents=True, exist_ok=True)  # Prefect warns when its home cannot be made in one step
    if not {"PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_HOME"} & os.environ.keys():
        os.environ["PREFECT_HOME"] = str(workspace / "prefect")
        os.environ["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "true"
    defaults = {
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(workspace / "prefect" / "results"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_TRACKING_URI": f"sqlite:///{workspace / 'mlflow.db'}",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    return workspace
