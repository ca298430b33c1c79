"""A bundle carries any backbone and any head; what it was built from does not matter, what it is does."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DINOv3ViTConfig, DINOv3ViTImageProcessor, DINOv3ViTModel

from stage1_core.bundle.integrity import read_golden, read_manifest
from stage1_core.bundle.release import release_bundle
from stage1_core.bundle.runtime import load_bundle
from stage1_core.bundle.verify import verify_bundle
from stage1_core.model.backbone_config import TransformersBackboneConfig
from stage1_core.model.head import HeadConfig, build_head
from tests.bundle.toys import LONG_AGO


@pytest.fixture(scope="module")
def dinov3(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-dinov3"
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        DINOv3ViTModel(DINOv3ViTConfig(**sizes, patch_size=8, image_size=32)).save_pretrained(folder)
    DINOv3ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def with_dinov3(contents, folder: Path):
    head = build_head(32, HeadConfig(hidden=8), seed=0)
    return dataclasses.replace(contents, backbone=TransformersBackboneConfig(model=str(folder)), head=head)


def test_a_bundled_dinov3_decides_after_its_folder_is_gone(contents, dinov3, tmp_path, pictures):
    source = Path(shutil.copytree(dinov3, tmp_path / "source"))
    release_bundle(with_dinov3(contents, source), tmp_path / "bundle")
    before = load_bundle(tmp_path / "bundle").scores(pictures).logits
    shutil.rmtree(source)
    shutil.move(tmp_path / "bundle", tmp_path / "moved")
    np.testing.assert_array_equal(load_bundle(tmp_path / "moved").scores(pictures).logits, before)
    assert verify_bundle(tmp_path / "moved").passed


def test_where_the_backbone_lay_leaves_no_trace_in_the_bundle(contents, dinov3, tmp_path):
    here = Path(shutil.copytree(dinov3, tmp_path / "here" / "tiny-dinov3"))
    first = release_bundle(with_dinov3(contents, dinov3), tmp_path / "a", created_at=LONG_AGO)
    second = release_bundle(with_dinov3(contents, here), tmp_path / "b", created_at=LONG_AGO)
    assert first == second


def test_a_gated_head_travels_with_its_gate(contents, tmp_path, pictures):
    head = build_head(contents.head.in_features, HeadConfig(hidden=8, gated=True), seed=0)
    release_bundle(dataclasses.replace(contents, head=head), tmp_path / "bundle")
    golden = read_golden(tmp_path / "bundle", read_manifest(tmp_path / "bundle"))
    assert all(picture.gate_logit is not None for picture in golden.pictures)
    assert load_bundle(tmp_path / "bundle").scores(pictures).gate_logits.shape == (len(pictures),)
