"""Which arm is chosen: every road to the reference, and every road away from it."""

from __future__ import annotations

import numpy as np
import pytest

from stage1_core.acceptance import Verdict
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.policy.arm_choice import ArmChoice, ArmChoiceConfig, choose_arm, most_augrc
from stage1_core.policy.arm_comparison import ArmComparison, compare_arms
from stage1_core.policy.arms import Arm
from stage1_core.policy.constraint import RiskConstraint
from tests.policy.recipes import Recipes, cost

CONFIG = ArmChoiceConfig(bootstrap=BootstrapConfig(level=0.9, resamples=400))


def compared(gains: dict[str, float], *, seed: int = 1, **recipes: object) -> ArmComparison:
    """The first arm is the reference."""
    cheapest_last = bool(recipes.pop("cheapest_last", False))
    settings = {"groups": 800, "own": 0.2, **recipes}
    arms = Recipes(**settings).draw(np.random.default_rng(seed), gains, cheapest_last=cheapest_last)
    return compare_arms(arms, next(iter(gains)), RiskConstraint(), CONFIG.bootstrap)


def chosen(config: ArmChoiceConfig = CONFIG, /, *, comparison: ArmComparison) -> ArmChoice:
    choice = choose_arm(config, comparison)
    assert choice.acceptance.passed == (choice.chosen != choice.reference) == (not choice.reference_stays)
    return choice


@pytest.fixture(scope="module")
def better() -> ArmComparison:
    """ "lora" and "full" are much better than the reference, and about equal to each other."""
    return compared({"frozen": 0.0, "lora": 1.2, "full": 1.25, "doran": 0.0})


def test_of_equally_good_arms_the_cheapest_is_adopted(better):
    assert better.best == "full"
    choice = chosen(comparison=better)
    assert choice.chosen == "lora"
    assert "cheapest" in choice.because
    assert choice.acceptance.phase == "lora instead of frozen"
    assert choice.proof == (choice.acceptance,)


def test_an_arm_that_is_better_than_what_is_cheaper_is_adopted():
    choice = chosen(comparison=compared({"frozen": 0.0, "lora": 0.4, "full": 1.4}))
    assert choice.reports["lora"].passed
    assert choice.chosen == "full"
    assert "no cheaper one was shown to be as good" in choice.because


def test_the_reference_stays_where_nothing_is_shown_to_be_better():
    choice = chosen(comparison=compared({"frozen": 0.0, "lora": 0.0, "full": 0.0}))
    assert choice.chosen == "frozen"
    assert not any(report.passed for report in choice.reports.values())
    assert choice.proof == ()


def test_an_exact_copy_of_the_reference_is_not_better():
    rows = Recipes(groups=800).draw(np.random.default_rng(1), {"frozen": 0.0})[0].runs
    arms = [Arm("frozen", rows), Arm("copy", rows)]
    choice = chosen(comparison=compare_arms(arms, "frozen", RiskConstraint(), CONFIG.bootstrap))
    assert choice.chosen == "frozen"


def test_a_gain_smaller_than_what_is_put_up_with_is_not_paid_for(better):
    generous = CONFIG.model_copy(update={"max_augrc_loss": 0.4, "max_accuracy_loss": 0.9, "max_mcc_loss": 0.9})
    choice = chosen(generous, comparison=better)
    assert choice.reports["lora"].passed
    assert choice.chosen == "frozen"
    assert choice.acceptance.checks[-1].name == "full is chosen"
    assert choice.acceptance.checks[-1].verdict is Verdict.FAIL


@pytest.mark.parametrize("field", ["max_accuracy_loss", "max_mcc_loss"])
def test_an_arm_that_might_lose_too_much_is_not_adopted(better, field):
    number = field.removeprefix("max_").removesuffix("_loss")
    hurt = {}
    for name, against in better.to_reference.items():
        worse = getattr(against, number).model_copy(update={"lower": -0.5})
        hurt[name] = against.model_copy(update={number: worse})
    choice = chosen(comparison=better.model_copy(update={"to_reference": hurt}))
    assert choice.chosen == "frozen"
    assert [check.verdict for check in choice.reports["lora"].checks].count(Verdict.FAIL) == 1


def test_a_cheaper_arm_need_only_not_be_worse():
    found = compared({"full": 0.0, "lora": 0.0}, cheapest_last=True, strength=3.0)
    choice = chosen(comparison=found)
    assert found.to_reference["lora"].augrc.upper > -CONFIG.min_augrc_gain  # no gain is shown
    assert choice.chosen == "lora"


def test_a_cheaper_arm_that_is_worse_does_not_replace_the_reference():
    assert chosen(comparison=compared({"full": 0.0, "lora": -0.5}, cheapest_last=True)).chosen == "full"


@pytest.mark.parametrize(
    ("price", "saves"),
    [(cost(9, 600), True), (cost(11, 1), False), (cost(10, 89), True), (cost(10, 91), False), (cost(10, 100), False)],
)
def test_cheaper_are_fewer_parameters_or_clearly_less_time(price, saves):
    bound = most_augrc(CONFIG, price, cost(10, 100))
    assert bound == (CONFIG.max_augrc_loss if saves else -CONFIG.min_augrc_gain)


def test_too_few_seeds_are_insufficient_evidence():
    choice = chosen(comparison=compared({"frozen": 0.0, "lora": 1.2}, seeds=2))
    assert choice.chosen == "frozen"
    assert choice.acceptance.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert "2 of each arm, 3 needed" in choice.acceptance.summary()


def test_an_undefined_number_is_insufficient_evidence(better):
    hurt = {}
    for name, against in better.to_reference.items():
        undefined = against.mcc.model_copy(update={"lower": None, "upper": None})
        hurt[name] = against.model_copy(update={"mcc": undefined})
    choice = chosen(comparison=better.model_copy(update={"to_reference": hurt}))
    assert choice.acceptance.verdict is Verdict.INSUFFICIENT_EVIDENCE


def test_where_the_best_may_not_be_chosen_the_best_that_may_is(better):
    accuracy = better.to_reference["full"].accuracy.model_copy(update={"lower": -0.5})
    full = better.to_reference["full"].model_copy(update={"accuracy": accuracy})
    augrc = better.to_best["lora"].augrc.model_copy(update={"upper": 0.3})
    lora = better.to_best["lora"].model_copy(update={"augrc": augrc})
    changed = better.model_copy(
        update={"to_reference": better.to_reference | {"full": full}, "to_best": better.to_best | {"lora": lora}}
    )
    choice = chosen(comparison=changed)
    assert choice.chosen == "lora"
    assert "full, the best on these rows, may not" in choice.because


def test_the_choice_is_json(better):
    choice = chosen(comparison=better)
    assert ArmChoice.model_validate_json(choice.to_json()) == choice
