from __future__ import annotations

import pytest

from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.release_figures import release_figures
from tests.report import toys

SCRC = ["exit-region", "roadwork-reliability"]
COMMON = ["risk-coverage", "exits-resampled", "AUGRC-resampled", "reliability", "training"]


def _drawn(policy, rows):
    return release_figures(
        policy, toys.CONSTRAINT, rows, toys.LOG, toys.measure(policy, rows), certified_on=toys.scrc_rows(3000)[1]
    )


@pytest.mark.parametrize("kind", ["certified", "no_exit"])
def test_a_policy_on_probabilities_is_shown_with_the_scores(kind, request, make_rows):
    figures = _drawn(request.getfixturevalue(kind), make_rows(200))
    assert [name.split("-", 1)[1] for name in figures] == ["certificate", "scores", *COMMON]


def test_a_gate_is_shown_with_its_own_probability_and_reliability(gate, make_gated_rows):
    figures = _drawn(gate, make_gated_rows(200))
    assert [name.split("-", 1)[1] for name in figures] == ["certificate", "gate", "gate-reliability", *COMMON]


def test_two_thresholds_are_shown_as_a_region_of_the_certifying_rows_that_counted(scrc, make_gated_rows):
    figures = _drawn(scrc, make_gated_rows(200))
    assert [name.split("-", 1)[1] for name in figures] == ["certificate", *SCRC, *COMMON]
    (region,) = (figure for name, figure in figures.items() if name.endswith("exit-region"))
    assert f"n = {scrc.calibration.rows:,} certifying rows" in region.axes[1].get_xlabel()


def test_files_of_these_names_sort_as_they_are_to_be_read(gate, make_gated_rows):
    names = list(_drawn(gate, make_gated_rows(200)))
    assert sorted(names) == names


def test_every_figure_is_described_and_can_be_drawn(gate, scrc, no_exit, make_gated_rows):
    for policy in (gate, scrc, no_exit):
        for figure in _drawn(policy, make_gated_rows(120)).values():
            assert figure.get_label().endswith(".")
            assert png_bytes(figure)
