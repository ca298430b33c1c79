from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import cross_entropy

from stage1_core.errors import DataError, ModelError
from stage1_core.model.head import HeadOutput
from stage1_core.training.accumulation import WholeAccumulation
from stage1_core.training.batching import BatchConfig
from stage1_core.training.conformal_risk import ConformalRiskConfig, miss_threshold
from stage1_core.training.execution import make_accelerator
from stage1_core.training.learner import Learner
from stage1_core.training.loop import train
from stage1_core.training.objective import CorrectnessGateConfig, CrossEntropyConfig
from stage1_core.training.optimizer import AdamWConfig, FriendlySamConfig
from stage1_core.training.targets import Targets
from tests.training.toys import feature_rows, select_rows, tiny_head, training

COUNTS = np.array([600, 300])


def output(rows=300, seed=0, **gate):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(rows) % 3 == 0
    logits = torch.randn(rows, 2, generator=draw) + torch.stack([-labels.float(), labels.float()], 1)
    return HeadOutput(logits.requires_grad_(), **gate), Targets(labels.long())


def objective(**changes):
    return ConformalRiskConfig(**({"warmup_epochs": 0} | changes)).build(COUNTS)


def margins(of):
    return of.class_logits[:, 1] - of.class_logits[:, 0]


def lowest_threshold(scores, alpha):
    """Conformal risk control by its definition: the lowest candidate t with (n R(t) + 1) / (n + 1) <= α."""
    candidates = sorted(scores.tolist())
    missed = [sum(score > t for score in candidates) for t in candidates]
    return min(t for t, m in zip(candidates, missed, strict=True) if (m + 1) / (len(scores) + 1) <= alpha + 1e-12)


# the threshold


@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("rows", [49, 50, 98, 99, 100, 333])
def test_the_threshold_is_the_lowest_that_conformal_risk_control_allows(rows, alpha):
    scores = torch.randn(rows, generator=torch.Generator().manual_seed(rows), dtype=torch.float64)
    assert miss_threshold(scores, alpha).item() == lowest_threshold(scores, alpha)


def test_one_score_alone_moves_the_threshold_and_by_as_much_as_finite_differences_say():
    features = torch.randn(120, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weight = torch.randn(5, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    scores = torch.tanh(features @ weight)
    scores.retain_grad()
    miss_threshold(scores, 0.02).backward()
    assert (scores.grad != 0).sum() == 1
    assert scores.grad.sum() == 1
    for place in range(5):
        step = torch.zeros(5, dtype=torch.float64)
        step[place] = 1e-6
        with torch.no_grad():
            up, down = (miss_threshold(torch.tanh(features @ (weight + s)), 0.02).item() for s in (step, -step))
        assert weight.grad[place].item() == pytest.approx((up - down) / 2e-6, rel=1e-6)


def test_neighbours_share_the_gradient_evenly_as_far_as_there_are_as_many_on_both_sides():
    for rows, share, expected in ((200, 0.0025, 3), (200, 0.01, 5), (99, 0.02, 3), (49, 0.5 - 1e-9, 1)):
        scores = torch.randn(rows, generator=torch.Generator().manual_seed(rows)).requires_grad_()
        found = miss_threshold(scores, 0.02, share)
        found.backward()
        moved = scores[scores.grad != 0]
        assert len(moved) == expected
        assert torch.allclose(scores.grad[scores.grad != 0], torch.tensor(1 / expected))
        assert found.item() == pytest.approx(moved.mean().item())
        assert moved.median().item() == miss_threshold(scores, 0.02).item()


def test_tied_scores_have_their_common_value_as_threshold():
    scores = torch.full((60,), 2.5, requires_grad=True)
    found = miss_threshold(scores, 0.02)
    found.backward()
    assert found.item() == 2.5
    assert (scores.grad != 0).sum() == 1


def test_fewer_than_49_positives_set_no_threshold_at_two_per_cent():
    assert miss_threshold(torch.arange(49.0), 0.02).item() == 48
    with pytest.raises(DataError, match=r"48 positives cannot set .* at most 0\.02 of them, it takes 49; use more"):
        miss_threshold(torch.arange(48.0), 0.02)


# the loss


def test_by_its_definition():
    given, targets = output()
    d, positive = margins(given), targets.labels == 1
    calibration, prediction = d[positive][0::2], d[positive][1::2]
    t = max(0.0, lowest_threshold(-calibration, 0.05))
    exits = lambda values: torch.sigmoid((values - t) / 0.7).mean()  # noqa: E731
    covered = 1 / 3 * exits(prediction) + 2 / 3 * exits(-d[~positive])
    plain = cross_entropy(given.class_logits, targets.labels, torch.tensor([0.75, 1.5]), label_smoothing=0.1)
    expected = plain + 2.0 * (1 - covered + 0.5 * exits(d[~positive]))
    changes = {"train_max_fnr": 0.05, "temperature": 0.7, "weight": 2.0, "false_alarm_weight": 0.5}
    found = objective(neighbour_share=0, calibration_rows=50, **changes).loss(given, targets)
    assert t > 0
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def conformal_gradient(given, targets, **changes):
    """By the margin of each row, without that of the base."""
    gradients = []
    for weight in (1.0, 0.0):
        (gradient,) = torch.autograd.grad(objective(weight=weight, **changes).loss(given, targets), given.class_logits)
        gradients.append(gradient[:, 1])
    return gradients[0] - gradients[1]


def test_the_calibration_positive_at_the_threshold_is_pushed_up_and_no_other_one_moves():
    given, targets = output()
    places = torch.nonzero(targets.labels).squeeze(1)[0::2]
    pushed = conformal_gradient(given, targets, neighbour_share=0, false_alarm_weight=0, calibration_rows=50)[places]
    worst = margins(given)[places].argsort()[0]  # 50 positives: none may be missed
    assert pushed[worst] < -1e-3
    assert pushed[torch.arange(50) != worst].abs().max() < 1e-7


def test_a_gradient_through_the_threshold_is_that_of_finite_differences():
    given, targets = output()
    built = objective(calibration_rows=50, train_max_fnr=0.05)
    logits = given.class_logits.detach().double().requires_grad_()
    weights = built.base.class_weights
    built.base.class_weights = weights.double()
    (gradient,) = torch.autograd.grad(built.eval().loss(HeadOutput(logits), targets), logits)
    for row in range(0, 300, 7):
        step = torch.zeros_like(logits)
        step[row, 1] = 1e-6
        with torch.no_grad():
            up, down = (built.loss(HeadOutput(logits + s), targets).item() for s in (step, -step))
        assert gradient[row, 1].item() == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize(("false_alarm_weight", "pays"), [(0.0, True), (2.0, False)])
def test_raising_every_margin_alike_pays_where_false_alarms_are_free(false_alarm_weight, pays):
    given, targets = output(3000)
    built = objective(weight=1.0, false_alarm_weight=false_alarm_weight).eval()
    raised = HeadOutput(given.class_logits + torch.tensor([0.0, 1.0]))
    before, after = ((built.loss(of, targets) - built.base.loss(of, targets)).item() for of in (given, raised))
    assert (after < before - 0.05) is pays
    assert (after > before + 0.05) is not pays


def test_a_model_that_misses_no_more_than_it_may_is_not_pushed_through_the_threshold():
    _, targets = output()
    sure = HeadOutput((torch.stack([1.0 - targets.labels, 1.0 * targets.labels], 1) * 6).requires_grad_())
    calibration = torch.nonzero(targets.labels).squeeze(1)[0::2]
    assert not conformal_gradient(sure, targets)[calibration].any()


@pytest.mark.parametrize("label", [0, 1])
def test_a_batch_of_one_class_or_one_row_has_a_finite_loss(label):
    built = objective()
    built.loss(*output())
    for rows in (1, 20):
        given, _ = output(rows)
        loss = built.loss(given, Targets(torch.full((rows,), label)))
        loss.backward()
        assert loss.isfinite()
        assert given.class_logits.grad.isfinite().all()


# queue and epochs


def test_positives_of_earlier_batches_complete_a_short_batch_the_newest_first():
    built = objective(calibration_rows=60, neighbour_share=0)
    batches = [output(90, seed) for seed in range(3)]  # 30 positives each, of which 15 calibrate
    scores = [-margins(given)[targets.labels == 1].detach() for given, targets in batches]
    for given, targets in batches[:2]:
        built.loss(given, targets)
    assert torch.equal(built.queue, torch.cat([scores[1], scores[0]]))
    assert torch.equal(built._completed(scores[2][::2])[:15], scores[2][::2])
    assert torch.equal(built._completed(scores[2][::2])[15:], torch.cat([scores[1], scores[0]])[:45])
    built.loss(*batches[2])
    assert torch.equal(built.queue, torch.cat([scores[2], scores[1]]))
    assert not built.queue.requires_grad


def test_a_batch_that_is_large_enough_takes_nothing_from_the_queue():
    given, targets = output()
    fresh, used = objective(calibration_rows=50), objective(calibration_rows=50)
    used.loss(*output(seed=1))
    assert used.loss(given, targets).item() == fresh.loss(given, targets).item()


def test_until_49_positives_are_known_the_base_alone_acts():
    built, (given, targets) = objective(), output(90)  # 15 calibrate
    for known in (0, 30):
        assert int(built.queued) == known
        assert built.loss(given, targets).item() == built.base.loss(given, targets).item()
    assert int(built.queued) == 60
    assert built.loss(given, targets).item() > built.base.loss(given, targets).item()
    assert built.seen.tolist() == [3, 1]


def test_in_the_warm_up_the_base_alone_acts_and_the_queue_is_filled():
    built, (given, targets) = objective(warmup_epochs=1), output()
    assert built.loss(given, targets).item() == built.base.loss(given, targets).item()
    assert int(built.queued) == 100
    assert not built.seen.any()
    built.end_epoch(lambda total: total)
    assert built.loss(given, targets).item() > built.base.loss(given, targets).item()


def test_validation_has_no_warm_up_and_leaves_everything_as_it_is():
    built, (given, targets) = objective(warmup_epochs=1), output()
    built.loss(*output(seed=1))
    before = {name: value.clone() for name, value in built.state_dict().items()}
    validated = built.eval().loss(given, targets).item()
    assert validated == built.loss(given, targets).item() > built.base.loss(given, targets).item()
    assert all(torch.equal(value, before[name]) for name, value in built.state_dict().items())
    built.end_epoch(lambda total: total)
    assert built.loss(given, targets).item() == validated


def test_an_epoch_without_any_threshold_is_an_error_that_says_what_to_do():
    built = objective()
    built.loss(*output(90))
    with pytest.raises(DataError, match=r"no batch of an epoch had the 49 positives.*use larger batch\.sizes"):
        built.end_epoch(lambda total: total)


def test_an_epoch_in_which_another_process_had_a_threshold_is_none():
    built = objective()
    built.loss(*output(90))
    built.end_epoch(lambda total: total + torch.tensor([1.0, 1.0]))
    assert built.epochs == 1
    assert not built.seen.any()


def test_too_few_positives_are_refused_before_anything_is_trained():
    with pytest.raises(DataError, match="48 positives cannot set a threshold"):
        ConformalRiskConfig().build(np.array([1000, 48]))


def test_a_queue_that_can_never_suffice_is_refused_with_the_number_that_does():
    with pytest.raises(ValidationError, match="fewer than 99 positives"):
        ConformalRiskConfig(train_max_fnr=0.01, calibration_rows=98)
    assert ConformalRiskConfig(train_max_fnr=0.01, calibration_rows=99).calibration_rows == 99


# within a training


def test_a_gated_head_learns_its_gate_by_the_base():
    config = ConformalRiskConfig(base=CorrectnessGateConfig(folds=3), warmup_epochs=0)
    assert (config.held_out_folds, config.classes) == (3, CrossEntropyConfig())
    head, rows = tiny_head(gated=True), feature_rows(rows=400)
    ((inputs, targets),) = rows.batches([np.arange(400)], epoch=1)
    targets = Targets(targets.labels, torch.ones(400))
    config.build(COUNTS).loss(head(inputs), targets).backward()
    assert head.gate.weight.grad.abs().sum() > 0
    assert head.auxiliary.weight.grad.abs().sum() > 0
    with pytest.raises(ModelError, match="head has no gate"):
        config.build(COUNTS).loss(tiny_head()(inputs), targets)


CONFORMAL = ConformalRiskConfig(warmup_epochs=1)
BATCHES = {"batch": BatchConfig(sizes=(64,), accumulation=WholeAccumulation(micro_batches=2)), "objective": CONFORMAL}


def results(config, *, head=None, state=None):
    head = head or tiny_head(dropout=0.3)
    return train(head, feature_rows(rows=400), select_rows(), config, state=state)


def last_state(*args, **options):
    *_, last = results(*args, **options)
    return last.state()


@pytest.mark.parametrize("optimizer", [AdamWConfig(lr_head=3e-3), FriendlySamConfig()], ids=lambda o: o.kind)
@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_continued_training_ends_bit_for_bit_as_an_unbroken_one(stop_after, optimizer):
    config = training(optimizer=optimizer, **BATCHES)
    whole = last_state(config)
    for result in results(config):
        if result.epoch == stop_after:
            state = result.state()
            break
    assert state.objective.keys() == {"queue", "queued", "epochs", "seen"}
    continued = last_state(config, head=tiny_head(seed=99, dropout=0.3), state=state)
    for name, value in whole.weights.items():
        assert torch.equal(continued.weights[name], value), name
    assert all(torch.equal(continued.objective[name], value) for name, value in whole.objective.items())
    state.objective["queue"].add_(3)  # the queue matters: another one leads elsewhere
    assert not torch.equal(last_state(config, state=state).weights["trunk.weight"], whole.weights["trunk.weight"])


def test_with_radius_zero_f_sam_trains_as_adamw_bit_for_bit():
    base = AdamWConfig(lr_head=3e-3)
    plain = last_state(training(optimizer=base, **BATCHES))
    sharp = last_state(training(optimizer=FriendlySamConfig(base=base, radius=0.0), **BATCHES))
    for name, value in plain.weights.items():
        assert torch.equal(sharp.weights[name], value), name
    assert torch.equal(sharp.objective["queue"], plain.objective["queue"])


def test_a_replayed_step_has_the_same_losses_and_moves_the_state_once():
    config = training(optimizer=FriendlySamConfig(radius=0.0), **BATCHES)
    learner = Learner(tiny_head(), objective(calibration_rows=100), config, make_accelerator("fp32"))
    learner.begin_epoch()
    passes = []
    plain_pass = learner.pass_over
    learner.pass_over = lambda *given: passes.append(plain_pass(*given)) or passes[-1]
    batches = list(feature_rows(rows=400).batches(np.split(np.arange(400), 4), epoch=1))
    for step in (batches[:2], batches[2:]):
        learner.step(step, [0.5, 0.5])
    assert len(passes) == 4
    assert torch.equal(passes[0], passes[1])
    assert torch.equal(passes[2], passes[3])
    assert learner.objective.seen.tolist() == [4, 3]
    assert learner.objective.queued == 100
