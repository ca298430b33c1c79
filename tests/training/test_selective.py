from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from stage1_core.errors import ModelError
from stage1_core.model.head import HeadOutput
from stage1_core.training.cross_entropy import CrossEntropyConfig
from stage1_core.training.selective import SelectiveConfig, augmented_lagrangian
from stage1_core.training.targets import Targets

COUNTS = np.array([30, 10])
WEIGHT = torch.tensor([40 / 60, 40 / 20])
LABELS = torch.tensor([0, 1, 0, 1, 0, 0, 1, 0])
TARGETS = Targets(LABELS)
WIDE_OPEN = 40.0
"""A gate logit whose sigmoid is 1 in float32."""


def output(gate=None, seed=0):
    draw = torch.Generator().manual_seed(seed)
    logits, drawn, auxiliary = (torch.randn(shape, generator=draw) for shape in ((8, 2), (8,), (8, 2)))
    gate = drawn if gate is None else torch.as_tensor(gate, dtype=torch.float32).expand(8).clone()
    return HeadOutput(logits.requires_grad_(), gate.requires_grad_(), auxiliary.requires_grad_())


def objective(*, multiplier=0.0, **changes):
    built = SelectiveConfig(**({"warmup_epochs": 0} | changes)).build(COUNTS)
    built.multiplier.fill_(multiplier)
    return built


def plain(logits):
    return cross_entropy(logits, LABELS, WEIGHT, label_smoothing=0.1)


def lagrangian(c, multiplier, rate=20.0):
    return (max(0.0, multiplier + rate * c) ** 2 - multiplier**2) / (2 * rate)


def missed(of):
    """P(class 0) of the positives."""
    return of.class_logits.softmax(1)[LABELS == 1, 0]


@pytest.mark.parametrize("multiplier", [0.0, 3.0])
def test_with_an_open_gate_it_is_cross_entropy_and_the_constraint_on_the_soft_fnr(multiplier):
    given = output(WIDE_OPEN)
    excess = missed(given).mean().item() - 0.01
    expected = 0.5 * (plain(given.class_logits) + lagrangian(excess, multiplier)) + 0.5 * plain(given.aux_logits)
    assert objective(multiplier=multiplier).loss(given, TARGETS).item() == pytest.approx(expected.item(), rel=1e-5)


def test_by_its_definition_with_any_gate():
    given = output()
    g = given.gate_logits.sigmoid()
    rows = cross_entropy(given.class_logits, LABELS, WEIGHT, label_smoothing=0.1, reduction="none")
    risk = (g * rows).sum() / (g * WEIGHT[LABELS]).sum()
    short = max(0.0, 0.7 - g.mean().item())
    on_positives = g[LABELS == 1]
    excess = ((on_positives * missed(given)).sum() / on_positives.sum()).item() - 0.01
    expected = 0.3 * (risk + 32 * short**2 + lagrangian(excess, 1.0)) + 0.7 * plain(given.aux_logits)
    found = objective(multiplier=1.0, selective_share=0.3).loss(given, TARGETS)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_scaling_the_whole_gate_changes_neither_risk_nor_soft_fnr():
    half, tenth = output(0.0), output(-np.log(9.0))
    without_floor = objective(coverage_weight=0, multiplier=2.0)
    assert without_floor.loss(half, TARGETS).item() == pytest.approx(
        without_floor.loss(tenth, TARGETS).item(), rel=1e-5
    )


def test_the_floor_pushes_only_a_gate_that_stands_below_it():
    config = {"multiplier": 0.0, "train_max_fnr": 0.99}
    for logit, grows in ((0.0, True), (2.0, False)):
        given, without = output(logit), output(logit)
        objective(**config).loss(given, TARGETS).backward()
        objective(**config, coverage_weight=0).loss(without, TARGETS).backward()
        assert (given.gate_logits.grad < without.gate_logits.grad).all().item() is grows
        assert torch.equal(given.gate_logits.grad, without.gate_logits.grad) is not grows


@pytest.mark.parametrize("multiplier", [0.0, 0.5, 4.0])
@pytest.mark.parametrize("c", [-0.4, -0.1, 0.0, 0.01, 0.3])
def test_the_slope_of_the_constraint_is_the_next_multiplier(multiplier, c):
    excess = torch.tensor(c, dtype=torch.float64, requires_grad=True)
    augmented_lagrangian(excess, torch.tensor(multiplier, dtype=torch.float64), 20.0).backward()
    assert excess.grad.item() == pytest.approx(max(0.0, multiplier + 20 * c))


def constraint_alone(detach):
    """Gradients of classes and gate that the constraint adds."""
    with_it, without = output(), output()
    objective(detach_classifier=detach, multiplier=5.0).loss(with_it, TARGETS).backward()
    met = objective(detach_classifier=detach, train_max_fnr=0.999, multiplier_rate=1e-3)
    met.loss(without, TARGETS).backward()
    return with_it.class_logits.grad - without.class_logits.grad, with_it.gate_logits.grad - without.gate_logits.grad


def test_the_constraint_reaches_the_gate_of_positives_and_not_the_classes():
    classes, gate = constraint_alone(detach=True)
    assert (gate[LABELS == 1].abs() > 1e-4).all()
    assert gate[LABELS == 0].abs().max() < 1e-7
    assert classes.abs().max() < 1e-7


def test_the_constraint_reaches_the_classes_too_where_they_are_not_detached():
    classes, _ = constraint_alone(detach=False)
    assert (classes[LABELS == 1].abs() > 1e-4).all()


def test_the_risk_reaches_gate_and_classes():
    given = output()
    objective(coverage_weight=0, train_max_fnr=0.99).loss(given, TARGETS).backward()
    assert (given.class_logits.grad.abs().sum(1) > 0).all()
    assert (given.gate_logits.grad.abs() > 0).all()


def test_during_the_warm_up_the_gate_is_out_of_the_loss():
    given, warming = output(), objective(warmup_epochs=2)
    loss = warming.loss(given, TARGETS)
    loss.backward()
    expected = 0.5 * plain(given.class_logits) + 0.5 * plain(given.aux_logits)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert given.gate_logits.grad is None


def test_the_warm_up_ends_after_its_epochs_without_having_moved_the_multiplier():
    warming = objective(warmup_epochs=2)
    for _ in range(2):
        warming.loss(output(), TARGETS)
        warming.end_epoch(lambda total: total)
    assert warming.multiplier.item() == 0
    given = output()
    warming.loss(given, TARGETS).backward()
    assert given.gate_logits.grad is not None


def test_the_multiplier_moves_by_the_mean_excess_of_the_epoch():
    found = objective(multiplier=1.0)
    batches = [(output(seed=1), slice(0, 8)), (output(seed=2), slice(0, 4))]
    total = positives = 0.0
    for given, rows in batches:
        part = HeadOutput(given.class_logits[rows], given.gate_logits[rows], given.aux_logits[rows])
        labels = LABELS[rows]
        found.loss(part, Targets(labels))
        g, miss = part.gate_logits.sigmoid()[labels == 1], part.class_logits.softmax(1)[labels == 1, 0]
        total += len(g) * ((g * miss).sum() / g.sum() - 0.01).item()
        positives += len(g)
    found.end_epoch(lambda total: total)
    assert positives == 5
    assert found.multiplier.item() == pytest.approx(1 + 20 * total / positives, rel=1e-5)


def test_validated_rows_do_not_move_the_multiplier():
    found = objective(multiplier=1.0).eval()
    found.loss(output(), TARGETS)
    found.end_epoch(lambda total: total)
    assert found.multiplier.item() == 1


def test_the_multiplier_does_not_fall_below_zero_and_forgets_the_epoch_before():
    found = objective(multiplier=1.0, train_max_fnr=0.999)
    found.loss(output(), TARGETS)
    found.end_epoch(lambda total: total)
    assert found.multiplier.item() == 0
    found.end_epoch(lambda total: total)
    assert found.multiplier.item() == 0
    assert not found.seen.any()


def test_several_processes_move_the_multiplier_by_what_all_of_them_have_seen():
    given, alone = output(), objective()
    alone.loss(given, TARGETS)
    seen = alone.seen.clone()
    alone.end_epoch(lambda total: total)
    one = objective()
    one.end_epoch(lambda total: total + seen)
    assert one.multiplier.item() == alone.multiplier.item() > 0


def test_a_batch_without_positives_has_no_constraint():
    given, none = output(), Targets(torch.zeros(8, dtype=torch.int64))
    strict, lax = objective(multiplier=5.0), objective(multiplier=0.0, train_max_fnr=0.5)
    assert strict.loss(given, none).item() == lax.loss(given, none).item()
    strict.end_epoch(lambda total: total)
    assert strict.multiplier.item() == 5.0


def test_smoothing_and_class_weights_are_those_of_the_plain_objective():
    given = output(WIDE_OPEN)
    found = objective(classes=CrossEntropyConfig(weight_classes=False, label_smoothing=0.0), train_max_fnr=0.99)
    ((first, second),) = [[cross_entropy(logits, LABELS) for logits in (given.class_logits, given.aux_logits)]]
    assert found.loss(given, TARGETS).item() == pytest.approx(0.5 * (first + second).item(), rel=1e-5)


def test_a_head_without_a_gate_is_refused():
    with pytest.raises(ModelError, match="head has no gate"):
        objective().loss(HeadOutput(torch.zeros(8, 2)), TARGETS)
