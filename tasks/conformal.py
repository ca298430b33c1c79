"""The task that checks what SCRC adds to a certified policy."""

from __future__ import annotations

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.phases.conformal import ConformalConfig, conformal_report
from stage1_core.policy import ScrcPolicy
from tasks._task import task
from tasks._workspace import store
from tasks.acceptance import ACCEPTANCE_FILE
from tasks.evaluation import load_final_predictions
from tasks.phase import PhaseArtifacts
from tasks.policy import load_predictions


@task
def check_conformal(config: ConformalConfig, made: PhaseArtifacts) -> ArtifactRef:
    """Whether classes are calibrated and sets are what they should be, with the method's own promises as evidence."""
    report = conformal_report(
        config.acceptance,
        config.constraint,
        policy=store().read(made.policy, ScrcPolicy),
        certify_on=load_predictions(made.certify_on),
        final_rows=load_final_predictions(made.evaluation),
    )
    inputs = [made.policy, made.certify_on, made.evaluation]
    return store().put_file(ArtifactKind.ACCEPTANCE, ACCEPTANCE_FILE, report, inputs=inputs)
