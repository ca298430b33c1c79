from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from stage1_core.errors import CheckpointError, DataError, ModelError, SplitUseError, Stage1Error
from stage1_core.model.classifier import predict_features
from stage1_core.splits import Purpose
from stage1_core.training.accumulation import CarriedAccumulation, WholeAccumulation
from stage1_core.training.averaging import ConstantAverageConfig, NoAverageConfig, WarmupAverageConfig
from stage1_core.training.batching import BatchConfig
from stage1_core.training.config import historical_training
from stage1_core.training.loop import train
from stage1_core.training.objective import CrossEntropyConfig, SelectiveConfig
from stage1_core.training.optimizer import AdamWConfig
from stage1_core.training.schedule import WarmupCosineConfig, WarmupEpochs
from stage1_core.training.selection import SelectionConfig, SelectionMetric
from stage1_core.training.state import load_best
from tests.training.toys import feature_rows, select_rows, tiny_head, training


def final_state(config, *, head=None, state=None, fit_rows=None):
    head = head or tiny_head(dropout=0.3)
    for result in train(head, fit_rows or feature_rows(), select_rows(), config, state=state):
        last = result
    return last.state()


def assert_same_training(first, second):
    for name in first.weights:
        assert torch.equal(first.weights[name], second.weights[name]), name
        assert torch.equal(first.averages[name], second.averages[name]), name
        for metric, best in first.progress.best.items():
            assert torch.equal(best.weights[name], second.progress.best[metric].weights[name])
    assert first.updates == second.updates
    assert first.best_accuracy == second.best_accuracy


def test_training_learns_what_logistic_regression_learns():
    fit, select = feature_rows(rows=300), select_rows(rows=200)
    *_, last = train(tiny_head(), fit, select, training(epochs=15))
    reference = LogisticRegression(class_weight="balanced").fit(fit.features.numpy(), fit.labels)
    assert last.metrics.accuracy >= reference.score(select.features.numpy(), select.labels) - 0.02


@pytest.mark.parametrize("stop_after", [1, 3])
@pytest.mark.parametrize("average", [WarmupAverageConfig(), ConstantAverageConfig(), NoAverageConfig()])
def test_a_continued_training_ends_bit_for_bit_as_an_unbroken_one(stop_after, average):
    config = training(average=average)
    whole = final_state(config)
    for result in train(tiny_head(dropout=0.3), feature_rows(), select_rows(), config):
        if result.epoch == stop_after:
            state = result.state()
            break
    assert_same_training(whole, final_state(config, head=tiny_head(seed=99, dropout=0.3), state=state))


SELECTIVE = SelectiveConfig(warmup_epochs=1)
FRESH = dict(SELECTIVE.build(np.array([50, 25])).state_dict())


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_continued_training_ends_bit_for_bit_with_an_objective_that_has_a_state(stop_after):
    config = training(objective=SELECTIVE)
    head = {"gated": True, "dropout": 0.3}
    whole = final_state(config, head=tiny_head(**head))
    for result in train(tiny_head(**head), feature_rows(), select_rows(), config):
        if result.epoch == stop_after:
            state = result.state()
            break
    assert state.objective["epochs"].item() == stop_after
    continued = final_state(config, head=tiny_head(seed=99, **head), state=state)
    assert_same_training(whole, continued)
    assert continued.objective.keys() == {"multiplier", "epochs", "seen"}
    assert all(torch.equal(value, whole.objective[name]) for name, value in continued.objective.items())
    forgetful = final_state(config, head=tiny_head(**head), state=replace(state, objective=FRESH))
    assert not torch.equal(forgetful.weights["gate.bias"], whole.weights["gate.bias"])


def test_an_objective_counts_epochs_and_sees_neither_probes_nor_validation():
    sums = []

    class Watched(SelectiveConfig):
        def build(self, class_counts):
            built = super().build(class_counts)
            end_epoch = built.end_epoch
            built.end_epoch = lambda total: (sums.append(built.seen.clone()), end_epoch(total))
            return built

    config = training(epochs=1).model_copy(update={"objective": Watched(warmup_epochs=0)})
    *_, last = train(tiny_head(gated=True), feature_rows(), select_rows(), config)
    assert len(sums) == 1
    assert sums[0][1].item() == 25  # each positive FIT_WEIGHTS row once, no SELECT_MODEL row, no probed row
    assert last.state().objective["epochs"].item() == 1


def test_an_epoch_that_was_killed_half_way_is_repeated_exactly():
    config = training()
    whole = final_state(config)

    def killed(step, steps):
        if seen and step == 3:
            raise KeyboardInterrupt

    seen = []
    epochs = train(tiny_head(dropout=0.3), feature_rows(), select_rows(), config, on_update=killed)
    with pytest.raises(KeyboardInterrupt):
        seen.extend(result.state() for result in epochs)
    assert_same_training(whole, final_state(config, state=seen[-1]))


def test_gradients_that_the_historical_accumulation_carries_over_survive_a_restart():
    batch = BatchConfig(sizes=(8,), accumulation=CarriedAccumulation(micro_batches=2), drop_last=True)
    config = training(batch=batch)
    whole = final_state(config)
    first = next(iter(train(tiny_head(dropout=0.3), feature_rows(), select_rows(), config)))
    state = first.state()
    assert state.gradients.keys() == state.weights.keys()
    assert state.updates == 4
    assert_same_training(whole, final_state(config, state=state))
    forgetful = final_state(config, state=replace(state, gradients={}))
    assert not torch.equal(forgetful.weights["trunk.weight"], whole.weights["trunk.weight"])


def test_a_training_that_had_ended_yields_nothing_more():
    config = training(epochs=2)
    assert list(train(tiny_head(), feature_rows(), select_rows(), config, state=final_state(config))) == []


def test_random_draws_of_the_caller_between_epochs_change_nothing():
    config = training()
    quiet = final_state(config)
    state = None
    for result in train(tiny_head(dropout=0.3), feature_rows(), select_rows(), config):
        torch.rand(3), np.random.rand(3), random.random()
        state = result.state()
    assert_same_training(quiet, state)


def test_training_leaves_the_callers_generators_and_switches_alone():
    torch.manual_seed(1)
    random.seed(1)
    before = torch.get_rng_state(), random.getstate(), torch.are_deterministic_algorithms_enabled()
    final_state(training(epochs=1))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), torch.are_deterministic_algorithms_enabled())


def test_another_seed_gives_other_weights():
    one, other = (final_state(training(epochs=1, seed=seed)) for seed in (1, 2))
    assert not torch.equal(one.weights["trunk.weight"], other.weights["trunk.weight"])


def plain_loop(head, config, rows, epochs, accumulate):
    """The same mathematics, written by hand on torch alone, without dropout and average."""
    inputs, labels = rows.features, torch.from_numpy(rows.labels)
    counts = torch.bincount(labels)
    weight = (len(labels) / (2 * counts)).float()
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.optimizer.lr_head, weight_decay=0.01)
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng([config.seed, epoch]).permutation(len(labels))
        for start in range(0, len(order), 8 * accumulate):
            index = order[start : start + 8 * accumulate]
            optimizer.zero_grad()
            for part in range(0, len(index), 8):
                micro = torch.from_numpy(index[part : part + 8])
                loss = torch.nn.functional.cross_entropy(
                    head(inputs[micro]).class_logits, labels[micro], weight=weight, label_smoothing=0.1
                )
                (loss * len(micro) / len(index)).backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
    return head


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_the_loop_equals_a_loop_written_by_hand(accumulate):
    config = training(
        epochs=2,
        average=NoAverageConfig(),
        schedule=WarmupCosineConfig(warmup=WarmupEpochs(epochs=0), final_fraction=1.0),
        batch=BatchConfig(sizes=(8,), accumulation=WholeAccumulation(micro_batches=accumulate)),
    )
    found = final_state(config, head=tiny_head(dropout=0.0))
    expected = plain_loop(tiny_head(dropout=0.0), config, feature_rows(), 2, accumulate).state_dict()
    for name, weight in found.weights.items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-6)


def test_accumulated_micro_batches_give_the_gradient_of_their_union():
    common = {
        "epochs": 1,
        "objective": CrossEntropyConfig(weight_classes=False),
        "average": NoAverageConfig(),
    }
    apart = BatchConfig(sizes=(5,), accumulation=WholeAccumulation(micro_batches=4))
    together = BatchConfig(sizes=(20,), accumulation=WholeAccumulation(micro_batches=1))
    states = [final_state(training(batch=batch, **common), head=tiny_head(dropout=0.0)) for batch in (apart, together)]
    for name, weight in states[0].weights.items():
        torch.testing.assert_close(weight, states[1].weights[name], rtol=1e-4, atol=1e-6)


def test_validation_uses_the_averaged_weights_and_training_goes_on_with_the_raw_ones():
    head = tiny_head()
    result = next(iter(train(head, feature_rows(), select_rows(), training())))
    state = result.state()
    averaged = tiny_head()
    averaged.load_state_dict(state.averages)
    expected = predict_features(averaged, select_rows().features.numpy(), select_rows().ids)
    np.testing.assert_allclose(result.scores.logits, expected.logits, atol=1e-6)
    assert all(torch.equal(value, state.weights[name]) for name, value in head.state_dict().items())
    assert not torch.equal(state.averages["trunk.weight"], state.weights["trunk.weight"])


def test_the_validation_loss_over_rows_is_that_of_all_rows_at_once_without_class_weights():
    config = training(epochs=1, objective=CrossEntropyConfig(weight_classes=False))
    *_, last = train(tiny_head(), feature_rows(), select_rows(), config)
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(last.scores.logits), torch.from_numpy(last.labels), label_smoothing=0.1
    )
    assert last.val_loss == pytest.approx(expected.item(), rel=1e-5)


def test_patience_stops_a_training_that_no_longer_improves():
    config = training(epochs=50, selection=SelectionConfig(patience=3), optimizer=AdamWConfig(lr_head=1e-9))
    results = list(train(tiny_head(), feature_rows(), select_rows(), config))
    assert [result.epoch for result in results] == [1, 2, 3, 4]
    assert [result.is_last for result in results] == [False, False, False, True]
    assert results[-1].progress.best[SelectionMetric.ACCURACY].epoch == 1
    assert list(train(tiny_head(), feature_rows(), select_rows(), config, state=results[-1].state())) == []


def test_the_best_epoch_by_each_kept_metric_can_be_loaded():
    selection = SelectionConfig(
        metric=SelectionMetric.AUGRC, keep_also=(SelectionMetric.ACCURACY, SelectionMetric.VAL_LOSS), patience=None
    )
    results = list(train(tiny_head(), feature_rows(), select_rows(), training(epochs=6, selection=selection)))
    state = results[-1].state()
    best = min(results, key=lambda result: result.metrics.augrc)
    assert state.progress.best[SelectionMetric.AUGRC].epoch == best.epoch
    head = tiny_head(seed=7)
    load_best(head, state, SelectionMetric.AUGRC)
    found = predict_features(head, select_rows().features.numpy(), select_rows().ids)
    np.testing.assert_allclose(found.logits, best.scores.logits, atol=1e-6)
    lowest = min(results, key=lambda result: result.val_loss)
    assert state.progress.best[SelectionMetric.VAL_LOSS].epoch == lowest.epoch


def test_a_metric_that_was_not_kept_is_refused_with_those_that_were():
    assert final_state(training(epochs=1)).kept.keys() == {SelectionMetric.ACCURACY}
    with pytest.raises(CheckpointError, match="no best epoch by augrc was kept, only by accuracy"):
        load_best(tiny_head(), final_state(training(epochs=1)), SelectionMetric.AUGRC)


def test_a_state_is_gone_once_the_next_epoch_has_been_made():
    epochs = iter(train(tiny_head(), feature_rows(), select_rows(), training()))
    first = next(epochs)
    next(epochs)
    with pytest.raises(Stage1Error, match="state after epoch 1 is gone"):
        first.state()


def test_a_state_of_another_model_is_refused():
    state = final_state(training(epochs=1))
    with pytest.raises(CheckpointError, match="differ in auxiliary"):
        final_state(training(), head=tiny_head(gated=True), state=state)


@pytest.mark.parametrize("swapped", ["fit", "select"])
def test_rows_of_another_purpose_are_refused(swapped):
    fit = feature_rows(Purpose.SELECT_MODEL if swapped == "fit" else Purpose.FIT_WEIGHTS)
    select = feature_rows(Purpose.FINAL_EVALUATION if swapped == "select" else Purpose.SELECT_MODEL)
    with pytest.raises(SplitUseError, match="cannot be used here"):
        next(train(tiny_head(), fit, select, training()))


def test_too_few_rows_for_one_step_are_refused():
    batch = BatchConfig(sizes=(64,), drop_last=True)
    with pytest.raises(DataError, match="20 FIT_WEIGHTS rows do not make one optimizer step"):
        next(train(tiny_head(), feature_rows(rows=20), select_rows(), training(batch=batch)))


class Cramped(torch.nn.Module):
    """A head that runs out of memory above a number of rows."""

    def __init__(self, limit, message="CUDA out of memory. Tried to allocate"):
        super().__init__()
        self.head, self.limit, self.message = tiny_head(dropout=0.3), limit, message

    def forward(self, features):
        if len(features) > self.limit:
            raise RuntimeError(self.message)
        return self.head(features)


def test_the_batch_size_goes_down_the_ladder_and_says_so(caplog):
    config = training(batch=BatchConfig(sizes=(64, 32, 16)), epochs=1)
    *_, last = train(Cramped(20), feature_rows(), select_rows(), config)
    assert last.state().batch_size == 16
    assert "a batch of 64 does not fit in memory: trying 32" in caplog.text


def test_probing_for_the_batch_size_does_not_change_the_result():
    direct = training(batch=BatchConfig(sizes=(16,)))
    *_, plain = train(Cramped(16), feature_rows(), select_rows(), direct)
    *_, probed = train(Cramped(16), feature_rows(), select_rows(), training(batch=BatchConfig(sizes=(64, 16))))
    assert_same_training(plain.state(), probed.state())


def test_memory_that_only_the_optimizer_needs_is_an_error_that_names_the_size(monkeypatch):
    def step(optimizer, closure=None):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(ModelError, match="training ran out of memory with batches of 8"):
        next(train(tiny_head(), feature_rows(), select_rows(), training()))


def test_no_size_that_fits_is_an_error_that_names_the_smallest():
    with pytest.raises(ModelError, match="a batch of 32 does not fit"):
        next(train(Cramped(8), feature_rows(), select_rows(), training(batch=BatchConfig(sizes=(64, 32)))))


def test_any_other_error_while_probing_is_raised():
    with pytest.raises(RuntimeError, match="shapes"):
        next(train(Cramped(4, "shapes do not match"), feature_rows(), select_rows(), training()))


def test_the_historical_recipe_trains_and_repeats_the_historical_first_epochs(caplog):
    rows = feature_rows(rows=64 * 7)
    *_, last = train(tiny_head(), rows, select_rows(), historical_training().model_copy(update={"epochs": 2}))
    state = last.state()
    assert state.updates == 2 * 3
    assert last.learning_rate == pytest.approx(1e-4 * 6 / 7)
    assert state.gradients
    weight = tiny_head().state_dict()["trunk.weight"]
    assert torch.allclose(state.averages["trunk.weight"], weight, atol=1e-6)
    if not torch.cuda.is_available():
        assert "fp16 needs a GPU" in caplog.text


def test_bf16_trains_and_gives_float32_losses():
    *_, last = train(tiny_head(), feature_rows(rows=300), select_rows(200), training(precision="bf16", epochs=8))
    assert last.metrics.accuracy > 0.85
    assert all(weight.dtype == torch.float32 for weight in last.state().weights.values())


def test_gate_logits_reach_the_scores():
    *_, last = train(tiny_head(gated=True), feature_rows(), select_rows(), training(epochs=1))
    assert last.scores.gate_logits is not None
    assert last.scores.gate_logits.shape == (40,)
    assert last.scores.aux_logits.shape == (40, 2)
    assert last.metrics.gate.rows == 40


def test_progress_is_reported_for_each_step():
    seen = []
    list(train(tiny_head(), feature_rows(), select_rows(), training(epochs=2), on_update=lambda *at: seen.append(at)))
    assert seen == [(step, 5) for step in (1, 2, 3, 4, 5)] * 2


def test_speed_and_memory_are_measured():
    result = next(train(tiny_head(), feature_rows(), select_rows(), training()))
    assert result.images_per_second > 75 / result.seconds
    assert result.peak_memory_bytes > 2**20


def test_features_of_another_width_are_refused():
    narrow = replace(feature_rows(), features=feature_rows().features[:, :5])
    with pytest.raises(ModelError, match="features of shape"):
        next(train(tiny_head(), narrow, select_rows(), training()))
