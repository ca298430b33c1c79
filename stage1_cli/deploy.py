"""`stage1 deploy`: what a Prefect server should hold, and bringing it there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deployments.changes import Change
    from deployments.config import DeployConfig
    from stage1_core.phases.ladder import LadderConfig

WEBHOOK_VARIABLE = "STAGE1_WEBHOOK_URL"
KEPT = "deploy.yaml"
"""In the workspace: the configuration that was applied last. Whatever starts the servers again applies it again."""


def deploy(
    config: Annotated[
        Path | None,
        typer.Option(help="YAML or JSON file with what differs from the defaults; without one, what was applied last."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove deployments and automations of this project that are stale.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the complete configuration as YAML, and stop.")] = False,
) -> None:
    """Create or update pools, limits, deployments, schedules and automations on a Prefect server.

    The server is the one that PREFECT_API_URL names; it must run already. The same command again changes nothing.
    Notifications go to the address in STAGE1_WEBHOOK_URL, which is kept on the server as a secret; without one nobody
    is notified. What people made on the server is left alone, and nothing is removed without --prune.

    The configuration is kept as deploy.yaml in the workspace and holds, for `stage1 stack` too, until the next one.
    """
    from stage1_cli._environment import prepare_environment

    kept = prepare_environment() / KEPT
    from deployments.config import DeployConfig
    from stage1_cli._configuration import read_config, to_yaml

    source = config or (kept if kept.exists() else None)
    choices = read_config(DeployConfig, source) if source else DeployConfig()
    if show:
        typer.echo(to_yaml(choices))
        return
    from deployments.apply import apply, require_server

    require_server()  # before the seconds that importing all flows takes
    from deployments.plan import plan

    wanted = plan(choices, _ladder(choices), webhook_url=os.environ.get(WEBHOOK_VARIABLE))
    _print(apply(wanted, dry_run=dry_run, prune=prune), dry_run=dry_run)
    typer.echo(f"configuration: {source or 'the defaults'}")
    if config and not dry_run:
        _keep(choices, kept)
        typer.echo(f"kept for the next time as {kept}")


def _keep(choices: DeployConfig, path: Path) -> None:
    """Write what was chosen to ``path``; what was not goes on following the defaults."""
    from deployments.config import FromFile
    from stage1_cli._configuration import to_yaml

    ladder = choices.retraining.ladder
    if isinstance(ladder, FromFile):  # the next start may be from another folder
        found = ladder.model_copy(update={"path": ladder.path.absolute()})
        retraining = choices.retraining.model_copy(update={"ladder": found})
        choices = choices.model_copy(update={"retraining": retraining})
    draft = path.with_suffix(".draft")
    draft.write_text(to_yaml(choices, only_chosen=True))
    draft.replace(path)


def _ladder(choices: DeployConfig) -> LadderConfig:
    from deployments.catalogue import PHASES
    from deployments.config import FromFile
    from stage1_cli._configuration import load_config
    from stage1_core.phases.ladder import LadderConfig

    source = choices.retraining.ladder
    path, recipe = (source.path, None) if isinstance(source, FromFile) else (None, source.name)
    config = load_config(PHASES["ladder"].config, path, recipe, PHASES["ladder"].recipes)
    assert isinstance(config, LadderConfig)
    return config


def _print(changes: Iterable[Change], *, dry_run: bool) -> None:
    rows = [(change.outcome, change.kind, change.name, ", ".join(change.what)) for change in changes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        padded = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*padded, row[3]]).rstrip())
    counts = {outcome: sum(row[0] == outcome for row in rows) for outcome in dict.fromkeys(row[0] for row in rows)}
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    typer.echo(f"\n{summary}{'; nothing was written' if dry_run else ''}")
    if counts.get("stale"):
        typer.echo("stale: on the server and not described any more; `stage1 deploy --prune` removes these")
