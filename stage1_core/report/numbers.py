"""The evaluation in tables: exits, model, ranking, cascade, sources, transforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stage1_core.acceptance import CountedRisk
from stage1_core.metrics.bootstrap import Interval
from stage1_core.metrics.cascade import CascadeQuality, StageQuality
from stage1_core.metrics.suite import Evaluation, ExitQuality, ModelQuality, SourceQuality, TransformQuality
from stage1_core.report.markup import Html, element, section, table
from stage1_core.report.wording import (
    FRACTIONS,
    NUMBER_NAMES,
    RISK_NAMES,
    RISK_SENTENCES,
    four_decimals,
    percent,
    seen,
)

EXIT_ROWS = ("coverage", "fnr_on_exited", "exit_error", "fpr_on_exited", "missed_by_exit", "rejection")
COUNTED = "One row of each group and label, or of each group where a rate counts both labels together"
INTERVAL_HEADERS = ("value", "mean", "std", "lower", "upper", "method", "resamples")


def evaluation_section(evaluation: Evaluation | None, transforms: Sequence[TransformQuality]) -> Html:
    """Every number of the evaluation with its uncertainty, then the model under other transforms."""
    if evaluation is None:
        nothing = element("p", "No evaluation was made: there is no number beyond the certificate.")
        return section("Evaluation", nothing, *_transform_table(transforms))
    sure = percent(evaluation.confidence)
    return section(
        "Evaluation",
        element("p", _introduction(evaluation), class_="muted"),
        element("h3", "Exits"),
        _exact_table(f"{COUNTED}: these exact bounds hold (one-sided, {sure})", evaluation.exits),
        _exits_over_resamples(evaluation),
        *_cascade_part(evaluation.cascade, sure),
        element("h3", "Model before any policy"),
        _model_table(evaluation),
        element("h3", "Ranking by confidence"),
        _ranking_tables(evaluation),
        element("h3", "Sources"),
        _source_table(evaluation.sources, sure),
        *_transform_table(transforms),
    )


def _introduction(evaluation: Evaluation) -> str:
    drawn = evaluation.bootstrap
    return (
        f"On {evaluation.model.rows:,} rows read for {evaluation.purpose.value}, "
        f"{evaluation.model.positives:,} with roadwork. Intervals are two-sided {percent(drawn.level)} from "
        f"{drawn.resamples:,} resamples of whole groups within each class; they describe, and only exact bounds decide."
    )


def _exact_table(caption: str, exits: ExitQuality) -> Html:
    rows = []
    for name in EXIT_ROWS:
        risk: CountedRisk = getattr(exits, name)
        rate = "undefined (0 trials)" if risk.rate is None else percent(risk.rate)
        bounds = [percent(risk.lower_bound), percent(risk.upper_bound)] if risk.trials else ["undefined"] * 2
        rows.append([_risk_label(name), f"{risk.events:,} / {risk.trials:,}", rate, *bounds])
    headers = ["quantity", "events / trials", "rate", "lower bound", "upper bound"]
    return table(caption, headers, rows, class_="numbers")


def _exits_over_resamples(evaluation: Evaluation) -> Html:
    rows = []
    for name in EXIT_ROWS:
        if name not in evaluation.intervals:
            continue
        risk: CountedRisk = getattr(evaluation.exits_on_all_rows, name)
        rows.append(
            [_risk_label(name), f"{risk.events:,} / {risk.trials:,}", *_cells(evaluation.intervals[name], percent)]
        )
    if "average_set_size" in evaluation.intervals:
        cells = _cells(evaluation.intervals["average_set_size"], four_decimals)
        rows.append(["average set size (1 exits, 2 goes on)", f"{evaluation.model.rows:,} rows", *cells])
    caption = "All rows: rows of a group are not independent, so groups are resampled whole"
    return table(caption, ["quantity", "events / trials", *INTERVAL_HEADERS], rows, class_="numbers")


def _model_table(evaluation: Evaluation) -> Html:
    model = evaluation.model
    rows = []
    for name, label in NUMBER_NAMES.items():
        show = percent if name in FRACTIONS else four_decimals
        value: float | None = getattr(model, name)
        if name == "augrc_gate" and value is None:
            continue
        if name in evaluation.intervals:
            rows.append([label, *_cells(evaluation.intervals[name], show, undefined=_undefined(model))])
        else:
            rows.append([label, _undefined(model) if value is None else show(value), *[""] * 6])
    reward = evaluation.subnet_reward
    if reward is not None:
        rows.append(["StreetVision reward", four_decimals(reward), *[""] * 6])
    caption = f"All rows: {model.rows:,}, {model.positives:,} with roadwork"
    return table(caption, ["quantity", *INTERVAL_HEADERS], rows, class_="numbers")


def _ranking_tables(evaluation: Evaluation) -> Html:
    """Risk at fixed coverages beside coverage at fixed risks."""
    model = evaluation.model
    kept = _at_levels(
        "Risk where the most confident share is kept",
        "share kept",
        {f"risk_at_coverage_{level}": level for level in model.risk_at_coverage},
        evaluation.intervals,
    )
    allowed = _at_levels(
        "Largest share that can be kept within a risk",
        "risk allowed",
        {f"coverage_at_risk_{level}": level for level in model.coverage_at_risk},
        evaluation.intervals,
    )
    return element("div", kept, allowed, class_="halves")


def _at_levels(caption: str, header: str, levels: Mapping[str, str], intervals: Mapping[str, Interval]) -> Html:
    rows = []
    for name, level in levels.items():
        value, mean, std, lower, upper, *_ = _cells(intervals[name], percent)
        rows.append([percent(float(level)), value, mean, std, lower, upper])
    return table(caption, [header, *INTERVAL_HEADERS[:5]], rows, class_="numbers")


def _cells(interval: Interval, show: Callable[[float], str], undefined: str = "undefined") -> list[str]:
    numbers = [interval.value, interval.mean, interval.std, interval.lower, interval.upper]
    shown = [undefined if number is None else show(number) for number in numbers]
    return [*shown, interval.method, f"{interval.resamples:,}"]


def _undefined(model: ModelQuality) -> str:
    return "undefined (0 rows)" if model.rows == 0 else "undefined (one class)"


def _cascade_part(cascade: CascadeQuality | None, sure: str) -> tuple[Html, ...]:
    """Stage A exits, Stage B answers what it left; nothing where the head has no second stage."""
    if cascade is None:
        return ()
    named: dict[str, StageQuality] = {
        "Stage A: what exits": cascade.stage_a,
        "Stage B: what Stage A left": cascade.stage_b,
        "together": cascade.together,
    }
    rows = []
    for name, stage in named.items():
        counted = (stage.answered, stage.errors, stage.missed, stage.false_alarms)
        bound = percent(stage.missed.upper_bound) if stage.missed.trials else "undefined"
        rows.append([name, *(seen(risk.events, risk.trials) for risk in counted), bound])
    headers = ["stage", "answers", "wrong", "roadwork missed", "false alarms", f"missed, upper bound ({sure})"]
    return (
        element("h3", "Cascade"),
        table("Only Stage A is certified; Stage B is described", headers, rows, class_="numbers"),
    )


def _source_table(sources: Sequence[SourceQuality], sure: str) -> Html:
    headers = ["source", "rows", "roadwork", "accuracy", "AUROC", "coverage", "FNR on exited", f"upper bound ({sure})"]
    rows = []
    for part in sources:
        model, coverage, fnr = part.model, part.exits.coverage, part.exits.fnr_on_exited
        rows.append(
            [
                part.source,
                f"{model.rows:,}",
                f"{model.positives:,}",
                _undefined(model) if model.accuracy is None else percent(model.accuracy),
                _undefined(model) if model.auroc is None else four_decimals(model.auroc),
                "undefined (0 trials)" if coverage.rate is None else percent(coverage.rate),
                seen(fnr.events, fnr.trials),
                percent(fnr.upper_bound) if fnr.trials else "undefined",
            ]
        )
    return table("All rows of each: a description, not a certificate", headers, rows, class_="numbers")


def _transform_table(transforms: Sequence[TransformQuality]) -> tuple[Html, ...]:
    """The model under each geometry that was tried; nothing where none was."""
    if not transforms:
        return ()
    names = ("accuracy", "balanced_accuracy", "mcc", "auroc", "nll", "ece", "augrc")
    rows = []
    for tried in transforms:
        numbers: list[str] = []
        for name in names:
            value: float | None = getattr(tried.model, name)
            show = percent if name in FRACTIONS else four_decimals
            numbers.append(_undefined(tried.model) if value is None else show(value))
        rows.append([tried.transform, f"{tried.model.rows:,}", *numbers])
    headers = ["transform", "rows", *(NUMBER_NAMES[name] for name in names)]
    caption = "Measured on the rows that the model was selected on (select_model), not on those above"
    return element("h3", "Other picture geometries"), table(caption, headers, rows, class_="numbers")


def _risk_label(name: str) -> Html:
    return element("span", RISK_NAMES[name], title=RISK_SENTENCES[name])
