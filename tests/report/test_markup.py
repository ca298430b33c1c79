from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stage1_core.report.markup import Html, element, facts, plain_data, table, void_element

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


def test_nested_data_become_one_table_for_each_mapping():
    made = plain_data("Splits", {"seed": 7, "splits": {"train": {"rows": 10}, "val": {"rows": None}}})
    assert made.count("<table") == 2
    for shown in ("<td>7</td>", ">train<", "<td>10</td>", "<td>none</td>"):
        assert shown in made


def test_deeply_nested_and_mixed_data_are_shown():
    made = plain_data("d", {"a": {"b": {"c": {"d": 1.5}}, "e": True}, "f": [{"g": 1}, "h"], "i": [], "j": {}})
    for shown in ("1.5", "yes", ">g<", ">h<", "none"):
        assert shown in made


def test_a_long_list_is_cut_and_the_cut_is_counted():
    made = plain_data("d", {"bad": [{"path": str(index)} for index in range(500)]})
    assert "first 60 of 500" in made
    assert made.count("<tr>") == 61
