"""Which training recipe was adopted, and what each was worth: a section of a report, or a page of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stage1_core.acceptance import AcceptanceReport, Verdict
from stage1_core.policy.arm_choice import ArmChoice
from stage1_core.policy.arm_comparison import ArmComparison, DecidingDifference, OverSeeds, SeenArm
from stage1_core.report.checks import acceptance_section, chip
from stage1_core.report.figures.arms import arms_figure, with_ends
from stage1_core.report.markup import Html, element, section, table
from stage1_core.report.page import gallery, page
from stage1_core.report.verdict import banner
from stage1_core.report.wording import four_decimals, percent, points, promise, signed

MEBIBYTE = 1 << 20


def arms_report(title: str, comparison: ArmComparison, choice: ArmChoice, batch_sizes: Mapping[str, int]) -> str:
    """The page of a comparison of arms: which is adopted, why, and the numbers of all of them.

    ``batch_sizes`` are rows of a micro-batch, by arm.
    Equal arguments give equal text. Raises `Stage1Error` for a page beyond the size limit.
    """
    adopted = choice.acceptance.passed
    reference = choice.reference
    figures = {"differences": arms_figure(comparison, choice)}
    stands = f"{choice.chosen} takes the place of {reference}." if adopted else f"{reference} stays."
    return page(
        f"{choice.chosen}: {title}",
        element("h1", title),
        banner(
            choice.acceptance.verdict,
            question=f"Is another recipe adopted in place of {reference}?",
            word="ADOPTED" if adopted else "NOT ADOPTED",
            answer=stands,
            about=f"{_sentence(choice.because)} {_where(comparison)}",
        ),
        element("div", acceptance_section(choice.acceptance), _limits(comparison), class_="pair"),
        section("All arms", *_tables(comparison, choice, batch_sizes)),
        section("Figures", gallery(figures)),
        figures=figures,
    )


def arms_section(comparison: ArmComparison, choice: ArmChoice, batch_sizes: Mapping[str, int]) -> Html:
    """The comparison inside the report of a phase."""
    found = element("p", element("strong", choice.chosen), f": {choice.because}.")
    return section(
        "Arms", found, element("p", _where(comparison), class_="muted"), *_tables(comparison, choice, batch_sizes)
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _where(comparison: ArmComparison) -> str:
    return (
        f"{len(comparison.arms)} arms, {len(comparison.seeds)} seeds each, on the same {comparison.rows:,} rows "
        f"({comparison.groups:,} groups) read to select models; no certifying row and no row of VAL_TEST was opened."
    )


def _limits(comparison: ArmComparison) -> Html:
    sure = percent((1 + comparison.level) / 2)
    trained = (
        f"Only {len(comparison.seeds)} trainings of each arm stand for all that might be. Their spread widens the "
        "deciding intervals."
        if len(comparison.seeds) > 1
        else "Each arm was trained once: the intervals are about these models, and say nothing of the next training."
    )
    items = {
        "The best of many.": "The arm with the best numbers was picked on these rows, so its numbers flatter. The "
        f"deciding intervals hold for all arms at once: with about {sure} none of their unfavourable ends flatters.",
        "Luck of training.": trained,
        "Certifiable coverage.": "An optimistic estimate: the rows that are counted also choose the threshold. The "
        "certificate of what is chosen is made on other rows.",
    }
    listed = [element("li", element("strong", lead), f" {text}") for lead, text in items.items()]
    return section("Limits", element("ul", *listed, class_="limits"))


def _tables(comparison: ArmComparison, choice: ArmChoice, batch_sizes: Mapping[str, int]) -> tuple[Html, Html, Html]:
    return _costs(comparison, choice, batch_sizes), _numbers(comparison), _differences(comparison)


def _costs(comparison: ArmComparison, choice: ArmChoice, batch_sizes: Mapping[str, int]) -> Html:
    rows: list[list[str]] = []
    for arm in comparison.arms:
        memory = arm.cost.peak_memory_bytes
        rows.append(
            [
                arm.name,
                f"{arm.cost.trainable_parameters:,}",
                str(batch_sizes[arm.name]),
                "not measured" if memory is None else f"{memory / MEBIBYTE:,.0f}",
                f"{arm.cost.seconds:,.1f}",
                _outcome(choice, arm.name),
            ]
        )
    caption = "What one training takes, the most memory and the mean time over the seeds, and what became of each arm"
    headers = ["arm", "trainable parameters", "batch (rows)", "peak memory (MiB)", "time (s)", "verdict"]
    return table(caption, headers, rows, class_="numbers")


def _numbers(comparison: ArmComparison) -> Html:
    rows = [
        [
            arm.name,
            _over_seeds(percent, arm.accuracy),
            _over_seeds(four_decimals, arm.mcc),
            _over_seeds(four_decimals, arm.augrc),
            _over_seeds(percent, arm.certifiable_coverage),
            _trials(arm),
        ]
        for arm in comparison.arms
    ]
    caption = (
        f"Mean ± standard deviation over {len(comparison.seeds)} seeds. Certifiable coverage is what exits at the "
        f"laxest threshold that keeps the promise on these rows, an optimistic estimate. {promise(comparison.promise)}"
    )
    headers = ["arm", "accuracy", "MCC", "AUGRC", "certifiable coverage", "breaks of trials, by seed"]
    return table(caption, headers, rows, class_="numbers")


def _differences(comparison: ArmComparison) -> Html:
    rows = []
    for arm in comparison.challengers:
        against = comparison.to_reference[arm.name]
        coverage = against.certifiable_coverage.alone
        rows.append(
            [
                arm.name,
                _deciding(signed, against.augrc),
                _deciding(_bare_points, against.accuracy),
                _deciding(signed, against.mcc),
                with_ends(_bare_points, coverage.value, coverage.lower, coverage.upper),
            ]
        )
    level = percent(comparison.level)
    caption = (
        f"Arm minus {comparison.reference}, paired, groups resampled whole. AUGRC, accuracy and MCC with {level} "
        "intervals that hold for all arms at once and allow for the luck of training; coverage alone, at fixed "
        "thresholds. Accuracy and coverage in percentage points"
    )
    headers = ["arm", "AUGRC", "accuracy", "MCC", "certifiable coverage"]
    return table(caption, headers, rows, class_="numbers")


def _over_seeds(show: Callable[[float], str], number: OverSeeds) -> str:
    if number.mean is None:
        return "undefined"
    return show(number.mean) if number.std is None else f"{show(number.mean)} ± {show(number.std)}"


def _trials(arm: SeenArm) -> str:
    return "; ".join(
        "nothing exits" if found.threshold is None else f"{found.events:,} of {found.trials:,}"
        for found in arm.certifiable
    )


def _deciding(show: Callable[[float], str], difference: DecidingDifference) -> str:
    return with_ends(show, difference.alone.value, difference.lower, difference.upper)


def _bare_points(difference: float) -> str:
    return points(difference, "")


def _outcome(choice: ArmChoice, name: str) -> str:
    """What became of an arm, with the checks behind it in its title."""
    if name == choice.reference:
        return "stays" if name == choice.chosen else f"replaced by {choice.chosen}"
    report = choice.reports[name]
    if name == choice.chosen:
        told = "adopted"
    elif report.passed:
        told = f"good enough, {choice.chosen} preferred"
    else:
        told = f"not shown: {_missed(report)}"
    return element("span", f"{told} ", chip(report.verdict), title=report.summary())


def _missed(report: AcceptanceReport) -> str:
    """The quantities whose checks did not pass."""
    missed = [check.name for check in report.checks if check.verdict is not Verdict.PASS]
    words = {"seeds": "too few seeds", "AUGRC": "AUGRC", "accuracy": "accuracy", "MCC": "MCC"}
    return ", ".join(told for word, told in words.items() if any(f" {word} " in name for name in missed))
