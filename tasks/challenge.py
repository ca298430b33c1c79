"""The end of a phase that chose among recipes: what it made, and whether that may be released."""

from __future__ import annotations

from collections.abc import Sequence

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.bundle.rehearsal import Rehearsal
from stage1_core.config import FrozenModel
from stage1_core.phases.adoption import challenger_report
from stage1_core.phases.config import RecipeConfig
from tasks._task import task
from tasks._workspace import store
from tasks.acceptance import ACCEPTANCE_FILE, load_acceptance
from tasks.arms import load_judgement
from tasks.evaluation import load_evaluation
from tasks.phase import PhaseArtifacts
from tasks.policy import load_policy, load_predictions


class Challenge(FrozenModel):
    """A challenger that was found better than what stands."""

    made: PhaseArtifacts
    adoption: ArtifactRef


@task
def check_challenger(
    phase: str,
    config: RecipeConfig,
    challenge: Challenge,
    passed: Sequence[ArtifactRef],
    judged: ArtifactRef,
    rehearsal: ArtifactRef,
) -> ArtifactRef:
    """The acceptance report of phases 4 to 6; ``passed`` are the phase's own reports."""
    made, judgement = challenge.made, load_judgement(judged)
    report = challenger_report(
        phase,
        config.constraint,
        min_coverage=config.acceptance.min_coverage,
        policy=load_policy(made.policy),
        certify_on=load_predictions(made.certify_on),
        before=(*map(load_acceptance, passed), *judgement.choice.proof, load_acceptance(challenge.adoption)),
        arms=judgement.comparison,
        final=load_evaluation(made.evaluation),
        rehearsal=store().read(rehearsal, Rehearsal).facts,
    )
    inputs = [made.policy, made.certify_on, made.evaluation, *passed, judged, challenge.adoption, rehearsal]
    return store().put_file(ArtifactKind.ACCEPTANCE, ACCEPTANCE_FILE, report, inputs=inputs)
