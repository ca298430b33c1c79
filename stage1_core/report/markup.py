"""HTML elements that cannot forget to escape: text is escaped unless it already is `Html`."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

LONGEST_TABLE = 60
"""Rows of a generic table that are shown before the rest is only counted."""


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


def plain_data(caption: str, values: Mapping[str, object]) -> Html:
    """JSON-like data as tables: scalars first, then one table for each nested mapping or list of mappings."""
    scalars = {name: value for name, value in values.items() if not _is_nested(value)}
    parts = [facts(caption, {name: scalar(value) for name, value in scalars.items()})] if scalars else []
    for name, value in values.items():
        if name not in scalars:
            parts.append(_nested(f"{caption}: {name}", value))
    return join(parts)


def scalar(value: object) -> str:
    """A leaf of JSON-like data as people read it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(scalar(item) for item in value) or "none"
    return str(value)


def _nested(caption: str, value: object) -> Html:
    if isinstance(value, Mapping):
        if not all(_is_record(item) for item in value.values()):
            return plain_data(caption, value)
        return _records(caption, [{"": name, **item} for name, item in value.items()])
    assert isinstance(value, Sequence)
    numbered = [item if isinstance(item, Mapping) else {"": scalar(item)} for item in value]
    return _records(caption, numbered)


def _records(caption: str, records: Sequence[Mapping[str, object]]) -> Html:
    columns = list(dict.fromkeys(name for record in records for name in record))
    shown = records[:LONGEST_TABLE]
    if len(records) > len(shown):
        caption = f"{caption} (first {len(shown)} of {len(records)})"
    rows = [[scalar(record[name]) if name in record else "" for name in columns] for record in shown]
    return table(caption, columns, rows, class_="data")


def _is_nested(value: object) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(v, Mapping) for v in value)


def _is_record(value: object) -> bool:
    return isinstance(value, Mapping) and not any(_is_nested(item) for item in value.values())


def _opened(tag: str, attributes: Mapping[str, str]) -> str:
    written = (f' {name.rstrip("_")}="{html.escape(value)}"' for name, value in attributes.items())
    return f"<{tag}{''.join(written)}>"
