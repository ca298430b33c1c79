from __future__ import annotations

import pytest

from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.release_figures import release_figures
from tests.report import toys

COMMON = ["risk-coverage", "exits-resampled", "AUGRC-resampled", "reliability", "training"]


def _drawn(policy, rows):
    return release_figures(policy, toys.CONSTRAINT, rows, toys.LOG, toys.measure(policy, rows))


@pytest.mark.parametrize("kind", ["certified", "no_exit"])
def test_a_policy_on_probabilities_is_shown_with_the_scores(kind, request, make_rows):
    figures = _drawn(request.getfixturevalue(kind), make_rows(200))
    assert [name.split("-", 1)[1] for name in figures] == ["certificate", "scores", *COMMON]


def test_a_gate_is_shown_with_its_own_probability_and_reliability(gate, make_gated_rows):
    figures = _drawn(gate, make_gated_rows(200))
    assert [name.split("-", 1)[1] for name in figures] == ["certificate", "gate", "gate-reliability", *COMMON]


def test_files_of_these_names_sort_as_they_are_to_be_read(gate, make_gated_rows):
    names = list(_drawn(gate, make_gated_rows(200)))
    assert sorted(names) == names


def test_every_figure_is_described_and_can_be_drawn(gate, no_exit, make_gated_rows):
    for policy in (gate, no_exit):
        for figure in _drawn(policy, make_gated_rows(120)).values():
            assert figure.get_label().endswith(".")
            assert png_bytes(figure)
