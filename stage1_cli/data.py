"""`stage1 data`: looking at the data before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="data", help="Audit, split and import data.", no_args_is_help=True, rich_markup_mode=None)

ConfigFile = Annotated[
    Path, typer.Option("--config", help="YAML or JSON file: a phase's configuration, or its `data` part alone.")
]


@app.command()
def audit(config: ConfigFile) -> None:
    """Open every picture once and say what is wrong with the data; exit code 2 if they must not be trained on."""
    from rich.console import Console
    from rich.table import Table

    from stage1_cli._configuration import read_data_config
    from stage1_cli._environment import prepare_environment
    from stage1_cli._progress import progress_bar
    from stage1_core.data.audit import examine
    from stage1_core.data.inspection import inspect_images
    from stage1_core.data.reading import read_sources
    from tasks._workspace import inspection_folder

    prepare_environment()
    chosen = read_data_config(config)
    rows, remarks = read_sources(chosen.sources)
    with progress_bar("opening pictures") as on_progress:
        inspection = inspect_images(rows, cache_folder=inspection_folder(), on_progress=on_progress)
    report = examine(inspection.samples, inspection.bad, chosen.audit).report
    lines = report.table()
    table = Table(*lines[0], title="Audit")
    for line in lines:
        table.add_row(*line.values())
    Console().print(table)
    for remark in (*remarks, *report.warnings):
        typer.echo(f"note: {remark}")
    for bad in report.bad.first:
        typer.echo(f"broken: {bad.id}: {bad.reason}")
    for refusal in report.refusals:
        typer.echo(f"stage1: {refusal}", err=True)
    if report.refusals:
        raise typer.Exit(2)


@app.command()
def split(
    config: ConfigFile,
    to: Annotated[Path, typer.Option(help="Folder for ledger.parquet, splits.json and audit.json.")],
) -> None:
    """Audit the data, divide them, and write who may use which rows."""
    from stage1_cli._configuration import read_data_config
    from stage1_cli._environment import prepare_environment
    from stage1_cli._progress import progress_bar
    from stage1_core.data.prepare import prepare
    from tasks._workspace import inspection_folder

    prepare_environment()
    with progress_bar("opening pictures") as on_progress:
        chosen = read_data_config(config)
        prepared = prepare(chosen, inspections=inspection_folder(), on_progress=on_progress)
    prepared.save(to)
    for share in prepared.ledger.summary().splits:
        typer.echo(f"{share.split}: {share.positives} with and {share.negatives} without, in {share.groups} groups")


@app.command("import")
def import_head(
    legacy_head: Annotated[Path, typer.Argument(help="classifier_head.pth or checkpoint_epoch<n>.pth.")],
    to: Annotated[Path, typer.Option(help="Folder for head.safetensors and head.json.")],
    dropout: Annotated[float, typer.Option(min=0, max=0.99, help="Dropout it was trained with.")] = 0.3,
) -> None:
    """Convert a head of the historical trainer. Only tensors are read from the file."""
    from stage1_core.model.head_files import save_head
    from stage1_core.training.legacy_head import import_legacy_head

    head = import_legacy_head(legacy_head, dropout=dropout)
    to.mkdir(parents=True, exist_ok=True)
    save_head(head, to)
    typer.echo(f"{to} holds the head: {head.in_features} features, {head.config.hidden} hidden units")
