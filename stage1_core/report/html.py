"""The release report: one HTML file that needs no network, opens with the verdict and prints."""

from __future__ import annotations

from collections.abc import Mapping

from stage1_core.policy import ScrcPolicy
from stage1_core.report.certificate import certificate_section
from stage1_core.report.class_calibration import class_calibration_section
from stage1_core.report.comparison import comparison_section
from stage1_core.report.contents import ReportContents
from stage1_core.report.markup import Html, anchor, element, facts, section
from stage1_core.report.method_promise import HEADING, method_promise_section
from stage1_core.report.numbers import evaluation_section
from stage1_core.report.page import Pictures, gallery, page
from stage1_core.report.plain_data import plain_data
from stage1_core.report.verdict import first_screen


def release_report(contents: ReportContents) -> str:
    """The page, as text to be written in UTF-8. Equal contents give equal text: nothing of time or machine is added.

    Raises `Stage1Error` for bytes that are no PNG and for a page of more than `LARGEST_BYTES`.
    """
    parts = [("Certificate", certificate_section(contents.policy, contents.constraint))]
    if isinstance(contents.policy, ScrcPolicy):
        parts.append((HEADING, method_promise_section(contents.policy)))
        parts.append(("Calibration", class_calibration_section(contents.policy)))
    if contents.comparison is not None:
        parts.append(("Comparison", comparison_section(contents.comparison, contents.acceptance)))
    parts += [
        ("Evaluation", evaluation_section(contents.evaluation, contents.transforms)),
        ("Figures", _figures(contents.figures)),
        ("Data", _data(contents.data_summary)),
        ("Provenance", _provenance(contents.provenance)),
    ]
    return page(
        f"{contents.acceptance.verdict.value}: {contents.title}",
        first_screen(contents),
        element("nav", *(element("a", name, href=f"#{anchor(name)}") for name, _ in parts)),
        *(part for _, part in parts),
        figures=contents.figures,
    )


def _figures(figures: Pictures) -> Html:
    return section("Figures", gallery(figures) if figures else element("p", "No figure was drawn."))


def _data(summary: Mapping[str, object]) -> Html:
    return section("Data", plain_data("Splits", summary) if summary else element("p", "No data summary was given."))


def _provenance(provenance: Mapping[str, str]) -> Html:
    if not provenance:
        return section("Provenance", element("p", "No provenance was given: this release cannot be traced."))
    return section("Provenance", facts("What this was made from", {k: _traced(v) for k, v in provenance.items()}))


def _traced(value: str) -> Html:
    if "\n" not in value.strip():
        return element("code", value.strip())
    lines = value.strip().count("\n") + 1
    return element("details", element("summary", f"{lines} lines"), element("pre", value.strip()))
