"""A release in miniature: little pictures whose class is easy to see, an untrained backbone, a small head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stage1_core.adaptation.arm import ArmConfig, SharedRecipe
from stage1_core.adaptation.config import ExploraConfig, ProbeConfig, TrainablePartConfig
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.data.audit import AuditConfig
from stage1_core.data.config import DataConfig
from stage1_core.data.sources.natix_csv import NatixCsvSource
from stage1_core.data.split_config import CutPool
from stage1_core.data.transforms import NoAugment, ResizeCenterCrop
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.model.backbone_config import RandomWeights, TimmBackboneConfig, TransformersBackboneConfig
from stage1_core.model.head import HeadConfig
from stage1_core.phases.baseline import BaselineAcceptance, BaselineConfig
from stage1_core.phases.conformal import ConformalAcceptance, ConformalConfig
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateAcceptance, GateConfig
from stage1_core.phases.selective_evaluation import SelectiveEvaluationAcceptance, SelectiveEvaluationConfig
from stage1_core.phases.sharpness import SharpnessConfig
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.policy.arm_choice import ArmChoiceConfig
from stage1_core.policy.comparison import ComparisonConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.training.batching import BatchConfig
from stage1_core.training.config import TrainingConfig
from stage1_core.training.conformal_risk import ConformalRiskConfig
from stage1_core.training.correctness_gate import CorrectnessGateConfig
from stage1_core.training.optimizer import AdamWConfig, FriendlySamConfig
from stage1_core.training.selection import SelectionConfig, SelectionMetric

EVERY_TIME = frozenset(
    {
        "open_run",
        "fingerprint_sources",
        "find_earlier_split",
        "keep_split",
        "publish",
        "register",
        "require_accepted",
        "require_lineage",
    }
)
"""Steps of a baseline that are done again in every run: they look at the outside, or show what there is."""
PICTURES = 240
SIDE_PX = 40
FAINT = 0.05
ANY_THRESHOLD = SoftmaxPolicyConfig()
ORANGE, BLUE = (230, 120, 20), (40, 90, 200)


def draw_pictures(folder: Path, count: int = PICTURES, *, first_seed: int = 0, faint: float = 0.0) -> Path:
    """Noise with an orange (roadwork) or a blue blob, as ``images/`` and ``labels.csv``; no two are alike.

    In this fraction of the pictures, ``faint``, the blob is so faint that its class is hard to see.
    """
    images = folder / "images"
    images.mkdir(parents=True)
    labels = [number % 2 for number in range(count)]
    is_faint = np.random.default_rng(first_seed).random(count) < faint
    for number, label in enumerate(labels):
        strength = FAINT if is_faint[number] else 1.0
        draw_picture(images / f"{number:04}.png", label, seed=first_seed + number, strength=strength)
    lines = [f"{number:04}.png,{label}" for number, label in enumerate(labels)]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def draw_picture(path: Path, label: int, *, seed: int, strength: float = 1.0) -> None:
    """One picture; ``strength`` 0 leaves nothing but noise."""
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    top, left = draw.integers(0, SIDE_PX - 24, 2)
    place = np.s_[top : top + 24, left : left + 24]
    blob = np.array(ORANGE if label else BLUE)
    pixels[place] = (strength * blob + (1 - strength) * pixels[place]).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def toy_config(pictures: Path, **changes: Any) -> BaselineConfig:
    """A release that is certified in seconds: of 24 or more exited positives none may be missed."""
    parts: dict[str, Any] = {
        "data": DataConfig(
            sources=(NatixCsvSource(name="toy", root=pictures, label_file="labels.csv", image_folder="images"),),
            audit=AuditConfig(near_duplicate_distance=None),
            split=CutPool(train=0.3, select=0.2, calib=0.35, test=0.15),
        ),
        "backbone": TimmBackboneConfig(model="test_vit", weights=RandomWeights(seed=1)),
        "transform": ResizeCenterCrop(resize_px=36, crop_px=32),
        "head": HeadConfig(hidden=16),
        "training": toy_training(),
        "constraint": RiskConstraint(max_risk=0.1),
        "release": ReleaseConfig(name="toy", golden_pictures=4),
    }
    return BaselineConfig(**(parts | changes))


def toy_training(**changes: Any) -> TrainingConfig:
    parts: dict[str, Any] = {
        "optimizer": AdamWConfig(lr_head=3e-3),
        "batch": BatchConfig(sizes=(16,)),
        "selection": SelectionConfig(patience=None),
        "epochs": 4,
    }
    return TrainingConfig(**(parts | changes))


def toy_selective_training(**changes: Any) -> TrainingConfig:
    by_augrc = SelectionConfig(metric=SelectionMetric.AUGRC, keep_also=(SelectionMetric.ACCURACY,), patience=None)
    return toy_training(**({"selection": by_augrc} | changes))


def toy_gate_training() -> TrainingConfig:
    return toy_selective_training(objective=CorrectnessGateConfig(folds=3), epochs=12)


def three_phases(pictures: Path, *, softmax: SoftmaxPolicyConfig) -> GateConfig:
    """A gate over an incumbent whose thresholds are ``softmax``."""
    split = CutPool(train=0.25, select=0.25, calib=0.4, test=0.1)
    first = toy_config(pictures, acceptance=BaselineAcceptance(max_accuracy_deficit=0.05))
    baseline = first.model_copy(update={"data": first.data.model_copy(update={"split": split})})
    return GateConfig(
        previous=SelectiveEvaluationConfig(
            previous=baseline,
            training=toy_selective_training(),
            policy=softmax,
            bootstrap=BootstrapConfig(resamples=200),
            acceptance=SelectiveEvaluationAcceptance(max_accuracy_loss=0.05),
            release=ReleaseConfig(name="toy", version="0.2.0", golden_pictures=4),
        ),
        head=HeadConfig(hidden=16, gated=True),
        training=toy_gate_training(),
        comparison=ComparisonConfig(max_accuracy_loss=0.05, bootstrap=BootstrapConfig(level=0.9, resamples=400)),
        acceptance=GateAcceptance(min_coverage=0.3, max_exit_error=0.1, max_gate_ece=0.2),
        release=ReleaseConfig(name="toy", version="0.3.0", golden_pictures=4),
    )


def five_phases(
    pictures: Path,
    backbone: TransformersBackboneConfig,
    *,
    arms: tuple[ArmConfig, ...],
    softmax: SoftmaxPolicyConfig = ANY_THRESHOLD,
) -> SharpnessConfig:
    """The phases up to F-SAM over a tiny ViT, two seeds each; margins wide enough for a few dozen rows.

    ``softmax`` are the thresholds of the second phase.
    """
    gated = three_phases(pictures, softmax=softmax)
    evaluated = gated.previous
    on_vit = evaluated.previous.model_copy(update={"backbone": backbone})
    gated = gated.model_copy(update={"previous": evaluated.model_copy(update={"previous": on_vit})})
    choice = ArmChoiceConfig(
        min_seeds=2,
        max_augrc_loss=0.1,
        max_accuracy_loss=0.3,
        max_mcc_loss=0.6,
        bootstrap=BootstrapConfig(level=0.8, resamples=200),
    )
    comparison = ComparisonConfig(max_accuracy_loss=0.05, bootstrap=BootstrapConfig(level=0.9, resamples=400))
    adapted = DomainAdaptationConfig(
        previous=gated,
        pretraining=ExploraConfig(
            trainable=TrainablePartConfig(rank=2, alpha=2), batch_size=32, epochs=2, probe=ProbeConfig(batch_size=32)
        ),
        arms=arms,
        shared=SharedRecipe(head=HeadConfig(hidden=16), augment=NoAugment(), seeds=(0, 1)),
        choice=choice,
        comparison=comparison,
        release=ReleaseConfig(name="toy", version="0.4.0", golden_pictures=4),
    )
    return SharpnessConfig(
        previous=adapted,
        head=HeadConfig(hidden=16),
        training=toy_selective_training(),
        sharpness=FriendlySamConfig(base=AdamWConfig(lr_head=3e-3)),
        seeds=(0, 1),
        choice=choice,
        comparison=comparison,
        release=ReleaseConfig(name="toy", version="0.5.0", golden_pictures=4),
    )


def six_phases(below: SharpnessConfig) -> ConformalConfig:
    """SCRC over ``below``, with its seeds and margins; two seeds are too few for another head than the plain one."""
    training = toy_gate_training()
    assert isinstance(training.objective, CorrectnessGateConfig)
    return ConformalConfig(
        previous=below,
        head=HeadConfig(hidden=16, gated=True),
        training=training,
        risk=ConformalRiskConfig(base=training.objective, train_max_fnr=0.1, calibration_rows=20),
        seeds=below.seeds,
        choice=ArmChoiceConfig(min_seeds=3),
        comparison=below.comparison.model_copy(update={"min_coverage_gain": 0.0}),
        acceptance=ConformalAcceptance(max_nll_increase=0.1, max_ece=0.2),
        release=ReleaseConfig(name="toy", version="0.6.0", golden_pictures=4),
    )
