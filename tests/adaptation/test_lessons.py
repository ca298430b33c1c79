from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stage1_core.adaptation.distillation_config import DistillationConfig, StudentConfig
from stage1_core.adaptation.lessons import Lessons, draw_up_lessons
from stage1_core.data.transforms import ProcessorGeometry
from stage1_core.errors import DataError, ModelError
from stage1_core.model.backbone import load_backbone
from stage1_core.model.backbone_config import RandomWeights, TimmBackboneConfig

CNN = TimmBackboneConfig(model="test_efficientnet", weights=RandomWeights())
STUDENT = StudentConfig(hidden=16, layers=1, heads=1, patch_px=8, input_px=24)
CONFIG = DistillationConfig(basis_pictures=8, map_components=256)
LABELS = np.arange(12) % 2


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(len(LABELS))]
    for path, label in zip(paths, LABELS, strict=True):
        coarse = rng.integers(0, 128, (5, 7, 3), dtype=np.uint8) + np.uint8(100) * label.astype(np.uint8)
        Image.fromarray(coarse).resize((70, 50), Image.Resampling.BILINEAR).save(path)
    return paths


@pytest.fixture(scope="module")
def lessons(paths: list[Path]) -> Lessons:
    return draw_up_lessons(paths, LABELS, CNN, STUDENT, CONFIG)


def test_the_student_sees_what_its_processor_would_make(paths, lessons):
    geometry = ProcessorGeometry(height_px=24, width_px=24)

    for path, seen in zip(paths, lessons.pixels, strict=True):
        with Image.open(path) as image:
            assert np.array_equal(geometry.pixels(image), seen.numpy())


def test_features_are_the_standardised_ones_of_the_teacher_in_the_order_of_the_pictures(paths, lessons):
    geometry = ProcessorGeometry(height_px=96, width_px=96)
    with torch.inference_mode():
        raw = load_backbone(CNN, device="cpu")(torch.stack([geometry.apply(Image.open(path)) for path in paths]))

    expected = (raw - raw.mean(dim=0)) / raw.std(dim=0).clamp_min(1e-3)
    assert expected.abs().max() > 1
    torch.testing.assert_close(lessons.features, expected, rtol=0, atol=0.01)


def test_the_evidence_of_all_patches_adds_up_to_the_answer(lessons):
    """With every component kept, the map's mean is the feature vector."""
    together = lessons.evidence.mean(dim=1)

    assert np.corrcoef(together.numpy(), lessons.answer.numpy())[0, 1] > 0.999


def test_the_answer_says_which_pictures_have_road_works(lessons):
    assert lessons.answer[LABELS == 1].min() > lessons.answer[LABELS == 0].max()


def test_the_same_pictures_give_the_same_lessons(paths, lessons):
    again = draw_up_lessons(paths, LABELS, CNN, STUDENT, CONFIG)

    for name in ("pixels", "features", "answer", "maps", "evidence"):
        assert torch.equal(getattr(again, name), getattr(lessons, name)), name


def test_progress_is_reported_to_the_last_picture(paths):
    seen: list[tuple[int, int]] = []

    draw_up_lessons(paths, LABELS, CNN, STUDENT, CONFIG, on_progress=lambda done, total: seen.append((done, total)))

    assert seen == [(4, 12), (8, 12), (12, 12)]


def test_a_teacher_without_such_a_map_is_refused(paths):
    with pytest.raises(ModelError, match="not a map of 3 x 3; take a CNN"):
        draw_up_lessons(paths, LABELS, CNN.model_copy(update={"model": "test_vit"}), STUDENT, CONFIG)


def test_an_unreadable_picture_is_named(paths, tmp_path: Path):
    with pytest.raises(DataError, match=r"missing\.png"):
        draw_up_lessons([*paths, tmp_path / "missing.png"], np.append(LABELS, 0), CNN, STUDENT, CONFIG)
