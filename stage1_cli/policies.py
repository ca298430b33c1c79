"""`stage1 fit-policy`, `stage1 decide`: exit policies for the scores of anybody's model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stage1_cli._evaluation import AsJson, Confidence
from stage1_cli._policy_options import (
    CalibrateFile,
    Counting,
    Kind,
    MaxExitError,
    MaxFnr,
    MaxFpr,
    OrderFile,
    Positives,
    Risk,
    Signal,
)
from stage1_cli.bundles import RowFormat

if TYPE_CHECKING:
    from stage1_core.policy.constraint import RiskConstraint
    from stage1_core.policy.fitting import PolicyFit
    from stage1_core.predictions import Decisions, Integer, Predictions

NO_EXIT = 3
"""Exit code of a fit that could certify nothing. An error has 2."""

MANY_CERTAIN = 0.05
"""Share of rows with a confidence of 1 that is remarked on."""

MANY_FALSE_ALARMS = 0.05
"""FPR on exited, a fraction, that is remarked on where no ceiling was asked for."""


def fit_policy(
    kind: Annotated[Kind, typer.Argument(help="What decides: the class probability, a gate, or both.")],
    predictions: Annotated[Path, typer.Argument(help="Labels and scores: .npz, .csv or .parquet.")],
    max_fnr: MaxFnr = None,
    max_exit_error: MaxExitError = None,
    max_fpr: MaxFpr = None,
    risk: Annotated[
        Risk, typer.Option(help="The risk; exit_error leaves the FNR out and needs --max-exit-error.")
    ] = Risk.FNR_ON_EXITED,
    confidence: Confidence = 0.9,
    counting: Annotated[
        Counting, typer.Option(help="Rows that count; every_row only where rows of a group are independent.")
    ] = Counting.ONE_PER_GROUP,
    grid_size: Annotated[int, typer.Option(min=2, max=2000, help="Number of candidate thresholds.")] = 50,
    signal: Annotated[
        Signal | None, typer.Option(help="scrc alone: what selects beside the confidence; auto if absent.")
    ] = None,
    positives: Annotated[
        Positives | None,
        typer.Option(help="scrc alone: alike if absent; sooner needs --max-fpr or --max-exit-error, and pays in them."),
    ] = None,
    order: OrderFile = None,
    calibrate: CalibrateFile = None,
    order_share: Annotated[float, typer.Option(min=0.01, max=0.98, help="Of the predictions, without --order.")] = 0.3,
    calibrate_share: Annotated[
        float, typer.Option(min=0.01, max=0.98, help="gate alone: of the predictions, without --calibrate.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of the division; another one puts groups elsewhere.")] = 0,
    output: Annotated[Path, typer.Option(help="JSON file to write the policy to.")] = Path("policy.json"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find the laxest exit threshold that is certified to keep a promise, for the scores of anybody's model.

    Columns as for `stage1 metrics`. Give no row that the model was trained or selected on: nothing here can notice
    that, and the certificate would be void. The rows are divided by whole groups: some order the candidate thresholds,
    some calibrate the gate, the rest certify.

    Exit code 3 says that nothing could be certified, and what is missing; the policy then lets nothing exit.
    """
    from stage1_cli._evaluation import note, note_independence, require_place
    from stage1_cli._policy_options import config_of, promise_of
    from stage1_cli._policy_parts import parts_of
    from stage1_core.data.replacing import replaced_file
    from stage1_core.errors import Stage1Error
    from stage1_core.policy.fitting import fit_policy as fitted
    from stage1_core.splits import Purpose

    require_place(output)
    _require_other_file(output, predictions, order, calibrate)
    if output.exists() and not force:
        raise Stage1Error(f"{output} exists; give another --output, or --force to replace it")
    constraint = promise_of(risk, max_fnr, max_exit_error, max_fpr, confidence, counting)
    config = config_of(kind, grid_size, signal, positives)
    parts = parts_of(
        config,
        predictions,
        files={Purpose.SELECT_MODEL: order, Purpose.FIT_CALIBRATOR: calibrate},
        shares={Purpose.SELECT_MODEL: order_share, Purpose.FIT_CALIBRATOR: calibrate_share},
        seed=seed,
    )
    fit = fitted(config, parts, constraint)
    note_independence(parts[config.certifies_on])
    with replaced_file(output) as path:
        path.write_text(fit.policy.to_json(), encoding="utf-8")
    if as_json:
        typer.echo(fit.to_json(), nl=False)
    else:
        _show(fit, constraint)
    for remark in _remarks(fit, kind, parts[config.certifies_on], constraint):
        note(remark)
    if fit.no_exit_reason is not None:
        typer.echo(f"{fit.no_exit_reason}; {output} lets nothing exit", err=True)
        raise typer.Exit(NO_EXIT)
    typer.echo(f"{output} holds the policy", err=True)


def decide(
    policy: Annotated[Path, typer.Argument(help="JSON file of a policy: from `stage1 fit-policy`, or of a bundle.")],
    scores: Annotated[Path, typer.Argument(help="Scores: .npz, .csv or .parquet. Labels decide nothing.")],
    output: Annotated[Path | None, typer.Option(help="File to write; standard output if absent.")] = None,
    row_format: Annotated[RowFormat, typer.Option("--format", help="csv or jsonl.")] = RowFormat.CSV,
) -> None:
    """Decide rows of scores with a policy: which exit, and as what.

    Columns: id, exited, label (0 or 1 where the row exits), prediction_set (the classes that are left: one, or both
    where the row goes on to the second stage). Where the file has labels, standard error counts what the exits did.
    """
    from stage1_cli._evaluation import note, require_place
    from stage1_core.data.predictions_table import read_scores
    from stage1_core.data.replacing import replaced_file
    from stage1_core.policy.decision_rows import write_csv, write_jsonl
    from stage1_core.policy.reading import read_policy
    from stage1_core.report.wording import percent

    require_place(output)
    _require_other_file(output, policy, scores)
    rule = read_policy(policy)
    if rule.no_exit_reason is not None:
        note(f"{rule.no_exit_reason}; the policy lets nothing exit")
    rows = read_scores(scores)
    decisions = rule.decide(rows.scores)
    write = write_csv if row_format is RowFormat.CSV else write_jsonl
    if output is None:
        write(rows.scores.ids, decisions, sys.stdout)
    else:
        with replaced_file(output) as path, path.open("w", encoding="utf-8", newline="") as file:
            write(rows.scores.ids, decisions, file)
    exited = int(decisions.exited.sum())
    share = percent(exited / len(decisions))
    typer.echo(f"{len(decisions):,} rows: {exited:,} exit ({share}), the rest goes on", err=True)
    if rows.labels is not None:
        note(_counted(decisions, rows.labels))


def _require_other_file(output: Path | None, *inputs: Path | None) -> None:
    """Raise `Stage1Error` where ``output`` would take the place of a file that is read."""
    from stage1_core.errors import Stage1Error

    if output is None or not output.exists():
        return
    for path in inputs:
        if path is not None and path.exists() and output.samefile(path):
            raise Stage1Error(f"{output} is read here and would be replaced; give another --output")


def _remarks(fit: PolicyFit, kind: Kind, certify: Predictions, constraint: RiskConstraint) -> Iterator[str]:
    """What the promise leaves open and the tables do not say."""
    from stage1_core.report.wording import RISK_NAMES, percent, seen

    certain = float((certify.scores.confidence == 1).mean())
    if kind is Kind.SOFTMAX and certain >= MANY_CERTAIN:
        yield (
            f"{percent(certain)} of the certifying rows have a confidence of exactly 1, and no threshold tells these "
            "apart; fit scrc, which reads the logits, or give logits divided by a temperature"
        )
    alarms = fit.exits.fpr_on_exited
    if constraint.max_fpr_on_exited is None and alarms.events > MANY_FALSE_ALARMS * alarms.trials:
        yield (
            f"{RISK_NAMES['fpr_on_exited']} is {seen(alarms.events, alarms.trials)} on the certifying rows, and no "
            "ceiling was asked for; --max-fpr sets one"
        )


def _show(fit: PolicyFit, constraint: RiskConstraint) -> None:
    """Tables of the parts and of the exits, and the rule with its promise."""
    from rich.console import Console

    from stage1_cli._evaluation import bare_table, exits_table
    from stage1_core.report.wording import RISK_NAMES, percent

    sure = percent(constraint.confidence)
    parts = bare_table("Rows", "part", "rows", "groups", "positives", "counted rows", "counted positives")
    for name, size in fit.parts.items():
        counts = (size.rows, size.groups, size.positives, size.counted_rows, size.counted_positives)
        parts.add_row(name, *(f"{count:,}" for count in counts))
    ceilings = (
        (constraint.risk, constraint.max_risk),
        ("exit_error", constraint.max_exit_error),
        ("fpr_on_exited", constraint.max_fpr_on_exited),
    )
    promised = [f"{RISK_NAMES[name]} ≤ {percent(ceiling)}" for name, ceiling in ceilings if ceiling is not None]
    console = Console()
    console.print(parts)
    console.print(exits_table(f"Exits, certifying rows that are counted: exact bounds, one-sided {sure}", fit.exits))
    typer.echo(f"promise  {', '.join(promised)}, at {sure} confidence")
    typer.echo(f"exits    {fit.rule}")


def _counted(decisions: Decisions, labels: Integer) -> str:
    """What the exits did to labelled rows, in one line."""
    from stage1_core.metrics.risk import exit_error, fnr_on_exited, fpr_on_exited
    from stage1_core.report.wording import RISK_NAMES, seen

    found = []
    for risk in (fnr_on_exited, exit_error, fpr_on_exited):
        counted = risk(decisions, labels)
        found.append(f"{RISK_NAMES[risk.name]} {seen(counted.events, counted.trials)}")
    return f"by the labels of all rows: {', '.join(found)}"
