"""Whatever is done to a released bundle, loading refuses it and names the file."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stage1_core.bundle.runtime import load_bundle
from stage1_core.bundle.sealing import entries_of
from stage1_core.bundle.verify import verify_bundle
from stage1_core.digests import canonical_json, digest_of_bytes
from stage1_core.errors import BundleError

FILES = (
    "BACKBONE_LICENCE.txt",
    "MODEL_CARD.md",
    "README.md",
    "acceptance.json",
    "backbone/config.json",
    "backbone/model.safetensors",
    "bundle.json",
    "config.json",
    "figures/sweep.png",
    "golden.json",
    *(f"golden/{index:02}.png" for index in range(8)),
    "metrics.csv",
    "model_best.safetensors",
    "model_card.json",
    "splits.json",
    "thresholds.json",
)


def seal_by_hand(bundle: Path, **changes: object) -> None:
    """What a forger does: recompute every digest, without marking the bundle as resealed."""
    path = bundle / "bundle.json"
    manifest = json.loads(path.read_bytes()) | changes
    path.unlink()
    manifest["files"] = {name: entry.model_dump() for name, entry in entries_of(bundle).items()}
    identity = {name: value for name, value in manifest.items() if name not in ("content_digest", "created_at")}
    manifest["content_digest"] = digest_of_bytes(canonical_json(identity))
    path.write_bytes(canonical_json(manifest, indent=2) + b"\n")


def refused(bundle: Path, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        load_bundle(bundle)
    assert not verify_bundle(bundle).passed


def test_the_list_of_files_here_is_that_of_the_bundle(released):
    assert sorted(p.relative_to(released).as_posix() for p in released.rglob("*") if p.is_file()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_refused(bundle, name):
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    refused(bundle, re.escape(name))


@pytest.mark.parametrize("name", FILES)
def test_an_appended_byte_is_refused(bundle, name):
    with (bundle / name).open("ab") as file:
        file.write(b"x")
    refused(bundle, re.escape(name))


@pytest.mark.parametrize("name", FILES)
def test_a_deleted_file_is_refused(bundle, name):
    (bundle / name).unlink()
    refused(bundle, re.escape(name))


@pytest.mark.parametrize("name", FILES)
def test_a_file_replaced_by_a_link_to_its_own_content_is_refused(bundle, tmp_path, name):
    shutil.move(bundle / name, tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    refused(bundle, re.escape(name))


@pytest.mark.parametrize(
    "name",
    ["extra.json", "golden/99.png", "gateparams.json", "model_best.pth", "hidden/.code.py", "weights.bin", "a.pkl"],
)
def test_an_extra_file_is_refused(bundle, name):
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(b"{}")
    refused(bundle, re.escape(name))


def test_an_extra_pipe_is_refused(bundle):
    os.mkfifo(bundle / "pipe.json")
    refused(bundle, "neither a file nor a folder")


@pytest.mark.parametrize(
    "target", ["/etc/hosts.json", "../thresholds.json", "golden/../../x.json", "a\\b.json", "bundle.json"]
)
def test_a_pointer_out_of_the_bundle_is_refused_even_with_digests_recomputed(bundle, target):
    manifest = json.loads((bundle / "bundle.json").read_bytes())
    seal_by_hand(bundle, model=manifest["model"] | {"weights": target})
    refused(bundle, "must name a file inside the bundle")


def test_an_embedded_backbone_cannot_point_elsewhere(bundle):
    manifest = json.loads((bundle / "bundle.json").read_bytes())
    backbone = manifest["model"]["backbone"] | {"folder": "../other"}
    seal_by_hand(bundle, model=manifest["model"] | {"backbone": backbone})
    refused(bundle, "bundle.json")


@pytest.mark.parametrize("content", [b"\x80\x04K\x01.", b"PK\x03\x04data", b"\x1f\x8b\x08"])
def test_a_pickle_or_archive_under_a_harmless_name_is_refused_even_with_digests_recomputed(bundle, content):
    (bundle / "model_best.safetensors").write_bytes(content)
    seal_by_hand(bundle)
    refused(bundle, "pickle or an archive")


@pytest.mark.parametrize("name", ["model.pth", "head.pt", "weights.bin", "scaler.pkl", "run.py"])
def test_a_sealed_file_of_a_dangerous_kind_is_refused(bundle, name):
    (bundle / name).write_bytes(b"x")
    seal_by_hand(bundle)
    refused(bundle, "of a kind that bundles")


def test_an_unknown_policy_is_refused(bundle):
    policy = json.loads((bundle / "thresholds.json").read_bytes()) | {"kind": "clairvoyant"}
    (bundle / "thresholds.json").rename(bundle / "clairvoyantparams.json")
    (bundle / "clairvoyantparams.json").write_bytes(canonical_json(policy))
    pointer = {"kind": "clairvoyant", "file": "clairvoyantparams.json"}
    seal_by_hand(bundle, policy=pointer, active_exit_policy="clairvoyant")
    refused(bundle, "clairvoyant")


def test_a_policy_of_another_kind_under_a_known_name_is_refused(bundle):
    policy = json.loads((bundle / "thresholds.json").read_bytes()) | {"kind": "clairvoyant"}
    (bundle / "thresholds.json").write_bytes(canonical_json(policy))
    seal_by_hand(bundle)
    refused(bundle, r"thresholds\.json")


def test_a_second_policy_is_refused_even_when_it_is_sealed(bundle):
    (bundle / "gateparams.json").write_text("{}")
    seal_by_hand(bundle)
    refused(bundle, "exactly one policy file")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_version_is_refused(bundle, version):
    seal_by_hand(bundle, format_version=version)
    refused(bundle, "format version")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"format_version": 1, "format_version": 1}', b"\xff\xfe", b"[" * 100_000]
)
def test_a_manifest_that_is_no_manifest_is_refused(bundle, content):
    (bundle / "bundle.json").write_bytes(content)
    refused(bundle, r"bundle\.json")


@pytest.mark.parametrize(
    "name", ["thresholds.json", "splits.json", "acceptance.json", "golden.json", "model_card.json"]
)
def test_a_json_file_that_breaks_its_schema_is_refused_even_with_digests_recomputed(bundle, name):
    value = json.loads((bundle / name).read_bytes()) | {"surprise": 1}
    (bundle / name).write_bytes(canonical_json(value))
    seal_by_hand(bundle)
    refused(bundle, f"{re.escape(name)} breaks the schema")


def test_nan_in_a_json_file_is_refused(bundle):
    text = (bundle / "thresholds.json").read_text()
    (bundle / "thresholds.json").write_text(text.replace('"coverage": 0', '"coverage": NaN, "was": 0', 1))
    seal_by_hand(bundle)
    refused(bundle, "NaN is not a number")


def test_swapped_weights_are_caught_by_the_golden_pictures_even_with_digests_recomputed(bundle):
    weights = load_file(bundle / "model_best.safetensors")
    weights["classes.weight"] = weights["classes.weight"].flip(0)
    save_file(weights, bundle / "model_best.safetensors")
    seal_by_hand(bundle)
    refused(bundle, "golden picture .* logits differ")


def test_another_transform_is_caught_by_the_golden_pictures_even_with_digests_recomputed(bundle):
    manifest = json.loads((bundle / "bundle.json").read_bytes())
    transform = {"kind": "letterbox", "size_px": 32}
    seal_by_hand(bundle, model=manifest["model"] | {"transform": transform})
    refused(bundle, "golden picture .* logits differ")


def test_another_threshold_is_caught_even_with_digests_recomputed(bundle):
    policy = json.loads((bundle / "thresholds.json").read_bytes()) | {"exit_threshold": 0.5}
    (bundle / "thresholds.json").write_bytes(canonical_json(policy))
    seal_by_hand(bundle)
    refused(bundle, "golden picture .* decided")


@pytest.mark.parametrize(
    ("tensor", "value"),
    [("classes.weight", torch.zeros(2, 17)), ("unknown", torch.zeros(1)), ("classes.bias", None)],
)
def test_weights_that_do_not_fit_the_head_are_refused(bundle, tensor, value):
    weights = load_file(bundle / "model_best.safetensors")
    if value is None:
        weights.pop(tensor)
    else:
        weights[tensor] = value
    save_file(weights, bundle / "model_best.safetensors")
    seal_by_hand(bundle)
    refused(bundle, "does not fit the architecture")


def test_weights_that_are_not_finite_are_refused(bundle):
    weights = load_file(bundle / "model_best.safetensors")
    weights["classes.bias"][0] = np.nan
    save_file(weights, bundle / "model_best.safetensors")
    seal_by_hand(bundle)
    with pytest.raises(BundleError, match="not finite"):
        load_bundle(bundle)


def test_a_folder_without_manifest_is_no_bundle(tmp_path):
    refused(tmp_path, "not a bundle")
