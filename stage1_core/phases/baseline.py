"""Phase 1: a frozen backbone, one head, the softmax policy."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.acceptance import AcceptanceReport, FactCheck
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.config import FrozenModel
from stage1_core.data.config import DataConfig
from stage1_core.data.transforms import EvalTransform, ResizeCenterCrop
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.metrics.suite import Evaluation, ModelQuality
from stage1_core.model.backbone import BackboneConfig
from stage1_core.model.head import HeadConfig
from stage1_core.phases.checks import accuracy_check, certificate_checks
from stage1_core.policy import AnyPolicy, SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Predictions
from stage1_core.training.config import TrainingConfig, cached_features_training

Fraction = Annotated[float, Field(ge=0, le=1)]


class BaselineAcceptance(FrozenModel):
    """What phase 1 must prove, beside the risk itself."""

    max_accuracy_deficit: Fraction = 0.01
    """How far the head's accuracy may lie below that of a logistic regression on the same features, as a fraction."""
    min_coverage: Fraction = 0.0
    """Smallest share of VAL_CALIB rows that must exit."""


class BaselineConfig(FrozenModel):
    """Everything that determines a baseline release."""

    data: DataConfig
    """Sources, audit and split."""
    backbone: BackboneConfig
    """The frozen feature extractor."""
    transform: EvalTransform = ResizeCenterCrop()
    """Geometry of the pictures that the backbone sees; it travels in the bundle."""
    head: HeadConfig = HeadConfig()
    """The small classifier on the features."""
    training: TrainingConfig = cached_features_training()
    """How the head is trained."""
    policy: SoftmaxPolicyConfig = SoftmaxPolicyConfig()
    """How the exit rule is searched."""
    constraint: RiskConstraint = RiskConstraint()
    """The promise."""
    bootstrap: BootstrapConfig = BootstrapConfig()
    """Intervals of the evaluation; they describe, the exact bounds decide."""
    acceptance: BaselineAcceptance = BaselineAcceptance()
    """What must be proven before the release."""
    release: ReleaseConfig = ReleaseConfig()
    """Name, version and contents of the bundle."""


def baseline_report(
    config: BaselineAcceptance,
    constraint: RiskConstraint,
    *,
    policy: AnyPolicy,
    certify_on: Predictions,
    selected: ModelQuality,
    reference_accuracy: float | None,
    final: Evaluation,
    rehearsal: tuple[FactCheck, ...],
) -> AcceptanceReport:
    """The acceptance report of phase 1.

    ``selected`` and ``reference_accuracy`` are measured on VAL_SELECT, the risk on the certifying rows, and ``final``
    on VAL_TEST.
    """
    floor = None if reference_accuracy is None else reference_accuracy - config.max_accuracy_deficit
    checks = (
        *certificate_checks(constraint, policy, certify_on, final, min_coverage=config.min_coverage),
        accuracy_check("accuracy against logistic regression on the same features", selected, floor),
        accuracy_check("accuracy against the majority class", selected, selected.majority_accuracy),
        *rehearsal,
    )
    return AcceptanceReport.of("baseline", checks)
