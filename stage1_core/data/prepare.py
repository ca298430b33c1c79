"""From sources to a split ledger: read, open every picture once, audit, divide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stage1_core.data.audit import AuditReport, audit
from stage1_core.data.config import DataConfig
from stage1_core.data.inspection import inspect_images
from stage1_core.data.ledger import SplitLedger, split
from stage1_core.data.reading import read_sources

AUDIT_FILE = "audit.json"


@dataclass(frozen=True, slots=True, eq=False)
class PreparedData:
    """Rows that may be used, who may use them, and what the audit saw."""

    ledger: SplitLedger
    report: AuditReport
    warnings: tuple[str, ...]
    """What the sources remarked: optional ones that are missing, rows that were left out."""

    def save(self, folder: Path) -> None:
        """Write the ledger, and ``audit.json`` beside it."""
        self.ledger.save(folder)
        (folder / AUDIT_FILE).write_text(self.report.to_json(), encoding="utf-8")


def prepare(
    config: DataConfig,
    *,
    inspections: Path,
    earlier: SplitLedger | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> PreparedData:
    """Read, inspect, audit and split the sources of ``config``; the split continues ``earlier`` where it is given.

    ``inspections`` is the folder in which digests of opened pictures are kept. Raises `DataError` for sources that are
    not what they should be and `AuditError` for data that must not be trained on.
    """
    rows, warnings = read_sources(config.sources)
    inspection = inspect_images(rows, cache_folder=inspections, on_progress=on_progress)
    audited = audit(inspection.samples, inspection.bad, config.audit)
    return PreparedData(split(audited.samples, config.split, earlier), audited.report, warnings)
