"""A run's own folder, and its record in MLflow."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from stage1_core.config import FrozenModel
from tasks._workspace import runs_folder


class RunRef(FrozenModel):
    """Where a run reports. It is no input of any step: the same step in another run is the same step."""

    run_id: str
    """``YYYYMMDD_HHMMSS``, UTC; with a suffix where two runs began in the same second."""
    mlflow_run_id: str

    @property
    def folder(self) -> Path:
        """The run's folder, with checkpoints, calibrators, metrics and logs below it."""
        return runs_folder() / self.run_id


def new_run_id() -> str:
    """Claim an id by making its folder."""
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    for suffix in ("", *(f"_{number}" for number in range(2, 1000))):
        folder = runs_folder() / f"{stamp}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        for name in ("checkpoints", "calibrators", "metrics", "logs"):
            (folder / name).mkdir()
        return folder.name
    raise OSError(f"{runs_folder()} holds a thousand runs of this second")


def write_log_to(run: RunRef) -> None:
    """Send what the library logs in this process to the run's own file as well."""
    handler = logging.FileHandler(run.folder / "logs" / "stage1.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    library = logging.getLogger("stage1_core")
    for earlier in [known for known in library.handlers if isinstance(known, logging.FileHandler)]:
        library.removeHandler(earlier)
        earlier.close()
    library.addHandler(handler)
    library.setLevel(logging.INFO)


def place(run: RunRef, target: Path, name: str) -> None:
    """Show ``target`` in the run's folder as ``name``: a link, so that nothing is stored twice."""
    link = run.folder / name
    if not link.is_symlink():
        link.symlink_to(target)
