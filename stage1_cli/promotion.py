"""`stage1 promote`, `stage1 rollback`, `stage1 repair`, `stage1 registry`: which released bundle is the champion."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import State
    from pydantic import BaseModel
    from rich.table import Table

    from stage1_core.promotion.evidence import PromotionEvidence
    from stage1_core.promotion.intent import Intent
    from tasks.registry_versions import VersionRecord

Request = TypeVar("Request", bound="BaseModel")

Model = Annotated[str, typer.Argument(help="Name of the registered model.")]
ExpectChampion = Annotated[
    str, typer.Option(help="Version of the champion that is replaced; refused where another one stands.")
]


def promote(
    model: Model,
    candidate: Annotated[
        str, typer.Option(help="Version to promote; by default the one with that alias.")
    ] = "candidate",
    expect_champion: ExpectChampion = "current",
    config: Annotated[Path | None, typer.Option(help="YAML or JSON file: margins and approval.")] = None,
    approver: Annotated[str, typer.Option(help="Who approves, a name that others can find.")] = "",
    reason: Annotated[str, typer.Option(help="Why; kept with the version.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Approve what passes without being asked.")] = False,
) -> None:
    """Make a candidate the champion, if it is not worse and you approve.

    The evidence is shown first. Exit code 3 says that the promotion was refused; the champion then stays.
    """
    _require_answerable(yes=yes, approver=approver, reason=reason)
    from stage1_cli._environment import prepare_environment

    prepare_environment()
    from flows.release import assessment, promotion
    from stage1_cli._configuration import read_config
    from stage1_core.promotion.config import PromotionConfig, PromotionRequest
    from stage1_core.promotion.evidence import Approval

    request = _checked(
        PromotionRequest,
        model=model,
        candidate=candidate,
        expected_champion=expect_champion,
        config=read_config(PromotionConfig, config) if config else PromotionConfig(),
    )
    evidence: PromotionEvidence = _run(assessment, request)
    _show(evidence)
    if evidence.refusal is not None:
        _refuse(f"not promoted: {evidence.refusal}")
    if not yes:
        approver = approver or typer.prompt("Approver")
        reason = reason or typer.prompt("Reason")
        if not typer.confirm(f"Make {model} {evidence.candidate.in_words()} the champion?"):
            _refuse("not promoted: not approved")
    approval = Approval(decision="approve", approver=approver, reason=reason, code=evidence.code)
    _report(_run(promotion, request, approval))


def rollback(
    model: Model,
    reason: Annotated[str, typer.Option(help="Why; kept with the version that is taken back.")],
    expect_champion: ExpectChampion = "current",
) -> None:
    """Put the previous champion back, after its bundle was verified. Exit code 3 says that this was refused."""
    from stage1_cli._environment import prepare_environment

    prepare_environment()
    from flows.release import rollback as rollback_flow
    from stage1_core.promotion.config import RollbackRequest

    request = _checked(RollbackRequest, model=model, reason=reason, expected_champion=expect_champion)
    _report(_run(rollback_flow, request))


def repair(
    model: Model,
    abandon: Annotated[bool, typer.Option("--abandon", help="Forget what was begun, leave the aliases alone.")] = False,
) -> None:
    """Finish, or take back, a promotion or rollback that was interrupted."""
    from stage1_cli._environment import prepare_environment

    prepare_environment()
    from flows.release import repair as repair_flow
    from stage1_core.promotion.config import RepairRequest

    typer.echo(_run(repair_flow, _checked(RepairRequest, model=model, abandon=abandon)).in_words())


def registry(model: Model) -> None:
    """List the versions of a model: aliases, bundles, promotions and rollbacks."""
    from rich.console import Console

    from stage1_cli._environment import prepare_environment

    prepare_environment()
    from tasks.registry_versions import versions_of

    Console().print(_versions_table(model, list(versions_of(model).values())))


def _require_answerable(*, yes: bool, approver: str, reason: str) -> None:
    """Say what is missing before anything is computed, or VAL_TEST is opened."""
    from stage1_core.errors import Stage1Error

    if yes and not (approver.strip() and reason.strip()):
        raise Stage1Error("--yes approves in somebody's name: give --approver and --reason as well")
    if not yes and not sys.stdin.isatty():
        raise Stage1Error("nobody can be asked here: give --yes with --approver and --reason, or run it in a terminal")


def _checked(kind: type[Request], /, **fields: object) -> Request:
    from pydantic import ValidationError

    from stage1_core.errors import Stage1Error

    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise Stage1Error(f"{'.'.join(map(str, first['loc']))}: {first['msg']} (found {first['input']!r})") from error


def _run(flow: Flow[..., Any], *arguments: object) -> Any:
    """The flow's outcome. Ends the process where it refused, or where there was nothing to do."""
    from stage1_cli._summary import quiet_known_errors
    from stage1_core.errors import PromotionRefused

    quiet_known_errors()
    state: State[Any] = flow(*arguments, return_state=True)  # type: ignore[assignment]  # Prefect types async flows too
    if state.name == "NothingToDo":
        typer.echo(f"nothing to do: {state.message}")
        raise typer.Exit
    try:
        return state.result()
    except PromotionRefused as refused:
        _refuse(str(refused))


def _refuse(why: str) -> NoReturn:
    from stage1_cli._summary import NOT_ACCEPTED

    typer.echo(f"refused: {why}", err=True)
    sys.exit(NOT_ACCEPTED)


def _report(intent: Intent) -> None:
    done = {"promote": "promoted", "roll_back": "rolled back"}[intent.action]
    typer.echo(f"{intent.model} {done}: {intent.after.in_words()}")


def _show(evidence: PromotionEvidence) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    against = "no champion yet" if evidence.champion is None else f"champion {evidence.champion.in_words()}"
    title = f"{evidence.model} {evidence.candidate.in_words()}; {against}"
    columns = ("report", "check", Column("verdict", no_wrap=True), "evidence", "demand")
    table = Table(*columns, title=title, show_lines=True)
    for row in evidence.table():
        table.add_row(*map(escape, row.values()))
    Console().print(table)
    typer.echo(f"promise: {evidence.certificate}")
    typer.echo(
        f"VAL_TEST opened {evidence.test_openings} times, policies certified {evidence.certification_looks} times; "
        f"code {evidence.code}"
    )


def _versions_table(model: str, versions: list[VersionRecord]) -> Table:
    from rich.markup import escape
    from rich.table import Column, Table

    folded = (Column(name, overflow="fold") for name in ("certificate", "history"))
    table = Table("version", "aliases", "bundle", *folded, title=model, show_lines=True)
    for one in versions:
        values = (one.release, one.certificate, "\n".join(one.history()))
        table.add_row(one.version, "\n".join(one.aliases), *map(escape, values))
    return table
