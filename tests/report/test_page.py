from __future__ import annotations

import pytest

from stage1_core.report.markup import anchor, element
from stage1_core.report.page import caption_of, page
from tests.report.page_reader import Page


@pytest.mark.parametrize(
    ("name", "caption"),
    [("3-risk-coverage", "Risk coverage"), ("certificate_sweep", "Certificate sweep"), ("10-AUGRC", "AUGRC"), ("", "")],
)
def test_a_figures_number_sorts_files_and_is_not_shown(name, caption):
    assert caption_of(name) == caption


def test_a_heading_is_linked_to_by_its_words():
    assert anchor("Other picture  geometries") == "other-picture-geometries"


def test_a_title_cannot_leave_its_element():
    read = Page(page("</title><script>alert(1)</script>", element("p", "text"), figures={}))
    assert "script" not in read.tags
    assert read.text == "text"
