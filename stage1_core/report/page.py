"""One HTML file that needs no network: the shell of every report, and figures inside it."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping

from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError

from stage1_core.errors import Stage1Error
from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.markup import Html, element, join, void_element
from stage1_core.report.stylesheet import STYLESHEET

LARGEST_BYTES = 3_000_000
"""A report is mailed and shown inline by servers; more than this is refused."""
NO_NETWORK = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
RANK = re.compile(r"^\d+-")
"""Figures are files that sort by name; the number in front is not for readers."""

Pictures = Mapping[str, Figure | bytes]
"""Figures, or PNG bytes, by name."""


def page(title: str, *parts: Html, figures: Pictures) -> str:
    """The page, as text to be written in UTF-8. ``figures`` are only weighed; ``parts`` hold them already.

    Equal parts give equal text: nothing of time or machine is added. Raises `Stage1Error` for a page of more than
    `LARGEST_BYTES`.
    """
    head = element(
        "head",
        void_element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{NO_NETWORK}">'),
        void_element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLESHEET)),
    )
    body = element("body", element("main", *parts))
    written = f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
    size = len(written.encode())
    if size > LARGEST_BYTES:
        sizes = ", ".join(f"{name} {len(_png(picture)):,}" for name, picture in figures.items())
        raise Stage1Error(
            f"the report has {size:,} bytes, at most {LARGEST_BYTES:,} are allowed; "
            f"pass fewer or smaller figures (bytes: {sizes or 'no figures'}) or shorter tables"
        )
    return written


def gallery(figures: Pictures) -> Html:
    """All figures, the first one over the full width. Raises `Stage1Error` for bytes that are no PNG."""
    drawn = [_figure(name, _png(picture)) for name, picture in figures.items()]
    return element("div", join(drawn), class_="columns")


def caption_of(name: str) -> str:
    """A figure's name as people read it: "3-risk-coverage" is "Risk coverage"."""
    words = RANK.sub("", name).replace("_", " ").replace("-", " ")
    return words[:1].upper() + words[1:]


def _figure(name: str, png: bytes) -> Html:
    caption = caption_of(name)
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            alternative = str(image.info.get("Description", caption))
            width, height = image.size
    except UnidentifiedImageError:
        raise Stage1Error(f"figure {name} is no PNG; pass a matplotlib Figure or the bytes of a PNG file") from None
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    picture = void_element("img", src=source, alt=alternative, width=str(width), height=str(height))
    return element("figure", element("figcaption", caption), picture)


def _png(picture: Figure | bytes) -> bytes:
    return picture if isinstance(picture, bytes) else png_bytes(picture)
