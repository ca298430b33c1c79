from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_optimizer import SAM

from stage1_core.model.classifier import Classifier
from stage1_core.training.accumulation import CarriedAccumulation
from stage1_core.training.batching import BatchConfig
from stage1_core.training.checkpoint import load_checkpoint, save_checkpoint
from stage1_core.training.execution import make_accelerator
from stage1_core.training.learner import Learner
from stage1_core.training.loop import train
from stage1_core.training.objective import CrossEntropyConfig, SelectiveConfig
from stage1_core.training.optimizer import AdamWConfig, FriendlySamConfig
from tests.training.toys import feature_rows, quadratic, select_rows, tiny_head, training

ROOT = Path(__file__).parents[2]
BASE = AdamWConfig(lr_head=0.01, weight_decay=0.05)
LOOSE = 1e6
"""A norm to which nothing is clipped."""


def build(config, model, *, max_grad_norm=LOOSE, scaler=None):
    accelerator = make_accelerator("fp32")
    accelerator.scaler = scaler
    return config.build(model, accelerator, max_grad_norm)


def vector(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def gradient(model):
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


class Passes:
    """A closure over a mini-batch that keeps where it was called and which gradient it found."""

    def __init__(self, model, seed):
        draw = torch.Generator().manual_seed(seed)
        dtype = next(model.parameters()).dtype
        self.inputs = torch.randn(16, 12, generator=draw).to(dtype)
        self.labels = torch.randint(0, 2, (16,), generator=draw)
        self.model, self.places, self.gradients = model, [], []

    def __call__(self):
        self.places.append(vector(self.model))
        loss = torch.nn.functional.cross_entropy(self.model(self.inputs).class_logits, self.labels)
        loss.backward()
        self.gradients.append(gradient(self.model).clone())
        return loss.detach()


def reference(model, *, steps, radius, mean_removed, mean_decay, max_grad_norm):
    """Weights after ``steps`` steps of F-SAM around AdamW, each formula as it is on paper, in float64."""
    weights, mean = vector(model).numpy(), None
    first_moment, second_moment = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(steps):
        batch = Passes(model, step)

        def gradient_at(place, batch=batch):
            torch.nn.utils.vector_to_parameters(torch.from_numpy(place), model.parameters())
            model.zero_grad()
            batch()
            return batch.gradients[-1].numpy()

        raw = gradient_at(weights)
        direction = raw if mean is None else raw - mean_removed * mean
        mean = raw if mean is None else mean_decay * mean + (1 - mean_decay) * raw
        found = gradient_at(weights + radius * direction / (np.linalg.norm(direction) + 1e-12))
        found = found * min(1.0, max_grad_norm / (np.linalg.norm(found) + 1e-6))
        first_moment = 0.9 * first_moment + 0.1 * found
        second_moment = 0.999 * second_moment + 0.001 * found**2
        unbiased = np.sqrt(second_moment / (1 - 0.999 ** (step + 1))) + 1e-8
        weights = weights * (1 - 0.01 * 0.05) - 0.01 * first_moment / (1 - 0.9 ** (step + 1)) / unbiased
    return weights


@pytest.mark.parametrize(
    ("radius", "mean_removed", "mean_decay", "max_grad_norm"),
    [
        (0.05, 1.0, 0.9, LOOSE),
        (0.2, 1.0, 0.6, LOOSE),
        (0.5, 0.8, 0.95, LOOSE),
        (0.1, 0.0, 0.9, 0.05),
        (1.0, 0.5, 0.0, 0.1),
    ],
)
def test_twenty_steps_are_those_of_the_formulas(radius, mean_removed, mean_decay, max_grad_norm):
    ours = tiny_head(dropout=0.0).double()
    config = FriendlySamConfig(base=BASE, radius=radius, mean_removed=mean_removed, mean_decay=mean_decay)
    update = build(config, ours, max_grad_norm=max_grad_norm)
    for step in range(20):
        update.step(Passes(ours, step))
    expected = reference(
        tiny_head(dropout=0.0).double(),
        steps=20,
        radius=radius,
        mean_removed=mean_removed,
        mean_decay=mean_decay,
        max_grad_norm=max_grad_norm,
    )
    assert np.abs(expected - vector(tiny_head()).numpy()).max() > 0.05
    np.testing.assert_allclose(vector(ours).numpy(), expected, rtol=0, atol=1e-6)


def test_with_no_mean_removed_it_is_sam():
    ours, theirs = tiny_head(dropout=0.0), tiny_head(dropout=0.0)
    update = build(FriendlySamConfig(base=BASE, radius=0.1, mean_removed=0.0), ours)
    sam = SAM(theirs.parameters(), torch.optim.AdamW, rho=0.1, lr=0.01, weight_decay=0.05)
    for step in range(10):
        update.step(Passes(ours, step))
        closure = Passes(theirs, step)
        closure()
        sam.step(closure)
        sam.zero_grad()
    torch.testing.assert_close(vector(ours), vector(theirs), rtol=0, atol=1e-6)


class Parabola(torch.nn.Module):
    """One weight, at 1; quadratic(model) of it is w² / 1000."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))


def test_on_a_parabola_the_second_gradient_is_that_a_radius_further_up():
    model = Parabola()
    update = build(FriendlySamConfig(base=AdamWConfig(lr_head=0.01, weight_decay=0.0), radius=0.25), model)
    update.step(quadratic(model))
    state = update.state_dict()
    moments = state["base_optimizer"]["state"][0]
    assert state["state"][0]["momentum"].item() == pytest.approx(2e-3)
    assert moments["exp_avg"].item() == pytest.approx(0.1 * 2e-3 * 1.25)
    assert model.weight.item() == pytest.approx(0.99, abs=1e-5)


def test_the_first_step_goes_along_the_gradient_and_later_ones_along_what_is_new_in_it():
    head = tiny_head(dropout=0.0)
    update = build(FriendlySamConfig(base=BASE, radius=0.1, mean_removed=0.7, mean_decay=0.6), head)
    first, second, third = (Passes(head, seed) for seed in (1, 2, 3))
    for closure in (first, second, third):
        update.step(closure)
    mean = first.gradients[0]
    later = 0.6 * mean + 0.4 * second.gradients[0]
    for closure, direction in (
        (first, first.gradients[0]),
        (second, second.gradients[0] - 0.7 * mean),
        (third, third.gradients[0] - 0.7 * later),
    ):
        here, there = closure.places
        torch.testing.assert_close(there - here, 0.1 * direction / direction.norm(), rtol=1e-3, atol=1e-6)


def test_the_step_is_adamws_from_where_the_weights_were_along_the_second_gradient():
    head, follower = tiny_head(dropout=0.0), tiny_head(dropout=0.0)
    update = build(FriendlySamConfig(base=BASE, radius=0.3), head, max_grad_norm=0.1)
    plain = build(BASE, follower, max_grad_norm=0.1)
    for step in range(5):
        closure = Passes(head, step)
        update.step(closure)
        assert torch.equal(closure.places[0], vector(follower))

        def second_gradient(found=closure.gradients[1]):
            parameters = list(follower.parameters())
            for parameter, part in zip(parameters, found.split([p.numel() for p in parameters]), strict=True):
                parameter.grad = part.view_as(parameter).clone()
            return found

        plain.step(second_gradient)
        assert torch.equal(vector(head), vector(follower))


def test_only_the_second_gradient_is_clipped():
    head = tiny_head(dropout=0.0)
    update = build(FriendlySamConfig(base=BASE, radius=0.1), head, max_grad_norm=1e-3)
    closure = Passes(head, 0)
    update.step(closure)
    state = update.state_dict()
    mean = torch.cat([state["state"][index]["momentum"].flatten() for index in range(4)])
    moment = torch.cat([state["base_optimizer"]["state"][index]["exp_avg"].flatten() for index in range(4)])
    assert torch.equal(mean, closure.gradients[0])
    assert mean.norm() > 1e-2
    assert moment.norm().item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_named_parameters_stay_in_place_in_the_second_pass_and_are_trained():
    head = tiny_head(dropout=0.0)
    update = build(FriendlySamConfig(base=BASE, radius=0.1, unperturbed=("trunk.", "classes.bias")), head)
    start, closure = vector(head), Passes(head, 0)
    update.step(closure)
    moved = closure.places[1] - closure.places[0]
    perturbed = torch.cat([torch.full((p.numel(),), name == "classes.weight") for name, p in head.named_parameters()])
    assert not moved[~perturbed].any()
    assert moved.norm().item() == pytest.approx(0.1, rel=1e-4)
    assert (vector(head) != start).all()
    state = update.state_dict()
    assert [index for index, of in state["state"].items() if "momentum" in of] == [2]


def test_a_second_pass_that_overflows_puts_the_weights_back_and_makes_no_step():
    head = tiny_head()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    update = build(FriendlySamConfig(base=BASE), head, scaler=scaler)
    update.step(quadratic(head, scaler=scaler))
    before, moments = vector(head), update.state_dict()["base_optimizer"]["state"][0]["exp_avg"].clone()
    update.step(quadratic(head, scaler=scaler, overflow_in=2))
    assert torch.equal(vector(head), before)
    assert torch.equal(update.state_dict()["base_optimizer"]["state"][0]["exp_avg"], moments)
    assert scaler.get_scale() == 512.0


def test_a_first_pass_that_overflows_is_not_followed_by_a_second():
    head = tiny_head()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    update = build(FriendlySamConfig(base=BASE), head, scaler=scaler)
    calls, overflowing = [], quadratic(head, scaler=scaler, overflow_in=1)
    update.step(lambda: (calls.append(1), overflowing())[1])
    assert len(calls) == 1
    assert "momentum" not in update.state_dict()["state"].get(0, {})


def test_the_running_mean_has_the_unscaled_gradient_whatever_the_scale_is():
    plain, scaled = tiny_head(), tiny_head()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1)
    ours, theirs = (
        build(FriendlySamConfig(base=BASE), plain),
        build(FriendlySamConfig(base=BASE), scaled, scaler=scaler),
    )
    for _ in range(3):
        ours.step(quadratic(plain))
        theirs.step(quadratic(scaled, scaler=scaler))
    assert scaler.get_scale() == 8 * 1024.0
    for index, state in ours.state_dict()["state"].items():
        assert torch.equal(state["momentum"], theirs.state_dict()["state"][index]["momentum"])


def results(config, *, head=None, state=None):
    return list(train(head or tiny_head(gated=True, dropout=0.3), feature_rows(), select_rows(), config, state=state))


def assert_same_weights(first, second):
    assert first.weights.keys() == second.weights.keys()
    for name in first.weights:
        assert torch.equal(first.weights[name], second.weights[name]), name
        assert torch.equal(first.averages[name], second.averages[name]), name


@pytest.mark.parametrize("objective", [CrossEntropyConfig(), SelectiveConfig(warmup_epochs=1)], ids=lambda o: o.kind)
def test_with_radius_zero_a_training_is_adamws_bit_for_bit_in_weights_and_in_numbers(objective):
    base = AdamWConfig(lr_head=3e-3)
    plain = results(training(optimizer=base, objective=objective))
    sharp = results(training(optimizer=FriendlySamConfig(base=base, radius=0.0), objective=objective))
    assert_same_weights(plain[-1].state(), sharp[-1].state())
    for ours, theirs in zip(sharp, plain, strict=True):
        assert (ours.train_loss, ours.train_accuracy) == (theirs.train_loss, theirs.train_accuracy)
        assert (ours.val_loss, ours.metrics, ours.learning_rate) == (
            theirs.val_loss,
            theirs.metrics,
            theirs.learning_rate,
        )


def test_an_objective_counts_the_rows_of_a_step_once():
    objective = SelectiveConfig(warmup_epochs=0)
    config = training(optimizer=FriendlySamConfig(base=BASE), objective=objective)
    learner = Learner(tiny_head(gated=True), objective.build(np.array([50, 25])), config, make_accelerator("fp32"))
    learner.begin_epoch()
    rows = feature_rows()
    observed = learner.step(list(rows.batches([np.arange(16), np.arange(16, 32)], epoch=1)), [0.5, 0.5])
    assert observed.shape == (2, 2)
    assert learner.objective.seen[1].item() == rows.labels[:32].sum()


def test_running_statistics_of_a_trained_backbone_are_those_of_the_first_pass():
    config = training(objective=CrossEntropyConfig(weight_classes=False))
    found = []
    for optimizer in (BASE, FriendlySamConfig(base=BASE, radius=0.5)):
        torch.manual_seed(0)
        model = Classifier(torch.nn.Sequential(torch.nn.Linear(12, 12), torch.nn.BatchNorm1d(12)), tiny_head())
        config = config.model_copy(update={"optimizer": optimizer})
        learner = Learner(model, config.objective.build(np.array([50, 25])), config, make_accelerator("fp32"))
        learner.begin_epoch()
        learner.step(list(feature_rows().batches([np.arange(20), np.arange(20, 40)], epoch=1)), [0.5, 0.5])
        found.append(dict(model.backbone[1].named_buffers()))
    assert found[1]["num_batches_tracked"] == 2
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_a_radius_changes_the_training():
    base = AdamWConfig(lr_head=3e-3)
    plain, sharp = (
        results(training(optimizer=optimizer))[-1].state() for optimizer in (base, FriendlySamConfig(base=base))
    )
    assert not torch.equal(plain.weights["trunk.weight"], sharp.weights["trunk.weight"])
    assert plain.updates == sharp.updates == sharp.average_updates


class Watched(torch.nn.Module):
    """A head that keeps the inputs it is trained on."""

    def __init__(self):
        super().__init__()
        self.head, self.seen = tiny_head(dropout=0.3), []

    def forward(self, features):
        if self.training:
            self.seen.append(features.clone())
        return self.head(features)


def test_each_step_passes_over_all_its_micro_batches_and_then_over_the_same_again():
    watched = Watched()
    batch = BatchConfig(sizes=(8,))
    results(training(optimizer=FriendlySamConfig(base=BASE), batch=batch, epochs=1), head=watched)
    seen = watched.seen[1:]  # the first pass probes the batch size
    assert [len(rows) for rows in seen] == [8, 8] * 8 + [8, 3] * 2
    for step in range(0, len(seen), 4):
        assert torch.equal(seen[step], seen[step + 2])
        assert torch.equal(seen[step + 1], seen[step + 3])
    once = torch.cat([rows for step in range(0, len(seen), 4) for rows in seen[step : step + 2]])
    assert torch.equal(once.unique(dim=0), feature_rows().features.unique(dim=0))


def test_steps_with_rows_of_the_epoch_before_are_refused():
    batch = BatchConfig(sizes=(8,), accumulation=CarriedAccumulation())
    with pytest.raises(ValueError, match="accumulation carried has steps with rows of the epoch before"):
        training(optimizer=FriendlySamConfig(), batch=batch)
    training(optimizer=AdamWConfig(), batch=batch)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A training to its end, and its state after two epochs as it comes back from a checkpoint."""
    config = training(optimizer=FriendlySamConfig(base=BASE))
    folder = tmp_path_factory.mktemp("checkpoints")
    for result in train(tiny_head(gated=True, dropout=0.3), feature_rows(), select_rows(), config):
        whole = result.state()
        if result.epoch == 2:
            saved = save_checkpoint(folder / "second", whole, config_digest="toy")
    return config, whole, load_checkpoint(saved, config_digest="toy")


def test_a_training_continued_from_a_checkpoint_ends_bit_for_bit_as_an_unbroken_one(stopped):
    config, whole, state = stopped
    continued = results(config, head=tiny_head(seed=9, gated=True, dropout=0.3), state=state)
    assert_same_weights(whole, continued[-1].state())


@pytest.mark.parametrize("part", ["state", "base_optimizer"])
def test_neither_the_running_mean_nor_adamws_moments_could_be_left_out_of_a_checkpoint(stopped, part):
    config, whole, state = stopped
    kept = state.optimizer["base_optimizer"]
    forgotten = {} if part == "state" else kept | {"state": {}}
    optimizer = state.optimizer | {part: forgotten}
    continued = results(config, head=tiny_head(gated=True, dropout=0.3), state=replace(state, optimizer=optimizer))
    assert not torch.equal(whole.weights["trunk.weight"], continued[-1].state().weights["trunk.weight"])


@pytest.mark.slow
def test_the_library_is_loaded_only_where_it_is_used():
    code = "import sys, stage1_core.training.session; print('pytorch_optimizer' in sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stdout == "False\n"
