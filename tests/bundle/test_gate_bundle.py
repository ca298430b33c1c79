"""A bundle whose policy is the gate and whose rest is answered by stage B."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from stage1_core.acceptance import Verdict
from stage1_core.bundle.integrity import read_golden, read_manifest
from stage1_core.bundle.predict import predict_files, write_csv
from stage1_core.bundle.rehearsal import rehearse
from stage1_core.bundle.release import release_bundle
from stage1_core.bundle.resealing import reseal
from stage1_core.bundle.runtime import Stage1, load_bundle
from stage1_core.bundle.verify import verify_bundle
from stage1_core.digests import canonical_json
from stage1_core.errors import BundleError, PolicyError
from stage1_core.model.head import HeadConfig, build_head
from stage1_core.policy import GatePolicy
from tests.bundle.toys import LONG_AGO


@pytest.fixture(scope="module")
def stage1(gate_released) -> Stage1:
    return load_bundle(gate_released)


@pytest.fixture
def gate_bundle(gate_released, tmp_path) -> Path:
    return Path(shutil.copytree(gate_released, tmp_path / "bundle"))


def test_it_passes_every_check(gate_released):
    report = verify_bundle(gate_released)
    assert report.passed, report.summary()


def test_gateparams_json_is_the_fitted_policy_itself_and_the_only_one(gate_contents, gate_released):
    assert (gate_released / "gateparams.json").read_text() == gate_contents.policy.to_json()
    assert not (gate_released / "thresholds.json").exists()
    assert not (gate_released / "calibrators").exists()
    shipped = Path(__file__).parents[2] / "schemas" / "gateparams.schema.json"
    jsonschema.validate(json.loads((gate_released / "gateparams.json").read_bytes()), json.loads(shipped.read_text()))


def test_decisions_are_those_of_the_policy_and_stage_b_answers_only_the_rest(stage1, gate_contents, pictures):
    scores = stage1.scores(pictures)
    expected = gate_contents.policy.decide(scores)
    decisions = stage1.decide(pictures)
    assert [decision.exited for decision in decisions] == expected.exited.tolist()
    assert [-1 if d.label is None else d.label for d in decisions] == expected.label.tolist()
    stage_b = np.argmax(scores.aux_logits, axis=1)
    answers = [None if decision.exited else stage_b[place] for place, decision in enumerate(decisions)]
    assert [decision.stage_b_label for decision in decisions] == answers
    assert {None, 0, 1} == set(answers)


def test_a_policy_that_leaves_the_rest_to_the_second_stage_names_no_answer(stage1, pictures):
    policy = stage1.policy.model_copy(update={"rest": "second_stage"})
    decisions = dataclasses.replace(stage1, policy=policy).decide(pictures)
    assert {decision.stage_b_label for decision in decisions} == {None}


def test_no_pictures_give_no_decisions(stage1, tmp_path):
    assert stage1.decide([]) == []
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (row,) = predict_files(stage1, [tmp_path / "broken.jpg"])
    assert row.error is not None


def test_the_last_column_of_the_table_is_stage_bs_answer(stage1, pictures):
    table = io.StringIO()
    write_csv(predict_files(stage1, pictures), table)
    reader = csv.DictReader(io.StringIO(table.getvalue()))
    rows = list(reader)
    assert reader.fieldnames[-1] == "stage_b_label"
    expected = ["" if d.stage_b_label is None else str(d.stage_b_label) for d in stage1.decide(pictures)]
    assert [row["stage_b_label"] for row in rows] == expected


def test_the_golden_pictures_cover_exits_and_rest_with_all_logits(gate_released):
    golden = read_golden(gate_released, read_manifest(gate_released))
    assert {picture.prediction_set for picture in golden.pictures} == {(True, True), (True, False), (False, True)}
    assert all(picture.gate_logit is not None and picture.aux_logits is not None for picture in golden.pictures)


def test_no_golden_picture_lies_near_the_gates_threshold(gate_contents, gate_released):
    golden = read_golden(gate_released, read_manifest(gate_released))
    policy = gate_contents.policy
    for shift in (-4e-3, 4e-3):
        scores = golden.scores()
        moved = policy.decide(dataclasses.replace(scores, gate_logits=scores.gate_logits + shift))
        np.testing.assert_array_equal(moved.prediction_set, policy.decide(scores).prediction_set)


@pytest.mark.parametrize("column", ["gate_logits", "aux_logits"])
def test_a_gate_or_a_stage_b_that_differs_is_noticed(stage1, gate_released, column):
    golden = read_golden(gate_released, stage1.manifest)
    names = [gate_released / picture.file for picture in golden.pictures]
    scores = stage1.scores(names, names=[picture.file for picture in golden.pictures])
    off = dataclasses.replace(scores, **{column: getattr(scores, column) + 2e-3})
    golden.require_reproduced(scores, stage1.policy.decide(scores))
    with pytest.raises(BundleError, match="logits differ by"):
        golden.require_reproduced(off, stage1.policy.decide(off))


def test_a_head_without_a_gate_cannot_be_released_with_the_gate_policy(gate_contents, tmp_path):
    plain = build_head(gate_contents.head.in_features, HeadConfig(hidden=4), seed=0)
    with pytest.raises(PolicyError, match="no gate logits; train a head with gated: true"):
        release_bundle(dataclasses.replace(gate_contents, head=plain), tmp_path / "bundle")


def test_its_threshold_is_what_decides(gate_contents, stage1, pictures):
    rehearsal = rehearse(gate_contents, stage1.scores(pictures))
    assert [fact.verdict for fact in rehearsal.facts] == [Verdict.PASS] * 3


def test_another_certified_level_may_be_released(gate_contents, tmp_path):
    strict = max(level.threshold for level in gate_contents.policy.sweep_results if level.certified)
    policy = gate_contents.policy.at_threshold(strict)
    assert isinstance(policy, GatePolicy)
    assert policy.gate_threshold > gate_contents.policy.gate_threshold
    release_bundle(dataclasses.replace(gate_contents, policy=policy), tmp_path / "bundle", created_at=LONG_AGO)
    assert verify_bundle(tmp_path / "bundle").passed


def change_policy(bundle: Path, **changes: object) -> None:
    path = bundle / "gateparams.json"
    path.write_bytes(canonical_json(json.loads(path.read_bytes()) | changes))


def test_a_changed_calibrator_is_refused_until_it_is_resealed_and_then_void(gate_bundle, gate_contents):
    turned = gate_contents.policy.calibrator_params.model_copy(update={"offset": 50.0})
    change_policy(gate_bundle, calibrator_params=turned.model_dump())
    with pytest.raises(BundleError, match=r"gateparams\.json"):
        load_bundle(gate_bundle)
    reseal(gate_bundle)
    assert not verify_bundle(gate_bundle).passed
    with pytest.raises(BundleError, match="void"):
        load_bundle(gate_bundle)


def test_a_calibrator_under_another_name_is_refused_even_when_resealed(gate_bundle):
    change_policy(gate_bundle, calibrator_type="isotonic")
    with pytest.raises(BundleError, match="calibrator_type is 'isotonic'"):
        reseal(gate_bundle)


def test_the_documents_say_rule_and_who_answers_the_rest(gate_contents, gate_released, released):
    card, readme = ((gate_released / name).read_text() for name in ("MODEL_CARD.md", "README.md"))
    assert gate_contents.policy.rule_in_words() in card
    for text in (card, readme):
        assert "answered by stage B, an auxiliary output of the same head, without any promise" in text
    assert "decision.stage_b_label" in readme
    assert "stage B" not in (released / "README.md").read_text()
