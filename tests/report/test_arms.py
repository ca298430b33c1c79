from __future__ import annotations

import pytest

from stage1_core.report.arms import arms_report, arms_section
from stage1_core.report.wording import points, signed
from tests.report import toys
from tests.report.page_reader import Page


@pytest.fixture(scope="module")
def adopted():
    return toys.arms(better=True)


@pytest.fixture(scope="module")
def stays():
    return toys.arms(better=False)


def _text(made):
    return Page(arms_report("release candidate", *made, toys.BATCH_SIZES)).text


def test_the_page_says_which_arm_is_adopted_and_why(adopted):
    _, choice = adopted
    text = _text(adopted)
    assert choice.chosen != "frozen"
    assert f"{choice.chosen} takes the place of frozen." in text
    assert choice.because in text
    assert text.index("ADOPTED") < text.index("difference in AUGRC to frozen") < text.index("All arms")
    assert "NOT ADOPTED" not in text


def test_where_the_reference_stays_the_page_says_so(stays):
    text = _text(stays)
    assert "NOT ADOPTED" in text
    assert "frozen stays." in text
    assert "no arm was shown to be better than frozen" in text.replace("No arm", "no arm")
    assert "adopted ✓" not in text


def test_every_arm_has_its_cost_its_numbers_and_its_verdict(adopted):
    comparison, choice = adopted
    text = _text(adopted)
    for arm in comparison.arms:
        verdict = f"replaced by {choice.chosen}" if arm.name == "frozen" else ""
        assert f"{arm.name} {arm.cost.trainable_parameters:,} 64 768 60.0 {verdict}" in text
        assert f"{arm.mcc.mean:.4f} ± {arm.mcc.std:.4f} {arm.augrc.mean:.4f} ± {arm.augrc.std:.4f}" in text
    assert f"{choice.chosen} 7,000 64 768 60.0 adopted ✓ PASS" in text
    assert "full 5,000 64 768 60.0 not shown: AUGRC, accuracy, MCC ✕ FAIL" in text


def test_differences_stand_with_the_ends_that_decide(adopted):
    comparison, choice = adopted
    against = comparison.to_reference[choice.chosen]
    augrc, accuracy = against.augrc, against.accuracy
    shown = f"{signed(augrc.alone.value)} ({signed(augrc.lower)} to {signed(augrc.upper)}) "
    shown += f"{points(accuracy.alone.value, '')} ({points(accuracy.lower, '')} to {points(accuracy.upper, '')})"
    assert shown in _text(adopted)


def test_certifiable_coverage_stands_with_its_counts_and_is_called_optimistic(adopted):
    comparison, _ = adopted
    text = _text(adopted)
    first = comparison.arm("lora").certifiable[0]
    assert f"{first.events} of {first.trials}; " in text
    assert "An optimistic estimate" in text


def test_a_memory_that_was_not_measured_is_said_to_be_so(adopted):
    comparison, choice = adopted
    cost = comparison.arms[0].cost.model_copy(update={"peak_memory_bytes": None})
    arms = (comparison.arms[0].model_copy(update={"cost": cost}), *comparison.arms[1:])
    assert "frozen 1,000 64 not measured 60.0" in _text((comparison.model_copy(update={"arms": arms}), choice))


def test_undefined_numbers_are_called_undefined(adopted):
    comparison, choice = adopted
    nothing = comparison.arms[0].mcc.model_copy(update={"values": (None, None, None)})
    arms = (comparison.arms[0].model_copy(update={"mcc": nothing}), *comparison.arms[1:])
    assert "% undefined 0.0" in _text((comparison.model_copy(update={"arms": arms}), choice))


def test_the_section_holds_the_choice_and_the_tables(stays):
    text = Page(f"<body>{arms_section(*stays, toys.BATCH_SIZES)}</body>").text
    assert "no arm was shown to be better than frozen" in text
    assert "trainable parameters" in text


def test_equal_arguments_give_equal_pages(adopted):
    first, second = (arms_report("one", *adopted, toys.BATCH_SIZES) for _ in range(2))
    assert first == second
