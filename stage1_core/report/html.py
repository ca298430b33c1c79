"""The release report: one HTML file that needs no network, opens with the verdict and prints."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError

from stage1_core.errors import Stage1Error
from stage1_core.report.contents import ReportContents
from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.markup import Html, element, facts, join, plain_data, void_element
from stage1_core.report.numbers import certificate_section, evaluation_section
from stage1_core.report.stylesheet import STYLESHEET
from stage1_core.report.verdict import first_screen

LARGEST_BYTES = 3_000_000
"""A report is mailed and shown inline by servers; more than this is refused."""
NO_NETWORK = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def release_report(contents: ReportContents) -> str:
    """The page, as text to be written in UTF-8. Equal contents give equal text: nothing of time or machine is added.

    Raises `Stage1Error` for bytes that are no PNG and for a page of more than `LARGEST_BYTES`.
    """
    body = element(
        "main",
        first_screen(contents),
        certificate_section(contents.policy, contents.constraint),
        evaluation_section(contents.evaluation),
        _figures(contents.figures),
        _data_section(contents.data_summary),
        _provenance_section(contents.provenance),
    )
    head = element(
        "head",
        void_element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{NO_NETWORK}">'),
        void_element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{contents.acceptance.verdict.value}: {contents.title}"),
        element("style", Html(STYLESHEET)),
    )
    page = f"<!doctype html>\n{element('html', head, element('body', body), lang='en')}\n"
    size = len(page.encode())
    if size > LARGEST_BYTES:
        sizes = ", ".join(f"{name} {len(_png(picture)):,}" for name, picture in contents.figures.items())
        raise Stage1Error(
            f"the report has {size:,} bytes, at most {LARGEST_BYTES:,} are allowed; "
            f"pass fewer or smaller figures (bytes: {sizes or 'no figures'}) or shorter tables"
        )
    return page


def _figures(figures: Mapping[str, Figure | bytes]) -> Html:
    if not figures:
        return element("section", element("h2", "Figures"), element("p", "No figure was drawn."))
    drawn = [_figure(name, _png(picture)) for name, picture in figures.items()]
    return element("section", element("h2", "Figures"), element("div", join(drawn), class_="columns"))


def _figure(name: str, png: bytes) -> Html:
    caption = name.replace("_", " ")
    caption = caption[:1].upper() + caption[1:]
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            alternative = str(image.info.get("Description", caption))
    except UnidentifiedImageError:
        raise Stage1Error(f"figure {name} is no PNG; pass a matplotlib Figure or the bytes of a PNG file") from None
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return element("figure", element("figcaption", caption), void_element("img", src=source, alt=alternative))


def _png(picture: Figure | bytes) -> bytes:
    return picture if isinstance(picture, bytes) else png_bytes(picture)


def _data_section(summary: Mapping[str, object]) -> Html:
    heading = element("h2", "Data")
    if not summary:
        return element("section", heading, element("p", "No data summary was given."))
    return element("section", heading, plain_data("Splits", summary))


def _provenance_section(provenance: Mapping[str, str]) -> Html:
    heading = element("h2", "Configuration and digests")
    if not provenance:
        return element("section", heading, element("p", "No provenance was given: this release cannot be traced."))
    return element("section", heading, facts("What this was made from", {k: _traced(v) for k, v in provenance.items()}))


def _traced(value: str) -> Html:
    if "\n" not in value.strip():
        return element("code", value.strip())
    lines = value.strip().count("\n") + 1
    return element("details", element("summary", f"{lines} lines"), element("pre", value.strip()))
