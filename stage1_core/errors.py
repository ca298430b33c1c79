"""The errors a user can meet. Every message says what was wrong, with the offending value, and what to do."""

from __future__ import annotations


class Stage1Error(Exception):
    """Base of all errors that the command line prints as one line (exit code 2)."""


class DataError(Stage1Error):
    """A source, label file or sample table is not what it should be."""


class AuditError(DataError):
    """The audit found something that must not be trained on: too many bad images, a leak, conflicting labels."""


class SplitUseError(Stage1Error):
    """Rows were asked for, or handed over, for a purpose they are not meant for."""


class LedgerError(Stage1Error):
    """The ledger of split openings is damaged, was edited, or belongs to other data."""


class ModelError(Stage1Error):
    """A backbone or head cannot be loaded or does not fit the data."""


class CheckpointError(Stage1Error):
    """A checkpoint is damaged or belongs to another configuration."""


class ComputeError(Stage1Error):
    """Workers that were to compute are absent, were lost, or cannot be trusted to give the same results."""


class PolicyError(Stage1Error):
    """A policy cannot be fitted or applied to the given scores."""


class CalibrationError(PolicyError):
    """A calibrator has nothing to work with: its logits do not rank, or rank the wrong way."""


class BundleError(Stage1Error):
    """A bundle is incomplete, was changed after it was sealed, or cannot be read by this version."""


class PhaseRejected(Stage1Error):
    """A phase's acceptance report did not pass. Carries the report as plain JSON data, so that it survives pickling."""

    def __init__(self, message: str, report: dict[str, object]) -> None:
        super().__init__(message)
        self.report = report

    @property
    def state_name(self) -> str:
        """Rejected where a check failed, InsufficientEvidence where the data were too few to tell."""
        return "Rejected" if self.report.get("verdict") == "FAIL" else "InsufficientEvidence"

    def __reduce__(self) -> tuple[type[PhaseRejected], tuple[str, dict[str, object]]]:
        return PhaseRejected, (str(self), self.report)


class NotAdopted(Stage1Error):
    """A challenger is not better than what is released. An outcome, not a failure: what stands goes on standing.

    Carries what stands, with why, as plain JSON data, so that it survives pickling.
    """

    def __init__(self, message: str, standing: dict[str, object]) -> None:
        super().__init__(message)
        self.standing = standing

    def __reduce__(self) -> tuple[type[NotAdopted], tuple[str, dict[str, object]]]:
        return NotAdopted, (str(self), self.standing)


class NothingToDo(Stage1Error):
    """What was asked for is there already. An outcome, not a failure.

    Carries what stands as plain JSON data, so that it survives pickling.
    """

    def __init__(self, message: str, standing: dict[str, object]) -> None:
        super().__init__(message)
        self.standing = standing

    def __reduce__(self) -> tuple[type[NothingToDo], tuple[str, dict[str, object]]]:
        return NothingToDo, (str(self), self.standing)


class PromotionRefused(Stage1Error):
    """A version may not become the champion. Carries the evidence as plain JSON data, so that it survives pickling."""

    def __init__(self, message: str, evidence: dict[str, object]) -> None:
        super().__init__(message)
        self.evidence = evidence

    def __reduce__(self) -> tuple[type[PromotionRefused], tuple[str, dict[str, object]]]:
        return PromotionRefused, (str(self), self.evidence)


class PromotionConflict(Stage1Error):
    """The registry's aliases are not where this or an interrupted promotion left them: somebody else moved one."""
