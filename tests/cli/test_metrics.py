"""`stage1 metrics`: somebody else's predictions."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.metrics.suite import Evaluation
from stage1_core.policy.evaluation import evaluate
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.predictions import Predictions, Scores
from stage1_core.splits import Purpose
from tests.toys import make_predictions

FAST = ("--resamples", "100")


@pytest.fixture
def rows():
    made = make_predictions(np.random.default_rng(5), 300, purpose=Purpose.FINAL_EVALUATION, separation=1.0)
    groups = np.array([f"site{number // 3}" for number in range(300)])
    sources = np.where(np.arange(300) % 3 == 0, "city", "road")
    return Predictions(made.purpose, made.scores, made.labels, groups, sources)


@pytest.fixture
def table(rows, tmp_path):
    path = tmp_path / "rows.csv"
    columns = {"id": rows.scores.ids, "label": rows.labels, "group": rows.groups, "source": rows.sources}
    pd.DataFrame(columns | {"logit": rows.scores.margin_logits}).to_csv(path, index=False)
    return path


def test_the_json_is_the_evaluation_of_the_rows(stage1, table, rows):
    code, out, _ = stage1("metrics", table, "--json", "--exit-threshold", "0.9", *FAST)
    assert code == 0
    policy, drawn = ThresholdExit(exit_threshold=0.9), BootstrapConfig(resamples=100)
    assert out == evaluate(policy, rows, 0.9, drawn).evaluation.to_json()


def test_the_numbers_are_those_of_another_library(stage1, table):
    given = pd.read_csv(table)
    model = json.loads(stage1("metrics", table, "--json", *FAST).out)["model"]
    assert model["accuracy"] == pytest.approx(accuracy_score(given["label"], given["logit"] >= 0))
    assert model["auroc"] == pytest.approx(roc_auc_score(given["label"], given["logit"]))


def test_without_a_threshold_everything_exits(stage1, table):
    exits = json.loads(stage1("metrics", table, "--json", *FAST).out)["exits_on_all_rows"]
    assert (exits["coverage"]["events"], exits["coverage"]["trials"]) == (300, 300)


def test_every_option_reaches_the_evaluation(stage1, table):
    options = ("--level", "0.9", "--method", "percentile", "--seed", "3", "--confidence", "0.95")
    found = json.loads(stage1("metrics", table, "--json", *options, *FAST).out)
    assert found["bootstrap"] == {"resamples": 100, "level": 0.9, "method": "percentile", "seed": 3}
    assert found["confidence"] == 0.95


def test_the_same_file_gives_the_same_bytes_again(stage1, table, tmp_path):
    outcomes = [stage1("metrics", table, "--output", tmp_path / "out.json", *FAST) for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].code == 0
    written = tmp_path / "out.json"
    assert stage1("metrics", table, "--json", *FAST).out == written.read_text()
    assert Evaluation.from_json_file(written).model.rows == 300


def test_the_tables_show_counts_bounds_intervals_and_sources(stage1, table):
    code, out, _ = stage1("metrics", table, "--exit-threshold", "0.9", *FAST)
    found = json.loads(stage1("metrics", table, "--json", "--exit-threshold", "0.9", *FAST).out)
    fnr = found["exits"]["fnr_on_exited"]
    assert code == 0
    assert f"{fnr['events']} / {fnr['trials']}" in out
    assert f"{100 * fnr['upper_bound']:.2f}".rstrip("0") in out
    assert f"{found['intervals']['mcc']['lower']:.4f}" in out
    for words in ("AUROC", "risk at coverage 50 %", "coverage at risk 1 %", "average set size", "city", "road"):
        assert words in out


def test_dependent_rows_are_counted_once_for_each_group_and_class(stage1, table, rows):
    _, out, err = stage1("metrics", table, *FAST)
    assert (
        f"300 rows in 100 groups: exact bounds count one row of each group and class, {len(rows.independent())}" in err
    )
    assert "all rows: rows of a group resemble each other" in out


def test_rows_without_groups_are_said_to_be_taken_as_independent(stage1, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("label,probability\n1,0.9\n0,0.2\n1,0.7\n0,0.6\n")
    code, out, err = stage1("metrics", path, *FAST)
    assert code == 0
    assert "4 rows, each a group of its own: they are taken as independent" in err
    assert "resemble" not in out


def test_what_is_undefined_is_called_so(stage1, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("label,probability\n0,0.1\n0,0.2\n")
    code, out, _ = stage1("metrics", path, *FAST)
    assert code == 0
    assert "undefined" in next(line for line in out.splitlines() if "AUROC" in line)
    assert "undefined" in next(line for line in out.splitlines() if "FNR on exited" in line)


def test_a_single_row_is_measured(stage1, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("label,probability\n1,0.9\n")
    assert json.loads(stage1("metrics", path, "--json", *FAST).out)["model"]["accuracy"] == 1.0


def test_gate_and_cascade_are_shown_where_the_file_has_them(stage1, rows, tmp_path):
    gate, stage_b = np.abs(rows.scores.margin_logits), rows.scores.logits * 2
    scores = Scores(rows.scores.ids, rows.scores.logits, gate, stage_b)
    Predictions(rows.purpose, scores, rows.labels, rows.groups, rows.sources).save(tmp_path / "rows.npz")
    code, out, _ = stage1("metrics", tmp_path / "rows.npz", "--exit-threshold", "0.9", *FAST)
    assert code == 0
    assert "AUGRC by gate" in out
    assert "Cascade" in out
    assert "B: the rest" in out


def test_a_name_in_brackets_is_shown_as_it_is(stage1, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("label,probability,source\n1,0.9,[red]\n0,0.2,[red]\n")
    assert "[red]" in stage1("metrics", path, *FAST).out


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", "label,logit\n1,nan\n", "line 2: logit is 'nan'"),
        ("rows.csv", "", "no column label"),
        ("rows.csv", "label,logit\n", "holds no row"),
        ("rows.csv", "label,logit_0,logit_1\n1,-1e308,1e308\n", "logit_0 is '-1e308' and must lie within ±1e+100"),
        ("rows.npz", "", "cannot be read as .npz"),
        ("rows.parquet", "", "cannot be read as Parquet"),
        ("rows.npz", "label,logit\n1,2\n", "cannot be read as .npz"),
        ("rows.txt", "label,logit\n1,2\n", "predictions are read from .npz, .csv, .parquet"),
    ],
)
def test_a_wrong_file_is_one_line_that_says_why(stage1, tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    code, out, err = stage1("metrics", tmp_path / name)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith("stage1: ")
    assert said in line


@pytest.mark.parametrize("name", ["folder.csv", "rows.csv/rows.csv", f"{'long' * 80}.csv"])
def test_a_path_that_is_no_file_is_one_line(stage1, table, tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    outcomes = [stage1("metrics", tmp_path / name) for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    assert (outcomes[0].code, outcomes[0].out) == (2, "")
    (line,) = outcomes[0].err.strip().splitlines()
    assert line.startswith("stage1: ")


def test_rows_of_one_class_are_measured(stage1, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("label,probability\n1,0.9\n1,0.8\n1,0.3\n")
    model = json.loads(stage1("metrics", path, "--json", *FAST).out)["model"]
    assert (model["auroc"], model["positives"]) == (None, 3)


def test_nothing_is_computed_for_an_output_that_cannot_be_written(stage1, table, tmp_path):
    code, _, err = stage1("metrics", table, "--output", tmp_path / "absent" / "out.json")
    assert code == 2
    assert "there is no folder" in err
    code, _, err = stage1("metrics", table, "--output", tmp_path)
    assert code == 2
    assert "is a folder" in err


@pytest.mark.parametrize(
    "options",
    [
        ("--exit-threshold", "0.4"),
        ("--exit-threshold", "1e9"),
        ("--exit-threshold", "nan"),
        ("--confidence", "1"),
        ("--resamples", "10"),
        ("--method", "jackknife"),
    ],
)
def test_an_option_out_of_bounds_is_a_usage_error(stage1, table, options):
    code, _, err = stage1("metrics", table, *options)
    assert code == 2
    assert options[0] in err


def test_the_example_of_the_page_gives_what_the_page_shows(stage1, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    makes, command, shown = (
        re.search(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[1]
        for language in ("python", "sh", "text")
    )
    monkeypatch.chdir(tmp_path)
    exec(makes, {})
    program, *words = shlex.split(command)
    code, out, _ = stage1(*words)
    printed = [line.rstrip() for line in out.splitlines()]
    assert (program, code) == ("stage1", 0)
    assert Evaluation.from_json_file(tmp_path / "metrics.json").model.rows == 10
    lines = shown.splitlines()
    assert len(lines) == 8
    assert printed[printed.index(lines[0]) :][: len(lines)] == lines
    intervals = [line for line in printed if line.startswith(" FPR on exited") and "/" not in line]
    assert [line.split()[-4:] for line in intervals] == [["0", "%", "0", "%"]]
