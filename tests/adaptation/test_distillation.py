from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import DINOv3ViTModel

from stage1_core.adaptation.distillation import DistilledEpoch, distil, save_student, untrained_student
from stage1_core.adaptation.distillation_config import DistillationConfig, StudentConfig
from stage1_core.adaptation.lessons import Lessons
from stage1_core.model.backbone import load_backbone, save_backbone
from stage1_core.model.backbone_config import TransformersBackboneConfig
from stage1_core.model.licence import licence_notice

TINY = StudentConfig(hidden=32, layers=2, heads=2, patch_px=8, input_px=32)
CONFIG = DistillationConfig(epochs=12, batch_size=8)


def toy_lessons(pictures: int = 64) -> Lessons:
    """Squares of 8 px, each light or dark; everything the teacher says is a function of which are light."""
    generator = torch.Generator().manual_seed(0)
    light = torch.rand(pictures, 4, 4, generator=generator) < 0.5
    squares = light.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    evidence = light.flatten(1).float() * 2 - 1
    share = evidence.mean(dim=1, keepdim=True)
    return Lessons(
        pixels=torch.where(squares[..., None], 200, 50).expand(-1, -1, -1, 3).to(torch.uint8),
        features=(share / share.std()).repeat(1, 3),
        answer=(share / share.std())[:, 0],
        maps=evidence[..., None].repeat(1, 1, 2).half(),
        evidence=evidence,
    )


def taught(config: DistillationConfig) -> tuple[DINOv3ViTModel, list[DistilledEpoch]]:
    student = untrained_student(TINY, seed=config.seed)
    return student, list(distil(student, toy_lessons(), config))


@pytest.fixture(scope="module")
def first() -> tuple[DINOv3ViTModel, list[DistilledEpoch]]:
    return taught(CONFIG)


def weights(student: DINOv3ViTModel) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in student.parameters()])


def test_the_student_comes_nearer_to_everything_that_the_teacher_says(first):
    _, epochs = first

    assert [epoch.epoch for epoch in epochs] == list(range(1, 13))
    for part in ("features", "answer", "maps", "evidence"):
        assert getattr(epochs[-1], part) < 0.5 * getattr(epochs[0], part), part


def test_the_same_seed_gives_the_same_weights_whatever_others_draw(first, monkeypatch):
    torch.manual_seed(99)
    monkeypatch.delattr(torch.cuda, "manual_seed_all")  # seeding every device would call it

    again, _ = taught(CONFIG)

    assert torch.equal(weights(again), weights(first[0]))


def test_another_seed_gives_other_weights(first):
    other, _ = taught(CONFIG.model_copy(update={"seed": 1, "epochs": 1}))

    assert not torch.equal(weights(other), weights(first[0]))


def test_training_draws_nothing_from_the_global_generator():
    before = torch.get_rng_state()

    taught(CONFIG.model_copy(update={"epochs": 1}))

    assert torch.equal(torch.get_rng_state(), before)


def test_the_student_never_enters_training_mode():
    """In it DINOv3 rescales its positions at random."""
    student = untrained_student(TINY, seed=0)
    modes: list[bool] = []
    student.register_forward_pre_hook(lambda module, _: modes.append(module.training))

    next(distil(student, toy_lessons(), CONFIG))

    assert modes
    assert not any(modes)


def test_a_saved_student_loads_as_a_backbone_and_gives_its_features(first, tmp_path: Path):
    student, _ = first
    save_student(student, TINY, tmp_path)
    backbone = load_backbone(TransformersBackboneConfig(model=str(tmp_path)), device="cpu")
    pixels = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    with torch.inference_mode():
        expected = student(pixel_values=(pixels - backbone.mean) / backbone.std).last_hidden_state[:, 0]
        found = backbone(pixels)

    assert (backbone.hidden, backbone.input_size) == (32, (32, 32))
    assert {value.dtype for value in backbone.parameters()} == {torch.float32}
    torch.testing.assert_close(found, expected, rtol=0, atol=0.01)


def test_saving_rounds_the_weights_to_what_is_loaded(first, tmp_path: Path):
    """So what is measured after saving is what is shipped."""
    save_student(first[0], TINY, tmp_path / "once")
    loaded = load_backbone(TransformersBackboneConfig(model=str(tmp_path / "once")), device="cpu").network

    assert torch.equal(weights(loaded), weights(first[0]))


def test_its_licence_is_its_own_also_after_another_training(first, tmp_path: Path):
    save_student(first[0], TINY, tmp_path / "once")
    loaded = load_backbone(TransformersBackboneConfig(model=str(tmp_path / "once")), device="cpu")

    adapted = save_backbone(loaded, tmp_path / "adapted")

    assert "Apache License 2.0" in licence_notice(adapted)
