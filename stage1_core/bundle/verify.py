"""Everything that can be found out about a bundle without the people who made it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stage1_core.acceptance import AcceptanceReport, FactCheck, Verdict
from stage1_core.bundle.certification import certificate_problem
from stage1_core.bundle.integrity import (
    check_contents,
    check_listing,
    check_schemas,
    read_manifest,
    read_policy,
)
from stage1_core.bundle.manifest import BundleManifest
from stage1_core.bundle.runtime import Stage1, load_classifier, replay_golden
from stage1_core.config import FrozenModel
from stage1_core.data.split_summary import SplitSummary
from stage1_core.errors import Stage1Error


class VerificationReport(FrozenModel):
    """The verdict on each property of a bundle. A check that could not be made never passes."""

    bundle: str
    """The folder that was verified."""
    checks: tuple[FactCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return bool(self.checks) and all(check.verdict is Verdict.PASS for check in self.checks)

    def summary(self) -> str:
        """One line that names what did not pass."""
        missed = [f"{check.name}: {check.evidence}" for check in self.checks if check.verdict is not Verdict.PASS]
        return f"{self.bundle}: " + ("; ".join(missed) if missed else f"all {len(self.checks)} checks passed")


def verify_bundle(path: Path | str, *, device: str = "cpu") -> VerificationReport:
    """Check files, schemas, policy, certificate, evidence and golden pictures. Never raises for a bad bundle.

    The model is only loaded where all files are those that were sealed.
    """
    folder = Path(path).resolve()
    first = _fact("manifest", lambda: _manifest_facts(read_manifest(folder)))
    if not first.holds:
        return VerificationReport(bundle=str(folder), checks=(first,))
    manifest = read_manifest(folder)
    files = (
        _fact("files are exactly those listed", lambda: check_listing(folder, manifest)),
        _fact("contents are those sealed", lambda: check_contents(folder, manifest)),
        _fact("JSON files keep their schemas", lambda: check_schemas(folder, manifest)),
    )
    if not all(check.holds for check in files):
        return VerificationReport(bundle=str(folder), checks=(first, *files))
    rest = (
        _fact("one policy of a known kind", lambda: f"{read_policy(folder, manifest).kind} in {manifest.policy.file}"),
        _fact("certificate", lambda: _certificate(folder, manifest)),
        _fact("evidence is of this split and accepted", lambda: _evidence(folder, manifest)),
        _fact("golden pictures are decided as released", lambda: _replay(folder, manifest, device)),
    )
    return VerificationReport(bundle=str(folder), checks=(first, *files, *rest))


def _fact(name: str, examine: Callable[[], str | None]) -> FactCheck:
    """A check that holds when ``examine`` returns, perhaps with evidence, and not when it raises one of our errors."""
    try:
        return FactCheck(name=name, holds=True, evidence=examine() or "seen")
    except Stage1Error as error:
        return FactCheck(name=name, holds=False, evidence=str(error))


def _manifest_facts(manifest: BundleManifest) -> str:
    return f"{manifest.release.name} {manifest.release.version}, {manifest.content_digest[:12]}, {manifest.created_at}"


def _certificate(folder: Path, manifest: BundleManifest) -> str:
    if manifest.resealed:
        raise Stage1Error("void: the bundle was changed and sealed again after its release")
    problem = certificate_problem(read_policy(folder, manifest))
    if problem is not None:
        raise Stage1Error(problem)
    return "its bound follows from its counts and keeps the ceiling"


def _evidence(folder: Path, manifest: BundleManifest) -> str:
    splits = SplitSummary.from_json_file(folder / manifest.evidence.splits)
    if splits.ledger_digest != manifest.evidence.ledger_digest:
        raise Stage1Error(f"{manifest.evidence.splits} is of another split than the manifest names")
    report = AcceptanceReport.from_json_file(folder / manifest.evidence.acceptance)
    if not report.passed:
        raise Stage1Error(report.summary())
    return f"{len(report.checks)} acceptance checks of phase {report.phase} passed"


def _replay(folder: Path, manifest: BundleManifest, device: str) -> str:
    classifier = load_classifier(folder, manifest, device=device)
    stage1 = Stage1(manifest, classifier, manifest.model.transform, read_policy(folder, manifest), device)
    replay_golden(stage1, folder)
    return f"on {device}"
