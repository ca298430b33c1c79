"""Arms on the same rows: means over seeds, paired differences, and intervals that hold together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.metrics.suite import model_quality, read
from stage1_core.policy.arm_comparison import ArmComparison, OverSeeds, compare_arms
from stage1_core.policy.arms import Arm
from stage1_core.policy.constraint import RiskConstraint
from tests.policy.recipes import Recipes

CONFIG = BootstrapConfig(level=0.9, resamples=400)
PROMISE = RiskConstraint(max_risk=0.05)
NUMBERS = ("augrc", "accuracy", "mcc")


def compared(arms: list[Arm], reference: str = "frozen") -> ArmComparison:
    return compare_arms(arms, reference, PROMISE, CONFIG)


def regrouped(arms: list[Arm], groups: np.ndarray) -> list[Arm]:
    return [
        replace(arm, runs=tuple(replace(run, rows=replace(run.rows, groups=groups)) for run in arm.runs))
        for arm in arms
    ]


@pytest.fixture(scope="module")
def arms() -> list[Arm]:
    return Recipes(groups=300, luck=0.1).draw(np.random.default_rng(1), {"frozen": 0.0, "lora": 0.6, "full": -0.3})


@pytest.fixture(scope="module")
def seen(arms) -> ArmComparison:
    return compared(arms)


def test_the_numbers_are_those_of_each_model_in_the_order_of_the_seeds(arms, seen):
    for arm, found in zip(arms, seen.arms, strict=True):
        for number in NUMBERS:
            expected = [getattr(model_quality(run.rows), number) for run in arm.runs]
            values: OverSeeds = getattr(found, number)
            assert values.values == pytest.approx(expected)
            assert (values.mean, values.std) == pytest.approx((np.mean(expected), np.std(expected, ddof=1)))


def test_differences_are_those_of_the_means_to_the_reference_and_to_the_best(seen):
    assert seen.best == "lora"
    for base, differences in (("frozen", seen.to_reference), ("lora", seen.to_best)):
        assert set(differences) == {"frozen", "lora", "full"} - {base}
        for name, against in differences.items():
            for number in (*NUMBERS, "certifiable_coverage"):
                expected = getattr(seen.arm(name), number).mean - getattr(seen.arm(base), number).mean
                assert getattr(against, number).alone.value == pytest.approx(expected)


def test_where_the_reference_is_the_best_both_comparisons_are_one(arms):
    found = compared(arms, "lora")
    assert found.best == "lora"
    assert found.to_best == found.to_reference


def test_ends_that_hold_together_are_wider_than_each_alone(seen):
    for against in seen.to_reference.values():
        for number in NUMBERS:
            difference = getattr(against, number)
            assert difference.lower < difference.alone.lower
            assert difference.upper > difference.alone.upper


def test_more_arms_need_longer_intervals(arms, seen):
    alone = compared(arms[:2]).to_reference["lora"].augrc
    together = seen.to_reference["lora"].augrc
    assert alone.alone.value == together.alone.value
    assert together.upper - together.lower > alone.upper - alone.lower


def test_an_arm_differs_from_its_copy_by_exactly_nothing(arms):
    against = compared([arms[0], replace(arms[0], name="copy")]).to_reference["copy"]
    for number in NUMBERS:
        difference = getattr(against, number)
        assert (difference.alone.value, difference.lower, difference.upper, difference.training_error) == (0, 0, 0, 0)


def test_models_that_vary_with_the_seed_have_longer_intervals():
    lengths = []
    for luck in (0.0, 1.0):
        recipes = Recipes(groups=300, luck=luck, strength=2.5)
        arms = recipes.draw(np.random.default_rng(2), {"frozen": 0.0, "lora": 0.0})
        difference = compared(arms).to_reference["lora"].augrc
        lengths.append((difference.upper - difference.lower) / (difference.alone.upper - difference.alone.lower))
    assert lengths[1] > 2 * lengths[0]


def test_the_error_of_training_is_that_of_the_mean_of_paired_differences(arms, seen):
    old, new = ([model_quality(run.rows).augrc for run in arm.runs] for arm in arms[:2])
    expected = np.std(np.subtract(new, old), ddof=1) / np.sqrt(3)
    assert seen.to_reference["lora"].augrc.training_error == pytest.approx(expected)


def test_one_seed_leaves_the_luck_of_training_unknown(arms):
    once = [replace(arm, runs=arm.runs[:1]) for arm in arms]
    found = compared(once)
    assert found.arm("lora").augrc.std is None
    difference = found.to_reference["lora"].augrc
    assert difference.training_error is None
    assert difference.lower < difference.alone.value < difference.upper


def test_pairing_makes_the_error_smaller_than_that_of_two_separate_samples(arms, seen):
    def error(arm: Arm) -> float:
        right = np.mean([read(run.rows).correct for run in arm.runs], axis=0).reshape(-1, 2).mean(axis=1)
        return right.std() / np.sqrt(len(right))

    assert seen.to_reference["lora"].accuracy.alone.std < 0.9 * np.hypot(error(arms[0]), error(arms[1]))


def test_rows_of_a_group_are_drawn_together(arms, seen):
    n = len(arms[0].runs[0].rows)
    alone = compared(regrouped(arms, np.arange(n).astype(np.str_)))
    assert (seen.rows, seen.groups, alone.groups) == (600, 300, 600)
    ours, theirs = seen.to_reference["lora"].augrc.alone, alone.to_reference["lora"].augrc.alone
    assert ours.value == theirs.value
    assert ours.std > 1.15 * theirs.std


def test_a_number_that_needs_both_classes_is_undefined_where_one_is_missing(arms):
    positives = [
        replace(arm, runs=tuple(replace(run, rows=run.rows.take(run.rows.labels == 1)) for run in arm.runs))
        for arm in arms
    ]
    found = compared(positives)
    against = found.to_reference["lora"]
    assert found.arm("lora").mcc.mean is None
    assert (against.mcc.alone.value, against.mcc.lower, against.mcc.upper) == (None, None, None)
    assert against.augrc.lower is not None


def test_the_same_seed_gives_the_same_comparison_and_json_holds_all_of_it(arms, seen):
    assert compared(arms) == seen
    assert ArmComparison.model_validate_json(seen.to_json()) == seen
