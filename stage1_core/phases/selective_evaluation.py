"""Phase 2: the epoch that ranks its failures best, and everything that can be known about its worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from stage1_core.acceptance import AcceptanceCheck, AcceptanceReport, Direction, FactCheck, ValueCheck
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.config import FrozenModel
from stage1_core.data.transforms import EvalTransform, Letterbox
from stage1_core.metrics.agreement import cross_checks, range_checks
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.metrics.suite import Evaluation, ModelQuality
from stage1_core.model.head import HeadConfig
from stage1_core.phases.baseline import BaselineConfig
from stage1_core.phases.checks import accuracy_check, certificate_checks
from stage1_core.phases.later import StandsOnAnother
from stage1_core.policy import AnyPolicy, SoftmaxPolicyConfig
from stage1_core.predictions import Predictions
from stage1_core.training.config import TrainingConfig, selective_training
from stage1_core.training.selection import SelectionMetric

Fraction = Annotated[float, Field(ge=0, le=1)]

LOG_ROUNDING = 1e-4
"""How far a stored head may lie from what its training logged: the log is rounded, and batches are cut differently."""


class SelectiveEvaluationAcceptance(FrozenModel):
    """What phase 2 must prove, beside the risk itself."""

    max_accuracy_loss: Fraction = 0.01
    """How far the accuracy may lie below that of phase 1, as a fraction."""
    min_coverage: Fraction = 0.0
    """Smallest share of VAL_CALIB rows that must exit."""


class SelectiveEvaluationConfig(StandsOnAnother, FrozenModel):
    """Everything that determines a release whose epoch was chosen by AUGRC; it stands on a baseline."""

    previous: BaselineConfig
    """The baseline: its data, features and promise are used again, and its accuracy must be kept."""
    training: TrainingConfig = selective_training()
    """How the head is trained; the epoch with the lowest AUGRC is released."""
    policy: SoftmaxPolicyConfig = SoftmaxPolicyConfig()
    """How the exit rule is searched."""
    bootstrap: BootstrapConfig = BootstrapConfig()
    """Intervals of the evaluation; they describe, the exact bounds decide."""
    also_seen_as: tuple[EvalTransform, ...] = (Letterbox(),)
    """Other geometries in which the selection rows are scored, to see how much hangs on the released one."""
    acceptance: SelectiveEvaluationAcceptance = SelectiveEvaluationAcceptance()
    """What must be proven before the release."""
    release: ReleaseConfig = ReleaseConfig()
    """Name, version and contents of the bundle."""

    @model_validator(mode="after")
    def _keeps_both_heads(self) -> Self:
        selection = self.training.selection
        if selection.metric is not SelectionMetric.AUGRC or SelectionMetric.ACCURACY not in selection.keep_also:
            raise ValueError(
                f"training.selection chooses by {selection.metric} and keeps {list(map(str, selection.keep_also))}; "
                "this phase chooses by augrc and keeps accuracy's best beside it"
            )
        return self

    @property
    def head(self) -> HeadConfig:
        """Shape of the baseline's head."""
        return self.previous.head


class KeptHead(FrozenModel):
    """A head that training kept because it was the best by one metric, scored again from its file."""

    metric: str
    logged_best: float
    """The best value of the metric in metrics.csv."""
    rescored: float | None
    """The same metric of the stored head on the same rows."""


def kept_head_check(kept: KeptHead) -> AcceptanceCheck:
    """That the file holds the epoch it claims to hold."""
    difference = None if kept.rescored is None else abs(kept.rescored - kept.logged_best)
    return ValueCheck(
        name=f"the head kept by {kept.metric} is the best logged epoch (absolute difference)",
        value=difference,
        bound=LOG_ROUNDING,
        direction=Direction.AT_MOST,
    )


def kept_heads(
    log: Sequence[Mapping[str, float | None]], by_augrc: ModelQuality, by_accuracy: ModelQuality
) -> tuple[KeptHead, KeptHead]:
    """The released head and accuracy's best beside it, each with what metrics.csv says its epoch was worth."""
    augrc = min(value for row in log if (value := row["AUGRC"]) is not None)
    accuracy = max(value for row in log if (value := row["Val_Acc"]) is not None) / 100
    return (
        KeptHead(metric="AUGRC", logged_best=augrc, rescored=by_augrc.augrc),
        KeptHead(metric="accuracy", logged_best=accuracy, rescored=by_accuracy.accuracy),
    )


def selective_evaluation_report(
    config: SelectiveEvaluationConfig,
    *,
    policy: AnyPolicy,
    certify_on: Predictions,
    selected: ModelQuality,
    previous: ModelQuality,
    kept: Sequence[KeptHead],
    final_rows: Predictions,
    final: Evaluation,
    rehearsal: tuple[FactCheck, ...],
) -> AcceptanceReport:
    """The acceptance report of phase 2.

    ``selected``, ``previous`` (the baseline's) and ``kept`` are measured on VAL_SELECT, the risk on the certifying
    rows; ``final_rows`` are those of VAL_TEST, on which every metric is computed a second, independent time.
    """
    floor = None if previous.accuracy is None else previous.accuracy - config.acceptance.max_accuracy_loss
    checks = (
        *certificate_checks(config.constraint, policy, certify_on, final, min_coverage=config.acceptance.min_coverage),
        accuracy_check("accuracy against the baseline", selected, floor),
        accuracy_check("accuracy against the majority class", selected, selected.majority_accuracy),
        *(kept_head_check(head) for head in kept),
        *cross_checks(final_rows),
        *range_checks(final.model),
        *rehearsal,
    )
    return AcceptanceReport.of("selective_evaluation", checks)
