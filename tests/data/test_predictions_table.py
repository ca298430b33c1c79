"""Predictions of somebody else's model: what is read, and what is refused with column, value and row."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from stage1_core.data.predictions_table import read_predictions, read_scores
from stage1_core.errors import DataError, Stage1Error
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.predictions import Predictions, Scores
from stage1_core.splits import Purpose
from tests.toys import make_predictions

LABELS = [1, 0, 1, 0]
LOGITS = [[-1.0, 2.0], [0.5, -0.25], [0.0, 3.0], [1.0, 1.5]]
MARGINS = [3.0, -0.75, 3.0, 0.5]
PROBABILITIES = [0.9, 0.1, 0.75, 0.5]


def refused(path) -> str:
    with pytest.raises(DataError) as raised:
        read_predictions(path)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.fixture
def write_csv(tmp_path):
    def write(text):
        path = tmp_path / "rows.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def write_npz(tmp_path):
    def write(**arrays):
        path = tmp_path / "rows.npz"
        np.savez(path, **arrays)
        return path

    return write


@pytest.fixture(params=["csv", "parquet", "npz"])
def write(request, tmp_path):
    """A file of any kind from columns."""

    def write(**columns):
        path = tmp_path / f"rows.{request.param}"
        table = pd.DataFrame(columns)
        if request.param == "csv":
            table.to_csv(path, index=False)
        elif request.param == "parquet":
            table.to_parquet(path)
        else:
            arrays = {name: np.array(column) for name, column in columns.items()}
            np.savez(path, **arrays)
        return path

    return write


def test_a_logit_is_that_of_roadwork(write):
    found = read_predictions(write(label=LABELS, logit=MARGINS))
    assert found.scores.margin_logits.tolist() == MARGINS
    assert found.labels.tolist() == LABELS
    assert found.purpose is Purpose.FINAL_EVALUATION
    assert found.scores.gate_logits is None
    assert found.scores.aux_logits is None


def test_two_logits_are_kept_as_they_are(write):
    zero, one = np.array(LOGITS).T
    found = read_predictions(write(label=LABELS, logit_0=zero, logit_1=one))
    assert found.scores.logits.tolist() == LOGITS


def test_a_probability_becomes_its_logit(write):
    found = read_predictions(write(label=LABELS, probability=PROBABILITIES))
    np.testing.assert_allclose(expit(found.scores.margin_logits), PROBABILITIES, rtol=1e-14)


def test_rows_without_ids_groups_and_sources_are_numbered_and_alone(write):
    found = read_predictions(write(label=LABELS, logit=MARGINS))
    assert found.scores.ids.tolist() == found.groups.tolist() == ["1", "2", "3", "4"]
    assert set(found.sources.tolist()) == {"all"}


def test_ids_groups_and_sources_are_kept(write):
    columns = {"id": ["d", "c", "b", "a"], "group": ["x", "x", "y", "y"], "source": ["s", "t", "s", "t"]}
    found = read_predictions(write(label=LABELS, logit=MARGINS, **columns))
    assert found.scores.ids.tolist() == columns["id"]
    assert found.groups.tolist() == columns["group"]
    assert found.sources.tolist() == columns["source"]


def test_an_empty_group_is_a_group_of_its_own(write):
    found = read_predictions(write(label=LABELS, logit=MARGINS, group=["x", "", "x", ""]))
    assert len(set(found.groups.tolist())) == 3
    assert found.groups[0] == found.groups[2] == "x"


def test_numbers_serve_as_ids(write):
    found = read_predictions(write(label=LABELS, logit=MARGINS, id=[10, 20, 30, 40], group=[1, 1, 2, 2]))
    assert found.scores.ids.tolist() == ["10", "20", "30", "40"]
    assert found.groups.tolist() == ["1", "1", "2", "2"]


def test_gate_and_auxiliary_logits_are_read(write):
    zero, one = np.array(LOGITS).T
    found = read_predictions(write(label=LABELS, logit=MARGINS, gate_logit=MARGINS, aux_logit_0=zero, aux_logit_1=one))
    assert found.scores.gate_logits.tolist() == MARGINS
    assert found.scores.aux_logits.tolist() == LOGITS


def test_columns_that_mean_nothing_here_are_ignored(write):
    found = read_predictions(write(label=LABELS, logit=MARGINS, comment=["a", "b", "c", "d"]))
    assert len(found) == 4


def test_what_was_saved_is_read_back(tmp_path):
    rows = make_predictions(np.random.default_rng(1), 50, purpose=Purpose.SELECT_MODEL)
    scores = Scores(rows.scores.ids, rows.scores.logits, rows.scores.margin_logits, rows.scores.logits + 1)
    saved = Predictions(rows.purpose, scores, rows.labels, rows.groups, rows.sources)
    saved.save(tmp_path / "rows.npz")
    found = read_predictions(tmp_path / "rows.npz")
    assert found.purpose is Purpose.SELECT_MODEL
    for name in ("ids", "logits", "gate_logits", "aux_logits"):
        np.testing.assert_array_equal(getattr(found.scores, name), getattr(saved.scores, name))
    for name in ("labels", "groups", "sources"):
        np.testing.assert_array_equal(getattr(found, name), getattr(saved, name))


def test_plain_arrays_are_read_under_singular_and_plural_names(write_npz):
    several = read_predictions(write_npz(labels=np.array(LABELS), logits=np.array(LOGITS), ids=np.array(list("abcd"))))
    assert several.scores.logits.tolist() == LOGITS
    assert several.scores.ids.tolist() == list("abcd")
    one = read_predictions(write_npz(label=np.array(LABELS, dtype=bool), logit=np.array(MARGINS, dtype=np.float32)))
    assert one.labels.tolist() == LABELS
    assert one.scores.logits.dtype == np.float64


def test_bytes_in_an_npz_are_text(write_npz):
    found = read_predictions(
        write_npz(label=np.array(LABELS), logit=np.array(MARGINS), id=np.array([b"a", b"b", b"c", b"d"]))
    )
    assert found.scores.ids.tolist() == list("abcd")


def test_a_parquet_of_categories_and_decimals_is_read(tmp_path):
    table = pd.DataFrame({"label": LABELS, "probability": [0.5] * 4, "source": pd.Categorical(["a", "b", "a", None])})
    table["probability"] = table["probability"].astype("Float64")
    table.to_parquet(tmp_path / "rows.parquet")
    assert read_predictions(tmp_path / "rows.parquet").sources.tolist() == ["a", "b", "a", "all"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufefflabel,logit\r\n1,2.0\r\n0,-1\r\n",
        '"label","logit"\n"1","2.0"\n"0","-1"\n',
        "label,logit\n1,2.0\n\n0,-1",
        " label , logit \n 1 , 2e0 \n 0.0 , -1 \n",
    ],
    ids=["mark and CRLF", "quotes", "blank line", "spaces"],
)
def test_csv_files_come_in_many_forms(write_csv, text):
    found = read_predictions(write_csv(text))
    assert found.labels.tolist() == [1, 0]
    assert found.scores.margin_logits.tolist() == [2.0, -1.0]


@given(st.integers(1, 9).flatmap(lambda digits: st.integers(1, 10**digits - 1).map(lambda n: f"0.{n:0{digits}}")))
def test_a_probability_equal_to_a_threshold_reaches_it(tmp_path_factory, probability):
    path = tmp_path_factory.mktemp("one") / "rows.csv"
    path.write_text(f"label,probability\n1,{probability}\n")
    scores = read_predictions(path).scores
    likelier = float(max(Decimal(probability), 1 - Decimal(probability)))
    assert scores.confidence[0] == pytest.approx(likelier, rel=1e-14)
    if likelier <= 0.999999:
        assert ThresholdExit(exit_threshold=likelier).decide(scores).exited.all()


def test_tiny_probabilities_keep_their_digits(write):
    tiny = [1e-300, 1e-17, 1e-9, 1 - 1e-12]
    found = read_predictions(write(label=LABELS, probability=tiny)).scores.margin_logits
    np.testing.assert_allclose(found, np.log(tiny) - np.log1p(-np.array(tiny)), rtol=1e-12)


@pytest.mark.parametrize("decimals", [2, 3, 4])
def test_opposite_probabilities_are_equally_sure(tmp_path, decimals):
    low = np.round(np.arange(1, 10**decimals // 2) / 10**decimals, decimals)
    high = np.round(1 - low, decimals)
    pd.DataFrame({"label": 1, "probability": [*low, *high]}).to_csv(tmp_path / "rows.csv", index=False)
    sure = read_predictions(tmp_path / "rows.csv").scores.confidence
    np.testing.assert_array_equal(*np.split(sure, 2))


@pytest.mark.parametrize("decimals", [2, 3, 4])
def test_rounded_probabilities_exit_at_the_threshold_that_equals_them(tmp_path, decimals):
    values = np.round(np.arange(1, 10**decimals) / 10**decimals, decimals)
    pd.DataFrame({"label": 1, "probability": values}).to_csv(tmp_path / "rows.csv", index=False)
    found = read_predictions(tmp_path / "rows.csv").scores.confidence
    assert (found >= np.round(np.maximum(values, 1 - values), decimals)).all()


def test_a_label_that_is_none_is_named_with_its_place(write):
    path = write(label=[1, 0, 2, 0], logit=MARGINS)
    message = refused(path)
    assert "label is" in message
    assert "2" in message
    assert "must be 0 or 1" in message
    assert ("line 4" if path.suffix == ".csv" else "row 3") in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["label", "logit", "gate_logit"])
def test_a_number_that_is_not_finite_is_named_with_its_place(write, column, value):
    columns = {"label": LABELS, "logit": MARGINS, "gate_logit": MARGINS}
    spoiled = [*columns[column][:3], value]
    path = write(**columns | {column: spoiled})
    message = refused(path)
    assert f"{column} is" in message
    assert ("line 5" if path.suffix == ".csv" else "row 4") in message


def test_text_in_place_of_a_number_is_shown(write_csv):
    message = refused(write_csv('label,logit\n1,2\n0,"1,5"\n'))
    assert "line 3: logit is '1,5'" in message


def test_an_empty_field_is_called_empty(write_csv):
    assert "line 3: logit is empty" in refused(write_csv("label,logit\n1,2\n0,\n"))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_certain_probability_is_refused_with_the_reason(write, value):
    message = refused(write(label=LABELS, probability=[*PROBABILITIES[:3], value]))
    assert f"probability is {value}" in message.replace("'", "")
    assert "infinite logit" in message


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_a_probability_outside_of_its_range_is_refused(write, value):
    assert "must lie between 0 and 1" in refused(write(label=LABELS, probability=[*PROBABILITIES[:3], value]))


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"logit": MARGINS, "probability": PROBABILITIES}, "logit; probability. Keep one"),
        ({"logit_0": MARGINS, "logit_1": MARGINS, "probability": PROBABILITIES}, "logit_0 and logit_1; probability"),
        ({"logit_0": MARGINS}, "add logit_1"),
        ({"logit": MARGINS, "aux_logit_1": MARGINS}, "add aux_logit_0"),
        ({}, "no scores: add logit_0 and logit_1, or logit, or probability (columns found: label)"),
    ],
)
def test_scores_of_one_kind_are_asked_for(write, extra, said):
    assert said in refused(write(label=LABELS, **extra))


def test_a_missing_label_is_said_with_what_was_found(write):
    assert "no column label (0 or 1); columns found: logit" in refused(write(logit=MARGINS))


def test_one_column_under_two_names_is_refused(write):
    assert "has label twice" in refused(write(label=LABELS, labels=LABELS, logit=MARGINS))


def test_an_id_that_occurs_twice_is_named_with_both_places(write):
    path = write(label=LABELS, logit=MARGINS, id=["a", "b", "c", "b"])
    message = refused(path)
    assert "id is 'b'" in message
    places = ("line 3", "line 5") if path.suffix == ".csv" else ("row 2", "row 4")
    assert all(place in message for place in places)


def test_an_empty_id_is_refused(write):
    assert "id is empty" in refused(write(label=LABELS, logit=MARGINS, id=["a", "", "c", "d"]))


def test_a_file_without_rows_is_refused(write):
    assert "holds no row" in refused(write(label=[], logit=[]))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95nothing", b"PK\x03\x04broken", b"PAR1"])
def test_a_file_that_is_something_else_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"rows.{suffix}"
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_half_a_file_is_refused(tmp_path, suffix, kept):
    path = tmp_path / f"rows.{suffix}"
    if suffix == "npz":
        make_predictions(np.random.default_rng(1), 500).save(path)
    else:
        pd.DataFrame({"label": LABELS * 100, "logit": MARGINS * 100}).to_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert "cannot be read as" in refused(path)


def test_a_damaged_array_is_refused(tmp_path):
    path = tmp_path / "rows.npz"
    make_predictions(np.random.default_rng(1), 500).save(path)
    content = bytearray(path.read_bytes())
    for place in range(400, 2000, 100):
        content[place] ^= 0xFF
    path.write_bytes(content)
    refused(path)


class Spy:
    """Says so when it is unpickled."""

    ran = False

    def __reduce__(self):
        return setattr, (Spy, "ran", True)


def test_a_pickled_array_is_refused_unread(write_npz):
    path = write_npz(label=np.array(LABELS), logit=np.array(MARGINS), id=np.array([Spy()] * 4, dtype=object))
    message = refused(path)
    assert "id cannot be read" in message
    assert "never loaded" in message
    assert not Spy.ran


def test_a_pickle_with_the_name_of_an_archive_is_refused_unread(tmp_path):
    import pickle

    path = tmp_path / "rows.npz"
    path.write_bytes(pickle.dumps(Spy()))
    assert "cannot be read as .npz" in refused(path)
    assert not Spy.ran


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"logits": np.zeros((4, 3))}, "logits has shape (4, 3) and must be (n, 2)"),
        ({"logit": np.zeros((4, 1))}, "logit has shape (4, 1) and must be (n,)"),
        ({"logit": np.zeros(3)}, "logit has 3 rows, label has 4"),
        ({"logit": np.zeros(4, dtype=complex)}, "dtype complex128"),
        ({"logit": np.zeros(4), "purpose": np.array("leisure")}, "purpose is 'leisure'"),
    ],
)
def test_arrays_of_another_form_are_refused(write_npz, arrays, said):
    assert said in refused(write_npz(label=np.array(LABELS), **arrays))


@pytest.mark.parametrize("name", ["rows.json", "rows", "rows.npy"])
def test_another_kind_of_file_is_refused_with_the_kinds_that_are_read(tmp_path, name):
    (tmp_path / name).write_text("label,logit\n1,2\n")
    assert ".npz, .csv, .parquet" in refused(tmp_path / name)


def test_a_path_that_is_missing_or_a_folder_is_refused(tmp_path):
    assert "does not exist" in refused(tmp_path / "absent.csv")
    assert "is a folder" in refused(tmp_path)


def test_a_csv_that_is_not_utf_8_is_refused(write_csv):
    assert "UTF-8" in refused(write_csv("label,logit\n1,2\n".encode("utf-16")))


def test_a_line_with_too_many_fields_is_named(write_csv):
    assert "line 3" in refused(write_csv("label,logit\n1,2\n0,1,5\n"))


def test_every_refusal_is_one_that_the_command_line_shows():
    assert issubclass(DataError, Stage1Error)


def test_scores_need_no_labels(write):
    found = read_scores(write(id=list("abcd"), logit=MARGINS))
    assert found.scores.ids.tolist() == list("abcd")
    assert found.scores.margin_logits.tolist() == MARGINS
    assert found.labels is None


@pytest.mark.parametrize("labels", [[1, 0, 1, -1], [1.0, 0.0, np.nan, 1.0], ["1", "0", "", "1"], ["a", "b", "c", "d"]])
def test_labels_that_are_not_all_known_are_left_out_of_scores(write, labels):
    found = read_scores(write(label=labels, logit=MARGINS))
    assert len(found.scores) == 4
    assert found.labels is None


def test_known_labels_come_along_with_scores(write):
    assert read_scores(write(label=LABELS, logit=MARGINS)).labels.tolist() == LABELS


@pytest.mark.parametrize("columns", [{"label": LABELS}, {"id": list("abcd")}])
def test_a_file_without_scores_is_refused(write, columns):
    with pytest.raises(DataError, match="no scores"):
        read_scores(write(**columns))


def test_numbers_in_place_of_ids_can_tell_two_files_apart(write):
    found = read_predictions(write(label=LABELS, logit=MARGINS), numbered="order ")
    assert found.scores.ids.tolist() == [f"order {row}" for row in (1, 2, 3, 4)]
    named = read_predictions(write(id=list("abcd"), label=LABELS, logit=MARGINS), numbered="order ")
    assert named.scores.ids.tolist() == list("abcd")
