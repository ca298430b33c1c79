"""`stage1 fit-policy` and `stage1 decide`: exits for the scores of somebody else's model."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import typing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stage1_cli._policy_options import Kind
from stage1_core.policy import AnyPolicyConfig, NoExit, SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.fitting import PolicyFit, fit_policy
from stage1_core.policy.parts import divided
from stage1_core.policy.reading import read_policy
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from tests.toys import make_predictions

KINDS = [kind.value for kind in Kind]
each_kind = pytest.mark.parametrize("kind", KINDS)


def drawn(n: int, *, seed: int = 5, name: str = "row") -> Predictions:
    """A good model with a gate that says something; two rows a site."""
    rng = np.random.default_rng(seed)
    made = make_predictions(rng, n, purpose=Purpose.FINAL_EVALUATION, name=name)
    gate = np.abs(made.scores.margin_logits) + rng.normal(size=n) - 2
    groups = np.array([f"{name} site {number // 2}" for number in range(n)])
    return replace(made, scores=replace(made.scores, gate_logits=gate), groups=groups)


def table_of(rows: Predictions) -> pd.DataFrame:
    scores = rows.scores
    return pd.DataFrame(
        {
            "id": scores.ids,
            "label": rows.labels,
            "group": rows.groups,
            "logit_0": scores.logits[:, 0],
            "logit_1": scores.logits[:, 1],
            "gate_logit": scores.gate_logits,
        }
    )


@pytest.fixture(scope="module")
def rows() -> Predictions:
    return drawn(1600)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def table(here, rows) -> Path:
    rows.save(here / "rows.npz")
    return here / "rows.npz"


@pytest.fixture
def fitted(stage1, table) -> Path:
    assert stage1("fit-policy", "softmax", table).code == 0
    return table.with_name("policy.json")


def only_line(outcome) -> str:
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.strip().splitlines()
    assert line.startswith("stage1: ")
    return line


def test_every_kind_of_policy_can_be_fitted():
    configs = typing.get_args(typing.get_args(AnyPolicyConfig)[0])
    assert sorted(KINDS) == sorted(config.model_fields["kind"].default for config in configs)


@each_kind
def test_a_policy_is_fitted_written_and_decides(stage1, table, rows, kind):
    code, out, err = stage1("fit-policy", kind, table)
    policy = read_policy(table.with_name("policy.json"))
    assert (code, policy.kind) == (0, kind)
    certificate = policy.certificate
    assert f"{certificate.events} / {certificate.trials}" in out
    assert policy.rule_in_words() in out.replace("\n", "")
    assert "FNR on exited ≤ 2 %, at 90 % confidence" in out
    assert "policy.json holds the policy" in err

    code, out, err = stage1("decide", "policy.json", table)
    found = pd.read_csv(io.StringIO(out), dtype={"prediction_set": "str"})
    decisions = policy.decide(rows.scores)
    assert code == 0
    assert found["id"].tolist() == rows.scores.ids.tolist()
    assert found["exited"].tolist() == decisions.exited.tolist()
    assert found["label"].fillna(-1).tolist() == decisions.label.tolist()
    assert set(found.loc[~decisions.exited, "prediction_set"]) == {"0 1"}
    assert f"1,600 rows: {decisions.exited.sum():,} exit" in err


def test_the_json_is_the_fit_of_the_divided_rows(stage1, table, rows):
    code, out, _ = stage1("fit-policy", "softmax", table, "--json", "--seed", "4", "--order-share", "0.45")
    shares = {Purpose.SELECT_MODEL: Fraction(45, 100), Purpose.CERTIFY_UNCALIBRATED_POLICY: Fraction(55, 100)}
    wanted = fit_policy(SoftmaxPolicyConfig(), divided(rows, shares, seed=4), RiskConstraint())
    assert code == 0
    assert out == wanted.to_json()
    assert (table.with_name("policy.json")).read_text() == wanted.policy.to_json()


def test_sorting_the_file_changes_nothing(stage1, table, rows):
    table_of(rows).sort_values("logit_1").to_csv("sorted.csv", index=False)
    outcomes = [stage1("fit-policy", "gate", path, "--json", "--force").out for path in (table, "sorted.csv")]
    assert outcomes[0] == outcomes[1]


def test_rows_groups_and_positives_of_each_part_are_shown(stage1, table):
    out = stage1("fit-policy", "gate", table).out
    fit = PolicyFit.model_validate_json(stage1("fit-policy", "gate", table, "--json", "--force").out)
    assert set(fit.parts) == {"order", "calibrate", "certify"}
    assert sum(size.rows for size in fit.parts.values()) == 1600
    for name, size in fit.parts.items():
        (line,) = (line for line in out.splitlines() if line.split()[:1] == [name])
        counts = (size.rows, size.groups, size.positives, size.counted_rows, size.counted_positives)
        assert line.split()[1:] == [f"{count:,}" for count in counts]


def test_every_option_of_the_promise_reaches_the_certificate(stage1, table):
    options = ("--max-fnr", "0.05", "--confidence", "0.95", "--counting", "every_row")
    guards = ("--max-exit-error", "0.2", "--max-fpr", "0.3")
    stage1("fit-policy", "softmax", table, *options, *guards)
    assert read_policy(table.with_name("policy.json")).constraint == RiskConstraint(
        max_risk=0.05, confidence=0.95, counting="every_row", max_exit_error=0.2, max_fpr_on_exited=0.3
    )


def test_the_exit_error_can_be_the_risk(stage1, table):
    code, out, _ = stage1("fit-policy", "softmax", table, "--risk", "exit_error", "--max-exit-error", "0.05")
    assert code == 0
    assert "exit error ≤ 5 %, at 90 % confidence" in out
    assert read_policy(table.with_name("policy.json")).constraint == RiskConstraint(risk="exit_error", max_risk=0.05)


def test_options_of_scrc_reach_its_grid(stage1, table):
    options = ("--signal", "energy", "--positives", "sooner", "--max-fpr", "0.2", "--grid-size", "20")
    code, _, _ = stage1("fit-policy", "scrc", table, *options)
    policy = read_policy(table.with_name("policy.json"))
    assert code == 0
    assert policy.selector.signal == "energy"
    assert len(policy.sweep_results) <= 20


def test_no_exit_is_an_answer_with_a_code_of_its_own(stage1, table, rows):
    code, out, err = stage1("fit-policy", "softmax", table, "--max-fnr", "0.0001")
    policy = read_policy(table.with_name("policy.json"))
    assert code == 3
    assert isinstance(policy, NoExit)
    assert policy.no_exit_reason in err
    assert "none" in out
    code, out, err = stage1("decide", "policy.json", table)
    assert code == 0
    assert {row["exited"] for row in csv.DictReader(io.StringIO(out))} == {"False"}
    assert "the policy lets nothing exit" in err


@each_kind
def test_three_rows_certify_nothing_and_say_so(stage1, here, kind):
    (here / "rows.csv").write_text("label,logit,gate_logit\n1,3,1\n0,-3,2\n1,2,1\n")
    code, _, err = stage1("fit-policy", kind, "rows.csv")
    assert code == 2 if kind == "gate" else 3
    assert "no row is left to calibrate" in err if kind == "gate" else "no exit" in err


def test_negatives_alone_certify_no_fnr(stage1, table, rows):
    replace(rows, labels=np.zeros_like(rows.labels)).save(table)
    code, _, err = stage1("fit-policy", "softmax", table)
    assert code == 3
    assert "0 of 0 certifying rows" in err


def test_one_group_cannot_be_divided(stage1, table, rows):
    replace(rows, groups=np.full(len(rows), "street")).save(table)
    assert "1600 rows in 1 groups are divided into 2 parts" in only_line(stage1("fit-policy", "softmax", table))


def test_parts_can_be_files(stage1, here):
    parts = {name: drawn(800, seed=seed, name=name) for seed, name in enumerate(("order", "calibrate", "certify"))}
    for name, part in parts.items():
        part.save(here / f"{name}.npz")
    files = ("certify.npz", "--order", "order.npz", "--calibrate", "calibrate.npz")
    code, out, _ = stage1("fit-policy", "gate", *files, "--json")
    assert code == 0
    sizes = PolicyFit.model_validate_json(out).parts
    assert {name: size.rows for name, size in sizes.items()} == dict.fromkeys(parts, 800)


def test_files_without_ids_are_told_apart(stage1, here):
    for seed in (0, 1):
        table_of(drawn(800, seed=seed)).drop(columns=["id", "group"]).to_csv(f"rows{seed}.csv", index=False)
    assert stage1("fit-policy", "softmax", "rows1.csv", "--order", "rows0.csv").code == 0


@pytest.mark.parametrize("which", ["--order", "--calibrate"])
@pytest.mark.parametrize("dropped", [("id",), ()], ids=["neither has ids", "one has ids"])
def test_the_same_rows_without_ids_are_refused_in_another_order_and_format(stage1, here, rows, which, dropped):
    table = table_of(rows).drop(columns="group")
    table.drop(columns=list(dropped)).to_csv("certify.csv", index=False)
    shuffled = table.drop(columns="id").sample(frac=1, random_state=1)
    np.savez("again.npz", **{name: shuffled[name].to_numpy(np.float32) for name in shuffled})
    line = only_line(stage1("fit-policy", "gate", "certify.csv", which, "again.npz"))
    assert "certify.csv and again.npz hold the same rows: 1600 of 1600" in line
    assert not (here / "policy.json").exists()


def test_the_other_files_are_held_against_each_other_too(stage1, here):
    for seed, name in enumerate(("certify", "order")):
        table_of(drawn(800, seed=seed)).drop(columns=["id", "group"]).to_csv(f"{name}.csv", index=False)
    pd.read_csv("order.csv").iloc[::-1].to_parquet("calibrate.parquet")
    files = ("certify.csv", "--order", "order.csv", "--calibrate", "calibrate.parquet")
    assert "order.csv and calibrate.parquet hold the same rows" in only_line(stage1("fit-policy", "gate", *files))


def test_rows_that_two_files_give_different_ids_are_taken_at_their_word(stage1, here, rows):
    table = table_of(rows).drop(columns="group")
    table.to_csv("certify.csv", index=False)
    table.assign(id=[f"other {name}" for name in table["id"]]).to_csv("order.csv", index=False)
    assert stage1("fit-policy", "softmax", "certify.csv", "--order", "order.csv").code == 0


@pytest.mark.parametrize(("decimals", "noted"), [(9, False), (0, True)])
def test_coarse_scores_without_ids_are_remarked_on(stage1, here, decimals, noted):
    for seed, name in enumerate(("certify", "order")):
        rows = drawn(800, seed=seed)
        logit = rows.scores.margin_logits.round(decimals)
        pd.DataFrame({"label": rows.labels, "logit": logit}).to_csv(f"{name}.csv", index=False)
    err = stage1("fit-policy", "softmax", "certify.csv", "--order", "order.csv").err
    assert ("nobody can check that certify.csv and order.csv hold different pictures" in err) == noted


def test_a_group_in_two_files_is_refused(stage1, here, rows):
    table_of(rows)[:801].to_csv("order.csv", index=False)
    table_of(rows)[801:].to_csv("certify.csv", index=False)
    line = only_line(stage1("fit-policy", "softmax", "certify.csv", "--order", "order.csv"))
    assert "row site 400" in line
    assert not (here / "policy.json").exists()


def test_one_file_for_two_parts_is_refused(stage1, table):
    table.with_name("copy.npz").write_bytes(table.read_bytes())
    assert "same file twice" in only_line(stage1("fit-policy", "softmax", table, "--order", "copy.npz"))


def test_rows_that_weights_were_fitted_on_are_refused(stage1, table, rows):
    replace(rows, purpose=Purpose.FIT_WEIGHTS).save(table)
    assert "rows read for fit_weights" in only_line(stage1("fit-policy", "softmax", table))


def test_a_policy_is_not_replaced_unasked(stage1, table, fitted):
    before = fitted.read_text()
    assert "policy.json exists" in only_line(stage1("fit-policy", "softmax", table, "--max-fnr", "0.05"))
    assert fitted.read_text() == before
    assert stage1("fit-policy", "softmax", table, "--max-fnr", "0.05", "--force").code == 0
    assert fitted.read_text() != before


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_what_is_read_is_never_replaced(stage1, table, fitted, here, force):
    (here / "link.npz").symlink_to(table)
    (here / "folder").mkdir()
    drawn(400, name="other").save(here / "order.npz")
    contents = {path: path.read_bytes() for path in (table, fitted, here / "order.npz")}
    for output in ("rows.npz", here / "rows.npz", "folder/../rows.npz", "link.npz", "order.npz"):
        words = ("fit-policy", "softmax", table, "--order", "order.npz", "--output", output, *force)
        assert "is read here and would be replaced" in only_line(stage1(*words))
    for output in ("rows.npz", "link.npz", "policy.json"):
        line = only_line(stage1("decide", fitted, table, "--output", output))
        assert "is read here and would be replaced" in line
    assert {path: path.read_bytes() for path in contents} == contents


def test_confidences_of_exactly_one_are_remarked_on(stage1, table, rows):
    said = re.compile(r"note: \d+\.\d+ % of the certifying rows have a confidence of exactly 1")
    assert not said.search(stage1("fit-policy", "softmax", table).err)
    replace(rows, scores=replace(rows.scores, logits=10 * rows.scores.logits)).save(table)
    assert said.search(stage1("fit-policy", "softmax", table, "--force").err)
    code, _, err = stage1("fit-policy", "scrc", table, "--force")
    assert code == 0
    assert not said.search(err)


def test_false_alarms_that_nothing_bounds_are_remarked_on(stage1, table, rows):
    said = "and no ceiling was asked for; --max-fpr sets one"
    assert said not in stage1("fit-policy", "softmax", table).err
    replace(rows, scores=replace(rows.scores, logits=np.tile([0.0, 1.0], (len(rows), 1)))).save(table)
    for options in ((), ("--json",)):
        code, _, err = stage1("fit-policy", "softmax", table, "--force", *options)
        assert code == 0
        assert re.search(rf"^note: FPR on exited is 100 % \((\d+) of \1\) on the certifying rows, {said}$", err, re.M)
    code, _, err = stage1("fit-policy", "softmax", table, "--force", "--max-fpr", "0.05")
    assert code == 3
    assert said not in err


def test_the_ceilings_that_the_help_names_are_those_that_are_taken(stage1, table):
    assert "with --risk exit_error alone, at most 0.1" in " ".join(
        stage1("fit-policy", "--help").out.replace("│", " ").split()
    )
    alone = ("fit-policy", "softmax", table, "--force", "--risk", "exit_error", "--max-exit-error")
    assert stage1(*alone, "0.1").code == 0
    assert stage1(*alone, "0.11").code == 2
    assert stage1("fit-policy", "softmax", table, "--force", "--max-exit-error", "0.999").code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("softmax", "--risk", "exit_error"), "needs --max-exit-error"),
        (
            ("softmax", "--risk", "exit_error", "--max-exit-error", "0.3"),
            "with --risk exit_error, --max-exit-error is 0.3: Input should be less than or equal to 0.1",
        ),
        (("softmax", "--risk", "exit_error", "--max-exit-error", "0.03", "--max-fnr", "0.02"), "takes no --max-fnr"),
        (("softmax", "--signal", "gate"), "a softmax policy takes no --signal"),
        (("gate", "--positives", "sooner"), "a gate policy takes no --positives"),
        (("scrc", "--positives", "sooner"), "without a ceiling on false alarms"),
        (("scrc", "--calibrate", "rows.npz"), "a scrc policy has nothing to calibrate"),
        (("gate", "--order-share", "0.5", "--calibrate-share", "0.5"), "leave no row to certify"),
    ],
)
def test_options_that_do_not_go_together_are_refused(stage1, table, options, said):
    kind, *rest = options
    line = next(
        line for line in stage1("fit-policy", kind, table, *rest).err.splitlines() if line.startswith("stage1: ")
    )
    assert said in line
    assert not table.with_name("policy.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("oracle",),
        ("softmax", "--max-fnr", "0"),
        ("softmax", "--max-fnr", "0.5"),
        ("softmax", "--max-fnr", "nan"),
        ("softmax", "--confidence", "1"),
        ("softmax", "--order-share", "1"),
        ("softmax", "--grid-size", "1"),
    ],
)
def test_a_value_out_of_bounds_is_a_usage_error(stage1, table, words):
    kind, *rest = words
    assert stage1("fit-policy", kind, table, *rest).code == 2
    assert not table.with_name("policy.json").exists()


def test_a_policy_that_reads_a_gate_says_so_where_there_is_none(stage1, table, here):
    stage1("fit-policy", "gate", table)
    (here / "scores.csv").write_text("logit\n3\n-2\n")
    line = only_line(stage1("decide", "policy.json", "scores.csv", "--output", "decisions.csv"))
    assert "have no gate logits" in line
    assert not (here / "decisions.csv").exists()


def test_decisions_need_no_labels_and_count_those_that_are_there(stage1, fitted, here, rows):
    columns = table_of(rows)
    outcomes = []
    for labels in (rows.labels, None, [""] * len(rows), np.full(len(rows), -1)):
        (columns.drop(columns="label") if labels is None else columns.assign(label=labels)).to_csv("s.csv", index=False)
        outcomes.append(stage1("decide", fitted, "s.csv"))
    assert len({outcome.out for outcome in outcomes}) == 1
    assert ["by the labels" in outcome.err for outcome in outcomes] == [True, False, False, False]
    decisions = read_policy(fitted).decide(rows.scores)
    missed = int(((decisions.label == 0) & (rows.labels == 1)).sum())
    assert f"({missed} of {int((decisions.exited & (rows.labels == 1)).sum())})" in outcomes[0].err


def test_json_lines_say_the_same_as_the_csv(stage1, fitted, table):
    stage1("decide", fitted, table, "--format", "jsonl", "--output", "decisions.jsonl")
    found = [json.loads(line) for line in Path("decisions.jsonl").read_text().splitlines()]
    shown = csv.DictReader(io.StringIO(stage1("decide", fitted, table).out))
    for given, row in zip(found, shown, strict=True):
        assert (given["id"], str(given["exited"])) == (row["id"], row["exited"])
        assert row["label"] == ("" if given["label"] is None else str(given["label"]))
        assert row["prediction_set"] == " ".join(map(str, given["prediction_set"]))


def test_a_threshold_that_was_changed_by_hand_decides_nothing(stage1, fitted, table):
    policy = json.loads(fitted.read_text())
    fitted.write_text(json.dumps(policy | {"exit_threshold": 0.5}))
    line = only_line(stage1("decide", fitted, table))
    assert "policy.json: the threshold 0.5 was never certified, so nothing is promised of it" in line


def test_a_file_that_is_no_policy_is_one_line(stage1, fitted, table, here):
    (here / "other.json").write_text('{"coverage": 1}')
    (here / "newer.json").write_text('{"kind": "oracle", "stage1_core_version": "99.0"}')
    assert "no policy: it has no kind" in only_line(stage1("decide", "other.json", table))
    assert "version 99.0 wrote it" in only_line(stage1("decide", "newer.json", table))
    assert "is not JSON" in only_line(stage1("decide", table, table))
    assert "does not exist" in only_line(stage1("decide", "absent.json", table))


@pytest.mark.parametrize("content", ["", "id,logit\n", "id\na\n", "logit\nnan\n"])
def test_scores_that_are_none_are_one_line(stage1, fitted, here, content):
    (here / "scores.csv").write_text(content)
    assert "scores.csv" in only_line(stage1("decide", fitted, "scores.csv"))


def test_a_pipe_is_not_replaced_by_a_file(stage1, fitted, table, here):
    os.mkfifo(here / "pipe")
    assert "is a device or a pipe" in only_line(stage1("decide", fitted, table, "--output", "pipe"))
    assert (here / "pipe").is_fifo()


def test_a_policy_of_a_bundle_decides(stage1, released, table):
    code, out, _ = stage1("decide", released / "thresholds.json", table)
    assert code == 0
    assert len(out.splitlines()) == 1601


def test_the_example_of_the_page_gives_what_the_page_shows(stage1, here):
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    (makes,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    fit, decide = re.findall(r"^```sh\n(stage1 .*?)^```$", page, re.MULTILINE | re.DOTALL)[:2]
    shown, decided = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(makes.splitlines()) == 10
    exec(makes, {})
    code, out, _ = stage1(*shlex.split(fit)[1:])
    printed = [line.rstrip() for line in out.splitlines() if line.strip()]
    assert code == 0
    assert printed == [line for line in shown.splitlines() if line]
    code, out, _ = stage1(*shlex.split(decide)[1:])
    assert code == 0
    assert out.startswith(decided)
