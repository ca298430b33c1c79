"""Options, files and tables that `stage1 metrics` and `stage1 evaluate` share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from stage1_core.metrics.suite import Evaluation, ExitQuality
    from stage1_core.predictions import Predictions


class Method(StrEnum):
    """How intervals are made of resamples."""

    BCA = "bca"
    PERCENTILE = "percentile"


Confidence = Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the one-sided exact bounds, a probability.")]
Resamples = Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap resamples of whole groups.")]
Level = Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the two-sided bootstrap intervals, a probability.")]
Interval = Annotated[Method, typer.Option("--method", help="Of the bootstrap intervals; bca corrects their bias.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the bootstrap.")]
Output = Annotated[Path | None, typer.Option(help="JSON file to write.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the JSON instead of tables.")]

EXITS = ("coverage", "fnr_on_exited", "exit_error", "fpr_on_exited", "missed_by_exit", "rejection")


def require_place(path: Path | None) -> None:
    """Raise `Stage1Error` where ``path`` cannot be written: before the work whose outcome it is for."""
    from stage1_core.errors import Stage1Error

    if path is None:
        return
    if path.is_dir():
        raise Stage1Error(f"{path} is a folder; give the name of a file")
    if path.exists() and not path.is_file():
        raise Stage1Error(f"{path} is a device or a pipe, and a file would take its place; give the name of a file")
    if not path.parent.is_dir():
        raise Stage1Error(f"{path} cannot be written: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise Stage1Error(f"{path} cannot be written: {path.parent} belongs to somebody else; choose another folder")


def deliver(evaluation: Evaluation, *, output: Path | None, as_json: bool) -> None:
    """Write the JSON to ``output``, and print it, or tables, to standard output."""
    from rich.console import Console

    from stage1_core.data.replacing import replaced_file

    if output is not None:
        with replaced_file(output) as path:
            path.write_text(evaluation.to_json(), encoding="utf-8")
    if as_json:
        typer.echo(evaluation.to_json(), nl=False)
        return
    console = Console()
    for table in _tables(evaluation):
        console.print(table)


def note(text: str) -> None:
    """A remark on standard error, where it spoils no JSON."""
    typer.echo(f"note: {text}", err=True)


def note_independence(rows: Predictions) -> None:
    """Say which rows the exact bounds count."""
    groups = len(set(rows.groups.tolist()))
    if groups == len(rows):
        note(f"{groups} rows, each a group of its own: they are taken as independent")
    else:
        counted = len(rows.independent())
        note(
            f"{len(rows)} rows in {groups} groups: exact bounds count one row of each group and class, {counted} rows, "
            "or one of each group where a rate counts both classes together"
        )


def _tables(evaluation: Evaluation) -> Iterator[Table]:
    from stage1_core.report.wording import percent

    sure = percent(evaluation.confidence)
    yield exits_table(f"Exits, independent rows: exact bounds, one-sided {sure}", evaluation.exits)
    if evaluation.exits_on_all_rows != evaluation.exits:
        yield exits_table("Exits, all rows: rows of a group resemble each other", evaluation.exits_on_all_rows)
    if evaluation.cascade is not None:
        yield _cascade(evaluation)
    yield _numbers(evaluation)
    yield _sources(evaluation)


def exits_table(title: str, exits: ExitQuality) -> Table:
    """Counts of the exits with their exact bounds."""
    from stage1_core.report.wording import RISK_NAMES, percent

    table = bare_table(title, "quantity", "events / trials", "rate", "lower bound", "upper bound")
    for name in EXITS:
        risk = getattr(exits, name)
        shown = ["undefined"] * 3
        if risk.trials:
            shown = [percent(value) for value in (risk.rate, risk.lower_bound, risk.upper_bound)]
        table.add_row(RISK_NAMES[name], f"{risk.events:,} / {risk.trials:,}", *shown)
    return table


def _cascade(evaluation: Evaluation) -> Table:
    from stage1_core.report.wording import seen

    table = bare_table("Cascade: only stage A is certified", "stage", "answers", "wrong", "missed", "false alarms")
    cascade = evaluation.cascade
    assert cascade is not None
    for name, stage in (("A: exits", cascade.stage_a), ("B: the rest", cascade.stage_b), ("both", cascade.together)):
        counted = (stage.answered, stage.errors, stage.missed, stage.false_alarms)
        table.add_row(name, *(seen(risk.events, risk.trials) for risk in counted))
    return table


def _numbers(evaluation: Evaluation) -> Table:
    """Every resampled number, in the order in which it was measured."""
    from stage1_core.report.wording import FRACTIONS, four_decimals, percent

    model, drawn = evaluation.model, evaluation.bootstrap
    title = (
        f"All rows: {model.rows:,}, {model.positives:,} with roadwork. Two-sided {percent(drawn.level)} intervals from "
        f"{drawn.resamples:,} resamples describe; only exact bounds decide"
    )
    table = bare_table(title, "number", "value", "mean", "std", "lower", "upper")
    for name, interval in evaluation.intervals.items():
        show = percent if name in FRACTIONS or "_at_" in name else four_decimals
        numbers = (interval.value, interval.mean, interval.std, interval.lower, interval.upper)
        table.add_row(_name(name), *("undefined" if number is None else show(number) for number in numbers))
    table.add_section()
    majority, reward = model.majority_accuracy, evaluation.subnet_reward
    table.add_row("majority baseline", "undefined" if majority is None else percent(majority))
    table.add_row("StreetVision reward", "undefined" if reward is None else four_decimals(reward))
    return table


def _name(number: str) -> str:
    """``number`` in words: "risk_at_coverage_0.5" is "risk at coverage 50 %"."""
    from stage1_core.report.wording import NUMBER_NAMES, RISK_NAMES, percent

    words, _, level = number.rpartition("_")
    if words in ("risk_at_coverage", "coverage_at_risk"):
        return f"{words.replace('_', ' ')} {percent(float(level))}"
    return NUMBER_NAMES.get(number) or RISK_NAMES.get(number) or number.replace("_", " ")


def _sources(evaluation: Evaluation) -> Table:
    from rich.markup import escape

    from stage1_core.report.wording import percent, seen

    sure = percent(evaluation.confidence)
    title = f"By source, all rows: a description. FNR on exited with its upper bound, one-sided {sure}"
    table = bare_table(title, "source", "rows", "roadwork", "accuracy", "coverage", "FNR", "bound")
    for part in evaluation.sources:
        fnr = part.exits.fnr_on_exited
        fractions = (part.model.accuracy, part.exits.coverage.rate)
        table.add_row(
            escape(part.source),
            f"{part.model.rows:,}",
            f"{part.model.positives:,}",
            *("undefined" if value is None else percent(value) for value in fractions),
            seen(fnr.events, fnr.trials),
            percent(fnr.upper_bound) if fnr.trials else "undefined",
        )
    return table


def bare_table(title: str, first: str, *others: str) -> Table:
    """A table without rows: text in the ``first`` column, numbers in the others."""
    from rich.box import SIMPLE
    from rich.table import Column, Table

    columns = [Column(first, overflow="fold"), *(Column(name, justify="right") for name in others)]
    return Table(*columns, title=title, title_justify="left", box=SIMPLE, pad_edge=False)
