"""How every phase that wants to release something ends: drawn, written down, shown, accepted, sealed, registered."""

from __future__ import annotations

from stage1_core.bundle.artifact import ArtifactRef
from stage1_core.phases.config import PhaseConfig
from tasks.phase import PhaseArtifacts, ReleasedPhase
from tasks.publishing import publish, register, require_accepted
from tasks.release import release_bundle
from tasks.reporting import draw_figures, write_report
from tasks.runs import RunRef


def conclude(run: RunRef, config: PhaseConfig, made: PhaseArtifacts, acceptance: ArtifactRef) -> ReleasedPhase:
    """Show what was found, halt unless all of it was accepted, then release and register the bundle."""
    figures = draw_figures(config, made)
    report = write_report(config, made, acceptance, figures)
    publish(run, made, acceptance, figures, report)
    require_accepted(acceptance)
    bundle = release_bundle(config, made, acceptance, figures)
    return register(run, config.release, made, bundle, acceptance)
