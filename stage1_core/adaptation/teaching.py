"""Makes the demo's backbone from rendered drives, and looks at what it is worth on others."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from stage1_core.adaptation.demo_backbone import STUDENT, TEACHER, UNTRAINED, DemoBackboneConfig
from stage1_core.adaptation.distillation import DistilledEpoch, distil, save_student, untrained_student
from stage1_core.adaptation.lessons import draw_up_lessons
from stage1_core.adaptation.model_card import EPOCHS_FILE
from stage1_core.adaptation.ranking_probe import RankingProbe, rank_held_out
from stage1_core.data.transforms import EvalTransform, ProcessorGeometry, ResizeCenterCrop
from stage1_core.digests import canonical_json, digest_of_file
from stage1_core.model.backbone_config import BackboneConfig, TransformersBackboneConfig
from stage1_core.model.extraction import extract_features

_TEACHER_PX = 224

Progress = Callable[[int, int], None]


def teach_student(
    config: DemoBackboneConfig, scenes: Path, folder: Path, *, on_progress: Progress = lambda done, total: None
) -> None:
    """Write the student that learns from the rendered drives below ``scenes`` to ``folder``, with its epochs.

    ``on_progress(done, total)`` counts pictures, shown to the teacher once and to the student once an epoch.
    """
    rows = pd.read_csv(scenes / "scenes.csv")
    total = len(rows) * (1 + config.distillation.epochs)
    lessons = draw_up_lessons(
        [scenes / image for image in rows["image"]],
        rows["label"].to_numpy(dtype=np.int64),
        config.teacher,
        config.student,
        config.distillation,
        on_progress=lambda done, _: on_progress(done, total),
    )
    student = untrained_student(config.student, seed=config.distillation.seed)
    epochs: list[DistilledEpoch] = []
    for epoch in distil(student, lessons, config.distillation):
        epochs.append(epoch)
        on_progress(len(rows) * (1 + epoch.epoch), total)
    save_student(student, config.student, folder)
    lines = [canonical_json(epoch.model_dump(mode="json")) + b"\n" for epoch in epochs]
    (folder / EPOCHS_FILE).write_bytes(b"".join(lines))


def probe_student(
    config: DemoBackboneConfig,
    folder: Path,
    scenes: Path,
    *,
    feature_folder: Path,
    on_progress: Progress = lambda done, total: None,
) -> RankingProbe:
    """Teacher, student in ``folder`` and the student's architecture untrained, on the rendered drives in ``scenes``."""
    listed = pd.read_csv(scenes / "scenes.csv")
    paths = [scenes / image for image in listed["image"]]
    rows = pd.DataFrame(
        {"id": listed["image"], "path": map(str, paths), "sha256": [digest_of_file(path) for path in paths]}
    )
    side = config.student.input_px
    whole = ProcessorGeometry(height_px=side, width_px=side)
    with tempfile.TemporaryDirectory() as untrained:
        save_student(untrained_student(config.student, seed=config.distillation.seed), config.student, Path(untrained))
        looks: dict[str, tuple[BackboneConfig, EvalTransform]] = {
            TEACHER: (config.teacher, ResizeCenterCrop(resize_px=_TEACHER_PX, crop_px=_TEACHER_PX)),
            STUDENT: (TransformersBackboneConfig(model=str(folder)), whole),
            UNTRAINED: (TransformersBackboneConfig(model=untrained), whole),
        }
        features = {
            name: extract_features(
                rows, backbone, transform, store_folder=feature_folder, device="cpu", on_progress=on_progress
            ).values
            for name, (backbone, transform) in looks.items()
        }
    labels, drives = listed["label"].to_numpy(dtype=np.int64), listed["group"].to_numpy(dtype=np.str_)
    return rank_held_out(features, labels, drives, config.bootstrap)
