"""Whether what serves is still what was promoted."""

from __future__ import annotations

from stage1_core.config import FrozenModel
from stage1_core.promotion.config import ModelName, VersionNumber


class MonitorConfig(FrozenModel):
    """What is looked at."""

    models: tuple[ModelName, ...] = ()
    """Names of registered models; without any, every model that has a champion."""


class WatchedModel(FrozenModel):
    """What a look at one registered model found."""

    model: ModelName
    champion: VersionNumber | None
    """None where no version has the alias."""
    troubles: tuple[str, ...]
    """What is wrong, in words that say what to do; empty where nothing is."""

    def row(self) -> dict[str, str]:
        """For a table in the page."""
        return {
            "model": self.model,
            "champion": self.champion or "none",
            "found": "; ".join(self.troubles) or "as promoted",
        }
