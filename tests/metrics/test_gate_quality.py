from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from stage1_core.errors import Stage1Error
from stage1_core.metrics.gate_quality import GateQuality, gate_quality
from stage1_core.predictions import Scores


def measured(gate, correct):
    """Quality of a gate whose rows are called right where ``correct``."""
    gate = np.asarray(gate, dtype=np.float64)
    labels = np.arange(len(gate)) % 2
    called = np.where(correct, labels, 1 - labels)
    scores = Scores(np.arange(len(gate)).astype(np.str_), np.stack([1.0 - called, called], axis=1), gate)
    return gate_quality(scores, labels)


def some_wrong(rows=200, failures=20):
    correct = np.ones(rows, dtype=bool)
    correct[:: rows // failures] = False
    return correct


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40))
def test_the_auroc_is_the_share_of_pairs_that_stand_in_order(rows):
    gate, correct = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    pairs = [np.sign(a - b) / 2 + 0.5 for a in gate[correct] for b in gate[~correct]]
    found = measured(gate, correct)
    assert found.auroc == (pytest.approx(np.mean(pairs)) if pairs else None)
    assert (found.rows, found.failures) == (len(rows), int((~correct).sum()))


def test_level_and_spread_are_those_of_the_probability(rng):
    gate = rng.normal(size=50)
    found = measured(gate, some_wrong(50, 5))
    assert found.mean_probability == pytest.approx(expit(gate).mean())
    assert found.std_probability == pytest.approx(expit(gate).std())


def test_a_gate_that_ranks_has_not_collapsed(rng):
    correct = some_wrong()
    assert measured(rng.normal(size=200) + 2 * correct, correct).collapse is None


@pytest.mark.parametrize("level", [-8.0, 0.0, 12.0])
def test_a_gate_that_ranks_has_not_collapsed_wherever_it_stands(rng, level):
    correct = some_wrong()
    assert measured(level + 0.1 * (rng.normal(size=200) + 2 * correct), correct).collapse is None


def test_a_gate_that_never_learned_is_constant():
    found = measured(np.full(200, 1.5), some_wrong())
    assert (found.collapse, found.auroc) == ("constant", 0.5)


def test_a_gate_that_tells_nothing_and_lets_everything_through_is_always_open(rng):
    found = measured(6 + rng.normal(size=200), rng.permutation(some_wrong()))
    assert found.collapse == "always open"


@pytest.mark.parametrize(("below", "collapse"), [(44, None), (46, "always open")], ids=["ranks a little", "less"])
def test_a_gate_is_blamed_for_its_level_only_where_it_hardly_ranks(below, collapse):
    """Ten wrong rows stand above ``below`` of 100 right ones."""
    gate = np.append(5 + 0.02 * np.arange(100), np.full(10, 5 + 0.02 * (below - 0.5)))
    found = measured(gate, np.arange(110) < 100)
    assert found.auroc == pytest.approx(1 - below / 100)
    assert found.collapse == collapse


def test_a_gate_that_is_open_for_rows_that_are_all_right_is_not_blamed(rng):
    found = measured(6 + rng.normal(size=200), np.ones(200, dtype=bool))
    assert (found.collapse, found.auroc) == (None, None)


def test_a_gate_that_tells_nothing_and_lets_nothing_through_is_always_shut(rng):
    found = measured(-6 + rng.normal(size=200), rng.permutation(some_wrong()))
    assert found.collapse == "always shut"


def test_a_gate_that_prefers_wrong_rows_is_anti_informative(rng):
    correct = some_wrong()
    assert measured(rng.normal(size=200) - 2 * correct, correct).collapse == "anti-informative"


def test_two_unlucky_failures_do_not_make_a_gate_anti_informative():
    correct = np.ones(40, dtype=bool)
    correct[[25, 30]] = False
    found = measured(logit(np.linspace(0.2, 0.9, 40)), correct)
    assert found.auroc < 0.4
    assert found.collapse is None


def test_a_gate_without_information_is_called_anti_informative_no_oftener_than_the_test_allows(rng):
    correct = some_wrong()
    found = [measured(rng.normal(size=200), correct).collapse for _ in range(400)]
    assert found.count("anti-informative") <= 0.05 * 400 + 3 * np.sqrt(0.05 * 0.95 * 400)
    assert found.count("anti-informative") >= 1


def test_without_rows_nothing_is_defined():
    empty = GateQuality(rows=0, failures=0, mean_probability=None, std_probability=None, auroc=None)
    assert measured([], np.ones(0, dtype=bool)) == empty


def test_scores_without_a_gate_are_refused():
    with pytest.raises(Stage1Error, match="no gate logits"):
        gate_quality(Scores(np.array(["a"]), np.zeros((1, 2))), np.array([0]))
