"""Reports as people see them: in a real browser, on a desk and on a telephone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from stage1_core.acceptance import Verdict
from stage1_core.report.arms import arms_report
from stage1_core.report.comparison import comparison_report
from stage1_core.report.html import release_report
from stage1_core.report.page import LARGEST_BYTES
from tests.report import toys

pytestmark = pytest.mark.slow

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
MISSED = "NLL agrees with log(1 + exp) of the margins"
SIZES = {"desk": (1280, 800), "telephone": (390, 844)}


def _accepted() -> str:
    return release_report(toys.contents(toys.softmax_policy(1500), toys.rows(600), Verdict.PASS))


def _rejected() -> str:
    return release_report(toys.contents(toys.softmax_policy(1500), toys.rows(600), Verdict.FAIL))


def _many_checks() -> str:
    contents = toys.contents(toys.softmax_policy(1500), toys.rows(600), Verdict.PASS)
    return release_report(replace(contents, acceptance=toys.many_checks()))


def _one_of_many_failed() -> str:
    contents = toys.contents(toys.softmax_policy(1500), toys.rows(600), Verdict.PASS)
    return release_report(replace(contents, acceptance=toys.many_checks(missed=(MISSED,))))


def _no_exit() -> str:
    policy = toys.softmax_policy(60)
    assert not policy.can_exit
    return release_report(toys.contents(policy, toys.rows(600), Verdict.INSUFFICIENT_EVIDENCE))


def _gate() -> str:
    return release_report(toys.contents(toys.gate_policy(3000), toys.gated_rows(900), Verdict.PASS, compared=True))


def _gate_not_adopted() -> str:
    compared = toys.comparison(gate_is_better=False)
    return comparison_report("stage1-roadwork 1.4.0", compared, toys.adoption(compared))


def _gate_without_exits() -> str:
    compared = toys.comparison_without_exits()
    return comparison_report("stage1-roadwork 1.4.0", compared, toys.adoption(compared))


def _arms() -> str:
    return arms_report("stage1-roadwork 1.4.0", *toys.arms(better=True), toys.BATCH_SIZES)


def _no_arm_adopted() -> str:
    return arms_report("stage1-roadwork 1.4.0", *toys.arms(better=False), toys.BATCH_SIZES)


PAGES: dict[str, tuple[Callable[[], str], str]] = {
    "accepted": (_accepted, "PASS"),
    "rejected": (_rejected, "FAIL"),
    "many-checks": (_many_checks, "PASS"),
    "one-of-many-failed": (_one_of_many_failed, "FAIL"),
    "no-exit": (_no_exit, "INSUFFICIENT EVIDENCE"),
    "gate": (_gate, "PASS"),
    "gate-not-adopted": (_gate_not_adopted, "NOT ADOPTED"),
    "gate-without-exits": (_gate_without_exits, "NOT ADOPTED"),
    "arms": (_arms, "ADOPTED"),
    "no-arm-adopted": (_no_arm_adopted, "NOT ADOPTED"),
}
"""How each page is made, and the word that it must open with."""


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A page in the browser, and what it did while it opened."""

    page: Page
    path: Path
    word: str
    complaints: list[str]
    requests: list[str]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every page as a file."""
    folder = tmp_path_factory.mktemp("reports")
    paths = {name: folder / f"{name}.html" for name in PAGES}
    for name, (make, _) in PAGES.items():
        paths[name].write_text(make(), encoding="utf-8")
    return paths


@pytest.fixture(params=[(name, size) for name in PAGES for size in SIZES], ids="-".join)
def opened(request: pytest.FixtureRequest, browser: Browser, written: dict[str, Path]) -> Iterator[Opened]:
    """Each page in each size; pictures of it stay in build/screenshots."""
    name, size = request.param
    width, height = SIZES[size]
    with browser.new_page(viewport={"width": width, "height": height}) as page:
        complaints: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda sent: requests.append(sent.url))
        page.goto(written[name].as_uri(), wait_until="load")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}-{size}.png")
        page.screenshot(path=SCREENSHOTS / f"{name}-{size}-whole.png", full_page=True)
        yield Opened(page, written[name], PAGES[name][1], complaints, requests)


def test_the_page_is_whole_quiet_and_answers_on_its_first_screen(opened):
    page = opened.page
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [opened.path.as_uri()]
    assert opened.path.stat().st_size <= LARGEST_BYTES

    height = page.viewport_size["height"]
    word = page.locator(".verdict .word")
    assert opened.word in word.inner_text()
    limit = page.locator(".limits li").first
    for seen in (word, page.locator(".verdict .answer"), limit):
        box = seen.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height, f"{seen.inner_text()!r} is not on the first screen"

    widths = page.evaluate("[...document.images].map(image => image.complete ? image.naturalWidth : 0)")
    assert widths
    assert min(widths) > 0
    inner, outer = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert inner <= outer, "the body scrolls sideways"


@pytest.fixture(params=list(SIZES))
def show(request: pytest.FixtureRequest, browser: Browser, written: dict[str, Path]) -> Iterator[Callable[[str], Page]]:
    """``show(name)``: one page, in each size unless a test names its own."""
    width, height = SIZES[request.param]
    with browser.new_page(viewport={"width": width, "height": height}) as page:

        def opened_page(name: str) -> Page:
            page.goto(written[name].as_uri(), wait_until="load")
            return page

        yield opened_page


def test_folded_checks_are_opened_by_their_row(show):
    page = show("many-checks")
    check = page.get_by_text(MISSED)
    assert not check.is_visible()
    page.get_by_text("8 checks:").click()
    assert check.is_visible()


def test_a_failed_check_is_seen_without_opening_anything_and_is_the_first(show):
    page = show("one-of-many-failed")
    assert page.get_by_text(MISSED).is_visible()
    assert page.locator(".checks tbody tr").first.inner_text().startswith(MISSED)


def test_paper_shows_the_folded_checks(show):
    page = show("many-checks")
    page.emulate_media(media="print")
    assert page.get_by_text(MISSED).evaluate("cell => cell.checkVisibility({contentVisibilityAuto: true})")
    assert page.get_by_text(MISSED).bounding_box()["height"] > 0


@pytest.mark.parametrize("show", ["desk"], indirect=True)
def test_two_screens_of_a_desk_hold_every_reason_and_the_promise_with_its_count(show):
    page = show("many-checks")
    for seen in (page.locator("#why"), page.locator("#certificate tr", has_text="exact upper bound")):
        box = seen.bounding_box()
        assert box["y"] + box["height"] <= 2 * page.viewport_size["height"]


def test_digests_are_never_broken_in_tables_of_many_columns(show):
    page = show("accepted")
    for digest in page.locator(".data code").all():
        assert digest.evaluate("code => code.getClientRects().length") == 1
        assert len(digest.get_attribute("title")) == 64
    assert page.locator(".data code").count() == 12


@pytest.mark.parametrize("show", ["desk"], indirect=True)
def test_the_record_of_openings_fits_on_a_desk(show):
    page = show("accepted")
    inner, outer = page.locator(".data").last.evaluate("box => [box.scrollWidth, box.clientWidth]")
    assert inner <= outer


@pytest.mark.parametrize("show", ["desk"], indirect=True)
def test_the_tables_of_ten_arms_fit_on_a_desk(show):
    page = show("arms")
    for box in page.locator(".numbers").all():
        inner, outer = box.evaluate("box => [box.scrollWidth, box.clientWidth]")
        assert inner <= outer


def test_figures_are_large_enough_for_their_letters(show):
    page = show("gate")
    for width in page.evaluate("[...document.images].map(image => image.clientWidth)"):
        assert width >= 480
