"""What a release report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from stage1_core.acceptance import AcceptanceReport
from stage1_core.errors import Stage1Error
from stage1_core.metrics.suite import Evaluation, TransformQuality
from stage1_core.policy import AnyPolicy
from stage1_core.policy.comparison import PolicyComparison
from stage1_core.policy.constraint import RiskConstraint


@dataclass(frozen=True, slots=True, eq=False)
class ReportContents:
    """Everything that the report shows. Nothing is looked up elsewhere, so the same contents give the same page.

    Raises `Stage1Error` when the policy was certified for another constraint than the one that would be printed.
    """

    title: str
    acceptance: AcceptanceReport
    evaluation: Evaluation | None
    """None where no evaluation was made; the report then says so."""
    policy: AnyPolicy
    constraint: RiskConstraint
    data_summary: Mapping[str, object]
    """The content of ``splits.json``."""
    figures: Mapping[str, Figure | bytes]
    """Figures, or PNG bytes, by name; shown in this order. The description in a PNG becomes its alternative text."""
    provenance: Mapping[str, str]
    """Configuration, digests and versions by name; values of several lines are folded."""
    synthetic: bool
    """Whether any picture was rendered instead of photographed."""
    val_test_openings: int | None
    """How often VAL_TEST has been opened for this data; None where it could not be found out."""
    transforms: tuple[TransformQuality, ...] = ()
    """The model under other picture geometries, on SELECT_MODEL rows; empty where it was not tried."""
    comparison: PolicyComparison | None = None
    """The released policy (challenger) against the one it replaces, where there was a choice."""

    def __post_init__(self) -> None:
        if self.policy.constraint != self.constraint:
            raise Stage1Error(
                f"the policy was fitted for {self.policy.constraint!r}, the report would promise {self.constraint!r}; "
                "pass the constraint that the policy was fitted for"
            )
        if self.val_test_openings is not None and self.val_test_openings < 0:
            raise Stage1Error(f"val_test_openings is {self.val_test_openings}; give a count, or None if it is unknown")
