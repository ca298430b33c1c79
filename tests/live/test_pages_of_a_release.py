"""An operator's day in a real browser: start a run from its form, read what came of it, promote what it released.

Takes some two minutes on two cores. Pictures of every page stay in build/screenshots/pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect
from prefect import Flow
from prefect.deployments.runner import EntrypointType
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.baseline import baseline
from flows.release import promotion
from stage1_core.bundle.manifest import ReleaseConfig
from tests.integration.toys import draw_pictures, toy_config
from tests.live.browsing import Form, PrefectPages, open_model_version, picture
from tests.live.deploying import make_pool
from tests.live.servers import started, worker

POOL, MODEL = "pages", "seen-in-a-browser"
FIRST_RUN = "first release"


@dataclass(frozen=True)
class Stack:
    """Servers with a worker, and the deployments of two flows."""

    prefect: str
    mlflow: str
    baseline: UUID
    promotion: UUID


@pytest.fixture(scope="module")
def stack(prefect_url: str, mlflow_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("pages")
    config = toy_config(draw_pictures(folder / "pictures"), release=ReleaseConfig(name=MODEL, golden_pictures=4))
    parameters = baseline.serialize_parameters({"config": config})

    def deployed() -> tuple[UUID, UUID]:
        with temporary_settings(updates={PREFECT_API_URL: prefect_url}):
            make_pool(POOL)
            return _deploy(baseline, parameters), _deploy(promotion, {})

    # The browser's driver runs an event loop in this thread, in which Prefect's calls would return coroutines.
    with ThreadPoolExecutor() as elsewhere:
        deployments = elsewhere.submit(deployed).result()
    with started(worker(POOL, folder / "workspace", prefect=prefect_url, mlflow=mlflow_url)):
        yield Stack(prefect_url.removesuffix("/api"), mlflow_url, *deployments)


def _deploy(flow: Flow[Any, Any], parameters: dict[str, Any]) -> UUID:
    made = flow.to_deployment(
        flow.name, parameters=parameters, entrypoint_type=EntrypointType.MODULE_PATH, work_pool_name=POOL
    )
    return made.apply()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_page(viewport={"width": 1400, "height": 1000}) as page:
        page.set_default_timeout(30_000)
        yield page


@pytest.fixture
def pages(page: Page, stack: Stack) -> PrefectPages:
    return PrefectPages(page, stack.prefect)


@pytest.fixture
def form(pages: PrefectPages, stack: Stack) -> Form:
    """The form of the baseline, as the deployment fills it in."""
    return pages.custom_run(stack.baseline, FIRST_RUN)


@pytest.fixture(scope="module")
def first_run(stack: Stack, browser: Browser) -> str:
    """Address of the page of a run that was started from its form with another number of epochs; it completed."""
    with browser.new_page(viewport={"width": 1400, "height": 1000}) as page:
        pages = PrefectPages(page, stack.prefect)
        form = pages.custom_run(stack.baseline, FIRST_RUN)
        form.fill("5", "Training", "Epochs")
        pages.start(form)
        end = pages.end()
        picture(page, "run-logs")
        assert end == "Completed", page.get_by_role("log").inner_text()
        return page.url


@pytest.fixture
def finished(first_run: str, pages: PrefectPages) -> PrefectPages:
    """The page of the first run."""
    pages.page.goto(first_run)
    return pages


def test_the_form_opens_every_alternative_that_the_deployment_names(form, page):
    source = form.field("Data", "Sources")
    expect(source.get_by_role("tab", name="natix_csv", exact=True)).to_have_attribute("aria-selected", "true")
    expect(form.field("Backbone").get_by_role("tab", name="timm", exact=True)).to_have_attribute(
        "aria-selected", "true"
    )
    assert form.field("Constraint", "Max risk").locator("input").input_value() == "0.1"
    assert form.field("Release", "Name").locator("textarea").input_value() == MODEL
    picture(page, "form")


def test_the_form_refuses_a_number_out_of_bounds_with_a_message(form, page):
    form.fill("0.5", "Constraint", "Max risk")
    form.submit()
    assert form.complaint("Constraint", "Max risk") == "Value must be less than or equal to 0.1."
    picture(page, "form-number-out-of-bounds")
    form.fill("0.05", "Constraint", "Max risk")
    assert form.complaint("Constraint", "Max risk") == ""


def test_what_only_the_server_can_refuse_is_said_beside_the_field(form, pages, page):
    form.fill("one", "Release", "Version")
    form.submit()
    expect(pages.notice().first).to_contain_text("config.release.version")
    expect(form.field("Release", "Version")).to_contain_text("'one' does not match")
    picture(page, "form-version-refused")


def test_a_run_says_its_verdict_in_the_log(finished, page):
    expect(finished.end_of_log()).to_contain_text("baseline: PASS")


def test_a_run_shows_every_check_with_its_evidence(finished, page):
    assert {"acceptance", "splits", "audit", "report", "mlflow-run"} <= finished.artifact_keys()
    table = finished.artifact("acceptance")
    rows = table.get_by_role("row")
    expect(rows.nth(8)).to_be_visible()
    assert rows.first.inner_text().split() == ["verdict", "check", "demand", "evidence"]
    assert [row.get_by_role("cell").first.inner_text() for row in rows.all()[1:]] == ["PASS"] * 8
    expect(table).to_contain_text("upper bound ≤ 10.00% at 90%")
    picture(page, "acceptance")


def test_figures_are_drawn_in_the_page(finished, page):
    figures = sorted(key for key in finished.artifact_keys() if key.startswith("figure-"))
    assert len(figures) == 7
    drawn = finished.artifact(figures[0]).locator("img").first
    expect(drawn).to_be_visible()
    assert drawn.evaluate("image => image.naturalWidth") >= 800
    picture(page, "figure")


def test_the_report_is_opened_from_the_run(finished, page):
    page.goto(finished.artifact("report").get_by_role("link", name="release report").get_attribute("href"))
    report = page.frame_locator("iframe")
    expect(report.get_by_text("Yes, this may be released. 8 of 8 checks passed.")).to_be_visible()
    picture(page, "report-in-mlflow")


def test_metrics_with_their_bounds_and_what_the_form_said_are_opened_from_the_run(finished, page):
    page.goto(finished.artifact("mlflow-run").get_by_role("link", name="run in MLflow").get_attribute("href"))
    expect(page.get_by_role("heading", name="baseline").first).to_be_visible()
    search = page.get_by_placeholder("Search metrics")
    search.fill("fnr_on_exited")
    for name in ("fnr_on_exited", "fnr_on_exited_upper", "fnr_on_exited_trials"):
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    page.get_by_placeholder("Search parameters").fill("training.epochs")
    expect(page.get_by_role("row").filter(has_text="training.epochs").get_by_role("cell").last).to_have_text("5")
    picture(page, "run-in-mlflow")


def test_a_run_without_enough_evidence_says_so_by_its_state_and_says_why(form, first_run, pages, page):
    form.fill("5", "Training", "Epochs")
    form.fill("0.005", "Constraint", "Max risk")
    page.get_by_label("Run Name").fill("asks too much")
    pages.start(form)
    assert pages.end() == "InsufficientEvidence"
    expect(pages.end_of_log()).to_contain_text("baseline: INSUFFICIENT_EVIDENCE — certified fnr_on_exited")
    picture(page, "run-rejected")
    assert "figure-1-certificate" in pages.artifact_keys()
    expect(pages.artifact("acceptance")).to_contain_text("INSUFFICIENT_EVIDENCE")
    expect(page.get_by_role("complementary")).to_contain_text("State Message")
    picture(page, "acceptance-rejected")


def test_a_person_approves_the_promotion_in_the_page(stack, first_run, pages, page):
    aliases = open_model_version(page, stack.mlflow, MODEL, 1)
    expect(aliases).to_have_text(["@ candidate"])
    picture(page, "version-candidate")

    form = pages.custom_run(stack.promotion, "promotion")
    form.fill(MODEL, "Model")
    form.take("human", "Config", "Approval")
    picture(page, "promotion-form")
    pages.start(form)
    assert pages.end() == "Suspended"

    dialog = pages.resume()
    expect(dialog.get_by_role("row")).to_have_count(9)
    picture(page, "approval")
    answer = Form(dialog)
    answer.choose("approve", "Decision")
    answer.fill("Ada", "Approver")
    answer.fill(dialog.locator("code").last.inner_text(), "Code")
    answer.fill("good", "Reason")
    pages.send(answer, "resume", "Resume")
    expect(pages.notice().first).to_contain_text("'good' is too short")
    picture(page, "approval-refused")
    answer.fill("first certified bundle", "Reason")
    pages.send(answer, "resume", "Resume")
    expect(dialog).to_be_hidden()
    assert pages.end() == "Completed"
    picture(page, "promotion-completed")

    aliases = open_model_version(page, stack.mlflow, MODEL, 1)
    expect(aliases).to_have_text(["@ champion"])
    picture(page, "version-champion")
