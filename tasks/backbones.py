"""Backbones that a configuration names, and backbones that a step has made."""

from __future__ import annotations

from pathlib import Path

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.model.backbone import Backbone, save_backbone, saved_backbone_config
from stage1_core.model.backbone_config import BackboneConfig
from stage1_core.splits import Purpose
from tasks._workspace import store

BackboneSource = BackboneConfig | ArtifactRef
"""Where a backbone comes from. A stored one has no path in it: the same one in another workspace is the same."""

SEEN = (Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL)
"""What rows are read for when a backbone is trained, and its epoch chosen."""


def backbone_config(source: BackboneSource) -> BackboneConfig:
    """What `load_backbone` reads."""
    return saved_backbone_config(store().open(source)) if isinstance(source, ArtifactRef) else source


def stored(source: BackboneSource) -> list[ArtifactRef]:
    """The artifact behind ``source``, where there is one."""
    return [source] if isinstance(source, ArtifactRef) else []


def put_backbone(backbone: Backbone, inputs: list[ArtifactRef]) -> ArtifactRef:
    """Store a backbone that was trained with rows for `SEEN`."""

    def write(folder: Path) -> None:
        save_backbone(backbone, folder)

    return store().put(ArtifactKind.BACKBONE, write, inputs=inputs, purposes=SEEN)
