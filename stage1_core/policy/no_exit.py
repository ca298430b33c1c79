"""The policy of last resort: nothing exits, everything goes to the second stage."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.policy.certify import NotSearched, Shortfall, SweepLevel
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Decisions, Scores


class NoExit(FrozenModel):
    """What a fit returns when it can certify nothing: safe, useless, and clear about what is missing."""

    kind: Literal["no_exit"] = "no_exit"
    constraint: RiskConstraint
    sweep_results: tuple[SweepLevel, ...]
    """Empty where no search was made."""
    shortfall: Annotated[Shortfall | NotSearched, Field(discriminator="kind")]

    can_exit: ClassVar[bool] = False
    threshold: ClassVar[None] = None
    certificate: ClassVar[None] = None
    rest: ClassVar[Literal["second_stage"]] = "second_stage"
    """Who answers the pictures that do not exit."""

    @property
    def no_exit_reason(self) -> str:
        """What is missing, in one sentence."""
        return self.shortfall.message

    def rule_in_words(self) -> str:
        """Which pictures exit."""
        return "none"

    def strictest(self) -> NoExit:
        """Itself: nothing is stricter."""
        return self

    def decide(self, scores: Scores) -> Decisions:
        """{0, 1} for every picture."""
        return Decisions(np.ones((len(scores), 2), dtype=np.bool_))
