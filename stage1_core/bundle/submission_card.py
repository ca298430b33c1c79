"""model_card.json in the format that the StreetVision subnet asks miners to publish beside a model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.bundle.manifest import ReleaseConfig, Version
from stage1_core.config import FrozenModel


class SubmissionCard(FrozenModel):
    """The five fields that the subnet names; all are always written."""

    model_name: str
    description: str
    version: Version
    """X.Y.Z, as text: the subnet's template shows it bare, which is no JSON."""
    submitted_by: str
    """Hotkey address; empty where the bundle was not made for a submission."""
    submission_time: Annotated[int, Field(ge=0)] | None
    """Unix seconds; null where the bundle was not made for a submission."""

    @staticmethod
    def of(release: ReleaseConfig) -> SubmissionCard:
        """The card of a release."""
        return SubmissionCard(
            model_name=release.name,
            description=release.description,
            version=release.version,
            submitted_by=release.submitted_by,
            submission_time=release.submission_time,
        )
