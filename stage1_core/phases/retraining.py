"""Retraining on whatever data there are now, and what happens to the candidate that comes of it."""

from __future__ import annotations

from stage1_core.config import FrozenModel
from stage1_core.digests import identity_of
from stage1_core.phases.ladder import LadderConfig
from stage1_core.promotion.config import PromotionConfig


class RetrainConfig(FrozenModel):
    """Everything that determines a retraining and the decision behind it."""

    ladder: LadderConfig
    """What is trained, and what it must prove to become a candidate."""
    promotion: PromotionConfig = PromotionConfig()
    """When the candidate replaces the champion."""

    def identity(self, data: str) -> str:
        """Digest of everything that decides what training on ``data``, a fingerprint of the sources, gives."""
        return identity_of(self.ladder.digest(), data)
