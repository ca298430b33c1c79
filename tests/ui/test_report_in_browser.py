"""Reports as people see them: in a real browser, on a desk and on a telephone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from stage1_core.acceptance import Verdict
from stage1_core.report.comparison import comparison_report
from stage1_core.report.html import release_report
from stage1_core.report.page import LARGEST_BYTES
from tests.report import toys

pytestmark = pytest.mark.slow

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
SIZES = {"desk": (1280, 800), "telephone": (390, 844)}


def _accepted() -> str:
    return release_report(toys.contents(toys.softmax_policy(1500), toys.rows(600), Verdict.PASS))


def _rejected() -> str:
    return release_report(toys.contents(toys.softmax_policy(1500), toys.rows(600), Verdict.FAIL))


def _no_exit() -> str:
    policy = toys.softmax_policy(60)
    assert not policy.can_exit
    return release_report(toys.contents(policy, toys.rows(600), Verdict.INSUFFICIENT_EVIDENCE))


def _gate() -> str:
    return release_report(toys.contents(toys.gate_policy(3000), toys.gated_rows(900), Verdict.PASS, compared=True))


def _gate_not_adopted() -> str:
    compared = toys.comparison(gate_is_better=False)
    return comparison_report("stage1-roadwork 1.4.0", compared, toys.adoption(compared))


PAGES: dict[str, tuple[Callable[[], str], str]] = {
    "accepted": (_accepted, "PASS"),
    "rejected": (_rejected, "FAIL"),
    "no-exit": (_no_exit, "INSUFFICIENT EVIDENCE"),
    "gate": (_gate, "PASS"),
    "gate-not-adopted": (_gate_not_adopted, "NOT ADOPTED"),
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
