"""The backbone that the package ships, made again from nothing but its recipe."""

from __future__ import annotations

from pathlib import Path

from flows._flow import flow
from stage1_core.adaptation.demo_backbone import DemoBackboneConfig
from tasks.demo_backbone import (
    check_backbone,
    probe_backbone,
    render_drives,
    require_replaceable,
    ship_backbone,
    show_backbone_checks,
    teach_backbone,
)
from tasks.publishing import require_accepted


@flow("demo_backbone")
def demo_backbone(config: DemoBackboneConfig, folder: Path) -> Path:
    """Render drives, teach a small vision transformer on them, judge it on other drives, and write it with its card.

    Args:
        config: Everything that determines the weights and what they must show; its defaults made the shipped one.
        folder: Where the accepted backbone goes; one that was made before is replaced.
    """
    require_replaceable(folder)
    drives = render_drives(config.learn_from)
    backbone = teach_backbone(config, drives)
    held_out = render_drives(config.held_out)
    probe = probe_backbone(config, backbone, held_out)
    acceptance = check_backbone(config, backbone, probe)
    show_backbone_checks(acceptance)
    require_accepted(acceptance)
    return ship_backbone(config, backbone, probe, folder)
