"""Tasks that turn sources into a split ledger."""

from __future__ import annotations

from prefect.artifacts import create_table_artifact

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.data.config import DataConfig
from stage1_core.data.ledger import SplitLedger
from stage1_core.data.prepare import prepare
from stage1_core.data.reading import source_fingerprint
from tasks._lines import earlier_split, load_earlier, record_split
from tasks._progress import progress
from tasks._task import effect, task
from tasks._workspace import inspection_folder, store


@effect
def fingerprint_sources(config: DataConfig) -> str:
    """Digest of labels and pictures as they lie there now: when it changes, the data are prepared again."""
    return source_fingerprint(config.sources)


@effect
def find_earlier_split(config: DataConfig, fingerprint: str) -> ArtifactRef | None:
    """The ledger that a split of these data continues, so that no picture moves; None for the first of a line."""
    return earlier_split(config, fingerprint)


@task
def prepare_data(config: DataConfig, fingerprint: str, earlier: ArtifactRef | None) -> ArtifactRef:
    """Audit the pictures and divide them; the counts become a table in the page."""
    before = load_earlier(earlier)
    with progress("opening pictures") as on_progress:
        prepared = prepare(config, inspections=inspection_folder(), earlier=before, on_progress=on_progress)
    splits = prepared.ledger.summary()
    create_table_artifact(splits.table(), key="splits", description=f"Rows by split and source. {splits.in_words()}")
    create_table_artifact(prepared.report.table(), key="audit", description="What the audit saw")
    return store().put(ArtifactKind.LEDGER, prepared.save)


@effect
def keep_split(config: DataConfig, fingerprint: str, earlier: ArtifactRef | None, ledger: ArtifactRef) -> None:
    """Note the split as the one that the next continues."""
    record_split(config, fingerprint, earlier, ledger)


def load_ledger(ref: ArtifactRef) -> SplitLedger:
    """The ledger behind a reference."""
    return SplitLedger.load(store().open(ref))
