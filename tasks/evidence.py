"""Tasks that find out whether a candidate may become the champion. They move nothing."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from stage1_core.acceptance import AcceptanceReport
from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.bundle.integrity import read_manifest, read_policy
from stage1_core.bundle.runtime import load_bundle
from stage1_core.bundle.scoring import score_rows
from stage1_core.errors import BundleError, NothingToDo, PromotionRefused
from stage1_core.policy.comparison import Side, compare
from stage1_core.promotion.config import NonInferiorityConfig, PromotionRequest
from stage1_core.promotion.evidence import PromotionEvidence, RegisteredBundle, require_passed
from stage1_core.promotion.non_inferiority import not_worse_report
from stage1_core.splits import Purpose
from tasks._device import device_slot
from tasks._progress import progress
from tasks._task import effect, gate, task
from tasks._workspace import access_log, feature_folder, store
from tasks.comparison import COMPARISON, load_comparison
from tasks.contest import Contest, contest_of
from tasks.data import load_ledger
from tasks.events import EventName, emit, model_resource
from tasks.policy import load_predictions
from tasks.promotion import own_move
from tasks.registry_aliases import aliases_of
from tasks.registry_bundles import bundle_folder, fetch_bundle
from tasks.registry_versions import EVIDENCE, EVIDENCE_VERDICT, versions_of
from tasks.released import load_release, promise_of
from tasks.tracking import client


def find_contest(request: PromotionRequest) -> Contest:
    """Which version would replace which, as the registry says now.

    No task of its own: the page would show "nothing to do" as a failed one. Raises `NothingToDo` where this run has
    promoted already and begins anew: who is candidate by now was not asked about.
    """
    aliases, done = aliases_of(request.model), own_move(request.model)
    if done is not None:
        raise NothingToDo(
            f"{request.model}: this run has made version {done.after.champion} the champion already",
            aliases.model_dump(mode="json"),
        )
    return contest_of(request, aliases, versions_of(request.model))


@effect
def fetch_released(model: str, registered: RegisteredBundle) -> ArtifactRef:
    """Download and verify a version. Raises `PromotionRefused` where it is not what was released."""
    try:
        return fetch_bundle(model, registered)
    except BundleError as damaged:
        aliases = aliases_of(model)
        if registered.version == aliases.champion:
            emit(EventName.CHAMPION_IN_DOUBT, model_resource(model), version=registered.version, why=str(damaged))
        raise PromotionRefused(str(damaged), aliases.model_dump(mode="json")) from damaged


@effect
def find_ledger(contest: Contest, candidate: ArtifactRef) -> ArtifactRef:
    """The split that the candidate was released with. Raises `BundleError` where this workspace does not hold it."""
    ledger = load_release(versions_of(contest.model)[contest.candidate.version]).made.ledger
    sealed, found = read_manifest(bundle_folder(candidate)).evidence.ledger_digest, load_ledger(ledger).digest
    if sealed != found:
        raise BundleError(
            f"{contest.model} {contest.candidate.in_words()} was released with ledger {sealed[:12]}…, its record in "
            f"MLflow names {found[:12]}…; somebody changed the record: release it again"
        )
    return ledger


def compare_with_champion(
    config: NonInferiorityConfig, contest: Contest, candidate: ArtifactRef, ledger: ArtifactRef
) -> ArtifactRef | None:
    """Both bundles on the candidate's VAL_TEST rows, as released; None where there is no champion.

    The champion is scored once: its scores are kept by its content and the ledger's.
    """
    if contest.champion is None:
        return None
    champion = fetch_released(contest.model, contest.champion)
    record_opening(contest, ledger)
    return compare_released(
        config, contest, champion, candidate, score_released(champion, ledger), score_released(candidate, ledger)
    )


@effect
def record_opening(contest: Contest, ledger: ArtifactRef) -> None:
    """Record the look at VAL_TEST that the comparison takes; the same comparison again is the same look."""
    champion, splits = contest.champion, load_ledger(ledger)
    subject = f"{contest.candidate.content_digest} {champion.content_digest if champion else ''}"
    access_log(splits.origin).record(
        "opened",
        Purpose.FINAL_EVALUATION,
        subject=subject,
        rows_digest=splits.rows_digest(Purpose.FINAL_EVALUATION),
        reason=contest.title,
    )


@task
def score_released(bundle: ArtifactRef, ledger: ArtifactRef) -> ArtifactRef:
    """What a released bundle says about the VAL_TEST rows of a split."""
    with device_slot() as device, progress("scoring") as on_progress:
        stage1 = load_bundle(bundle_folder(bundle), device=device)
        rows = score_rows(
            stage1,
            load_ledger(ledger),
            Purpose.FINAL_EVALUATION,
            store_folder=feature_folder(),
            on_progress=on_progress,
        )
    inputs, purposes = [bundle, ledger], [Purpose.FINAL_EVALUATION]
    return store().put(
        ArtifactKind.PREDICTIONS, lambda folder: rows.save(folder / "predictions.npz"), inputs=inputs, purposes=purposes
    )


@task
def compare_released(
    config: NonInferiorityConfig,
    contest: Contest,
    champion: ArtifactRef,
    candidate: ArtifactRef,
    champion_rows: ArtifactRef,
    candidate_rows: ArtifactRef,
) -> ArtifactRef:
    """The candidate against the champion, paired."""
    compared = compare(
        _side("champion", champion, champion_rows),
        _side("candidate", candidate, candidate_rows),
        config.bootstrap,
        purpose=Purpose.FINAL_EVALUATION,
        exact_confidence=_acceptance(candidate).certificate.confidence,
    )
    inputs = [champion, candidate, champion_rows, candidate_rows]
    return store().put_file(ArtifactKind.COMPARISON, f"{COMPARISON}.json", compared, inputs=inputs)


@effect
def gather_evidence(
    config: NonInferiorityConfig,
    contest: Contest,
    candidate: ArtifactRef,
    ledger: ArtifactRef,
    comparison: ArtifactRef | None,
) -> PromotionEvidence:
    """Everything that speaks for the candidate, or against it."""
    acceptance, splits = _acceptance(candidate), load_ledger(ledger)
    looks = access_log(splits.origin).summary()
    return PromotionEvidence(
        model=contest.model,
        candidate=contest.candidate,
        champion=contest.champion,
        acceptance=acceptance,
        not_worse=None if comparison is None else not_worse_report(config, load_comparison(comparison)),
        certificate=promise_of(acceptance.certificate),
        ledger_digest=splits.digest,
        test_openings=looks.test_openings,
        certification_looks=looks.certification_looks,
    )


@effect
def show_evidence(evidence: PromotionEvidence) -> None:
    """Show the page and the registry what was found, also when it is about to be refused."""
    create_table_artifact(evidence.table(), key="evidence", description=evidence.refusal or "everything passed")
    create_markdown_artifact(evidence.markdown(), key="promotion", description=f"code {evidence.code}")
    record = versions_of(evidence.model)[evidence.candidate.version]
    client().log_text(record.run_id, evidence.to_json(), f"promotion/{evidence.code}.json")
    for tag, value in {EVIDENCE: evidence.digest(), EVIDENCE_VERDICT: evidence.refusal or "passed"}.items():
        client().set_model_version_tag(evidence.model, record.version, tag, value)


@gate
def require_evidence(evidence: PromotionEvidence) -> None:
    """Halt by raising `PromotionRefused` unless everything passed."""
    require_passed(evidence)


def _acceptance(bundle: ArtifactRef) -> AcceptanceReport:
    folder = bundle_folder(bundle)
    return AcceptanceReport.from_json_file(folder / read_manifest(folder).evidence.acceptance)


def _side(name: str, bundle: ArtifactRef, rows: ArtifactRef) -> Side:
    folder = bundle_folder(bundle)
    return Side(name, read_policy(folder, read_manifest(folder)), load_predictions(rows))
