"""Shipped configurations: each recipe is a function that returns everything that determines a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from stage1_core.adaptation.arm import SharedRecipe, default_arms
from stage1_core.adaptation.config import ExploraConfig
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.config import FrozenModel
from stage1_core.data.config import DataConfig
from stage1_core.data.ledger import CutPool, CutValidation
from stage1_core.data.road_scenes.description import RoadScenesConfig
from stage1_core.data.sources.natix_csv import NatixCsvSource
from stage1_core.data.sources.road_scenes import RoadScenesSource
from stage1_core.data.transforms import ProcessorGeometry, ResizeCenterCrop
from stage1_core.model.backbone_config import EFFICIENTNET_LITE0, ROAD_SCENES_VIT, TransformersBackboneConfig
from stage1_core.model.head import HeadConfig
from stage1_core.phases.baseline import BaselineAcceptance, BaselineConfig
from stage1_core.phases.conformal import ConformalConfig
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.ladder import LadderConfig
from stage1_core.phases.selective_evaluation import SelectiveEvaluationAcceptance, SelectiveEvaluationConfig
from stage1_core.phases.sharpness import SharpnessConfig
from stage1_core.policy.arm_choice import ArmChoiceConfig
from stage1_core.promotion.config import HumanApproval, NonInferiorityConfig, PromotionConfig
from stage1_core.training.config import historical_training, selectivenet_training


def demo_scenes(*, pictures: int = 4200, seed: int = 0) -> RoadScenesConfig:
    """The demo's pictures: drives of one to three frames in four districts, half of them with works."""
    return RoadScenesConfig(pictures=pictures, seed=seed)


def demo_folder(scenes: RoadScenesConfig) -> Path:
    """Where `stage1 demo` renders ``scenes``."""
    workspace = Path(os.environ.get("STAGE1_ARTIFACTS", "artifacts"))
    return workspace / "scenes" / scenes.digest()[:12]


def demo(folder: Path | None = None) -> BaselineConfig:
    """The first release of a newcomer: rendered scenes, EfficientNet-Lite0 from its package, no hub.

    Run: `stage1 demo` (or `make demo`), a few minutes on two cores.
    Expect: a certificate of at most 2 % at 90 % confidence on some 400 independent positives, with more than 30 % of
    the pictures exiting. Rendered scenes prove the machinery and nothing about real roads.
    """
    root = folder or demo_folder(demo_scenes())
    return BaselineConfig(
        data=DataConfig(
            sources=(RoadScenesSource(name="scenes", root=root),),
            split=CutPool(train=0.3, select=0.15, calib=0.42, test=0.13),
        ),
        backbone=EFFICIENTNET_LITE0,
        transform=ResizeCenterCrop(resize_px=224, crop_px=224),
        acceptance=BaselineAcceptance(min_coverage=0.3),
        release=ReleaseConfig(name="stage1-demo", description="Rendered road scenes: is there roadwork?"),
    )


def demo_promotion() -> PromotionConfig:
    """What a demo's candidate must show, and a person has the last word.

    Margins in which the some 130 independent roadwork pictures that exit in VAL_TEST can show a loss; a person answers
    in the page within three days.
    """
    margins = NonInferiorityConfig(max_accuracy_loss=0.02, max_fnr_gain=0.03)
    return PromotionConfig(not_worse=margins, approval=HumanApproval())


def natix(root: Path = Path("data/natix_official")) -> BaselineConfig:
    """NATIX StreetVision roadwork with a frozen DINOv3 ViT-L/16, as the subnet's miners have the files.

    Run: `stage1 run baseline --recipe natix` after accepting the licence of the weights and setting HF_TOKEN.
    Expect: with some 235 negatives and 2,063 positives to validate on, a certificate at 2 % only for a strong model.
    """
    return BaselineConfig(
        data=DataConfig(sources=_natix_sources(root), split=CutValidation()),
        backbone=TransformersBackboneConfig(model="facebook/dinov3-vitl16-pretrain-lvd1689m"),
        release=ReleaseConfig(backbone="reference"),
    )


def baseline_parity(root: Path = Path("data/natix_official")) -> BaselineConfig:
    """The historical trainer's constants, schedule and log, on NATIX with DINOv3 ViT-H+/16; docs/parity.md.

    Run: `stage1 run baseline --recipe baseline_parity`.
    Expect: its learning rates to the printed digit, and its accuracy below the majority class: nothing is released.
    """
    return BaselineConfig(
        data=DataConfig(sources=_natix_sources(root), split=CutValidation()),
        backbone=TransformersBackboneConfig(model="facebook/dinov3-vith16plus-pretrain-lvd1689m"),
        head=HeadConfig(dropout=0.3),
        training=historical_training(),
        release=ReleaseConfig(backbone="reference"),
    )


def selective_evaluation_demo(folder: Path | None = None) -> SelectiveEvaluationConfig:
    """The demo's head chosen by AUGRC, and everything that can be known about its worth.

    Run: `stage1 run selective_evaluation --recipe demo` after `stage1 demo`, which renders the pictures.
    Expect: every check passes; intervals on some 550 test pictures, so wide ones.
    """
    baseline = demo(folder)
    return SelectiveEvaluationConfig(
        previous=baseline,
        acceptance=SelectiveEvaluationAcceptance(min_coverage=0.3),
        release=_versioned(baseline.release, "0.2.0"),
    )


def gate_demo(folder: Path | None = None) -> GateConfig:
    """A learned gate against the softmax threshold, on the demo's pictures.

    Run: `stage1 run gate --recipe demo` after `stage1 demo`.
    Expect: not adopted. Half of the certifying rows go into the gate's calibration, and a head that is right on 98 of
    100 pictures leaves a gate few mistakes to learn from.
    """
    evaluated = selective_evaluation_demo(folder)
    return GateConfig(previous=evaluated, release=_versioned(evaluated.release, "0.3.0"))


def gate_demo_selectivenet(folder: Path | None = None) -> GateConfig:
    """The same with the SelectiveNet objective instead of correctness on held-out folds.

    Run: `stage1 run gate --recipe demo_selectivenet` after `stage1 demo`.
    Expect: not adopted, for the same reasons.
    """
    return gate_demo(folder).model_copy(update={"training": selectivenet_training()})


def natix_gate(root: Path = Path("data/natix_official")) -> GateConfig:
    """The three phases on NATIX StreetVision roadwork.

    Run: `stage1 run gate --recipe natix` after accepting the licence of the weights and setting HF_TOKEN.
    Expect: what the baseline's recipe says about too few negatives; the gate has half of the certifying rows.
    """
    return GateConfig(
        previous=SelectiveEvaluationConfig(previous=natix(root), release=ReleaseConfig(backbone="reference")),
        release=ReleaseConfig(backbone="reference"),
    )


def demo_vit(folder: Path | None = None) -> BaselineConfig:
    """The demo's pictures seen by the small DINOv3 ViT that is shipped: a backbone that can be trained further.

    Run: `stage1 run baseline --recipe demo_vit` after `stage1 demo`, which renders the pictures.
    Expect: a weaker head than EfficientNet-Lite0's, which was trained on photographs.
    """
    baseline = demo(folder)
    return baseline.model_copy(
        update={
            "backbone": ROAD_SCENES_VIT,
            "transform": ProcessorGeometry(height_px=128, width_px=128),
            "acceptance": BaselineAcceptance(min_coverage=0.0),
            "release": baseline.release.model_copy(update={"name": "stage1-demo-vit"}),
        }
    )


def domain_adaptation_demo(folder: Path | None = None) -> DomainAdaptationConfig:
    """Is it worth training the shipped ViT further on the demo's pictures, and how?

    Run: `stage1 run domain_adaptation --recipe demo` after `stage1 demo`; about an hour on two cores, and every
    arm is kept as soon as it is trained.
    Expect: not adopted. The ViT had learnt the task on other drives; docs/log.md has the table.
    """
    baseline = demo_vit(folder)
    evaluated = SelectiveEvaluationConfig(previous=baseline, release=_versioned(baseline.release, "0.2.0"))
    gated = GateConfig(previous=evaluated, release=_versioned(evaluated.release, "0.3.0"))
    arms = tuple(
        arm.model_copy(update={"training": arm.training.model_copy(update={"epochs": 3})}) for arm in default_arms()
    )
    return DomainAdaptationConfig(
        previous=gated,
        pretraining=ExploraConfig(epochs=4),
        arms=arms,
        release=_versioned(gated.release, "0.4.0"),
    )


def sharpness_demo(folder: Path | None = None) -> SharpnessConfig:
    """Is F-SAM worth its second pass, on the features of whatever backbone stands?

    Run: `stage1 run sharpness --recipe demo` after `stage1 demo`; nearly all of its time goes to the phase below.
    Expect: not adopted; docs/log.md has the numbers.
    """
    adapted = domain_adaptation_demo(folder)
    return SharpnessConfig(previous=adapted, release=_versioned(adapted.release, "0.5.0"))


def conformal_demo(folder: Path | None = None) -> ConformalConfig:
    """SCRC on the demo's pictures, over the gate's phase: no backbone is trained, so it takes minutes.

    Run: `stage1 run conformal --recipe demo` after `stage1 demo`; with the phases below 11 minutes on two busy cores.
    Expect: not adopted. The plain head stays, and with no more false alarms than the softmax threshold on VAL_SELECT
    its SCRC policy lets 91.6 % of the pictures exit instead of 95.5 %.
    """
    return _conformal(gate_demo(folder)).model_copy(update={"seeds": (0, 1, 2)})


def ladder_demo() -> LadderConfig:
    """The phases that need no training of the backbone, on the demo's pictures. Run `stage1 demo` first."""
    return LadderConfig(top=gate_demo())


def ladder_demo_vit() -> LadderConfig:
    """Every phase, on the demo's pictures and the shipped ViT; some hours on two cores. Run `stage1 demo` first."""
    return LadderConfig(top=_conformal(sharpness_demo()))


def ladder_demo_short() -> LadderConfig:
    """Every phase, with two arms, two seeds and few epochs: some twenty minutes on two cores. Run `stage1 demo` first.

    Two seeds are too few for the luck of training: what is adopted here shows that it can be, not that it should be.
    """
    seeds, choice = (0, 1), ArmChoiceConfig(min_seeds=2)
    adapted = domain_adaptation_demo()
    arms = tuple(
        arm.model_copy(update={"training": arm.training.model_copy(update={"epochs": 2})})
        for arm in adapted.arms
        if arm.adapter.kind in ("frozen", "lora")
    )
    adapted = adapted.model_copy(
        update={
            "pretraining": ExploraConfig(epochs=1),
            "arms": arms,
            "shared": SharedRecipe(seeds=seeds),
            "choice": choice,
        }
    )
    sharp = SharpnessConfig(previous=adapted, seeds=seeds, choice=choice, release=_versioned(adapted.release, "0.5.0"))
    return LadderConfig(top=_conformal(sharp).model_copy(update={"seeds": seeds, "choice": choice}))


def _conformal(below: GateConfig | SharpnessConfig) -> ConformalConfig:
    return ConformalConfig(previous=below, release=_versioned(below.release, "0.6.0"))


def _versioned(release: ReleaseConfig, version: str) -> ReleaseConfig:
    return release.model_copy(update={"version": version})


def _natix_sources(root: Path) -> tuple[NatixCsvSource, NatixCsvSource]:
    return (
        NatixCsvSource(
            name="natix-train", root=root, label_file="train_labels.csv", image_folder="train", role="train"
        ),
        NatixCsvSource(name="natix-val", root=root, label_file="val_labels.csv", image_folder="val", role="val"),
    )


BASELINE: Mapping[str, Callable[[], FrozenModel]] = MappingProxyType(
    {"demo": demo, "demo_vit": demo_vit, "natix": natix, "baseline_parity": baseline_parity}
)
SELECTIVE_EVALUATION: Mapping[str, Callable[[], FrozenModel]] = MappingProxyType({"demo": selective_evaluation_demo})
GATE: Mapping[str, Callable[[], FrozenModel]] = MappingProxyType(
    {"demo": gate_demo, "demo_selectivenet": gate_demo_selectivenet, "natix": natix_gate}
)
DOMAIN_ADAPTATION: Mapping[str, Callable[[], FrozenModel]] = MappingProxyType({"demo": domain_adaptation_demo})
SHARPNESS: Mapping[str, Callable[[], FrozenModel]] = MappingProxyType({"demo": sharpness_demo})
CONFORMAL: Mapping[str, Callable[[], FrozenModel]] = MappingProxyType({"demo": conformal_demo})
LADDER: Mapping[str, Callable[[], FrozenModel]] = MappingProxyType(
    {"demo": ladder_demo, "demo_vit": ladder_demo_vit, "demo_short": ladder_demo_short}
)
