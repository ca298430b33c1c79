"""Tasks that try out and make the release."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stage1_core.acceptance import AcceptanceReport
from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.bundle.contents import BundleContents
from stage1_core.bundle.golden import GoldenCandidate
from stage1_core.bundle.rehearsal import rehearse
from stage1_core.bundle.release import release_bundle as write_bundle
from stage1_core.model.head_files import load_head
from stage1_core.phases.config import PhaseConfig
from stage1_core.splits import Purpose
from stage1_core.training.session import LOG_FILE
from tasks._lines import require_openings_kept
from tasks._task import task
from tasks._workspace import access_log, store
from tasks.acceptance import load_acceptance
from tasks.backbones import backbone_config
from tasks.data import load_ledger
from tasks.evaluation import load_evaluation
from tasks.features import FeatureSet
from tasks.phase import PhaseArtifacts
from tasks.policy import load_policy, load_predictions

BUNDLE_FOLDER = "bundle"
GOLDEN_CANDIDATES = 48
"""Pictures of VAL_SELECT, half of each class, among which the golden ones are chosen."""


@task
def rehearse_release(config: PhaseConfig, made: PhaseArtifacts) -> ArtifactRef:
    """Export, load, tamper, reseal: facts for the acceptance report."""
    contents = bundle_contents(config, made, AcceptanceReport.of("rehearsal", ()), figures=None)
    facts = rehearse(contents, load_predictions(made.certify_on).scores)
    inputs = [made.head, made.policy, made.certify_on]
    return store().put_file(ArtifactKind.EXPORT, "rehearsal.json", facts, inputs=inputs)


@task
def release_bundle(
    config: PhaseConfig, made: PhaseArtifacts, acceptance: ArtifactRef, figures: ArtifactRef
) -> ArtifactRef:
    """Write the bundle, with the acceptance report inside."""
    contents = bundle_contents(config, made, load_acceptance(acceptance), figures)
    inputs = [made.ledger, made.head, made.policy, made.evaluation, acceptance, figures]
    return store().put(
        ArtifactKind.BUNDLE, lambda folder: write_bundle(contents, folder / BUNDLE_FOLDER), inputs=inputs
    )


def bundle_contents(
    config: PhaseConfig, made: PhaseArtifacts, acceptance: AcceptanceReport, figures: ArtifactRef | None
) -> BundleContents:
    """What goes into the bundle, opened. Raises `LedgerError` if the log lacks looks that a release knows of."""
    require_openings_kept(store().open(made.ledger))
    splits = load_ledger(made.ledger)
    head = store().open(made.head)
    pictures = sorted(store().open(figures).glob("*.png")) if figures else []
    source = store().read(made.features, FeatureSet).backbone
    return BundleContents(
        release=config.release,
        config=config,
        backbone=backbone_config(source),
        adapted_from=config.backbone if isinstance(source, ArtifactRef) else None,
        head=load_head(head),
        transform=config.transform,
        policy=load_policy(made.policy),
        splits=splits.summary(access_log(splits.origin).entries()),
        acceptance=acceptance,
        metrics_csv=head / LOG_FILE,
        golden_candidates=golden_candidates(made.ledger),
        evaluation=load_evaluation(made.evaluation),
        figures={path.name: path for path in pictures},
        synthetic=config.data.is_synthetic,
        git_commit=git_commit(),
    )


def golden_candidates(ledger: ArtifactRef) -> list[GoldenCandidate]:
    """The first pictures of each class in VAL_SELECT, by digest: the same wherever the data lie."""
    rows = load_ledger(ledger).rows(Purpose.SELECT_MODEL).sort_values("sha256")
    chosen = rows.groupby("label").head(GOLDEN_CANDIDATES // 2)
    return [GoldenCandidate(Path(path), label) for path, label in zip(chosen["path"], chosen["label"], strict=True)]


def git_commit() -> str | None:
    """Commit of the code that runs, where it runs from a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
