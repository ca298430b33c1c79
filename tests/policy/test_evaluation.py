from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.metrics.subnet_reward import reward_at_rates
from stage1_core.metrics.suite import Evaluation, ExitQuality, ModelQuality, exit_quality, model_quality
from stage1_core.policy.evaluation import evaluate
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.predictions import Predictions
from tests.toys import make_predictions, predictions_of

POLICY = ThresholdExit(exit_threshold=0.9)
FEW = BootstrapConfig(resamples=100)
DECISION_FREE = {"rows", "positives", "majority_accuracy"}


@pytest.fixture
def rows(rng: np.random.Generator) -> Predictions:
    """200 rows of two sources, in groups of two, with gate and auxiliary logits."""
    plain = make_predictions(rng, 200, separation=0.7)
    scores = replace(plain.scores, gate_logits=rng.normal(size=200), aux_logits=rng.normal(size=(200, 2)))
    groups = np.array([f"scene {i // 2}" for i in range(200)])
    return replace(plain, scores=scores, groups=groups, sources=np.array(["street", "motorway"] * 100))


def reported(quality: ModelQuality | ExitQuality) -> dict[str, float | None]:
    """Every number of a quality by the name of its interval; a counted risk by its rate."""
    numbers: dict[str, float | None] = {}
    for name in type(quality).model_fields:
        value = getattr(quality, name)
        if isinstance(value, dict):
            numbers |= {f"{name}_{level}": at_level for level, at_level in value.items()}
        else:
            numbers[name] = value if value is None or isinstance(value, int | float) else value.rate
    return numbers


def test_every_reported_number_has_an_interval_around_the_same_value(rows: Predictions):
    evaluation = evaluate(POLICY, rows, 0.9, FEW).evaluation
    numbers = reported(evaluation.model) | reported(evaluation.exits_on_all_rows)
    assert set(evaluation.intervals) == set(numbers) - DECISION_FREE - {"rejection"}
    for name, interval in evaluation.intervals.items():
        assert interval.value == pytest.approx(numbers[name], abs=1e-12), name


def test_every_interval_comes_with_the_draws_behind_it(rows: Predictions):
    evaluation, draws = evaluate(POLICY, rows, 0.9, FEW)
    assert set(draws) == set(evaluation.intervals)
    assert {len(values) for values in draws.values()} == {100}
    assert evaluation.bootstrap == FEW
    assert evaluation.intervals["augrc"].mean == pytest.approx(np.nanmean(draws["augrc"]))


def test_equal_seeds_give_equal_evaluations_and_others_do_not(rows: Predictions):
    first, second = (evaluate(POLICY, rows, 0.9, FEW).evaluation for _ in range(2))
    other = evaluate(POLICY, rows, 0.9, BootstrapConfig(resamples=100, seed=1)).evaluation
    assert first.to_json() == second.to_json()
    assert other.intervals["augrc"].mean != first.intervals["augrc"].mean
    assert other.model == first.model


def test_rows_of_one_group_are_drawn_together(rng: np.random.Generator):
    single = make_predictions(rng, 100, separation=0.7)
    margins, labels, groups = (
        np.repeat(column, 3) for column in (single.scores.margin_logits, single.labels, single.groups)
    )
    tripled = predictions_of(margins, labels, groups=groups)
    alone = evaluate(POLICY, single, 0.9, BootstrapConfig(resamples=500)).evaluation
    thrice = evaluate(POLICY, tripled, 0.9, BootstrapConfig(resamples=500)).evaluation
    assert thrice.intervals["augrc"].value == pytest.approx(alone.intervals["augrc"].value)
    assert thrice.intervals["augrc"].std == pytest.approx(alone.intervals["augrc"].std, rel=0.2)


def test_every_draw_has_as_many_rows_of_each_class_as_the_sample():
    labels = np.repeat([0, 1], [30, 50])
    always_1 = evaluate(POLICY, predictions_of(np.linspace(1, 2, 80), labels), 0.9, FEW)
    assert set(np.round(always_1.draws["accuracy"], 12)) == {50 / 80}


def test_exits_and_cascade_are_counted_on_independent_rows(rows: Predictions):
    evaluation = evaluate(POLICY, rows, 0.9, FEW).evaluation
    of_each_label, of_each_group = rows.independent(), rows.independent(across_labels=True)
    assert len(of_each_group) < len(of_each_label) < len(rows)
    by_label, by_group = (
        exit_quality(part, POLICY.decide(part.scores), 0.9) for part in (of_each_label, of_each_group)
    )
    assert evaluation.exits.fnr_on_exited == by_label.fnr_on_exited
    assert evaluation.exits.fpr_on_exited == by_label.fpr_on_exited
    assert evaluation.exits.exit_error == by_group.exit_error != by_label.exit_error
    assert evaluation.exits.average_set_size == by_group.average_set_size
    assert evaluation.exits_on_all_rows.coverage.trials == len(rows)
    assert evaluation.cascade is not None
    together = evaluation.cascade.together
    assert together.answered.trials == len(of_each_group)
    assert together.missed.trials + together.false_alarms.trials == len(of_each_label)


def test_each_source_is_reported_with_its_own_rows(rows: Predictions):
    evaluation = evaluate(POLICY, rows, 0.9, FEW).evaluation
    assert [part.source for part in evaluation.sources] == ["motorway", "street"]
    street = rows.take(rows.sources == "street")
    assert evaluation.sources[1].model == model_quality(street)
    assert evaluation.sources[1].exits == exit_quality(street, POLICY.decide(street.scores), 0.9)


def test_a_head_without_gate_and_auxiliary_output_has_no_numbers_of_them(rng: np.random.Generator):
    evaluation = evaluate(POLICY, make_predictions(rng, 50), 0.9, FEW).evaluation
    assert evaluation.cascade is None
    assert evaluation.model.augrc_gate is None
    assert "augrc_gate" not in evaluation.intervals


def test_the_subnet_reward_is_that_of_the_models_rates(rows: Predictions):
    called, labels = rows.scores.margin_logits > 0, rows.labels
    expected = reward_at_rates(called[labels == 1].mean(), (~called[labels == 0]).mean())
    assert evaluate(POLICY, rows, 0.9, FEW).evaluation.subnet_reward == pytest.approx(expected)


def test_with_one_class_what_needs_two_is_undefined_and_so_are_its_intervals():
    rows = predictions_of(np.linspace(-1, 3, 40), np.ones(40))
    evaluation = evaluate(POLICY, rows, 0.9, FEW).evaluation
    assert evaluation.subnet_reward is None
    for name in ("mcc", "auroc", "balanced_accuracy", "fpr_on_exited"):
        assert (evaluation.intervals[name].value, evaluation.intervals[name].resamples) == (None, 0)
    assert evaluation.intervals["augrc"].value is not None


def test_an_evaluation_is_written_and_read_back(rows: Predictions):
    evaluation = evaluate(POLICY, rows, 0.9, FEW).evaluation
    assert Evaluation.model_validate_json(evaluation.to_json()) == evaluation


def test_without_rows_nothing_is_measured():
    evaluation, _ = evaluate(POLICY, predictions_of(np.zeros(0), np.zeros(0)), 0.9, FEW)
    assert evaluation.model.augrc is None
    assert evaluation.exits.coverage.rate is None
    assert all(interval.value is None for interval in evaluation.intervals.values())
