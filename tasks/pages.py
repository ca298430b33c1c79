"""What a person sees of a run in the Prefect page: the acceptance table, figures and links."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image
from prefect.artifacts import create_image_artifact, create_link_artifact, create_table_artifact
from prefect.logging import get_run_logger

from stage1_core.acceptance import AcceptanceReport
from tasks.runs import RunRef
from tasks.tracking import client, experiment_id


def show_acceptance(report: AcceptanceReport, *, key: str = "acceptance") -> None:
    """The verdict of every check, as a table, and the summary as a line of the log.

    The page breaks no lines in a table: what is long comes last.
    """
    rows = [{name: row[name] for name in ("verdict", "check", "demand", "evidence")} for row in report.table()]
    create_table_artifact(rows, key=key, description=report.summary())
    get_run_logger().info("%s", report.summary())


def show_figures(pictures: Iterable[Path]) -> None:
    """PNG files as images. The page takes addresses only, so each picture travels inside its own."""
    for path in pictures:
        content = base64.b64encode(path.read_bytes()).decode()
        name = path.stem.replace("_", "-").lower()
        create_image_artifact(f"data:image/png;base64,{content}", key=f"figure-{name}", description=_words_of(path))


def show_links(run: RunRef, report: Path, *, key: str = "report") -> None:
    """The report and the run in MLflow, where that has a page; without one, where the report lies on the worker.

    MLflow keeps the report in the folder ``key``. No browser follows a link from a page to a file.
    """
    address = mlflow_page(run)
    place = f"On the worker: {report}"
    if address is None:
        create_link_artifact(report.as_uri(), f"release {key}", key=key, description=place)
        return
    create_link_artifact(f"{address}/artifacts/{key}/{report.name}", f"release {key}", key=key, description=place)
    create_link_artifact(
        address, "run in MLflow", key="mlflow-run", description="Parameters, metrics with bounds, files and the model"
    )


def _words_of(picture: Path) -> str:
    """What a figure says, as it is written into its PNG."""
    with Image.open(picture) as image:
        return str(image.info.get("Description", picture.stem))


def mlflow_page(run: RunRef) -> str | None:
    """Address of the run's page, without credentials; None where the store is a file and no server shows it."""
    parts = urlsplit(client().tracking_uri)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return None
    place = parts.hostname + (f":{parts.port}" if parts.port else "") + parts.path.rstrip("/")
    return f"{parts.scheme}://{place}/#/experiments/{experiment_id()}/runs/{run.mlflow_run_id}"
