from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from stage1_core.errors import DataError, ModelError
from stage1_core.model.head import HeadOutput
from stage1_core.training.correctness_gate import CorrectnessGateConfig
from stage1_core.training.cross_entropy import CrossEntropyConfig
from stage1_core.training.targets import Targets

COUNTS = np.array([30, 10])
LABELS = torch.tensor([0, 1, 0, 1, 0, 0])


def outputs(seed=0):
    draw = torch.Generator().manual_seed(seed)
    logits, gate, auxiliary = (torch.randn(shape, generator=draw) for shape in ((6, 2), (6,), (6, 2)))
    return HeadOutput(logits.requires_grad_(), gate.requires_grad_(), auxiliary.requires_grad_())


def test_the_loss_is_that_of_classes_auxiliary_output_and_gate():
    config = CorrectnessGateConfig(classes=CrossEntropyConfig(label_smoothing=0.2), auxiliary_weight=0.3, gate_weight=2)
    output, correct = outputs(), torch.tensor([1.0, 0, 1, 1, 0, 1])
    weight = torch.tensor([40 / 60, 40 / 20])
    expected = (
        cross_entropy(output.class_logits, LABELS, weight, label_smoothing=0.2)
        + 0.3 * cross_entropy(output.aux_logits, LABELS, weight, label_smoothing=0.2)
        + 2 * binary_cross_entropy_with_logits(output.gate_logits, correct)
    )
    found = config.build(COUNTS).loss(output, Targets(LABELS, correct))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_gate_is_fitted_to_the_answers_of_the_other_models_and_not_to_its_own():
    output = outputs()
    loss = CorrectnessGateConfig().build(COUNTS).loss(output, Targets(LABELS, torch.zeros(6)))
    loss.backward()
    assert (output.gate_logits.grad > 0).all()  # a step down: shut, wherever its own classes are right


def test_validation_asks_whether_the_own_classes_are_right():
    output = outputs()
    own = (output.class_logits.argmax(1) == LABELS).float()
    assert 0 < own.sum() < 6
    objective = CorrectnessGateConfig().build(COUNTS).eval()
    assert objective.loss(output, Targets(LABELS)).item() == objective.loss(output, Targets(LABELS, own)).item()


def test_fitting_without_answers_of_other_models_is_refused_with_what_to_do():
    with pytest.raises(DataError, match="with_held_out_correctness"):
        CorrectnessGateConfig().build(COUNTS).loss(outputs(), Targets(LABELS))


def test_a_head_without_a_gate_is_refused():
    with pytest.raises(ModelError, match="head has no gate"):
        CorrectnessGateConfig().build(COUNTS).loss(HeadOutput(torch.zeros(6, 2)), Targets(LABELS, torch.ones(6)))
