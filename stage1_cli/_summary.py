"""Run a phase and say in a few lines how it ended."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from prefect import Flow
    from rich.table import Table

    from stage1_core.config import FrozenModel
    from tasks.phase import ReleasedPhase

NOT_ACCEPTED = 3
"""Exit code of a phase that released nothing, and of a move of aliases that was refused. An error has 2."""


def run_and_summarise(flow: Flow[Any, Any], config: FrozenModel) -> None:
    """Run ``flow`` and print its outcome; exit with 3 when the phase is not accepted."""
    from rich.console import Console

    from stage1_core.errors import PhaseRejected

    console = Console()
    quiet_known_errors()
    try:
        released: ReleasedPhase = flow(config)  # type: ignore[assignment]  # Prefect types async flows as well
    except PhaseRejected as rejected:
        console.print(_acceptance_table(rejected.report))
        typer.echo(f"{rejected.report['phase']}: {rejected.report['verdict']}; it released nothing", err=True)
        sys.exit(NOT_ACCEPTED)
    if released.turned_down is not None:
        report, folder = released.turned_down.report, released.turned_down.run.folder
        console.print(_acceptance_table(report.model_dump(mode="json"), title="Not adopted"))
        typer.echo(f"{report.phase}: not adopted; nothing new was released, {released.phase} stands")
        typer.echo(f"the comparison: {folder / 'comparison.html'}")
    console.print(_release_table(released, title="Released" if released.turned_down is None else "Stands"))


def quiet_known_errors() -> None:
    """Leave the traceback of our own errors out of the run's log: their one line says what to do."""
    if not os.environ.get("STAGE1_DEBUG"):
        for name in ("prefect.flow_runs", "prefect.task_runs"):
            logging.getLogger(name).addFilter(_without_known_traceback)


def _without_known_traceback(record: logging.LogRecord) -> bool:
    from stage1_core.errors import Stage1Error

    if record.exc_info and isinstance(record.exc_info[1], Stage1Error):
        record.exc_info = None
    return True


def _acceptance_table(report: Mapping[str, Any], *, title: str = "Acceptance") -> Table:
    from rich.table import Column, Table

    from stage1_core.acceptance import AcceptanceReport

    verdict = Column("verdict", no_wrap=True)
    table = Table("check", verdict, "evidence", "demand", title=title, show_lines=True)
    for row in AcceptanceReport.model_validate(report).table():
        table.add_row(*row.values())
    return table


def _release_table(released: ReleasedPhase, *, title: str) -> Table:
    from rich.table import Column, Table

    table = Table(Column(no_wrap=True), Column(overflow="fold"), title=title, show_header=False)
    for name, value in released.summary().items():
        table.add_row(name, value)
    return table
