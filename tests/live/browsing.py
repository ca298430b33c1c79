"""Pages of Prefect and MLflow, as an operator uses them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

from playwright.sync_api import Locator, Page, Response, expect

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots" / "pages"
SECONDS_OF_A_RUN = 180
"""A run takes some twenty; a loaded machine is slower."""
PRESSES = 40
"""On SQLite, while a run writes its log, half of them find the server busy."""
ENDS = re.compile(r"^(Completed|Failed|Crashed|Cancelled|Rejected|InsufficientEvidence|Refused|NothingToDo|Suspended)$")


def picture(page: Page, name: str) -> None:
    """Keep what is on the screen in build/screenshots/pages."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


@dataclass(frozen=True)
class Form:
    """A form that Prefect made of a schema: of parameters on a page, of an answer in a dialog."""

    place: Locator
    depth: int = 0
    """Fields around these fields: a flow's one parameter is itself a field."""

    def field(self, *path: str) -> Locator:
        """The field whose label is the last of ``path``, below fields with the labels before it."""
        found = self.place
        for depth, label in enumerate(path, start=self.depth + 1):
            heading = f"(normalize-space()='{label}' or normalize-space()='{label} (Optional)')"
            around = "ancestor::div[contains(concat(' ', @class, ' '), ' group ')]"
            found = found.locator(f"xpath=.//label[{heading} and count({around})={depth}]/{around}[1]")
        return found

    def fill(self, value: str, *path: str) -> None:
        self.field(*path).locator("input, textarea").fill(value)

    def choose(self, option: str, *path: str) -> None:
        """One of the values of a list."""
        self.field(*path).get_by_role("button", name=re.compile("^Select")).click()
        self.field(*path).page.get_by_role("option", name=option, exact=True).click()

    def take(self, alternative: str, *path: str) -> None:
        """One of several kinds."""
        self.field(*path).get_by_role("tab", name=alternative, exact=True).click()

    def complaint(self, *path: str) -> str:
        """What the browser says is wrong with a number."""
        return str(self.field(*path).locator("input").evaluate("input => input.validationMessage"))

    def submit(self, button: str = "Submit") -> None:
        self.place.get_by_role("button", name=button, exact=True).click()


@dataclass(frozen=True)
class PrefectPages:
    """The pages that Prefect serves at ``url`` by default."""

    page: Page
    url: str

    def custom_run(self, deployment: UUID, name: str) -> Form:
        """The form for a run of ``deployment`` that is to be called ``name``."""
        self.page.goto(f"{self.url}/v2/deployments/deployment/{deployment}")
        self.page.get_by_role("button", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Custom run").click()
        self.page.get_by_label("Run Name").fill(name)
        return Form(self.page.get_by_role("main"), depth=1)

    def notice(self) -> Locator:
        """The message that pops up."""
        return self.page.get_by_role("region", name="Notifications").get_by_role("listitem")

    def send(self, form: Form, endpoint: str, button: str = "Submit") -> Response:
        """Press the button, and again while the server says that it is busy; its answer.

        On SQLite a request that reads before it writes is refused with 503 as soon as another has written in between.
        Prefect's client then repeats it; its page shows a message and leaves that to the person.
        """
        for _ in range(PRESSES):
            with self.page.expect_response(re.compile(f"/{endpoint}$")) as answer:
                form.submit(button)
            if answer.value.status != HTTPStatus.SERVICE_UNAVAILABLE:
                return answer.value
            self.page.wait_for_timeout(500)
        raise AssertionError(f"{endpoint}: the server was busy {PRESSES} times")

    def start(self, form: Form) -> None:
        """Send the form of a run, and open the page of the run that it starts."""
        run = self.send(form, "create_flow_run").json()
        self.page.goto(f"{self.url}/v2/runs/flow-run/{run['id']}")

    def end(self) -> str:
        """Watch the page of a run until the run ends or waits for an answer; the name of that state."""
        badge = self.page.get_by_role("main").get_by_text(ENDS).first
        expect(badge).to_be_visible(timeout=1000 * SECONDS_OF_A_RUN)
        return badge.inner_text()

    def tab(self, name: str) -> Locator:
        self.page.get_by_role("tab", name=name, exact=True).click()
        return self.page.get_by_role("tabpanel", name=name, exact=True)

    def end_of_log(self) -> Locator:
        """The newest lines of the run's log: the page holds no more of them than it shows."""
        log = self.tab("Logs")
        log.get_by_role("combobox", name="log sort order").click()
        self.page.get_by_role("option", name="Newest to oldest").click()
        return log

    def artifact_keys(self) -> set[str]:
        """Of the artifacts of the run whose page is open."""
        headings = self.tab("Artifacts").get_by_role("heading")
        expect(headings.first).to_be_visible()
        return set(headings.all_inner_texts())

    def artifact(self, key: str) -> Locator:
        """The content of an artifact of the run whose page is open."""
        self.tab("Artifacts").get_by_role("heading", name=key, exact=True).click()
        self.page.locator("a[href*='/artifacts/artifact/']").first.click()  # the newest of this key
        return self.page.get_by_role("tabpanel", name="Artifact", exact=True)

    def resume(self) -> Locator:
        """The dialog that asks what a suspended run waits for."""
        self.page.get_by_role("main").get_by_role("button", name="Open menu").first.click()
        self.page.get_by_role("menuitem", name="Resume").click()
        return self.page.get_by_role("dialog")


def open_model_version(page: Page, mlflow: str, model: str, version: int) -> Locator:
    """MLflow's page of a registered version; its aliases."""
    page.goto("about:blank")  # its addresses differ behind the # only, which alone loads nothing anew
    page.goto(f"{mlflow}/#/models/{model}/versions/{version}")
    expect(page.get_by_role("heading", name=f"Version {version}")).to_be_visible()
    return page.get_by_role("status").filter(has_text="@")
