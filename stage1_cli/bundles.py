"""`stage1 predict`, `stage1 verify`, `stage1 export`: using a released bundle."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

BundleFolder = Annotated[Path, typer.Argument(help="Folder of the bundle: the one that holds bundle.json.")]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, ...")]


class RowFormat(StrEnum):
    """How rows are written."""

    CSV = "csv"
    JSONL = "jsonl"


def predict(
    bundle: BundleFolder,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders that are searched for pictures.")],
    output: Annotated[Path | None, typer.Option(help="File to write; standard output if absent.")] = None,
    row_format: Annotated[RowFormat, typer.Option("--format", help="csv or jsonl.")] = RowFormat.CSV,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a forward pass.")] = 32,
    device: Device = "cpu",
) -> None:
    """Decide pictures with a bundle: one row for each, broken ones with their error.

    The bundle is verified first. Columns: path, exited, label (0 or 1 where the picture exits), probability (of
    roadwork), error.
    """
    from stage1_cli._progress import progress_bar
    from stage1_core.bundle.predict import picture_files, predict_files, write_csv, write_jsonl
    from stage1_core.bundle.runtime import load_bundle

    stage1 = load_bundle(bundle, device=device)
    paths = picture_files(pictures)
    broken: list[str] = []
    with progress_bar("deciding") as on_progress:
        rows = []
        for row in predict_files(stage1, paths, batch_size=batch_size, on_progress=on_progress):
            rows.append(row)
            if row.error is not None:
                broken.append(row.path)
    write = write_csv if row_format is RowFormat.CSV else write_jsonl
    if output is None:
        write(rows, sys.stdout)
    else:
        with output.open("w", encoding="utf-8", newline="") as file:
            write(rows, file)
    exited = sum(bool(row.exited) for row in rows)
    typer.echo(
        f"{len(rows)} pictures: {exited} exit, {len(broken)} broken, the rest goes to the second stage", err=True
    )


def verify(bundle: BundleFolder, device: Device = "cpu") -> None:
    """Check everything about a bundle that can be checked without the people who made it.

    Digests, schemas, pointers, the arithmetic of the certificate, and the golden decisions. Exit code 2 if anything is
    not as it was sealed.
    """
    from rich.console import Console
    from rich.table import Table

    from stage1_core.bundle.verify import verify_bundle

    report = verify_bundle(bundle, device=device)
    table = Table("check", "verdict", "evidence", title=str(bundle))
    for check in report.checks:
        table.add_row(check.name, check.verdict.value, check.evidence)
    Console().print(table)
    if not report.passed:
        typer.echo(f"stage1: {report.summary()}", err=True)
        raise typer.Exit(2)


def export(
    bundle: BundleFolder,
    target: Annotated[Path, typer.Argument(help="Folder to make; it must not exist.")],
    device: Device = "cpu",
) -> None:
    """Verify a bundle and copy it to where a service will load it."""
    import shutil

    from stage1_core.bundle.runtime import load_bundle
    from stage1_core.errors import BundleError

    if target.exists():
        raise BundleError(f"{target} exists; bundles are never written over, give another folder")
    load_bundle(bundle, device=device)
    draft = target.with_name(f".{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(bundle, draft)
    draft.rename(target)
    typer.echo(f"{target} holds the verified bundle")
