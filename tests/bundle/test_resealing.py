from __future__ import annotations

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from stage1_core.bundle.resealing import reseal
from stage1_core.bundle.runtime import load_bundle
from stage1_core.bundle.verify import verify_bundle
from stage1_core.digests import canonical_json
from stage1_core.errors import BundleError


def change_threshold(bundle, value: float) -> None:
    path = bundle / "thresholds.json"
    path.write_bytes(canonical_json(json.loads(path.read_bytes()) | {"exit_threshold": value}))


def test_a_changed_threshold_is_refused_until_it_is_resealed_and_then_changes_decisions(bundle, released, pictures):
    change_threshold(bundle, 1.0)
    with pytest.raises(BundleError, match=r"thresholds\.json"):
        load_bundle(bundle)
    reseal(bundle)
    before = load_bundle(released).decide(pictures)
    after = load_bundle(bundle, allow_void_certificate=True).decide(pictures)
    assert any(decision.exited for decision in before)
    assert not any(decision.exited for decision in after)


def test_a_resealed_bundle_says_that_its_certificate_is_void(bundle):
    change_threshold(bundle, 0.5)
    assert reseal(bundle).resealed
    with pytest.raises(BundleError, match="certificate is void"):
        load_bundle(bundle)
    failed = [check for check in verify_bundle(bundle).checks if not check.holds]
    assert [check.name for check in failed] == ["certificate"]
    assert "no certificate holds" in (bundle / "README.md").read_text()
    assert "no certificate holds" in (bundle / "MODEL_CARD.md").read_text()


def test_a_resealed_bundle_is_another_bundle(bundle, released):
    original = json.loads((released / "bundle.json").read_bytes())["content_digest"]
    assert reseal(bundle).content_digest != original


def test_resealing_twice_changes_nothing_more(bundle):
    assert reseal(bundle) == reseal(bundle)


def test_resealing_does_not_bless_other_weights(bundle):
    weights = load_file(bundle / "model_best.safetensors")
    weights["classes.weight"] = -weights["classes.weight"]
    save_file(weights, bundle / "model_best.safetensors")
    reseal(bundle)
    with pytest.raises(BundleError, match="golden picture"):
        load_bundle(bundle, allow_void_certificate=True)


def test_resealing_a_copy_leaves_the_original_alone(released, tmp_path):
    content = (released / "bundle.json").read_bytes()
    copy = shutil.copytree(released, tmp_path / "copy")
    reseal(copy)
    assert (released / "bundle.json").read_bytes() == content
