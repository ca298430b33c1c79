"""What goes into a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stage1_core.acceptance import AcceptanceReport
from stage1_core.bundle.golden import GoldenCandidate
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.config import FrozenModel
from stage1_core.data.split_summary import SplitSummary
from stage1_core.data.transforms import EvalTransform
from stage1_core.model.backbone_config import BackboneConfig
from stage1_core.model.head import Head
from stage1_core.policy import AnyPolicy


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BundleContents:
    """Everything that a release is made of. Equal contents give equal bytes but for the time."""

    release: ReleaseConfig
    config: FrozenModel
    """The whole configuration of the run."""
    backbone: BackboneConfig
    """What the head was trained on; for an adapted backbone the folder of the merged one."""
    head: Head
    transform: EvalTransform
    policy: AnyPolicy
    splits: SplitSummary
    """With the openings of held-out rows so far."""
    acceptance: AcceptanceReport
    metrics_csv: Path
    """One line for each epoch."""
    golden_candidates: Sequence[GoldenCandidate]
    """A few dozen pictures of both classes, best from VAL_SELECT; the golden ones are chosen among them."""
    adapted_from: BackboneConfig | None = None
    """What the backbone was before it was trained on, where it was."""
    evaluation: FrozenModel | None = None
    """Numbers on VAL_TEST."""
    calibrators: Mapping[str, FrozenModel] = field(default_factory=dict)
    """Stem of the file to a fitted calibrator, where the policy does not carry it itself."""
    figures: Mapping[str, Path] = field(default_factory=dict)
    """Name of the file in the bundle to a picture."""
    synthetic: bool = False
    """Whether rendered pictures certified it."""
    git_commit: str | None = None
