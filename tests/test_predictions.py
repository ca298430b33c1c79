from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.errors import Stage1Error
from stage1_core.predictions import Decisions, Predictions, Scores
from stage1_core.splits import Purpose
from tests.toys import make_predictions, make_scores, predictions_of


class TestScores:
    def test_the_margin_is_the_logit_of_roadwork(self):
        scores = Scores(np.array(["a"]), np.array([[1.0, 3.5]]))
        assert scores.margin_logits.tolist() == [2.5]

    def test_the_margin_is_float64_also_for_float32_logits(self):
        scores = Scores(np.array(["a"]), np.array([[0.1, 30.0]], dtype=np.float32))
        assert scores.margin_logits.dtype == np.float64
        assert scores.margin_logits[0] == np.float64(np.float32(30.0)) - np.float64(np.float32(0.1))

    def test_logits_need_one_row_of_two_per_id(self):
        with pytest.raises(Stage1Error, match=r"logits have shape \(1, 3\), expected \(1, 2\)"):
            Scores(np.array(["a"]), np.zeros((1, 3)))

    def test_gate_logits_need_one_per_id(self):
        with pytest.raises(Stage1Error, match=r"gate_logits have shape \(2,\), expected \(1,\)"):
            Scores(np.array(["a"]), np.zeros((1, 2)), np.zeros(2))

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_logits_that_are_not_finite_are_named(self, bad: float):
        with pytest.raises(Stage1Error, match="logits of broken are not finite"):
            Scores(np.array(["fine", "broken"]), np.array([[0.0, 1.0], [0.0, bad]]))

    def test_gate_logits_that_are_not_finite_are_named(self):
        with pytest.raises(Stage1Error, match="logits of broken are not finite"):
            Scores(np.array(["fine", "broken"]), np.zeros((2, 2)), np.array([0.0, np.nan]))

    def test_auxiliary_logits_need_one_row_of_two_per_id(self):
        with pytest.raises(Stage1Error, match=r"aux_logits have shape \(1, 3\), expected \(1, 2\)"):
            Scores(np.array(["a"]), np.zeros((1, 2)), aux_logits=np.zeros((1, 3)))

    def test_auxiliary_logits_that_are_not_finite_are_named(self):
        auxiliary = np.array([[0.0, 1.0], [np.nan, 1.0]])
        with pytest.raises(Stage1Error, match="logits of broken are not finite"):
            Scores(np.array(["fine", "broken"]), np.zeros((2, 2)), aux_logits=auxiliary)

    def test_the_likelier_class_is_the_larger_logit_and_a_tie_is_roadwork(self):
        logits = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
        scores = Scores(np.array(["a", "b", "c"]), logits, aux_logits=logits[::-1])
        assert scores.likelier_class.tolist() == [0, 1, 1]
        assert scores.aux_likelier_class is not None
        assert scores.aux_likelier_class.tolist() == [1, 1, 0]

    def test_the_confidence_is_the_probability_of_the_likelier_class(self):
        scores = make_scores(np.array([-2.0, 0.0, 0.5, 900.0]))
        exponentials = np.exp(scores.logits[:3])
        expected = exponentials.max(axis=1) / exponentials.sum(axis=1)
        assert scores.confidence.tolist() == pytest.approx([*expected, 1.0])

    def test_without_auxiliary_logits_there_is_no_auxiliary_class(self):
        assert make_scores(np.zeros(2)).aux_likelier_class is None

    def test_ids_must_be_text(self):
        with pytest.raises(Stage1Error, match="ids have dtype object, expected text"):
            Scores(np.array(["a"], dtype=object), np.zeros((1, 2)))

    def test_take_keeps_rows_together(self):
        logits = np.arange(6.0).reshape(3, 2)
        scores = Scores(np.array(["a", "b", "c"]), logits, np.array([7.0, 8.0, 9.0]), logits + 10)
        taken = scores.take(np.array([2, 0]))
        assert taken.ids.tolist() == ["c", "a"]
        assert taken.logits.tolist() == [[4.0, 5.0], [0.0, 1.0]]
        assert taken.gate_logits is not None
        assert taken.gate_logits.tolist() == [9.0, 7.0]
        assert taken.aux_logits is not None
        assert taken.aux_logits.tolist() == [[14.0, 15.0], [10.0, 11.0]]


class TestPredictions:
    def test_columns_must_be_as_long_as_the_scores(self):
        with pytest.raises(Stage1Error, match=r"labels have shape \(2,\), expected \(3,\)"):
            predictions_of(np.zeros(3), np.zeros(2))

    def test_labels_other_than_0_and_1_are_refused(self):
        with pytest.raises(Stage1Error, match=r"labels must be 0 or 1, found \[-1, 1\]"):
            predictions_of(np.zeros(2), np.array([-1, 1]))

    def test_groups_must_be_text(self):
        with pytest.raises(Stage1Error, match="groups have dtype int64, expected text"):
            predictions_of(np.zeros(2), np.zeros(2), groups=np.arange(2))


groups_and_labels = st.lists(st.tuples(st.sampled_from(["a", "a0", "a1", "b"]), st.integers(0, 1)), max_size=40)


class TestIndependent:
    @staticmethod
    def rows(pairs: list[tuple[str, int]], margins: np.ndarray | None = None) -> Predictions:
        groups = np.array([group for group, _ in pairs], dtype=np.str_)
        labels = np.array([label for _, label in pairs], dtype=np.int64)
        return predictions_of(np.zeros(len(pairs)) if margins is None else margins, labels, groups=groups)

    @given(groups_and_labels)
    def test_one_row_is_left_for_each_group_and_label(self, pairs: list[tuple[str, int]]):
        kept = self.rows(pairs).independent()
        left = list(zip(kept.groups.tolist(), kept.labels.tolist(), strict=True))
        assert sorted(left) == sorted(set(pairs))

    @given(groups_and_labels)
    def test_across_labels_it_is_one_row_for_each_group_and_among_those_for_each_label(self, pairs):
        rows = self.rows(pairs)
        kept = rows.independent(across_labels=True)
        assert sorted(kept.groups.tolist()) == sorted({group for group, _ in pairs})
        assert set(kept.scores.ids) <= set(rows.independent().scores.ids)

    @given(groups_and_labels, st.randoms(use_true_random=False))
    def test_the_choice_depends_neither_on_scores_nor_on_the_order_of_rows(self, pairs, random):
        rows = self.rows(pairs)
        shuffled = list(range(len(pairs)))
        random.shuffle(shuffled)
        margins = np.array([random.uniform(-9, 9) for _ in pairs])
        other = self.rows(pairs, margins).take(np.array(shuffled, dtype=np.int64))
        assert set(rows.independent().scores.ids) == set(other.independent().scores.ids)

    def test_the_order_of_rows_is_kept(self):
        rows = self.rows([(group, 0) for group in "dacb"])
        assert rows.independent().groups.tolist() == list("dacb")

    def test_the_chosen_row_is_not_always_the_first(self):
        many = predictions_of(np.zeros(64), np.zeros(64), groups=np.repeat(np.array(list("abcdefgh")), 8))
        places = {int(name.split("/")[1]) % 8 for name in many.independent().scores.ids}
        assert len(places) > 1

    def test_rows_that_are_already_independent_all_stay(self, rng: np.random.Generator):
        assert len(make_predictions(rng, 50).independent()) == 50


class TestFiles:
    def test_what_is_saved_is_loaded(self, tmp_path: Path, rng: np.random.Generator):
        made = make_predictions(rng, 5, purpose=Purpose.SELECT_MODEL)
        scores = Scores(made.scores.ids, made.scores.logits, rng.normal(size=5), rng.normal(size=(5, 2)))
        rows = dataclasses.replace(made, scores=scores)
        rows.save(tmp_path / "rows.npz")
        loaded = Predictions.load(tmp_path / "rows.npz")
        assert loaded.purpose is Purpose.SELECT_MODEL
        np.testing.assert_array_equal(loaded.scores.ids, rows.scores.ids)
        np.testing.assert_array_equal(loaded.scores.logits, rows.scores.logits)
        np.testing.assert_array_equal(loaded.scores.gate_logits, rows.scores.gate_logits)
        np.testing.assert_array_equal(loaded.scores.aux_logits, rows.scores.aux_logits)
        np.testing.assert_array_equal(loaded.labels, rows.labels)
        np.testing.assert_array_equal(loaded.groups, rows.groups)
        np.testing.assert_array_equal(loaded.sources, rows.sources)

    def test_what_the_head_does_not_have_stays_absent(self, tmp_path: Path, rng: np.random.Generator):
        make_predictions(rng, 5).save(tmp_path / "rows.npz")
        loaded = Predictions.load(tmp_path / "rows.npz").scores
        assert loaded.gate_logits is None
        assert loaded.aux_logits is None

    def test_the_file_has_the_name_that_was_asked_for(self, tmp_path: Path, rng: np.random.Generator):
        make_predictions(rng, 5).save(tmp_path / "rows.partial")
        assert [path.name for path in tmp_path.iterdir()] == ["rows.partial"]

    def test_no_array_in_the_file_is_pickled(self, tmp_path: Path, rng: np.random.Generator):
        make_predictions(rng, 5).save(tmp_path / "rows.npz")
        with zipfile.ZipFile(tmp_path / "rows.npz") as file:
            assert all(b"|O" not in file.read(name)[:128] for name in file.namelist())

    def test_a_missing_array_is_named(self, tmp_path: Path):
        np.savez(tmp_path / "rows.npz", ids=np.array(["a"]), logits=np.zeros((1, 2)))
        with pytest.raises(Stage1Error, match="lacks groups, labels, purpose, sources"):
            Predictions.load(tmp_path / "rows.npz")

    def test_an_unknown_purpose_is_named(self, tmp_path: Path, rng: np.random.Generator):
        make_predictions(rng, 2).save(tmp_path / "rows.npz")
        with np.load(tmp_path / "rows.npz") as file:
            arrays = {**file, "purpose": np.array("tune")}
        np.savez(tmp_path / "rows.npz", **arrays)
        with pytest.raises(Stage1Error, match="unknown purpose 'tune'"):
            Predictions.load(tmp_path / "rows.npz")


class TestDecisions:
    def test_exits_are_singletons_and_the_rest_goes_on(self):
        exits = np.array([True, True, False, False])
        label = np.array([0, 1, 0, 1])
        decisions = Decisions.of(exits, label)
        assert decisions.prediction_set.tolist() == [[True, False], [False, True], [True, True], [True, True]]
        assert decisions.exited.tolist() == exits.tolist()
        assert decisions.label.tolist() == [0, 1, -1, -1]

    def test_an_empty_set_is_refused(self):
        with pytest.raises(Stage1Error, match="never empty"):
            Decisions(np.array([[True, False], [False, False]]))

    def test_a_set_over_three_classes_is_refused(self):
        with pytest.raises(Stage1Error, match=r"shape \(1, 3\) must be \(n, 2\)"):
            Decisions(np.ones((1, 3), dtype=np.bool_))

    def test_no_rows_are_no_decisions(self):
        assert len(Decisions.of(np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.int64)).label) == 0


def test_toy_scores_have_the_margins_they_were_made_from():
    np.testing.assert_allclose(make_scores(np.array([-3.0, 0.5])).margin_logits, [-3.0, 0.5])
