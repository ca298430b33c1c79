"""Tasks that report a run, halt it, and register what it made."""

from __future__ import annotations

from stage1_core.acceptance import AcceptanceReport
from stage1_core.bundle.artifact import ArtifactRef, require_untouched
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.config import FrozenModel
from stage1_core.digests import core_source_digest, identity_of
from stage1_core.errors import PhaseRejected
from stage1_core.splits import Purpose
from tasks._task import effect, gate
from tasks._workspace import access_log, store
from tasks.acceptance import ACCEPTANCE_FILE, load_acceptance
from tasks.data import load_ledger
from tasks.evaluation import TRANSFORMS_FILE, load_evaluation
from tasks.events import EventName, emit, model_resource, phase_resource
from tasks.open_runs import note_opened
from tasks.pages import show_acceptance, show_figures, show_links
from tasks.phase import PhaseArtifacts, ReleasedPhase
from tasks.registry import register_bundle
from tasks.registry_versions import CERTIFICATE_TAG, DIGEST_TAG, RELEASE_TAG
from tasks.release import BUNDLE_FOLDER
from tasks.released import promise_of, record_release
from tasks.reporting import REPORT_FILE
from tasks.runs import RunRef, new_run_id, place, write_log_to
from tasks.tracking import client, find_or_start, finish, log_parameters, log_phase


@effect
def open_run(phase: str, config: FrozenModel) -> RunRef:
    """Begin a run's folder, and find or begin its record in MLflow: the same computation has one record."""
    identity = identity_of(phase, config.digest())
    run = RunRef(run_id=new_run_id(), mlflow_run_id=find_or_start(identity, phase))
    note_opened(run.mlflow_run_id)
    write_log_to(run)
    (run.folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    log_parameters(run.mlflow_run_id, config)
    return run


@effect
def publish(
    run: RunRef, made: PhaseArtifacts, acceptance: ArtifactRef, figures: ArtifactRef, report: ArtifactRef
) -> None:
    """Show the page, MLflow and the run's folder what was found, also when it is about to be rejected."""
    verdict = load_acceptance(acceptance)
    show_acceptance(verdict)
    show_figures(sorted(store().open(figures).glob("*.png")))
    place_artifacts(run, made, acceptance, figures, report)
    show_links(run, run.folder / REPORT_FILE)
    folders = {"acceptance": acceptance, "figures": figures, "report": report}
    shown = {name: store().open(ref) for name, ref in folders.items()}
    log_phase(run.mlflow_run_id, load_ledger(made.ledger).summary(), load_evaluation(made.evaluation), shown)
    finish(run.mlflow_run_id, succeeded=verdict.passed)
    announce_verdict(verdict)


@effect
def publish_training(run: RunRef, acceptance: ArtifactRef) -> None:
    """Show whether training went well, before the phase goes on or halts."""
    verdict = load_acceptance(acceptance)
    show_acceptance(verdict, key="training")
    place(run, store().open_file(acceptance), "training.json")
    if not verdict.passed:
        finish(run.mlflow_run_id, succeeded=False)
        announce_verdict(verdict)


@gate
def require_accepted(acceptance: ArtifactRef) -> None:
    """Halt by raising `PhaseRejected` unless every check passed."""
    report = load_acceptance(acceptance)
    if not report.passed:
        raise PhaseRejected(report.summary(), report.model_dump(mode="json"))


@gate
def require_lineage(made: PhaseArtifacts) -> None:
    """Halt with `SplitUseError` if VAL_TEST, or the certifying rows, had a part in what is released."""
    require_untouched([made.head, made.policy, made.order_on, made.certify_on], Purpose.FINAL_EVALUATION)
    require_untouched([made.head, made.order_on], Purpose.CERTIFY_UNCALIBRATED_POLICY)


@effect
def register(
    run: RunRef, release: ReleaseConfig, made: PhaseArtifacts, bundle: ArtifactRef, acceptance: ArtifactRef
) -> ReleasedPhase:
    """Register the bundle as ``candidate`` and say where everything is."""
    folder = store().open(bundle) / BUNDLE_FOLDER
    place(run, folder, BUNDLE_FOLDER)
    ledger = load_ledger(made.ledger)
    openings = access_log(ledger.origin).summary().test_openings
    tags = {
        "stage1.ledger": ledger.digest,
        "stage1.acceptance": acceptance.sha256,
        "stage1.val_test_openings": str(openings),
        "stage1.core_source": core_source_digest(),
    }
    registered = register_bundle(folder, release.name, run_id=run.mlflow_run_id, tags=tags)
    evaluation = load_evaluation(made.evaluation)
    released = ReleasedPhase.of(run, made, bundle, registered, evaluation, load_acceptance(acceptance))
    record_and_announce(released)
    return released


def announce_verdict(report: AcceptanceReport) -> None:
    """Send the event of an accepted or a rejected phase."""
    name = EventName.PHASE_ACCEPTED if report.passed else EventName.PHASE_REJECTED
    emit(name, phase_resource(report.phase), verdict=report.verdict.value, summary=report.summary())


def record_and_announce(released: ReleasedPhase) -> None:
    """Put a release on record, and send its event if it was not there before.

    So a bundle that is found again is not announced again, and one whose registration was killed still is.
    """
    model, version = released.registered.name, released.registered.version
    tags = client().get_model_version(model, version).tags
    record_release(released)
    if CERTIFICATE_TAG not in tags:
        emit(
            EventName.BUNDLE_RELEASED,
            model_resource(model),
            model=model,
            version=version,
            release=tags.get(RELEASE_TAG),
            digest=tags.get(DIGEST_TAG),
            phase=released.phase,
            certified=promise_of(released.certified),
            mlflow_run=released.run.mlflow_run_id,
        )


def place_artifacts(
    run: RunRef, made: PhaseArtifacts, acceptance: ArtifactRef, figures: ArtifactRef, report: ArtifactRef
) -> None:
    """Links in the run's folder, under the names that people look for."""
    place(run, store().open(made.head), "checkpoints/head")
    place(run, store().open(made.evaluation), "metrics/val_test")
    place(run, store().open_file(made.order_on), "metrics/select_model.npz")
    place(run, store().open_file(made.certify_on), "metrics/certify_policy.npz")
    optional = {"metrics/fit_calibrator.npz": made.calibrate_on, f"metrics/{TRANSFORMS_FILE}": made.transforms}
    for name, ref in optional.items():
        if ref is not None:
            place(run, store().open_file(ref), name)
    place(run, store().open_file(made.policy), "policy.json")
    place(run, store().open_file(acceptance), ACCEPTANCE_FILE)
    place(run, store().open(figures), "figures")
    place(run, store().open_file(report), REPORT_FILE)
