"""What a phase has made so far, as references, and how to open them."""

from __future__ import annotations

from stage1_core.acceptance import AcceptanceReport, RiskCheck
from stage1_core.bundle.artifact import ArtifactRef
from stage1_core.config import FrozenModel
from stage1_core.errors import NotAdopted
from stage1_core.metrics.suite import Evaluation
from tasks.registry import Registered
from tasks.registry_aliases import CANDIDATE
from tasks.runs import RunRef


class PhaseArtifacts(FrozenModel):
    """Everything that the checks and the release of a phase read."""

    ledger: ArtifactRef
    features: ArtifactRef
    head: ArtifactRef
    order_on: ArtifactRef
    certify_on: ArtifactRef
    policy: ArtifactRef
    evaluation: ArtifactRef
    calibrate_on: ArtifactRef | None = None
    """Only where a calibrator was fitted on rows of its own."""
    transforms: ArtifactRef | None = None
    """Only where other geometries were looked at."""
    comparison: ArtifactRef | None = None
    """Only where the policy had to be better than another."""

    def digests(self) -> dict[str, str]:
        """sha256 of everything that was made, by name."""
        return {name: ref.sha256 for name, ref in self if ref is not None}


class Adopted(FrozenModel):
    """A challenger's policy that was found better than what stands."""

    policy: ArtifactRef
    comparison: ArtifactRef
    report: ArtifactRef
    """What it was asked, and how it answered."""


class TurnedDown(FrozenModel):
    """A challenger that was not adopted."""

    report: AcceptanceReport
    """What it was asked, and what it missed."""
    run: RunRef
    """Where its comparison lies."""


class ReleasedPhase(FrozenModel):
    """What a phase released, and where to look at it."""

    phase: str
    made: PhaseArtifacts
    bundle: ArtifactRef
    registered: Registered
    run: RunRef
    evaluation: Evaluation
    certified: RiskCheck
    turned_down: TurnedDown | None = None
    """The later phase's challenger that was not adopted in its place, where there was one."""

    @staticmethod
    def of(
        run: RunRef,
        made: PhaseArtifacts,
        bundle: ArtifactRef,
        registered: Registered,
        evaluation: Evaluation,
        acceptance: AcceptanceReport,
    ) -> ReleasedPhase:
        """The outcome of an accepted phase; its certificate is the report's risk check."""
        return ReleasedPhase(
            phase=acceptance.phase,
            made=made,
            bundle=bundle,
            registered=registered,
            run=run,
            evaluation=evaluation,
            certified=acceptance.certificate,
        )

    def goes_on(self, why: str, report: AcceptanceReport, run: RunRef) -> NotAdopted:
        """What to raise where this release goes on standing, because the challenger of ``run`` was turned down."""
        stands = self.model_copy(update={"turned_down": TurnedDown(report=report, run=run)})
        return NotAdopted(why, stands.model_dump(mode="json"))

    def summary(self) -> dict[str, str]:
        """The outcome in a few lines, by name."""
        augrc, constraint = self.evaluation.model.augrc, self.certified
        return {
            "phase": self.phase,
            "coverage on val_test": self.evaluation.exits_on_all_rows.coverage.in_words(),
            "FNR on exited, certified": f"{constraint.risk.in_words()}, at {constraint.confidence:.0%} confidence",
            "FNR on exited, val_test": self.evaluation.exits.fnr_on_exited.in_words(),
            "AUGRC on val_test": "undefined" if augrc is None else f"{augrc:.4f}",
            "registered": f"{self.registered.name} version {self.registered.version}, alias {CANDIDATE}",
            "bundle": str(self.run.folder / "bundle"),
            "report": str(self.run.folder / "report.html"),
            "pages": "run `stage1 pages` and open the addresses it prints",
        }
