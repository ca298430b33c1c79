"""Tasks that make the demo's backbone."""

from __future__ import annotations

import shutil
from pathlib import Path

from stage1_core.adaptation.demo_backbone import DemoBackboneConfig, demo_backbone_report
from stage1_core.adaptation.model_card import RECIPE_FILE, WEIGHTS_FILE, write_model_card
from stage1_core.adaptation.ranking_probe import RankingProbe
from stage1_core.adaptation.teaching import probe_student, teach_student
from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.config import FrozenModel
from stage1_core.data.road_scenes.description import RoadScenesConfig
from stage1_core.data.road_scenes.generate import render_scenes
from stage1_core.errors import ModelError
from tasks._progress import progress
from tasks._task import effect, task
from tasks._workspace import feature_folder, store, workspace
from tasks.acceptance import ACCEPTANCE_FILE, load_acceptance
from tasks.pages import show_acceptance


class Drives(FrozenModel):
    """A complete set of rendered pictures."""

    folder: str
    """Where they lie on this machine."""
    scenes: str
    """Digest of the scenes' descriptions: what was rendered."""


def require_replaceable(folder: Path) -> None:
    """Raise `ModelError` where ``folder`` holds anything but a backbone that was made here before."""
    if folder.exists() and not (folder / RECIPE_FILE).is_file() and (folder.is_file() or any(folder.iterdir())):
        raise ModelError(f"{folder} holds something else, which would be removed; give an empty or another folder")


@effect
def render_drives(scenes: RoadScenesConfig) -> Drives:
    """Render what is not there yet, where `stage1 demo` does."""
    with progress("rendering road scenes") as on_progress:
        rendered = render_scenes(scenes, workspace() / "scenes" / scenes.digest()[:12], on_progress=on_progress)
    return Drives(folder=str(rendered.folder), scenes=rendered.digest)


@task
def teach_backbone(config: DemoBackboneConfig, drives: Drives) -> ArtifactRef:
    """The student, as a folder that a backbone is loaded from."""
    with progress("teaching a backbone") as on_progress:
        return store().put(
            ArtifactKind.BACKBONE,
            lambda folder: teach_student(config, Path(drives.folder), folder, on_progress=on_progress),
        )


@task
def probe_backbone(config: DemoBackboneConfig, backbone: ArtifactRef, held_out: Drives) -> ArtifactRef:
    """The student beside its teacher and beside random weights, on drives that it has not seen."""
    with progress("probing backbones") as on_progress:
        probe = probe_student(
            config,
            store().open(backbone),
            Path(held_out.folder),
            feature_folder=feature_folder(),
            on_progress=on_progress,
        )
    return store().put_file(ArtifactKind.EVALUATION, "probe.json", probe, inputs=[backbone])


@task
def check_backbone(config: DemoBackboneConfig, backbone: ArtifactRef, probe: ArtifactRef) -> ArtifactRef:
    """Whether it may be shipped."""
    megabytes = (store().open(backbone) / WEIGHTS_FILE).stat().st_size / 1e6
    report = demo_backbone_report(config, store().read(probe, RankingProbe), megabytes)
    return store().put_file(ArtifactKind.ACCEPTANCE, ACCEPTANCE_FILE, report, inputs=[backbone, probe])


@effect
def show_backbone_checks(acceptance: ArtifactRef) -> None:
    """The verdict in the page, whatever it is."""
    show_acceptance(load_acceptance(acceptance))


@effect
def ship_backbone(config: DemoBackboneConfig, backbone: ArtifactRef, probe: ArtifactRef, folder: Path) -> Path:
    """Copy the backbone to ``folder``, what lay there replaced, and write its model card."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(store().open(backbone), folder)
    write_model_card(config, store().read(probe, RankingProbe), folder)
    return folder
