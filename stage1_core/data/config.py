"""Everything a person chooses about the data."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.data.audit import AuditConfig
from stage1_core.data.ledger import CutPool, SplitConfig
from stage1_core.data.sources import SourceConfig


class DataConfig(FrozenModel):
    """Where the pictures come from, what the audit tolerates, how they are split."""

    sources: Annotated[tuple[SourceConfig, ...], Field(min_length=1)]
    """The data sources; each name must be used once."""
    audit: AuditConfig = AuditConfig()
    """What the audit tolerates."""
    split: SplitConfig = CutPool()
    """How the rows are cut, and the seed."""

    @property
    def is_synthetic(self) -> bool:
        """Whether any picture was rendered or generated instead of photographed."""
        return any(source.synthetic for source in self.sources)
