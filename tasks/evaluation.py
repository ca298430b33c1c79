"""Tasks that measure, check and draw."""

from __future__ import annotations

from pathlib import Path

from stage1_core.acceptance import AcceptanceReport
from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.bundle.rehearsal import Rehearsal
from stage1_core.metrics.suite import Evaluation, model_quality
from stage1_core.phases.baseline import BaselineConfig, baseline_report
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.evaluation import evaluate
from stage1_core.predictions import Predictions
from stage1_core.report.baseline import baseline_figures
from stage1_core.report.contents import ReportContents
from stage1_core.report.figures.canvas import save_png
from stage1_core.report.html import release_report
from stage1_core.splits import Purpose
from stage1_core.training.epoch_log import read_numbers
from stage1_core.training.reference import reference_accuracy
from stage1_core.training.session import LOG_FILE
from tasks._task import task
from tasks._workspace import access_log, store
from tasks.data import load_ledger
from tasks.features import feature_rows
from tasks.phase import PhaseArtifacts
from tasks.policy import load_policy, load_predictions
from tasks.training import predictions_for, weights_digest

EVALUATION_FILE = "evaluation.json"
PREDICTIONS_FILE = "predictions.npz"
REPORT_FILE = "report.html"


@task
def evaluate_policy(
    constraint: RiskConstraint, policy: ArtifactRef, head: ArtifactRef, ledger: ArtifactRef, features: ArtifactRef
) -> ArtifactRef:
    """Open VAL_TEST, which the access log records, and count what the policy does there."""
    splits = load_ledger(ledger)
    access_log(splits.digest).record(
        "opened",
        Purpose.FINAL_EVALUATION,
        subject=f"{weights_digest(head)} {policy.sha256}",
        rows_digest=splits.rows_digest(Purpose.FINAL_EVALUATION),
        reason="final evaluation of a release candidate",
    )
    rows = predictions_for(head, ledger, features, Purpose.FINAL_EVALUATION)
    evaluation = evaluate(load_policy(policy), rows, constraint.confidence)

    def write(folder: Path) -> None:
        rows.save(folder / PREDICTIONS_FILE)
        (folder / EVALUATION_FILE).write_text(evaluation.to_json(), encoding="utf-8")

    inputs = [policy, head, ledger, features]
    return store().put(ArtifactKind.EVALUATION, write, inputs=inputs, purposes=[Purpose.FINAL_EVALUATION])


@task
def measure_reference(ledger: ArtifactRef, features: ArtifactRef) -> float:
    """Accuracy of a logistic regression on the same features, as a fraction."""
    splits = load_ledger(ledger)
    fit_rows, select_rows = (feature_rows(features, splits, p) for p in (Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL))
    return reference_accuracy(fit_rows, select_rows)


@task
def check_baseline(
    config: BaselineConfig, made: PhaseArtifacts, reference: float | None, rehearsal: ArtifactRef
) -> ArtifactRef:
    """The acceptance report of phase 1."""
    report = baseline_report(
        config.acceptance,
        config.constraint,
        policy=load_policy(made.policy),
        certify_on=load_predictions(made.certify_on),
        selected=model_quality(load_predictions(made.order_on)),
        reference_accuracy=reference,
        final=load_evaluation(made.evaluation),
        rehearsal=store().read(rehearsal, Rehearsal).facts,
    )
    inputs = [made.policy, made.certify_on, made.order_on, made.evaluation, rehearsal]
    return store().put_file(ArtifactKind.ACCEPTANCE, "acceptance.json", report, inputs=inputs)


@task
def draw_figures(config: BaselineConfig, made: PhaseArtifacts) -> ArtifactRef:
    """The figures of the release, as PNG files."""
    epochs = read_numbers(store().open(made.head) / LOG_FILE)
    final = load_final_predictions(made.evaluation)
    figures = baseline_figures(load_policy(made.policy), config.constraint, final, epochs)

    def write(folder: Path) -> None:
        for name, figure in figures.items():
            save_png(figure, folder / f"{name}.png")

    return store().put(ArtifactKind.FIGURES, write, inputs=[made.policy, made.evaluation, made.head])


@task
def write_report(
    config: BaselineConfig, made: PhaseArtifacts, acceptance: ArtifactRef, figures: ArtifactRef
) -> ArtifactRef:
    """One HTML page that answers whether this may be released, and why."""
    splits = load_ledger(made.ledger)
    contents = ReportContents(
        title=f"{config.release.name} {config.release.version}",
        acceptance=load_acceptance(acceptance),
        evaluation=load_evaluation(made.evaluation),
        policy=load_policy(made.policy),
        constraint=config.constraint,
        data_summary=splits.summary(access_log(splits.digest).entries()).model_dump(mode="json"),
        figures={path.stem: path.read_bytes() for path in sorted(store().open(figures).glob("*.png"))},
        provenance={name: ref["sha256"] for name, ref in made.model_dump(mode="json").items()}
        | {"configuration": config.to_json()},
        synthetic=config.data.is_synthetic,
        val_test_openings=access_log(splits.digest).summary().test_openings,
    )
    page = release_report(contents)
    return store().put_file(ArtifactKind.REPORT, REPORT_FILE, page.encode(), inputs=[acceptance, figures])


def load_acceptance(ref: ArtifactRef) -> AcceptanceReport:
    """The acceptance report behind a reference."""
    return store().read(ref, AcceptanceReport)


def load_evaluation(ref: ArtifactRef) -> Evaluation:
    """The evaluation behind a reference."""
    return Evaluation.from_json_file(store().open(ref) / EVALUATION_FILE)


def load_final_predictions(ref: ArtifactRef) -> Predictions:
    """The VAL_TEST predictions behind an evaluation."""
    return Predictions.load(store().open(ref) / PREDICTIONS_FILE)
