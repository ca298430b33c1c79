"""Entry point of `stage1`: the commands, and how errors are shown."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from stage1_cli import (
    bundles,
    data,
    deploy,
    doctor,
    evaluation,
    metrics,
    pages,
    policies,
    promotion,
    run,
    stack,
    sweep,
    training,
)

app = typer.Typer(
    name="stage1",
    help="Train, certify and release the first stage of a picture cascade.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(run.demo)
app.command()(run.run)
app.add_typer(data.app, name="data")
app.command()(training.features)
app.command()(training.train)
app.command()(sweep.sweep)
app.command()(metrics.metrics)
app.command()(evaluation.evaluate)
app.command()(policies.fit_policy)
app.command()(policies.decide)
app.command()(bundles.predict)
app.command()(bundles.verify)
app.command()(bundles.export)
app.command()(promotion.registry)
app.command()(promotion.promote)
app.command()(promotion.rollback)
app.command()(promotion.repair)
app.command()(deploy.deploy)
app.command()(doctor.doctor)
app.command()(pages.pages)
app.command()(stack.stack)


def _print_version(wanted: bool) -> None:
    if wanted:
        from stage1_core import __version__

        typer.echo(f"stage1 {__version__}")
        raise typer.Exit


@app.callback()
def stage1(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Train, certify and release the first stage of a picture cascade."""
    if debug:
        os.environ["STAGE1_DEBUG"] = "1"


def main() -> None:
    """Run the command line. Errors are one line that says what to do, exit code 2."""
    from stage1_core.errors import Stage1Error

    try:
        app()
    except Stage1Error as error:
        if os.environ.get("STAGE1_DEBUG"):
            traceback.print_exc()
        typer.echo(f"stage1: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if os.environ.get("STAGE1_DEBUG"):
            traceback.print_exc()
        typer.echo(
            f"stage1: {error}; correct the path, its permissions or the free space (--debug says where)", err=True
        )
        sys.exit(2)
