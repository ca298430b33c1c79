from __future__ import annotations

from stage1_core.report.plain_data import plain_data
from tests.report import toys
from tests.report.page_reader import Page


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


def test_digests_in_a_table_are_short_and_keep_the_whole_in_their_title():
    page = Page(f"<body>{plain_data('Splits', {'openings': [toys.OPENING]})}</body>")
    assert "aaaaaaaaaaaa…" in page.text
    assert "a" * 13 not in page.text
    titles = [value for tag, name, value in page.attributes if (tag, name) == ("code", "title")]
    assert titles == [digit * 64 for digit in "abcd0e"]


def test_a_digest_with_a_line_of_its_own_is_shown_whole():
    made = plain_data("Splits", {"ledger_digest": "f" * 64, "rows_digests": {"fit_weights": "e" * 64}})
    assert f"<code>{'f' * 64}</code>" in made
    assert f"<code>{'e' * 64}</code>" in made


def test_a_hexadecimal_text_of_another_length_is_no_digest():
    assert "…" not in plain_data("d", {"list": [{"colour": "a" * 63}, {"colour": "a" * 65}]})


def test_times_are_shown_as_people_write_them():
    text = Page(f"<body>{plain_data('Splits', {'openings': [toys.OPENING]})}</body>").text
    assert "2026-03-05 09:41:07 UTC" in text
    assert "T09:41" not in text


def test_fields_are_named_in_words_and_keys_that_are_data_stay_as_they_are():
    text = Page(
        f"<body>{plain_data('S', {'rows_digests': {'old_town': 'x'}, 'list': [{'delta_spent': 1}]})}</body>"
    ).text
    assert "S: rows digests" in text
    assert "delta spent" in text
    assert "old_town" in text


def test_markup_around_a_digest_stays_text():
    assert "<script" not in plain_data("d", {"list": [{"subject": f"<script>{'a' * 64}<script>"}, {}]})
