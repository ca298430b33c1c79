"""A gate that learns how likely the class decision is right, beside the classes and the auxiliary output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from stage1_core.config import FrozenModel
from stage1_core.errors import DataError
from stage1_core.model.head import HeadOutput
from stage1_core.predictions import Integer
from stage1_core.training.cross_entropy import CrossEntropy, CrossEntropyConfig
from stage1_core.training.targets import Objective, Targets

Weight = Annotated[float, Field(gt=0, le=100)]


class CorrectnessGate(Objective):
    """CE(classes) + w_aux · CE(auxiliary) + w_gate · BCE(gate, "the class decision is right")."""

    def __init__(self, cross_entropy: CrossEntropy, auxiliary_weight: float, gate_weight: float) -> None:
        super().__init__()
        self.cross_entropy = cross_entropy
        self.auxiliary_weight = auxiliary_weight
        self.gate_weight = gate_weight

    def loss(self, output: HeadOutput, targets: Targets) -> Tensor:
        """Scalar mean loss of a batch.

        Raises `ModelError` for a head without a gate, `DataError` where weights are to be fitted and it is not known
        how models answered that had not seen the rows: of its own rows a head is nearly always right, and a gate
        that is fitted to that learns to open always.
        """
        gate, auxiliary = output.gated()
        correct = targets.held_out_correct
        if correct is None:
            if self.training:
                raise DataError(
                    "a gate cannot learn from answers to rows that the same model is fitted on; pass the cached "
                    "features through with_held_out_correctness, or choose another objective"
                )
            correct = (output.class_logits.argmax(1) == targets.labels).float()
        return (
            self.cross_entropy.of(output.class_logits, targets.labels)
            + self.auxiliary_weight * self.cross_entropy.of(auxiliary, targets.labels)
            + self.gate_weight * nn.functional.binary_cross_entropy_with_logits(gate, correct)
        )

    def end_epoch(self, sum_over_processes: Callable[[Tensor], Tensor]) -> None:
        """All epochs are alike."""


class CorrectnessGateConfig(FrozenModel):
    """A gate that is fitted to whether models that had not seen a row named its class (cross-fitting)."""

    kind: Literal["correctness_gate"] = "correctness_gate"
    classes: CrossEntropyConfig = CrossEntropyConfig()
    """How the class logits and the auxiliary logits are fitted."""
    auxiliary_weight: Weight = 0.5
    """Weight of the auxiliary output's cross-entropy, relative to the class logits'."""
    gate_weight: Weight = 0.5
    """Weight of the gate's binary cross-entropy, relative to the class logits' cross-entropy."""
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """Parts of the FIT_WEIGHTS rows; each is answered by a model that was fitted on the others."""

    @property
    def held_out_folds(self) -> int:
        """`folds`."""
        return self.folds

    def build(self, class_counts: Integer) -> CorrectnessGate:
        """The objective for FIT_WEIGHTS rows with ``(2,)`` ``class_counts``."""
        return CorrectnessGate(self.classes.build(class_counts), self.auxiliary_weight, self.gate_weight)
