"""Tasks that turn sources into a split ledger."""

from __future__ import annotations

from prefect.artifacts import create_table_artifact

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.data.config import DataConfig
from stage1_core.data.ledger import SplitLedger
from stage1_core.data.prepare import prepare
from stage1_core.data.reading import source_fingerprint
from tasks._progress import progress
from tasks._task import effect, task
from tasks._workspace import inspection_folder, store


@effect
def fingerprint_sources(config: DataConfig) -> str:
    """Digest of labels and pictures as they lie there now: when it changes, the data are prepared again."""
    return source_fingerprint(config.sources)


@task
def prepare_data(config: DataConfig, fingerprint: str) -> ArtifactRef:
    """Audit the pictures and divide them; the counts become a table in the page."""
    with progress("opening pictures") as on_progress:
        prepared = prepare(config, inspections=inspection_folder(), on_progress=on_progress)
    create_table_artifact(prepared.ledger.summary().table(), key="splits", description="Rows by split and source")
    create_table_artifact(prepared.report.table(), key="audit", description="What the audit saw")
    return store().put(ArtifactKind.LEDGER, prepared.save)


def load_ledger(ref: ArtifactRef) -> SplitLedger:
    """The ledger behind a reference."""
    return SplitLedger.load(store().open(ref))
