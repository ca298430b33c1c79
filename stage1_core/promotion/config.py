"""What a person or an automation decides about a promotion, a rollback and a repair."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.metrics.bootstrap import BootstrapConfig

Margin = Annotated[float, Field(gt=0, lt=1)]
"""A difference that would be put up with, as a fraction. Not 0: no number of rows proves that nothing was lost."""

ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Name of a registered model, the ``release.name`` of its bundles."""

VersionNumber = Annotated[str, Field(pattern=r"^[1-9][0-9]*$")]
"""Version of a registered model, as the registry counts them: "1", "2", ..."""


class NonInferiorityConfig(FrozenModel):
    """What the candidate may lose against the champion, in the worst case that the rows still allow."""

    max_coverage_loss: Margin = 0.02
    """Of the share of all pictures that exit, as a fraction."""
    max_accuracy_loss: Margin = 0.01
    """Of the share of all pictures that the model calls right, as a fraction."""
    max_augrc_gain: Annotated[float, Field(gt=0, lt=0.5)] = 0.005
    """Of the area under the generalized risk coverage curve, which lies in [0, 0.5]; lower areas are better."""
    max_fnr_gain: Margin = 0.01
    """Of the share of exiting roadwork pictures that are called "no roadwork", as a fraction."""
    bootstrap: BootstrapConfig = BootstrapConfig(level=0.9)
    """Paired, clustered by group, stratified by class. The unfavourable end of each interval decides: one-sided 95 %
    by default."""


class AutomaticApproval(FrozenModel):
    """A candidate that passed is promoted without asking."""

    kind: Literal["automatic"] = "automatic"


class HumanApproval(FrozenModel):
    """A person sees the evidence and says yes or no before anything moves."""

    kind: Literal["human"] = "human"
    timeout_hours: Annotated[float, Field(gt=0)] = 72
    """Hours to wait for the answer. Without one the champion stays."""


ApprovalConfig = Annotated[AutomaticApproval | HumanApproval, Field(discriminator="kind")]


class PromotionConfig(FrozenModel):
    """What a candidate must show, and who has the last word."""

    not_worse: NonInferiorityConfig = NonInferiorityConfig()
    """What it may lose against the champion."""
    approval: ApprovalConfig = AutomaticApproval()
    """Who says yes to a candidate that passed. Nobody can say yes to one that did not."""


class PromotionRequest(FrozenModel):
    """Make a registered version the champion, if it is not worse."""

    model: ModelName
    """Name of the registered model."""
    candidate: Annotated[str, Field(pattern=r"^(candidate|[1-9][0-9]*)$")] = "candidate"
    """The version to promote: its number, or "candidate" for the one that has this alias."""
    expected_champion: Annotated[str, Field(pattern=r"^(current|none|[1-9][0-9]*)$")] = "current"
    """Version number of the champion that is to be replaced, "none" for a first promotion, or "current" for whichever
    is the champion when the run begins. The promotion is refused where another one is."""
    config: PromotionConfig = PromotionConfig()
    """What the candidate must show."""


class RollbackRequest(FrozenModel):
    """Put the previous champion back."""

    model: ModelName
    """Name of the registered model."""
    reason: Annotated[str, Field(pattern=r"\S")]
    """Why, in words; kept with the version that is taken back."""
    expected_champion: Annotated[str, Field(pattern=r"^(current|[1-9][0-9]*)$")] = "current"
    """Version number of the champion that is to be taken back, or "current" for whichever is the champion when the run
    begins. Give the number where two people could roll back at once: the second rollback is then refused."""


class RepairRequest(FrozenModel):
    """Finish or take back what an interrupted promotion or rollback began."""

    model: ModelName
    """Name of the registered model."""
    abandon: bool = False
    """Forget what was begun and leave the aliases as they are, for example where somebody moved one by hand."""
