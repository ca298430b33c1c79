from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stage1_core.bundle import release
from stage1_core.bundle.golden import GoldenCandidate
from stage1_core.bundle.integrity import read_golden, read_manifest
from stage1_core.bundle.release import release_bundle
from stage1_core.bundle.runtime import load_bundle
from stage1_core.errors import BundleError, DataError, ModelError
from stage1_core.model.backbone import save_backbone
from stage1_core.model.backbone_config import RandomWeights, TimmBackboneConfig
from stage1_core.model.head import HeadConfig, build_head
from tests.bundle.toys import BACKBONE, LONG_AGO


def contents_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def with_release(contents, **changes):
    return dataclasses.replace(contents, release=contents.release.model_copy(update=changes))


def test_two_builds_differ_in_their_time_alone(contents, released, tmp_path):
    release_bundle(contents, tmp_path / "again", created_at=datetime(2020, 1, 1, tzinfo=UTC))
    first, second = contents_of(released), contents_of(tmp_path / "again")
    manifests = [json.loads(part.pop("bundle.json")) for part in (first, second)]
    assert first == second
    assert [manifest.pop("created_at") for manifest in manifests] == [
        "2001-02-03T04:05:06+00:00",
        "2020-01-01T00:00:00+00:00",
    ]
    assert manifests[0] == manifests[1]


def test_source_date_epoch_makes_builds_identical_in_every_byte(contents, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    release_bundle(contents, tmp_path / "a")
    release_bundle(contents, tmp_path / "b")
    assert contents_of(tmp_path / "a") == contents_of(tmp_path / "b")
    assert read_manifest(tmp_path / "a").created_at == "1970-01-02T00:00:00+00:00"


def test_an_unusable_source_date_epoch_is_named(contents, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(BundleError, match="'yesterday'"):
        release_bundle(contents, tmp_path / "bundle")


def test_thresholds_json_is_the_fitted_policy_itself(contents, released):
    assert (released / "thresholds.json").read_text() == contents.policy.to_json()


def test_golden_pictures_cover_both_exits_and_the_second_stage(released):
    golden = read_golden(released, read_manifest(released))
    assert {picture.prediction_set for picture in golden.pictures} == {(True, True), (True, False), (False, True)}
    assert {picture.label for picture in golden.pictures} == {0, 1}


def test_a_release_into_an_empty_folder_fills_it(contents, tmp_path):
    (tmp_path / "bundle").mkdir()
    release_bundle(contents, tmp_path / "bundle", created_at=LONG_AGO)
    load_bundle(tmp_path / "bundle")


def test_a_folder_that_holds_something_is_never_written_over(contents, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "precious").write_text("mine")
    with pytest.raises(BundleError, match="never written over"):
        release_bundle(contents, tmp_path / "bundle")
    assert contents_of(tmp_path) == {"bundle/precious": b"mine"}


def test_a_release_that_fails_in_the_middle_leaves_nothing(contents, tmp_path):
    broken = dataclasses.replace(contents, metrics_csv=tmp_path / "absent.csv")
    with pytest.raises(BundleError, match=r"absent\.csv cannot be copied"):
        release_bundle(broken, tmp_path / "target" / "bundle")
    assert list((tmp_path / "target").iterdir()) == []


def test_a_bundle_that_does_not_load_is_never_put_in_place(contents, tmp_path, monkeypatch):
    def refuses(folder: Path) -> None:
        raise BundleError(f"{folder} is no good")

    monkeypatch.setattr(release, "load_bundle", refuses)
    with pytest.raises(BundleError, match="no good"):
        release_bundle(contents, tmp_path / "target" / "bundle")
    assert list((tmp_path / "target").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["_write_documents", "rename_durably"])
def test_a_release_that_is_killed_leaves_no_half_bundle(tmp_path, victim):
    here = Path(__file__).parent
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tests.bundle import toys; from stage1_core.bundle import release\n"
        f"release.{victim} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "release.release_bundle(toys.toy_contents(Path(sys.argv[1])), Path(sys.argv[1]) / 'target' / 'bundle')"
    )
    environment = os.environ | {"PYTHONPATH": str(here.parents[1])}
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "target" / "bundle").exists()
    assert len(list((tmp_path / "target").iterdir())) == 1
    with pytest.raises(BundleError, match="not a bundle"):
        load_bundle(tmp_path / "target" / "bundle")


def test_a_referenced_backbone_stays_outside_and_is_checked(contents, tmp_path):
    release_bundle(with_release(contents, backbone="reference"), tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "backbone").exists()
    assert load_bundle(tmp_path / "bundle").manifest.model.backbone.config == BACKBONE


def test_a_referenced_backbone_that_has_changed_is_refused(contents, tmp_path):
    from stage1_core.model.backbone import load_backbone

    saved = save_backbone(load_backbone(BACKBONE, device="cpu"), tmp_path / "backbone")
    changed = dataclasses.replace(with_release(contents, backbone="reference"), backbone=saved)
    release_bundle(changed, tmp_path / "bundle")
    other = TimmBackboneConfig(model="test_efficientnet", weights=RandomWeights(seed=2))
    save_backbone(load_backbone(other, device="cpu"), tmp_path / "backbone")
    with pytest.raises(BundleError, match="install the backbone that the manifest names"):
        load_bundle(tmp_path / "bundle")


def test_a_head_for_another_backbone_is_refused(contents, tmp_path):
    head = build_head(7, HeadConfig(hidden=4), seed=0)
    with pytest.raises(ModelError, match="256 features, the head reads 7"):
        release_bundle(dataclasses.replace(contents, head=head), tmp_path / "bundle")


def test_a_broken_golden_candidate_is_named(contents, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    broken = dataclasses.replace(contents, golden_candidates=[GoldenCandidate(tmp_path / "broken.png", 0)])
    with pytest.raises(DataError, match=r"broken\.png"):
        release_bundle(broken, tmp_path / "bundle")


def test_the_card_states_the_certificate_with_its_counts(contents, released):
    card = (released / "MODEL_CARD.md").read_text()
    certificate = contents.policy.certificate
    assert f"{certificate.events} of {certificate.trials}, exact upper bound {certificate.upper_bound:.2%}" in card
    assert "| val_calib (certify) | toy | 700 | 800 | 0 |" in card
    assert "machinery only" not in card


def test_the_card_of_rendered_pictures_says_what_they_cannot_prove(contents, tmp_path):
    release_bundle(dataclasses.replace(contents, synthetic=True), tmp_path / "bundle")
    assert "Rendered scenes prove machinery only" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()


def test_the_submission_card_has_the_subnets_five_fields(contents, tmp_path):
    submitted = with_release(contents, submitted_by="5Toy", submission_time=1748993537)
    release_bundle(submitted, tmp_path / "bundle")
    card = json.loads((tmp_path / "bundle" / "model_card.json").read_text())
    assert card == {
        "model_name": "stage1-roadwork",
        "description": contents.release.description,
        "version": "0.1.0",
        "submitted_by": "5Toy",
        "submission_time": 1748993537,
    }


def test_the_licence_of_the_backbone_travels_with_its_weights(contents, released, tmp_path):
    assert "untrained" in (released / "BACKBONE_LICENCE.txt").read_text()
    (tmp_path / "LICENCE").write_text("You may.")
    release_bundle(with_release(contents, licence_file=tmp_path / "LICENCE"), tmp_path / "bundle")
    assert (tmp_path / "bundle" / "BACKBONE_LICENCE.txt").read_text().endswith("\nYou may.")


def test_a_missing_licence_file_is_named(contents, tmp_path):
    with pytest.raises(BundleError, match="LICENCE"):
        release_bundle(with_release(contents, licence_file=tmp_path / "LICENCE"), tmp_path / "bundle")
