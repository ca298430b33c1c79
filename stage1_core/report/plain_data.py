"""JSON-like data as tables, for what is shown as it was recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from stage1_core.report.markup import Html, element, facts, join, table

LONGEST_TABLE = 60
"""Rows of a table that are shown before the rest is only counted."""
SHOWN_DIGITS = 12
"""Of a digest in a table of many columns; the whole one is its title."""
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


def plain_data(caption: str, values: Mapping[str, object]) -> Html:
    """JSON-like data as tables: scalars first, then one table for each nested mapping or list of mappings."""
    scalars = {name: value for name, value in values.items() if not _is_nested(value)}
    named = {name: whole(scalar(value)) for name, value in scalars.items()}
    parts = [facts(caption, named)] if scalars else []
    for name, value in values.items():
        if name not in scalars:
            parts.append(_nested(f"{caption}: {in_words(name)}", value))
    return join(parts)


def in_words(name: str) -> str:
    """The name of a field as a heading: "rows_digest" is "rows digest"."""
    return name.replace("_", " ")


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


def whole(text: str) -> str:
    """``text`` for a wide cell: a digest is set as code, with all its digits."""
    return element("code", text) if DIGEST.fullmatch(text) else text


def short(text: str) -> str:
    """``text`` for a narrow cell: digests by their first digits with the whole in their title, times without "T"."""
    if TIME.fullmatch(text):
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"
    if DIGEST.search(text) is None:
        return text
    parts, place = [], 0
    for found in DIGEST.finditer(text):
        parts.append(text[place : found.start()])
        parts.append(element("code", f"{found[0][:SHOWN_DIGITS]}…", title=found[0]))
        place = found.end()
    return element("span", *parts, text[place:])


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
    rows = [[short(scalar(record[name])) if name in record else "" for name in columns] for record in shown]
    return table(caption, [in_words(name) for name in columns], rows, class_="data")


def _is_nested(value: object) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(v, Mapping) for v in value)


def _is_record(value: object) -> bool:
    return isinstance(value, Mapping) and not any(_is_nested(item) for item in value.values())
