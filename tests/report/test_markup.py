from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stage1_core.report.markup import Html, element, facts, table, void_element

HOSTILE = "<script>alert('\"&')</script>"


@given(st.text())
def test_text_never_opens_an_element(text):
    inner = element("p", text).removeprefix("<p>").removesuffix("</p>")
    assert "<" not in inner
    assert ">" not in inner


@given(st.text())
def test_an_attribute_never_ends_early(text):
    assert void_element("img", alt=text).count('"') == 2


def test_markup_is_not_escaped_twice():
    assert element("p", element("b", "a & b")) == "<p><b>a &amp; b</b></p>"


def test_a_trailing_underscore_of_an_attribute_is_left_out():
    assert element("p", class_="note") == '<p class="note"></p>'


def test_tables_escape_captions_headers_and_cells():
    for made in (table(HOSTILE, [HOSTILE], [[HOSTILE]]), facts(HOSTILE, {HOSTILE: HOSTILE})):
        assert isinstance(made, Html)
        assert "<script" not in made
