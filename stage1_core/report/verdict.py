"""The first screen: may this be released, why, and what are its limits."""

from __future__ import annotations

from stage1_core.acceptance import Verdict
from stage1_core.report.checks import MARKS, acceptance_section
from stage1_core.report.contents import ReportContents
from stage1_core.report.markup import Html, element, join, section
from stage1_core.report.wording import ANSWERS, RISK_SENTENCES, percent, promise

LONGEST_WORD = 12
"""Characters of a verdict that fit in the largest type."""


def verdict_box(contents: ReportContents) -> Html:
    """The verdict as a word, an answer and what it is about."""
    verdict = contents.acceptance.verdict
    checks = contents.acceptance.checks
    held = sum(check.verdict is Verdict.PASS for check in checks)
    counted = f"{held} of {len(checks)} checks passed." if checks else "No check was made."
    if not contents.policy.can_exit:
        about = "Nothing is certified: every picture goes on to the second stage."
    else:
        sure = percent(contents.constraint.confidence)
        about = f"Promise, at {sure} confidence: {promise(contents.constraint)}"
    return banner(
        verdict,
        question="May this be released?",
        word=verdict.value.replace("_", " "),
        answer=f"{ANSWERS[verdict]} {counted}",
        about=about,
    )


def banner(verdict: Verdict, *, question: str, word: str, answer: str, about: str) -> Html:
    """The coloured box that opens a page: a question, its answer in a word and in a sentence, and what it is about."""
    size = "word long" if len(word) > LONGEST_WORD else "word"
    asked = element(
        "div", element("p", question, class_="question"), element("p", f"{MARKS[verdict]} {word}", class_=size)
    )
    answered = element("div", element("p", answer, class_="answer"), element("p", about))
    return element("div", asked, answered, class_=f"verdict {verdict.value}")


def synthetic_warning() -> Html:
    """What numbers on rendered pictures are worth."""
    return element(
        "div",
        element("strong", "Rendered scenes. "),
        "Pictures behind these numbers were rendered, not photographed. They show that the machinery works and say "
        "nothing about real streets: fit, certify and evaluate on photographs before any use.",
        class_="warning",
        role="note",
    )


EVERY_ROW = (
    "Pictures of one group (a scene, a video) were counted as if they were independent. Where they resemble each "
    "other, the bound is too small."
)


def limits_section(contents: ReportContents) -> Html:
    """What the certificate does not say."""
    items = [
        (
            "Pictures like the calibration pictures.",
            "The certificate holds for rows exchangeable with the calibration rows. Other cities, cameras, weather or "
            "class shares need a new one.",
        ),
        ("Confidence.", confidence_statement(contents)),
        ("VAL_TEST.", openings_statement(contents.val_test_openings)),
    ]
    if contents.policy.can_exit:
        counted = RISK_SENTENCES[contents.constraint.risk]
        average = f"The rate counts {counted}, over all sources together. A single source or place can be worse."
        items.insert(2, ("An average.", average))
    if contents.constraint.counting == "every_row":
        items.insert(1, ("Every row was counted.", EVERY_ROW))
    listed = [element("li", element("strong", lead), f" {text}") for lead, text in items]
    return section("Limits", element("ul", *listed, class_="limits"))


def confidence_statement(contents: ReportContents) -> str:
    """What the confidence is about, in plain words."""
    sure, wrong = percent(contents.constraint.confidence), percent(contents.constraint.delta)
    if not contents.policy.can_exit:
        return f"No threshold could be certified at {sure}, so nothing is promised beyond sending every picture on."
    return (
        f"{sure} belongs to the procedure: were fresh calibration pictures drawn again and again, at most {wrong} of "
        "the draws would certify a policy that breaks the promise. It is not the chance that one picture is right."
    )


def openings_statement(openings: int | None) -> str:
    """How far the final numbers can be trusted, by how often their rows were looked at."""
    if openings is None:
        return "How often it was opened is unknown; do not trust its numbers as final."
    if openings == 0:
        return "Never opened: no number here is a final evaluation."
    if openings == 1:
        return "Opened once: no earlier look at it can have shaped this release."
    return f"Opened {openings} times: choices made in between may have adapted to it, so its numbers can flatter."


def first_screen(contents: ReportContents) -> Html:
    """Verdict, warning, acceptance table and limits."""
    parts = [element("h1", contents.title), verdict_box(contents)]
    if contents.synthetic:
        parts.append(synthetic_warning())
    pair = element("div", acceptance_section(contents.acceptance), limits_section(contents), class_="pair")
    return join([*parts, pair])
