"""The backbone that the package ships: what decides it, and what it must show before it is shipped."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from stage1_core.acceptance import AcceptanceReport, Direction, ValueCheck
from stage1_core.adaptation.distillation_config import DistillationConfig, StudentConfig
from stage1_core.adaptation.ranking_probe import RankingProbe
from stage1_core.config import FrozenModel
from stage1_core.data.road_scenes.description import RoadScenesConfig
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.model.backbone_config import EFFICIENTNET_LITE0, TimmBackboneConfig

TEACHER, STUDENT, UNTRAINED = "teacher", "student", "untrained"
"""Names of the backbones in the probe. Untrained is the student's architecture with random weights."""


class DemoBackboneConfig(FrozenModel):
    """A small vision transformer that learns from a CNN on some drives and is judged on others."""

    learn_from: RoadScenesConfig = RoadScenesConfig(pictures=6000, seed=1)
    """Drives that the student learns from, and whose labels tell in which of the teacher's features road works show."""
    held_out: RoadScenesConfig = RoadScenesConfig()
    """Drives that the probe is fitted and judged on: those of the demo, which no part of the student has seen."""
    teacher: TimmBackboneConfig = EFFICIENTNET_LITE0
    """Whose features are learnt."""
    student: StudentConfig = StudentConfig()
    """The architecture."""
    distillation: DistillationConfig = DistillationConfig(epochs=8)
    """How it learns."""
    bootstrap: BootstrapConfig = BootstrapConfig()
    """Intervals of the probe, and, by its seed, which half of the held-out drives is judged on."""
    max_auc_gap: Annotated[float, Field(ge=0, le=1)] = 0.05
    """What the student's area under the ROC curve may lack to the teacher's."""
    max_megabytes: Annotated[float, Field(gt=0, le=1000)] = 12.0
    """Ceiling of the weights' file, in 10^6 bytes."""

    @model_validator(mode="after")
    def _learns_from_other_drives(self) -> Self:
        if self.learn_from.seed == self.held_out.seed:
            raise ValueError(
                f"both sets of drives have seed {self.held_out.seed}: give them different seeds, so that the student "
                "is judged on drives that it has not seen"
            )
        return self


def demo_backbone_report(config: DemoBackboneConfig, probe: RankingProbe, megabytes: float) -> AcceptanceReport:
    """Near enough to the teacher, better than its own architecture untrained, and small; ``megabytes`` are 10^6 B."""
    behind, untrained = probe.behind[STUDENT].value, probe.areas[UNTRAINED].upper
    checks = (
        ValueCheck(
            name="AUC that the student lacks to the teacher on held-out drives",
            value=behind,
            bound=config.max_auc_gap,
            direction=Direction.AT_MOST,
            trials=probe.pictures,
        ),
        ValueCheck(
            name="AUC of the student (lower bound) against that of random weights (upper bound)",
            value=probe.areas[STUDENT].lower,
            bound=1.0 if untrained is None else untrained,
            direction=Direction.AT_LEAST,
            trials=probe.pictures,
        ),
        ValueCheck(
            name="megabytes of weights", value=megabytes, bound=config.max_megabytes, direction=Direction.AT_MOST
        ),
    )
    return AcceptanceReport.of("demo_backbone", checks)
