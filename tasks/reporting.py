"""Tasks that draw and write what people read before they decide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.phases.config import PhaseConfig
from stage1_core.phases.transforms import TransformTable
from stage1_core.report.contents import ReportContents
from stage1_core.report.figures.canvas import save_png
from stage1_core.report.figures.comparison import comparison_figure
from stage1_core.report.html import release_report
from stage1_core.report.release_figures import release_figures
from stage1_core.training.epoch_log import read_numbers
from stage1_core.training.session import LOG_FILE
from tasks._task import task
from tasks._workspace import access_log, store
from tasks.acceptance import load_acceptance
from tasks.comparison import load_comparison
from tasks.data import load_ledger
from tasks.evaluation import load_evaluation, load_final_predictions, load_measured
from tasks.phase import PhaseArtifacts
from tasks.policy import load_policy, load_predictions

REPORT_FILE = "report.html"


@task
def draw_figures(config: PhaseConfig, made: PhaseArtifacts) -> ArtifactRef:
    """The figures of the release, as PNG files."""
    epochs = read_numbers(store().open(made.head) / LOG_FILE)
    final, measured = load_final_predictions(made.evaluation), load_measured(made.evaluation)
    certified_on = load_predictions(made.certify_on)
    figures = release_figures(
        load_policy(made.policy), config.constraint, final, epochs, measured, certified_on=certified_on
    )
    figures = {**figures, **_comparison_figures(made.comparison)}
    inputs = [made.policy, made.evaluation, made.head, made.certify_on, *_present(made.comparison)]
    return store().put(ArtifactKind.FIGURES, lambda folder: _save(figures, folder), inputs=inputs)


@task
def write_report(
    config: PhaseConfig, made: PhaseArtifacts, acceptance: ArtifactRef, figures: ArtifactRef
) -> ArtifactRef:
    """One HTML page that answers whether this may be released, and why."""
    splits = load_ledger(made.ledger)
    contents = ReportContents(
        title=config.release.title,
        acceptance=load_acceptance(acceptance),
        evaluation=load_evaluation(made.evaluation),
        policy=load_policy(made.policy),
        constraint=config.constraint,
        data_summary=splits.summary(access_log(splits.origin).entries()).model_dump(mode="json"),
        figures={path.stem: path.read_bytes() for path in sorted(store().open(figures).glob("*.png"))},
        provenance=made.digests() | {"configuration": config.to_json()},
        synthetic=config.data.is_synthetic,
        val_test_openings=access_log(splits.origin).summary().test_openings,
        comparison=None if made.comparison is None else load_comparison(made.comparison),
        transforms=() if made.transforms is None else store().read(made.transforms, TransformTable).transforms,
    )
    page = release_report(contents)
    return store().put_file(ArtifactKind.REPORT, REPORT_FILE, page.encode(), inputs=[acceptance, figures])


def _save(figures: Mapping[str, Figure], folder: Path) -> None:
    for name, figure in figures.items():
        save_png(figure, folder / f"{name}.png")


def _comparison_figures(comparison: ArtifactRef | None) -> dict[str, Figure]:
    return {} if comparison is None else {"comparison": comparison_figure(load_comparison(comparison))}


def _present(*refs: ArtifactRef | None) -> list[ArtifactRef]:
    return [ref for ref in refs if ref is not None]
