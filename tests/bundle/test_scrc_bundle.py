"""A bundle whose policy has two thresholds and calibrates the classes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy.special import expit

from stage1_core.acceptance import Verdict
from stage1_core.bundle.integrity import read_golden, read_manifest
from stage1_core.bundle.manifest import MANIFEST_FILE, BundleManifest
from stage1_core.bundle.predict import predict_files
from stage1_core.bundle.rehearsal import rehearse
from stage1_core.bundle.release import release_bundle
from stage1_core.bundle.resealing import reseal
from stage1_core.bundle.runtime import Stage1, as_decisions, load_bundle
from stage1_core.bundle.sealing import entries_of
from stage1_core.bundle.verify import verify_bundle
from stage1_core.digests import canonical_json
from stage1_core.errors import BundleError, PolicyError
from stage1_core.model.head import HeadConfig, build_head
from stage1_core.predictions import Scores
from tests.bundle.toys import LONG_AGO, scrc_policy

CHANGES = {
    "the threshold that was searched": {"lambda2": 0.999},
    "the one that stood still": {"lambda1": 0.9999},
    "the calibrator": {"class_calibrator": {"kind": "temperature", "temperature": 1000.0}},
    "the selector": {"selector": {"signal": "gate", "signal_slope": 0.0, "confidence_slope": 0.0, "offset": 20.0}},
    "where roadwork exits": {"positives": {"lambda1": 0.0, "lambda2": 0.5}},
}


@pytest.fixture(scope="module")
def stage1(scrc_released) -> Stage1:
    return load_bundle(scrc_released)


@pytest.fixture
def scrc_bundle(scrc_released, tmp_path) -> Path:
    return Path(shutil.copytree(scrc_released, tmp_path / "bundle"))


def change_policy(bundle: Path, **changes: object) -> None:
    path = bundle / "scrcparams.json"
    path.write_bytes(canonical_json(json.loads(path.read_bytes()) | changes))


def forge_digests(bundle: Path) -> None:
    """Make every digest fit what lies there, without the mark that resealing leaves."""
    files = {name: entry for name, entry in entries_of(bundle).items() if name != MANIFEST_FILE}
    forged = BundleManifest.model_validate(read_manifest(bundle).model_dump() | {"files": files}).sealed()
    (bundle / MANIFEST_FILE).write_text(forged.to_json())


def test_it_passes_every_check(scrc_released):
    report = verify_bundle(scrc_released)
    assert report.passed, report.summary()


def test_scrcparams_json_is_the_fitted_policy_itself_and_the_only_one(scrc_contents, scrc_released):
    assert (scrc_released / "scrcparams.json").read_text() == scrc_contents.policy.to_json()
    assert not (scrc_released / "thresholds.json").exists()
    assert not (scrc_released / "calibrators").exists()
    shipped = Path(__file__).parents[2] / "schemas" / "scrcparams.schema.json"
    jsonschema.validate(json.loads((scrc_released / "scrcparams.json").read_bytes()), json.loads(shipped.read_text()))


def test_decisions_are_those_of_the_policy(stage1, scrc_contents, pictures):
    expected = scrc_contents.policy.decide(stage1.scores(pictures))
    decisions = stage1.decide(pictures)
    assert [decision.exited for decision in decisions] == expected.exited.tolist()
    assert [-1 if d.label is None else d.label for d in decisions] == expected.label.tolist()
    assert {decision.label for decision in decisions} == {None, 0, 1}
    assert {decision.stage_b_label for decision in decisions} == {None}


def test_the_probability_is_the_calibrated_one_in_decisions_and_tables(stage1, scrc_contents, pictures):
    scores = stage1.scores(pictures)
    calibrated = scrc_contents.policy.class_calibrator.class_logits(scores.logits)
    expected = expit(calibrated[:, 1] - calibrated[:, 0])
    assert np.abs(expected - expit(scores.margin_logits)).max() > 0.05
    assert [decision.probability for decision in stage1.decide(pictures)] == pytest.approx(expected.tolist())
    assert [row.probability for row in predict_files(stage1, pictures)] == pytest.approx(expected.tolist())


def test_no_label_contradicts_its_probability_where_calibration_turns_the_class_decision(scrc_contents):
    policy = scrc_contents.policy.model_copy(update={"lambda2": 0.5})
    margin = np.concatenate([np.linspace(-1, 1, 401), [-800.0, 800.0]])
    logits = np.stack([-margin / 2, margin / 2], axis=1)
    scores = Scores(np.array([str(place) for place in range(len(margin))]), logits, np.full(len(margin), 9.0))
    decisions = as_decisions(scores, policy)
    assert all(decision.exited for decision in decisions)
    assert all(0 <= decision.probability <= 1 for decision in decisions)
    assert [decision.label for decision in decisions] == [int(decision.probability >= 0.5) for decision in decisions]
    assert [decision.label for decision in decisions] != scores.likelier_class.tolist()


def test_no_pictures_give_no_decisions(stage1, tmp_path):
    assert stage1.decide([]) == []
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (row,) = predict_files(stage1, [tmp_path / "broken.jpg"])
    assert row.error is not None


def test_the_golden_pictures_cover_exits_and_rest_and_lie_near_no_threshold(scrc_contents, scrc_released):
    golden = read_golden(scrc_released, read_manifest(scrc_released))
    assert {picture.prediction_set for picture in golden.pictures} == {(True, True), (True, False), (False, True)}
    scores, policy = golden.scores(), scrc_contents.policy
    expected = policy.decide(scores).prediction_set
    for shift in (-4e-3, 4e-3):
        for moved in (
            dataclasses.replace(scores, gate_logits=scores.gate_logits + shift),
            dataclasses.replace(scores, logits=scores.logits + np.array([shift, 0.0])),
        ):
            np.testing.assert_array_equal(policy.decide(moved).prediction_set, expected)


def test_a_head_without_a_gate_cannot_be_released_with_a_policy_that_selects_by_one(scrc_contents, tmp_path):
    plain = build_head(scrc_contents.head.in_features, HeadConfig(hidden=4), seed=0)
    with pytest.raises(PolicyError, match="no gate logits, and the policy selects by them"):
        release_bundle(dataclasses.replace(scrc_contents, head=plain), tmp_path / "bundle")


def test_scores_without_a_gate_are_an_error_that_says_what_to_do(stage1, pictures):
    bare = dataclasses.replace(stage1.scores(pictures), gate_logits=None)
    with pytest.raises(PolicyError, match="gated: true"):
        as_decisions(bare, stage1.policy)


def test_a_head_without_a_gate_is_selected_by_the_energy_of_its_logits(contents, pictures, tmp_path):
    plain = dataclasses.replace(contents, policy=scrc_policy())
    release_bundle(plain, tmp_path / "bundle", created_at=LONG_AGO)
    assert verify_bundle(tmp_path / "bundle").passed
    stage1 = load_bundle(tmp_path / "bundle")
    scores = stage1.scores(pictures)
    assert scores.gate_logits is None
    assert [decision.exited for decision in stage1.decide(pictures)] == plain.policy.decide(scores).exited.tolist()
    assert any(decision.exited for decision in stage1.decide(pictures))


def test_its_thresholds_are_what_decides(scrc_contents, stage1, pictures):
    rehearsal = rehearse(scrc_contents, stage1.scores(pictures))
    assert [fact.verdict for fact in rehearsal.facts] == [Verdict.PASS] * 3


def test_another_certified_level_may_be_released(scrc_contents, tmp_path):
    strict = max(level.threshold for level in scrc_contents.policy.sweep_results if level.certified)
    policy = scrc_contents.policy.at_threshold(strict)
    assert policy.lambda2 > scrc_contents.policy.lambda2
    release_bundle(dataclasses.replace(scrc_contents, policy=policy), tmp_path / "bundle", created_at=LONG_AGO)
    assert verify_bundle(tmp_path / "bundle").passed


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_is_changed_in_the_policy_is_refused(scrc_bundle, what):
    change_policy(scrc_bundle, **CHANGES[what])
    with pytest.raises(BundleError, match=r"scrcparams\.json"):
        load_bundle(scrc_bundle)
    assert not verify_bundle(scrc_bundle).passed


@pytest.mark.parametrize("what", [what for what in CHANGES if what != "where roadwork exits"])
def test_a_change_that_turns_a_golden_decision_is_refused_even_where_all_digests_were_forged(scrc_bundle, what):
    change_policy(scrc_bundle, **CHANGES[what])
    forge_digests(scrc_bundle)
    with pytest.raises(BundleError, match=r"golden picture .* the policy is not the one that was certified"):
        load_bundle(scrc_bundle)


def test_a_threshold_that_was_never_certified_is_found_even_where_all_digests_were_forged(scrc_bundle):
    change_policy(scrc_bundle, lambda2=0.61)
    forge_digests(scrc_bundle)
    failed = {check.name: check.evidence for check in verify_bundle(scrc_bundle).checks if not check.holds}
    assert "the threshold 0.61 is not among the certified ones" in failed["certificate"]


def test_a_resealed_level_decides_otherwise_and_is_void(scrc_bundle, stage1, pictures):
    strict = max(level.threshold for level in stage1.policy.sweep_results if level.certified)
    change_policy(scrc_bundle, **stage1.policy.at_threshold(strict).model_dump(mode="json"))
    reseal(scrc_bundle)
    with pytest.raises(BundleError, match="void"):
        load_bundle(scrc_bundle)
    before = stage1.decide(pictures)
    after = load_bundle(scrc_bundle, allow_void_certificate=True).decide(pictures)
    assert sum(decision.exited for decision in after) < sum(decision.exited for decision in before)


def test_a_calibrator_that_reorders_is_refused_even_when_resealed(scrc_bundle):
    turned = {"kind": "dirichlet", "weights": [[-1.0, 0.0], [0.0, -1.0]], "offsets": [0.0, 0.0]}
    change_policy(scrc_bundle, class_calibrator=turned)
    with pytest.raises(BundleError, match="reorder"):
        reseal(scrc_bundle)


def test_the_documents_say_rule_method_and_whose_probabilities(scrc_contents, scrc_released, released):
    policy = scrc_contents.policy
    card, readme = ((scrc_released / name).read_text() for name in ("MODEL_CARD.md", "README.md"))
    assert policy.rule_in_words() in card
    assert "## What the method itself promises" in card
    assert policy.bounds.in_words() in card
    assert f"calibrated on {policy.calibration.fit_rows} val_select rows; only decisions are certified" in card
    assert "ask the second stage" in readme
    plain = (released / "MODEL_CARD.md").read_text()
    assert "Probabilities are the model's; only decisions are certified" in plain
    assert "the method itself" not in plain
