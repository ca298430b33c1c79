"""HTML elements that cannot forget to escape: text is escaped unless it already is `Html`."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str) -> Html:
    """``<tag attributes>children</tag>``. An attribute is written without its trailing underscore (``class_``)."""
    inner = "".join(child if isinstance(child, Html) else html.escape(child) for child in children)
    return Html(f"{_opened(tag, attributes)}{inner}</{tag}>")


def void_element(tag: str, **attributes: str) -> Html:
    """An element that has no content, such as ``img``."""
    return Html(_opened(tag, attributes))


def join(parts: Sequence[Html]) -> Html:
    """Several elements, one behind the other."""
    return Html("\n".join(parts))


def section(heading: str, *children: Html) -> Html:
    """A part of the page under its heading, at the anchor that `anchor` names."""
    return element("section", element("h2", heading), *children, id=anchor(heading))


def anchor(heading: str) -> str:
    """The name under which a section can be linked to: "Figures of both" is "figures-of-both"."""
    return "-".join(heading.lower().split())


def table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *, class_: str = "") -> Html:
    """A table whose first column names the rows. Wide tables scroll inside their own box."""
    head = element("tr", *(element("th", name, scope="col") for name in headers))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    ]
    content = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return element("div", content, class_=f"scroll {class_}".strip())


def facts(caption: str, pairs: Mapping[str, str]) -> Html:
    """Two columns: name and value."""
    rows = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in pairs.items()]
    return element(
        "div", element("table", element("caption", caption), element("tbody", *rows), class_="facts"), class_="scroll"
    )


def _opened(tag: str, attributes: Mapping[str, str]) -> str:
    written = (f' {name.rstrip("_")}="{html.escape(value)}"' for name, value in attributes.items())
    return f"<{tag}{''.join(written)}>"
